"""Forgetting people: out of every file that is kept, and kept out of every landing to come.

All new files are prepared aside, under the warehouse's lock, and put in place by one journal: see `prepared_change`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from segmentation_job.durable_files import one_at_a_time
from segmentation_job.errors import SegmentationError
from segmentation_job.landing.declaration import SourceDeclaration, declaration_of
from segmentation_job.landing.forgotten import Forgotten, read_forgotten, read_or_make_key
from segmentation_job.landing.keeping_out import landing_moves, list_move
from segmentation_job.landing.readiness import landing_fingerprint
from segmentation_job.landing.removal import (
    PersonalIds,
    RewrittenFile,
    distinct_ids,
    orders_of,
    require_removable,
    rewrite_landing,
    rewrite_truth,
)
from segmentation_job.prepared_change import Move, commit_change, sole_change
from segmentation_job.publishing import kept_files, report_beside, rewrite_without, sweep_leftovers
from segmentation_job.report.rendering import render_report
from segmentation_job.runs.forgetting import (
    Pruned,
    customers_in,
    forget_in_warehouse,
    has_facts,
    owners_of_orders,
    read_truth,
    rename_publications,
)
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.settings import Settings
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.interface import Warehouse

StaleDates = Callable[[Warehouse], list[tuple[date, str]]]
"""Which dates and lenses are stale in a warehouse, to be compared before and after."""

SHORTEST_TELLING_ID: Final = 6
_GATED_KEYS: Final = re.compile(rb"first customers: ([^\n\xc2\\\"]*)")
_NO_TEXT: Final = frozenset({".duckdb", ".wal", ".db", ".msgpack", ".parquet"})


@dataclass(frozen=True)
class ForgettingReport:
    """What forgetting some people did.

    unknown: ids of which nothing was there. landing_rows: rows taken out of the landing. warehouse_rows: by table.
    published: new names by old. redacted: log files. withdrawn: dates with a run under way, to be run again.
    named_in_decisions: ids that a decision's free text holds. became_stale: what was not stale before.
    """

    unknown: tuple[str, ...]
    landing_rows: int
    warehouse_rows: Mapping[str, int]
    published: Mapping[str, str]
    redacted: tuple[Path, ...]
    withdrawn: tuple[date, ...]
    named_in_decisions: tuple[str, ...]
    became_stale: tuple[tuple[date, str], ...]


def forget(settings: Settings, customer_ids: Sequence[str], now: datetime, stale_dates: StaleDates) -> ForgettingReport:
    """Take people out of landing, warehouse, published files and logs, and have them kept out from now on.

    customer_ids: as the warehouse has them. now: with its time zone. stale_dates: what is stale in a warehouse. Raises
    WarehouseLockedError where another process works on the source; nothing is changed before all is prepared, and what
    a process that is killed had prepared to the end is put in place by the next that comes.
    """
    customers = frozenset(each.strip() for each in customer_ids if each.strip())
    if not customers:
        raise SegmentationError("No customer was named: give at least one id.")
    with ExitStack() as held:
        held.enter_context(sole_change(settings.forgetting_dir))
        declaration = declaration_of(settings)
        require_removable(declaration, settings.landing_dir)
        forgotten = read_forgotten(settings.forgotten_path, settings.forget_key_path) or Forgotten(
            read_or_make_key(settings.forget_key_path), frozenset()
        )
        # A publisher that has read the warehouse already would serve them once more.
        held.enter_context(one_at_a_time(settings.source_data_dir))
        sweep_leftovers(settings.published_dir)
        original = None
        if settings.warehouse_path.exists():
            # Held to the end: nobody opens the file while another is made in its place.
            original = held.enter_context(_open(settings))
        work = _Work(settings, declaration, customers)
        work.take_copies(original)
        landed_customers, landed_orders = distinct_ids(declaration)
        orders = work.find_orders() | forgotten.among("order", landed_orders)
        rewritten = work.rewrite_landing(PersonalIds(customers, orders))
        published = _rewrite_published(settings, customers, now)
        names = {old.name: new.name for old, new in published.items()}
        known = customers & landed_customers
        pruned = Pruned({}, ())
        became_stale: tuple[tuple[date, str], ...] = ()
        if original is not None:
            known |= work.known_in_warehouse()
            if known or rewritten:
                pruned, became_stale = work.prune_warehouse(rewritten, names, stale_dates)
        redacted = tuple(redact_logs(_log_folders(settings), customers))
        moves = [
            list_move(settings, forgotten, PersonalIds(customers, orders), now),
            *landing_moves(rewritten),
            *work.warehouse_moves(),
            *_published_moves(settings, published),
        ]
        work.require_same_landing()
        commit_change(settings.forgetting_dir, moves)
    return ForgettingReport(
        unknown=tuple(sorted(customers - known)),
        landing_rows=sum(file.rows_removed for file in rewritten),
        warehouse_rows=pruned.rows,
        published=names,
        redacted=redacted,
        withdrawn=pruned.withdrawn,
        named_in_decisions=tuple(sorted(_named_in(settings.decisions_path, customers))),
        became_stale=became_stale,
    )


def describe_report(report: ForgettingReport, settings: Settings) -> str:
    """Say what was forgotten, what remains to be done, and what stays."""
    lines = [f"{report.landing_rows:,} rows were taken out of {settings.landing_dir}."]
    total = sum(report.warehouse_rows.values())
    if total:
        lines.append(f"{total:,} rows of {len(report.warehouse_rows)} tables were taken out of the warehouse.")
    lines += [f"Published file {old} was written anew as {new}." for old, new in report.published.items()]
    if report.redacted:
        lines.append(f"{len(report.redacted)} log files had an id, which has stars over it now.")
    lines += [
        *(
            f"{each}: nothing is there of this customer; should anything land, it is removed."
            for each in report.unknown
        ),
        *(
            f"The run of {day} was under way and has lost its candidate: run the date again."
            for day in report.withdrawn
        ),
        *(
            f"{each} stands in a text of {settings.decisions_path}: edit that by hand."
            for each in report.named_in_decisions
        ),
        *(
            f"{day} ({lens}) is stale now, though it should not be: run the date again."
            for day, lens in report.became_stale
        ),
    ]
    lines.append(
        "Models and the figures of segments stay. Nobody of them comes back: build facts removes who lands again."
    )
    return "\n".join(lines)


class _Work:
    """Copies of warehouse and landing in the folder where the change is prepared, and what is done to them.

    The folder is laid out as a data folder, so that the facts are built in it by the command that always builds them.
    """

    def __init__(self, settings: Settings, declaration: SourceDeclaration, customers: frozenset[str]) -> None:
        self._settings = settings
        self._declaration = declaration
        self._customers = customers
        self._work = replace(settings, data_dir=settings.forgetting_dir)
        self._fingerprint = landing_fingerprint(declaration)
        self._new_warehouse = settings.forgetting_dir / settings.warehouse_path.name

    def take_copies(self, original: DuckDBWarehouse | None) -> None:
        """Lay out the folder; bring the facts up to date with all that has landed."""
        for table in self._declaration.tables:
            for path in table.files:
                copy = self._copy_of(path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not copy.is_symlink():
                    copy.symlink_to(path)
        if original is None:
            return
        self._work.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
        original.copy_to(self._work.warehouse_path)
        with _open(self._work) as warehouse:
            state = warehouse.rows("select landing_fingerprint, facts_version from pipeline.facts_state")
            is_current = not has_facts(warehouse) or state == [
                (self._fingerprint, read_logic_versions(self._settings).facts)
            ]
        if not is_current:
            # Else what landed since would count as known to the dates that ran before it.
            self._build_facts()

    def find_orders(self) -> frozenset[str]:
        owners = {}
        if self._work.warehouse_path.exists():
            with _open(self._work) as warehouse:
                owners = owners_of_orders(warehouse, self._customers)
        return orders_of(self._declaration, self._customers, owners)

    def rewrite_landing(self, ids: PersonalIds) -> list[RewrittenFile]:
        """Write the files of landing and truth that hold one of the people; the landing's copy has them at once."""
        rewritten = rewrite_landing(self._declaration, ids, self._settings.forgetting_dir / "landing")
        for file in rewritten:
            copy = self._copy_of(file.path)
            copy.unlink()
            os.link(file.replacement, copy)
        truth = self._settings.source_data_dir / "truth"
        return rewritten + rewrite_truth(truth, ids, self._settings.forgetting_dir / "truth")

    def known_in_warehouse(self) -> frozenset[str]:
        with _open(self._work) as warehouse:
            return customers_in(warehouse, self._customers)

    def prune_warehouse(
        self, rewritten: Sequence[RewrittenFile], published: Mapping[str, str], stale_dates: StaleDates
    ) -> tuple[Pruned, tuple[tuple[date, str], ...]]:
        """Write the warehouse without the people into a new file; return what went, and what became stale by it."""
        with _open(self._work) as warehouse:
            before = read_truth(warehouse)
            was_stale = stale_dates(warehouse)
            facts = has_facts(warehouse)
        if facts and rewritten:
            self._build_facts()
        with _open(self._work) as warehouse:
            pruned = forget_in_warehouse(warehouse, self._customers, before)
            rename_publications(warehouse, published)
            warehouse.replace_in_views(str(self._work.data_dir), str(self._settings.data_dir))
            is_stale = stale_dates(warehouse)
            # Deleted rows stay in a file's free blocks: what is kept goes into a new one.
            warehouse.copy_to(self._new_warehouse)
        return pruned, tuple(each for each in is_stale if each not in was_stale)

    def warehouse_moves(self) -> list[Move]:
        if not self._new_warehouse.exists():
            return []
        path = self._settings.warehouse_path
        # A log of the old file beside the new one would make it unopenable.
        return [Move("remove", f"{path}.wal"), Move("replace", str(path), str(self._new_warehouse))]

    def require_same_landing(self) -> None:
        if landing_fingerprint(self._declaration) != self._fingerprint:
            raise SegmentationError(
                f"{self._settings.landing_dir} changed while it was written without the people to be forgotten. "
                "Nothing was changed: run the command again."
            )

    def _copy_of(self, path: Path) -> Path:
        return self._work.landing_dir / path.relative_to(self._settings.landing_dir)

    def _build_facts(self) -> None:
        finished = subprocess.run(
            [
                sys.executable,
                "-m",
                "segmentation_job.cli",
                "build",
                "facts",
                "--as-of",
                datetime.now(UTC).date().isoformat(),
            ],
            env={**os.environ, "SEGMENTATION_DATA_DIR": str(self._work.data_dir)},
            cwd=self._settings.project_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise SegmentationError(f"The facts could not be built, so nothing was changed:\n{finished.stdout[-3000:]}")


def redact_logs(folders: Sequence[Path], customers: Collection[str]) -> Iterator[Path]:
    """Put stars over ids in log files, in place; yield the files that held one.

    An id that tells by itself that it is one (six characters or more, not digits alone) goes wherever it stands as a
    word; a shorter one, or a number, only where gates named the customers of offending rows: elsewhere a 7 is a 7.
    """
    spellings = {text.encode() for each in customers for text in (each, json.dumps(each)[1:-1])}
    telling = {
        text.encode()
        for each in customers
        if len(each) >= SHORTEST_TELLING_ID and not each.isdigit()
        for text in (each, json.dumps(each)[1:-1])
    }

    def any_of(texts: set[bytes]) -> bytes:
        return b"|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))

    patterns = [re.compile(rb"customer_id = (%s)(?![\w-])" % any_of(spellings))]
    if telling:
        patterns.append(re.compile(rb"(?<![\w-])(%s)(?![\w-])" % any_of(telling)))
    for path in _log_files(folders):
        content = path.read_bytes()
        spans = [match.span(1) for pattern in patterns for match in pattern.finditer(content)]
        for named in _GATED_KEYS.finditer(content):
            at = named.start(1)
            for key in named[1].split(b", "):
                if key.rstrip() in spellings:
                    spans.append((at, at + len(key.rstrip())))
                at += len(key) + 2
        if spans:
            # As long as before, so that a log that is being written goes on where it was.
            with path.open("r+b") as file:
                for begin, end in spans:
                    file.seek(begin)
                    file.write(b"*" * (end - begin))
                file.flush()
                os.fsync(file.fileno())
            yield path


def _log_files(folders: Sequence[Path]) -> list[Path]:
    files: set[Path] = set()
    for folder in folders:
        found = [folder] if folder.is_file() else folder.rglob("*")
        files |= {path.resolve() for path in found if path.suffix not in _NO_TEXT and path.is_file()}
    return sorted(files)


def _log_folders(settings: Settings) -> list[Path]:
    folders = [settings.data_dir / "airflow" / "logs", settings.source_data_dir / "dbt", settings.run_log_path]
    if elsewhere := os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER"):
        folders.append(Path(elsewhere))
    if home := os.environ.get("AIRFLOW_HOME"):
        folders.append(Path(home) / "logs")
    return folders


def _rewrite_published(settings: Settings, customers: frozenset[str], now: datetime) -> dict[Path, Path]:
    """The published files that hold one of the people, with what is to take their place."""
    folder = settings.forgetting_dir / "published"
    folder.mkdir(parents=True, exist_ok=True)
    rewritten = {}
    for number, night in enumerate(kept_files(settings.published_dir)):
        # Each has a time of its own: what was published later stays the later.
        target = rewrite_without(night.path, customers, folder, now + timedelta(microseconds=number))
        if target is not None:
            rewritten[night.path] = target
            # Its counts and its map of customers are of everybody.
            if report_beside(night.path).exists():
                report_beside(target).write_bytes(render_report(target).encode())
    return rewritten


def _published_moves(settings: Settings, rewritten: Mapping[Path, Path]) -> list[Move]:
    moves = []
    for old, prepared in rewritten.items():
        new = settings.published_dir / prepared.name
        moves.append(Move("replace", str(new), str(prepared)))
        links = (settings.current_link, settings.serving_link)
        moves += [
            Move("link", str(link), str(new)) for link in links if link.is_symlink() and link.resolve() == old.resolve()
        ]
        if report_beside(prepared).exists():
            moves += _report_moves(settings, report_beside(old), report_beside(prepared), report_beside(new))
        # Who has it open keeps it until they open the link again.
        moves.append(Move("remove", str(old)))
    return moves


def _report_moves(settings: Settings, old: Path, prepared: Path, new: Path) -> list[Move]:
    links = (settings.latest_report, settings.serving_report)
    return [
        Move("replace", str(new), str(prepared)),
        *(Move("link", str(link), str(new)) for link in links if link.is_symlink() and link.resolve() == old.resolve()),
        Move("remove", str(old)),
    ]


def _named_in(path: Path, customers: frozenset[str]) -> Iterator[str]:
    """The ids that a text file holds as words."""
    text = path.read_text() if path.exists() else ""
    for each in customers:
        if re.search(rf"(?<![\w-]){re.escape(each)}(?![\w-])", text):
            yield each


def _open(settings: Settings) -> DuckDBWarehouse:
    return DuckDBWarehouse(settings.warehouse_path, threads=settings.threads, memory_limit=settings.memory_limit)
