"""dbt as a process of its own: inside this one it would keep the warehouse locked."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from segmentation_job.child_processes import die_with_parent
from segmentation_job.errors import SegmentationError
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.settings import Settings

LAYERS: dict[str, tuple[str, ...]] = {
    "facts": ("path:models/input", "path:sources", "path:models/staging", "path:models/intermediate"),
    "features": ("path:models/features",),
    "marts": ("path:models/marts",),
}
"""What `segmentation build LAYER` selects; facts runs from the input contract to the facts."""


def dbt_command(layer: str, settings: Settings, *, full_refresh: bool = False) -> list[str]:
    """Return the dbt command line that builds a layer. Unit tests are for `make test`, not for every night."""
    return [
        str(Path(sys.executable).with_name("dbt")),
        "build",
        "--select",
        *LAYERS[layer],
        "--exclude-resource-type",
        "unit_test",
        # Nobody reads the manifest of a night, and dbt would write it twice.
        "--no-write-json",
        *(["--full-refresh"] if full_refresh else []),
        *dbt_places(settings),
    ]


def dbt_places(settings: Settings) -> list[str]:
    """Return the options that say where dbt finds the project and where it writes."""
    work = settings.source_data_dir / "dbt"
    return [
        "--project-dir",
        str(settings.dbt_project_dir),
        "--profiles-dir",
        str(settings.dbt_project_dir),
        "--target-path",
        str(work / "target"),
        "--log-path",
        str(work / "logs"),
    ]


def dbt_environment(
    settings: Settings,
    versions: LogicVersions,
    as_of_dates: Sequence[date] = (),
    *,
    lens_names: Sequence[str] = (),
    landed_files: Sequence[str] | None = None,
) -> dict[str, str]:
    """Return the environment that dbt reads its settings from, where it is started in the source's data folder.

    as_of_dates: that features are computed for. lens_names: whose segments the marts set beside the features.
    landed_files: the only files that the facts have to be brought up to date from; None where all are read.
    """
    environment = {
        **os.environ,
        "SOURCE": settings.source,
        "TARGET": settings.target,
        # As seen from the source's data folder: dbt parses the whole project anew where it meets another path.
        "SEGMENTATION_DATA_DIR": os.pardir,
        # Views outlive dbt, and are read from other folders.
        "SEGMENTATION_DATA_DIR_OF_VIEWS": str(settings.data_dir),
        "SEGMENTATION_THREADS": str(settings.threads),
        "SEGMENTATION_MEMORY_LIMIT": settings.memory_limit,
        "SEGMENTATION_TIMEZONE": settings.timezone,
        "SEGMENTATION_FACTS_VERSION": versions.facts,
        "SEGMENTATION_FEATURES_VERSION": versions.features,
        "SEGMENTATION_MARTS_VERSION": versions.marts,
        "DO_NOT_TRACK": "1",
    }
    environment.pop("SEGMENTATION_LANDED_FILES", None)
    if landed_files is not None:
        environment["SEGMENTATION_LANDED_FILES"] = json.dumps(landed_files)
    if lens_names:
        environment["SEGMENTATION_LENS_NAMES"] = ",".join(lens_names)
    if as_of_dates:
        environment["SEGMENTATION_AS_OF_DATES"] = ",".join(day.isoformat() for day in as_of_dates)
    return environment


def run_dbt(command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
    """Run dbt to its end; raise SegmentationError where it fails, after it has said why.

    folder: that of the source's data, from where the environment's paths are seen. Where this process is killed, dbt
    ends with it: left to itself it would go on holding the warehouse.
    """
    finished = subprocess.run(command, env=environment, cwd=folder, check=False, preexec_fn=die_with_parent)
    if finished.returncode != 0:
        raise SegmentationError(
            f"dbt ended with {finished.returncode}; what failed stands above. What is served is unchanged."
        )
