"""Versions of the logic that lies in files: what a recorded run rests on beside its data."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segmentation_job.segments.lenses import Lens, parse_lens
from segmentation_job.settings import Settings


@dataclass(frozen=True)
class LogicVersions:
    """facts: from the landing to the facts. features: these and the features. marts: what BI reads."""

    facts: str
    features: str
    marts: str


def read_logic_versions(settings: Settings) -> LogicVersions:
    """Hash the SQL of each layer and the YAML that it is made from.

    Comments on lines of their own and white space of SQL do not count; settings that SQL reads do.
    """
    project = settings.dbt_project_dir
    shared = [*sorted((project / "macros").rglob("*.sql")), project / "dbt_project.yml"]
    facts_files = [
        *shared,
        *sorted(settings.source_dir.glob("*.sql")),
        # Where and how the landing is read.
        *sorted(settings.source_dir.glob("*.yml")),
        *sorted((project / "models" / "input").glob("*.yml")),
        *sorted((project / "models" / "staging").glob("*.sql")),
        *sorted((project / "models" / "intermediate").glob("*.sql")),
    ]
    facts = _version(facts_files, settings.timezone)
    features = _version(sorted((project / "models" / "features").glob("*.sql")), facts)
    marts_files = [
        *sorted((project / "models" / "marts").rglob("*.sql")),
        project / "models" / "marts" / "_marts__models.yml",
    ]
    marts = _version([*shared, *marts_files], "")
    return LogicVersions(facts=facts, features=features, marts=marts)


def read_lenses(settings: Settings) -> list[Lens]:
    """Read every lens of the lenses folder, by name; raise LensError naming file, key and remedy."""
    return [parse_lens(path.read_text(), str(path)) for path in sorted(settings.lenses_dir.glob("*.y*ml"))]


def _version(files: Iterable[Path], prefix: str) -> str:
    digest = hashlib.sha256(prefix.encode())
    for path in files:
        digest.update(path.name.encode())
        text = path.read_text()
        digest.update((_without_layout(text) if path.suffix == ".sql" else text).encode())
    return digest.hexdigest()[:16]


def _without_layout(text: str) -> str:
    text = re.sub(r"\{#.*?#\}", " ", text, flags=re.DOTALL)
    # Whole lines only: two dashes behind something may lie in a string.
    text = re.sub(r"(?m)^\s*--(?!\s*depends_on).*$", " ", text)
    return " ".join(text.split())
