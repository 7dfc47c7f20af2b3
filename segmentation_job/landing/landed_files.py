"""Which files have landed since the facts were built, and whether they alone have to be read."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segmentation_job.landing.declaration import LandingTable, SourceDeclaration

MOST_FILES_TAKEN_UP: Final = 300
"""Their paths travel to dbt in one environment variable."""
# Without further arguments: what a file is read as must not depend on the others.
_READ_ALONE: Final = (
    re.compile(r"read_parquet\(\s*'[^']+'\s*\)"),
    re.compile(r"read_csv\(.*\ball_varchar\s*=\s*true\b.*\)", re.DOTALL),
)


@dataclass(frozen=True, order=True)
class LandedFile:
    """A file of a landing table as it was found. path: below the data folder, where it lies there."""

    table: str
    path: str
    bytes: int
    changed_at_ns: int


def list_landed_files(declaration: SourceDeclaration, data_dir: Path) -> frozenset[LandedFile]:
    """Return the files of every landing table."""
    found = set()
    for table in declaration.tables:
        for path in table.files:
            stat = path.stat()
            place = path.relative_to(data_dir) if path.is_relative_to(data_dir) else path
            found.add(LandedFile(table.name, str(place), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def files_to_take_up(
    declaration: SourceDeclaration, before: Collection[LandedFile], now: Collection[LandedFile], data_dir: Path
) -> tuple[str, ...] | None:
    """Return the new files, whose rows alone have to be read, as the engine names them; None where all must be.

    before: the files that the facts are built from. All are read where a file has changed or gone, where a mapping
    puts the rows of a table together or what a file is read as depends on others, and where there are very many.
    """
    before, now = frozenset(before), frozenset(now)
    if not before or before - now or len(now - before) > MOST_FILES_TAKEN_UP:
        return None
    tables = {table.name: table for table in declaration.tables}
    new = now - before
    for name in {file.table for file in new}:
        known = [file.path for file in before if file.table == name]
        first_new = min(file.path for file in new if file.table == name)
        # The first file of a pattern says which columns there are, and of which types.
        if not known or first_new < min(known) or not _is_read_by_file(declaration, tables[name]):
            return None
    return tuple(sorted(str(data_dir / file.path) for file in new))


def _is_read_by_file(declaration: SourceDeclaration, table: LandingTable) -> bool:
    return table.name in declaration.tables_mapped_by_row and any(
        pattern.fullmatch(table.location.strip()) for pattern in _READ_ALONE
    )
