"""Changes of tables on a file system, written beside them, decided by a journal, and put in place, if need be twice."""

import json
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet

from segmentation_job.durable_files import sync, written_whole

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass
class TableChange:
    """What becomes of a large table: partitions that go, and rows that come, in the order in which it was asked.

    gone: each the values of partition columns. written: folders of Parquet files; of each the number of those in `gone`
    that were asked for before it, and do not concern it.
    """

    gone: list[dict[str, str]] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)


class StagedChanges:
    """The changes under way of one source's tables. folder: where all of Spark's tables lie."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder
        self._source = source
        self._beside = folder / "_changes" / source
        self._journal = self._beside / "journal.json"
        self.large: dict[str, TableChange] = {}
        self.small: dict[str, str] = {}
        if self._journal.exists():
            decided = json.loads(self._journal.read_text())
            self.small = dict(decided["small"])
            self.large = {
                table: TableChange(change["gone"], [(str(path), int(after)) for path, after in change["written"]])
                for table, change in decided["large"].items()
            }

    @property
    def is_decided(self) -> bool:
        """Whether the changes count, and are to be put in place."""
        return self._journal.exists()

    def folder_of(self, table: str) -> Path:
        """Where the files of a table lie, as Spark names the folders of databases and tables."""
        schema, name = table.split(".")
        return self._folder / f"{self._source}_{schema}.db" / name

    def new_folder(self) -> Path:
        """Return a folder, not there yet, for rows that a change brings."""
        self._beside.mkdir(parents=True, exist_ok=True)
        return self._beside / uuid.uuid4().hex

    def add_rows(self, table: str, rows: pa.Table) -> None:
        """Let a large table have more rows."""
        folder = self.new_folder()
        folder.mkdir()
        pa.parquet.write_table(rows, folder / "rows.parquet")
        self.add_written(table, folder)

    def add_written(self, table: str, folder: Path) -> None:
        """Let a large table have the rows of a folder of Parquet files."""
        change = self.large.setdefault(table, TableChange())
        change.written.append((str(folder), len(change.gone)))

    def take_away(self, table: str, key: Mapping[str, object]) -> None:
        """Let a large table lose a partition, or those that share some values."""
        self.large.setdefault(table, TableChange()).gone.append(
            {column: _plain(value) for column, value in key.items()}
        )

    def write_whole(self, table: str, rows: pa.Table) -> None:
        """Let a small table have these rows and no others."""
        path = self.new_folder().with_suffix(".parquet")
        pa.parquet.write_table(rows, path)
        sync(path)
        self.small[table] = str(path)

    def decide(self) -> None:
        """Let the changes count, from now on and whatever happens to this process."""
        if not self.large and not self.small:
            return
        with written_whole(self._journal) as path:
            large = {table: asdict(change) for table, change in self.large.items()}
            path.write_text(json.dumps({"small": self.small, "large": large}, indent=1))

    def put_small_in_place(self) -> None:
        """Give every small table its new file, and take its old ones away."""
        for table, written in self.small.items():
            path = Path(written)
            folder = self.folder_of(table)
            folder.mkdir(parents=True, exist_ok=True)
            # Its name is the same the second time.
            final = folder / path.name
            if path.exists():
                path.replace(final)
            for other in folder.iterdir():
                if other != final:
                    other.unlink()
            sync(folder)

    def clear(self) -> None:
        """Forget the changes, made or not, with what was written for them."""
        # First the journal: without it nothing of the rest counts.
        self._journal.unlink(missing_ok=True)
        shutil.rmtree(self._beside, ignore_errors=True)
        self.large, self.small = {}, {}

    def bytes_of_tables(self) -> int:
        """Return the bytes of all files of the source's tables."""
        return sum(
            path.stat().st_size
            for database in self._folder.glob(f"{self._source}_*.db")
            for path in database.rglob("*")
            if path.is_file()
        )


def condition_of(keys: Sequence[Mapping[str, str]]) -> str:
    """Return the SQL condition for the rows that have the values of one of some keys, and hold no null in them."""
    return " or ".join(
        " and ".join(f"coalesce(cast({column} as string) = '{value}', false)" for column, value in key.items())
        for key in keys
    )


def partition_of(key: Mapping[str, str]) -> str:
    """Return a key as the partition that a statement names."""
    return ", ".join(f"{column} = '{value}'" for column, value in key.items())


def _plain(value: object) -> str:
    """A value of a partition column as text: a date, or a name that stands in a statement as it is."""
    text = value.isoformat() if isinstance(value, date) else str(value)
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} is no value that a table can be partitioned by: letters, digits, _, - and . only")
    return text
