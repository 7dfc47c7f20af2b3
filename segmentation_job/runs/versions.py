"""Versions of the logic that lies in files: what a recorded run rests on beside its data."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yaml import YAMLError

from segmentation_job.errors import MisconfiguredError
from segmentation_job.fast_yaml import read_yaml
from segmentation_job.landing.declaration import SourceDeclaration, read_contract, read_declaration
from segmentation_job.segments.errors import LensError
from segmentation_job.segments.lenses import Lens, nearest_names, parse_lens, require_known_features
from segmentation_job.settings import Settings
from segmentation_job.warehouse.tables import FEATURE_TABLES

_FEATURE_KEY_COLUMNS = ("as_of_date", "customer_id")


@dataclass(frozen=True)
class LogicVersions:
    """facts: from the landing to the facts. features: these and the features. marts: what BI reads."""

    facts: str
    features: str
    marts: str


def read_logic_versions(settings: Settings) -> LogicVersions:
    """Hash the SQL of each layer and the YAML that it is made from.

    Comments on lines of their own and white space of SQL do not count, nor whose rows a landing table holds; settings
    that SQL reads do.
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
        *sorted((project / "models" / "marts").rglob("*__models.yml")),
    ]
    marts = _version([*shared, *marts_files], "")
    return LogicVersions(facts=facts, features=features, marts=marts)


@dataclass(frozen=True)
class SkippedLens:
    """A lens that does not run, and why, as a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class LensChoice:
    """The lenses that run on a source, and those that do not, each by name."""

    running: tuple[Lens, ...]
    skipped: tuple[SkippedLens, ...]


def read_lenses(settings: Settings) -> list[Lens]:
    """Read the lenses that are on and whose needs the source meets, by name; raises as `choose_lenses` does."""
    return list(choose_lenses(settings).running)


def read_skipped_lenses(settings: Settings) -> list[SkippedLens]:
    """Read the lenses that do not run, with the reason; raises as `choose_lenses` does."""
    return list(choose_lenses(settings).skipped)


def choose_lenses(settings: Settings) -> LensChoice:
    """Read every lens of the lenses folders and decide which of them run.

    That depends on the lens files, SEGMENTATION_LENSES and the source's mapping, never on data: it is the same for
    every date. Raises LensError naming file, key and remedy, also of lenses that do not run, and MisconfiguredError
    where a folder does not exist, two files declare one lens, or SEGMENTATION_LENSES names one that does not exist.
    """
    lenses = read_lens_files(settings)
    names = [lens.name for lens in lenses]
    for name in settings.lens_names or ():
        if name not in names:
            folders = ", ".join(str(folder) for folder in settings.lenses_dirs)
            raise MisconfiguredError(
                f"SEGMENTATION_LENSES names {name!r}, but {folders} has no such lens. "
                f"There are: {', '.join(names) or 'none'}."
            )
    declaration = read_declaration(settings.source_dir)
    contract = read_contract(settings.dbt_project_dir / "models" / "input")
    features = read_feature_contract(settings.dbt_project_dir / "models" / "features")
    for lens in lenses:
        _require_known_needs(lens, contract)
        require_known_features(lens, features)
    reasons = {lens.name: _reason_to_skip(lens, settings.lens_names, declaration) for lens in lenses}
    return LensChoice(
        running=tuple(lens for lens in lenses if not reasons[lens.name]),
        skipped=tuple(SkippedLens(name, reason) for name, reason in reasons.items() if reason),
    )


def read_lens_files(settings: Settings) -> list[Lens]:
    """Read every lens of the lenses folders, by name, whether it runs or not.

    Raises LensError naming file, key and remedy, and MisconfiguredError where a folder does not exist or two files
    declare one lens.
    """
    lenses: dict[str, Lens] = {}
    for folder in settings.lenses_dirs:
        if not folder.is_dir():
            raise MisconfiguredError(f"SEGMENTATION_LENSES_DIR: {folder} is no folder; create it, or leave it out.")
        for path in sorted(folder.glob("*.y*ml")):
            lens = parse_lens(path.read_text(encoding="utf-8"), str(path))
            if lens.name in lenses:
                raise MisconfiguredError(
                    f"{path} and {lenses[lens.name].origin} both declare the lens {lens.name!r}: "
                    "give one of them another name, in the file and of the file."
                )
            lenses[lens.name] = lens
    return [lenses[name] for name in sorted(lenses)]


def read_feature_contract(features_dir: Path) -> dict[str, dict[str, str]]:
    """Return the data type of every feature, as dbt writes it, by column and feature table."""
    tables: dict[str, dict[str, str]] = {}
    for path in sorted(features_dir.glob("*__models.yml")):
        for model in (read_yaml(path.read_text()) or {}).get("models", []):
            if model["name"] in FEATURE_TABLES:
                tables[model["name"]] = {
                    column["name"]: str(column["data_type"])
                    for column in model["columns"]
                    if column["name"] not in _FEATURE_KEY_COLUMNS
                }
    return tables


def _reason_to_skip(lens: Lens, chosen: tuple[str, ...] | None, declaration: SourceDeclaration) -> str:
    """Why a lens does not run, as a sentence; empty where it does."""
    start = f"lens {lens.name} is skipped:"
    if chosen is not None and lens.name not in chosen:
        return f"{start} SEGMENTATION_LENSES does not name it"
    if chosen is None and not lens.enabled:
        return f"{start} its file says enabled: false; name it in SEGMENTATION_LENSES to run it"
    lacking = [name for name in lens.needs if not declaration.has(name)]
    if lacking:
        return f"{start} the source has {_none_of(lacking)}"
    found = [name for name in lens.needs_any if declaration.has(name)]
    if lens.needs_any and not found:
        return f"{start} the source has {_none_of(lens.needs_any)}"
    if len(found) < min(lens.needs_count, len(lens.needs_any)):
        return f"{start} it needs {lens.needs_count} of what it looks at, and the source has only {', '.join(found)}"
    return ""


def _none_of(names: Sequence[str]) -> str:
    denied = [f"no {name}" for name in names]
    return denied[0] if len(denied) == 1 else f"{', '.join(denied[:-1])} and {denied[-1]}"


def _require_known_needs(lens: Lens, contract: Mapping[str, tuple[str, ...]]) -> None:
    for key, needs in (("needs", lens.needs), ("needs_any", lens.needs_any)):
        for name in needs:
            entity, dot, column = name.partition(".")
            if entity not in contract or (dot and (key == "needs" or column not in contract[entity])):
                known = contract.get(entity, ()) if dot and key == "needs_any" and entity in contract else contract
                part = column if known is not contract else entity
                raise LensError(
                    f"{lens.origin}: {key} {name!r} is not in the input contract; "
                    f"use one of {', '.join(nearest_names(part, known) or known)}"
                )


def _version(files: Iterable[Path], prefix: str) -> str:
    digest = hashlib.sha256(prefix.encode())
    for path in files:
        digest.update(path.name.encode())
        text = path.read_text()
        if path.suffix == ".sql":
            text = _without_layout(text)
        elif path.name.endswith("__sources.yml"):
            text = _without_persons(text)
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _without_persons(text: str) -> str:
    """A declaration without whose rows its tables hold: saying it, to forget somebody, must make no date stale."""
    try:
        content = read_yaml(text)
    except YAMLError:
        # With Jinja outside of quotes it is no YAML before dbt has read it.
        return text
    for source in content.get("sources", []):
        for table in source.get("tables", []):
            config = table.get("config", {})
            config.get("meta", {}).pop("personal", None)
            if config.get("meta") == {}:
                del config["meta"]
            if table.get("config") == {}:
                del table["config"]
    return json.dumps(content, sort_keys=True, default=str)


def _without_layout(text: str) -> str:
    text = re.sub(r"\{#.*?#\}", " ", text, flags=re.DOTALL)
    # Whole lines only: two dashes behind something may lie in a string.
    text = re.sub(r"(?m)^\s*--(?!\s*depends_on).*$", " ", text)
    return " ".join(text.split())
