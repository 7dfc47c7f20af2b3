"""Random histories of a warehouse, and what must hold of each: every action on real DuckDB files, in process.

A history is a list of actions: nights, nights that were killed or whose gate failed, nights that overlap, rows that
came late, decisions. Afterwards every date that was asked for is run, what is stale is repaired, and all that is
promoted is held against one run in order over the same dates, rows and decisions, ids by what they stand for.
"""

import hashlib
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from segmentation_job.deciding import decide_about_model, decide_rename
from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.runs import lineage
from segmentation_job.runs.decisions import Decision, DecisionKind
from segmentation_job.runs.lineage import RFM_COLUMNS
from segmentation_job.runs.promotion import GATED_SUBJECTS, RESOLVED_SEGMENTS
from segmentation_job.runs.state import promoted_decisions, record_versions
from segmentation_job.runs.versions import LogicVersions, read_logic_versions
from segmentation_job.segments.lenses import Lens
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.interface import Row, Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES
from tests.measurements.shops import BuiltFeatures, shipped_lens
from tests.support.prebuilt import BUILT_TABLES, PrebuiltNights
from tests.support.summer_shop import SECOND_REFIT

DATES: Final = (
    date(2025, 6, 4),
    date(2025, 6, 20),
    SECOND_REFIT,
    date(2025, 7, 2),
    date(2025, 7, 17),
    date(2025, 8, 6),
    date(2025, 8, 11),
)
"""That a history may ask for: over three refits, one of them a refit date, one a Monday that is checked."""

# What facts a run reads beside the features.
FACTS: Final = ("int_input_scope", "int_customer_first_seen")

# In the order of a night; `check`, the marts and the published file are the processes' own and are left out.
STEPS: Final = (
    "build facts",
    "build features",
    "gate features",
    "forecast",
    "gate forecasts",
    "segment",
    "gate labels",
    "promote",
)
# How many statements a step has about, so that a kill may hit any of them; a step that has fewer dies at its end.
STATEMENTS: Final = {
    "build facts": 14,
    "build features": 45,
    "gate features": 40,
    "forecast": 20,
    "gate forecasts": 14,
    "segment": 120,
    "gate labels": 11,
    "promote": 240,
}
FIRST_DECISION_AT: Final = datetime.fromisoformat("2025-06-25 09:00")


@dataclass(frozen=True)
class Night:
    """A date is run, or run again."""

    day: date

    def __str__(self) -> str:
        return f"run {self.day}"


@dataclass(frozen=True)
class KilledNight:
    """A night dies at a statement of a step. then: "step", "night" or "nothing" is run again."""

    day: date
    step: str
    statement: int
    then: str

    def __str__(self) -> str:
        again = "nothing is run again" if self.then == "nothing" else f"the {self.then} is run again"
        return f"kill {self.step} of {self.day} at statement {self.statement}; {again}"


@dataclass(frozen=True)
class FailedGate:
    """A night stops at a gate."""

    day: date
    subject: str

    def __str__(self) -> str:
        return f"run {self.day}, whose gate on the {self.subject} fails"


@dataclass(frozen=True)
class OverlappingNights:
    """A night waits behind a step while another date is run, and goes on then."""

    day: date
    step: str
    other: date

    def __str__(self) -> str:
        return f"run {self.day} to {self.step}, run {self.other}, go on with {self.day}"


@dataclass(frozen=True)
class LateRows:
    """The next rows of old dates land."""

    def __str__(self) -> str:
        return "late rows land"


@dataclass(frozen=True)
class Decide:
    """Somebody decides, if there is something to decide so. choice: of which segment or model."""

    kind: DecisionKind
    choice: int

    def __str__(self) -> str:
        return f"{self.kind.value} (choice {self.choice})"


@dataclass(frozen=True)
class Withdraw:
    """Somebody takes a decision's line out of the file, if there is one."""

    choice: int

    def __str__(self) -> str:
        return f"withdraw a decision (choice {self.choice})"


@dataclass(frozen=True)
class RepairFirst:
    """The first stale date is run, if there is one."""

    def __str__(self) -> str:
        return "run the first stale date"


Action = Night | KilledNight | FailedGate | OverlappingNights | LateRows | Decide | Withdraw | RepairFirst


@st.composite
def histories(
    draw: st.DrawFn, most_dates: int = 4, fewest_actions: int = 3, most_actions: int = 8
) -> tuple[Action, ...]:
    """Draw a history, which begins with a night; it shrinks to fewer actions, and to plain nights."""
    dates = draw(st.lists(st.sampled_from(DATES), min_size=2, max_size=most_dates, unique=True))
    day = st.sampled_from(dates)
    two_days = st.permutations(dates)
    # The long steps, which most can happen to, more often than the others.
    killed = st.sampled_from((*STEPS, "promote", "promote", "promote", "segment")).flatmap(
        lambda step: st.builds(
            KilledNight,
            day,
            st.just(step),
            st.integers(1, STATEMENTS[step]),
            st.sampled_from(("step", "night", "nothing")),
        )
    )
    decision = st.builds(Decide, st.sampled_from(DecisionKind), st.integers(0, 5))
    action = st.one_of(
        st.builds(Night, day),
        st.just(LateRows()),
        decision,
        killed,
        st.builds(FailedGate, day, st.sampled_from(GATED_SUBJECTS)),
        st.builds(lambda days, step: OverlappingNights(days[0], step, days[1]), two_days, st.sampled_from(STEPS[1:-1])),
        st.builds(Withdraw, st.integers(0, 3)),
        st.just(RepairFirst()),
        # Twice as often as the others.
        st.builds(Night, day),
        killed,
        decision,
    )
    actions = draw(st.lists(action, min_size=fewest_actions - 1, max_size=most_actions - 1))
    return (Night(draw(day)), *actions)


def told(history: Sequence[Action]) -> str:
    """Return a history as a numbered list."""
    return "\n".join(f"{number:3}. {action}" for number, action in enumerate(history, start=1))


@dataclass
class Figures:
    """What histories came to, added up."""

    counts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Figures") -> "Figures":
        # Counters added by + lose what is zero, and zero rows that differ are to be read.
        total = Figures(self.counts.copy(), self.kills.copy())
        total.counts.update(other.counts)
        total.kills.update(other.kills)
        return total


@dataclass(frozen=True)
class Deliveries:
    """A file with what a night finds after each delivery of rows: facts and features of every date, by schema.

    Beside the real deliveries a last one of rows that are quarantined: they are counted, and no feature changes.
    """

    path: Path
    count: int
    lens: Lens
    versions: LogicVersions


def small_lens() -> Lens:
    """Return the shipped lens with few features and candidates, so that a night is short."""
    shipped = shipped_lens("overall")
    kept = {*RFM_COLUMNS, "financial_features.spend_amount_90d", "demographic_features.age_years"}
    return replace(
        shipped,
        features=tuple(feature for feature in shipped.features if feature.name in kept),
        k_min=3,
        k_max=4,
        smallest_share=0.01,
        algorithms=("kmeans",),
    )


def write_deliveries(path: Path, built: Sequence[BuiltFeatures], quarantined_on: date) -> Deliveries:
    """Write what nights find after each delivery; built: by delivery. quarantined_on: of the rows of the last one."""
    lens = small_lens()
    read = {feature.name for feature in lens.features} | {*RFM_COLUMNS}
    read |= {outcome.name for outcome in lens.objective.outcomes}
    with duckdb.connect(str(path)) as connection:
        for number, features in enumerate([*built, built[-1]]):
            connection.execute(f"create schema delivery_{number}")
            connection.execute(f"attach '{features.settings.warehouse_path}' as built (read_only)")
            for table in BUILT_TABLES:
                columns = "*"
                if table in FEATURE_TABLES:
                    own = sorted(name.partition(".")[2] for name in read if name.startswith(f"{table}."))
                    columns = ", ".join(["as_of_date", "customer_id", *own])
                # A row for each customer and category, which forecasts alone are made from: there are none here.
                condition = "false" if table == "customer_category_rhythm" else "true"
                connection.execute(
                    f"create table delivery_{number}.{table} as"
                    f" select {columns} from built.candidate.{table} where {condition}"
                )
            for table in FACTS:
                connection.execute(
                    f"create table delivery_{number}.{table} as select * from built.intermediate.{table}"
                )
            connection.execute("detach built")
        for table, column in (("int_input_scope", "event_date"), ("feature_inputs", "as_of_date - 1")):
            connection.execute(
                f"update delivery_{len(built)}.{table} set rows_hash = rows_hash || '+1' where {column} >= ?",
                [quarantined_on],
            )
    return Deliveries(path, len(built) + 1, lens, read_logic_versions(built[-1].settings))


@contextmanager
def remembered_fits() -> Iterator[None]:
    """Let a model that is chosen or fitted once be remembered by what it is made from, until the block ends.

    Both are pure functions of arrays, and a history comes to the same refits over and over.
    """
    originals = {name: getattr(lineage, name) for name in ("choose_model", "fit_model")}
    known: dict[str, Any] = {}

    def remembering(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def remembered(*arguments: Any, **named: Any) -> Any:
            key = _digest((name, arguments, sorted(named.items())))
            if key not in known:
                known[key] = function(*arguments, **named)
            return known[key]

        return remembered

    try:
        for name, function in originals.items():
            setattr(lineage, name, remembering(name, function))
        yield
    finally:
        for name, function in originals.items():
            setattr(lineage, name, function)


def _digest(value: object) -> str:
    """A hash of arguments: arrays by their bytes, dataclasses and collections by their parts."""
    if isinstance(value, np.ndarray):
        text = f"{value.dtype}{value.shape}{hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    elif isinstance(value, Lens):
        text = value.version
    elif is_dataclass(value):
        text = _digest([getattr(value, part.name) for part in fields(value)])
    elif isinstance(value, Mapping):
        text = _digest(sorted(value.items()))
    elif isinstance(value, list | tuple):
        text = ",".join(map(_digest, value))
    else:
        text = repr(value)
    return hashlib.sha256(f"{type(value).__name__}({text})".encode()).hexdigest()


@dataclass(frozen=True)
class DeliveredNights(PrebuiltNights):
    """Nights on the newest of several deliveries; each step can be run alone, and be killed."""

    deliveries: Path = Path()

    def warehouse(self) -> "CountingWarehouse":
        opened = CountingWarehouse(self.path, threads=1, memory_limit="500MB")
        opened.rows(f"attach '{self.deliveries}' as deliveries (read_only)")
        return opened

    def build_facts(self, warehouse: Warehouse, landed: int) -> None:
        """Bring the facts to what has landed, as the step does: withdrawn first, recorded last."""
        landing = f"delivery_{landed}"
        if warehouse.rows("select landing_fingerprint from pipeline.facts_state") == [(landing,)]:
            return
        warehouse.rows("delete from pipeline.facts_state")
        for table in FACTS:
            warehouse.rows(f"delete from intermediate.{table}")
            warehouse.rows(f"insert into intermediate.{table} select * from deliveries.{landing}.{table}")
        for table in BUILT_TABLES:
            warehouse.rows(f"create or replace view prebuilt.{table} as from deliveries.{landing}.{table}")
        warehouse.rows("insert into pipeline.facts_state values (?, ?)", (landing, self.versions.facts))

    def step(self, warehouse: Warehouse, name: str, as_of: date, landed: int, *, passes: bool = True) -> None:
        """Run one of STEPS; passes: what a gate says."""
        if name == "build facts":
            self.build_facts(warehouse, landed)
        elif name == "build features":
            self.build_features(warehouse, as_of)
        elif name == "forecast":
            self.forecast(warehouse, as_of)
        elif name == "segment":
            self.segment(warehouse, as_of)
        elif name == "promote":
            self.promote(warehouse, as_of)
        else:
            self.judge(warehouse, as_of, name.removeprefix("gate "), passed=passes)


class CountingWarehouse(DuckDBWarehouse):
    """A warehouse that counts its statements, and calls `at_statement` before each."""

    statements = 0
    place = "between two transactions"
    at_statement: Callable[[int, str], None] | None = None

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        self._count()
        return super().rows(sql, parameters)

    def append(self, table: str, rows: pa.Table) -> None:
        self._count()
        super().append(table, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            self.place = "inside a transaction"
            yield
            self.place = "before a commit"
            self._count()
        self.place = "after a commit"
        self._count()
        self.place = "between two transactions"

    def _count(self) -> None:
        if self.at_statement is not None:
            self.statements += 1
            self.at_statement(self.statements, self.place)


def fresh_nights(deliveries: Deliveries, path: Path) -> DeliveredNights:
    """Return an empty warehouse that knows the tables of dbt."""
    nights = DeliveredNights(path, (deliveries.lens,), deliveries.versions, threads=1, deliveries=deliveries.path)
    with nights.warehouse() as warehouse:
        warehouse.rows("create schema prebuilt")
        for schema, tables in (("intermediate", FACTS), ("candidate", BUILT_TABLES)):
            warehouse.rows(f"create schema if not exists {schema}")
            for table in tables:
                warehouse.rows(f"create table {schema}.{table} as from deliveries.delivery_0.{table} where false")
    return nights


@dataclass(frozen=True)
class Promoted:
    """What is promoted, so that two moments can be compared.

    tables: by name, a digest. labels: by date, a digest. segments: ids with their keys. events: the registry's.
    """

    tables: Mapping[str, tuple[int, int]]
    labels: Mapping[date, tuple[int, int]]
    segments: frozenset[tuple[str, str]]
    events: tuple[Row, ...]


def promoted_now(warehouse: Warehouse) -> Promoted:
    """Return what is promoted."""
    names = [
        str(name)
        for (name,) in warehouse.rows(
            "select table_name from duckdb_tables() where schema_name = 'promoted' and database_name not in"
            " ('deliveries', 'system', 'temp') order by 1"
        )
    ]
    tables = warehouse.rows(
        " union all ".join(
            f"select '{name}', count(*), coalesce(sum(hash({name}::varchar)), 0) from promoted.{name}" for name in names
        )
    )
    labels = warehouse.rows(
        "select as_of_date, count(*), sum(hash(labels::varchar)) from promoted.labels group by as_of_date"
    )
    return Promoted(
        {name: (int(count), int(digest)) for name, count, digest in tables},
        {day: (int(count), int(digest)) for day, count, digest in labels},
        frozenset(warehouse.rows("select segment_id, segment_key from promoted.segments")),
        tuple(warehouse.rows("select * from promoted.registry_events order by event_number")),
    )


Converged = dict[str, list[Row]]

_LIVE = "(select model_version from promoted.lineage where model_version is not null)"
_LIVE_KEYS = f"(select segment_key from promoted.model_segments where model_version in {_LIVE})"
# Features of dates that nothing leans on any more may be left over.
_LEANT_ON = (
    "(select leans_on_date from promoted.run_dates union select leans_on_date from promoted.lineage_dates"
    " union select as_of_date from promoted.dates where has_labels)"
)
# What must not depend on the history beside the converging tables.
ALSO_CONVERGING: Final = {
    **{
        table: f"select * from promoted.{table} where model_version in {_LIVE}"
        for table in ("models", "model_candidates", "model_samples", "model_origins", "model_segments")
    },
    # An id and a name are given where a segment is published first.
    "segments": "select * exclude (segment_id, continues_segment_key, name) from promoted.segments"
    f" where segment_key in {_LIVE_KEYS}",
    "segment_parents": f"select * from promoted.segment_parents where segment_key in {_LIVE_KEYS}",
    "labelled dates": "select as_of_date from promoted.dates where has_labels",
    **{
        table: f"select as_of_date, count(*), sum(hash({table}::varchar)) from promoted.{table}"
        f" where as_of_date in {_LEANT_ON} group by as_of_date"
        for table in (*FEATURE_TABLES, "feature_inputs")
    },
    "dates": f"select as_of_date, content_hash from promoted.dates where as_of_date in {_LEANT_ON}",
    "decisions": "select * from promoted.decisions",
}


def converged(nights: PrebuiltNights) -> Converged:
    """Return by table all that must not depend on the history, sorted."""
    found: Converged = dict(nights.converging_rows())
    with duckdb.connect(str(nights.path), read_only=True) as connection:
        for table, query in ALSO_CONVERGING.items():
            found[table] = connection.execute(f"{query} order by all").fetchall()
    return found


def segment_ids(nights: PrebuiltNights) -> dict[str, str]:
    """Return, for every key that a model of the lineage has, the id that it resolves to."""
    return dict(
        nights.rows(
            f"select distinct segments.segment_key, segments.segment_id from {RESOLVED_SEGMENTS} as segments"
            " inner join promoted.model_segments as own on own.segment_key = segments.segment_key"
            " inner join promoted.lineage as lineage on lineage.model_version = own.model_version"
        )
    )


@dataclass(frozen=True)
class Reference:
    """One run in order: what it promoted, and its id by key."""

    rows: Converged
    ids: dict[str, str]


@dataclass
class References:
    """Runs in order over dates, rows and decisions, each made once."""

    deliveries: Deliveries
    folder: Path
    _known: dict[object, Reference] = field(default_factory=dict)

    def of(self, landed: int, dates: Sequence[date], decisions: Sequence[Decision]) -> Reference:
        """Return the run in order over dates; landed: the delivery it rests on."""
        key = (landed, tuple(dates), tuple(decisions))
        if key not in self._known:
            path = self.folder / f"reference-{len(self._known)}.duckdb"
            nights = fresh_nights(self.deliveries, path)
            nights.decisions.extend(decisions)
            for day in dates:
                with nights.warehouse() as warehouse:
                    for step in STEPS:
                        nights.step(warehouse, step, day, landed)
            assert nights.stale() == [], "a run in order is stale"
            self._known[key] = Reference(converged(nights), segment_ids(nights))
            path.unlink()
        return self._known[key]


class HistoryError(AssertionError):
    """Something that must hold does not."""


class Player:
    """Plays a history on a warehouse of its own, and says what must hold meanwhile and afterwards."""

    def __init__(self, deliveries: Deliveries, folder: Path, references: References, figures: Figures) -> None:
        self.deliveries = deliveries
        self.folder = folder
        self.references = references
        self.figures = figures
        self.nights = fresh_nights(deliveries, folder / "warehouse.duckdb")
        self.landed = 0
        self.asked: set[date] = set()
        self.decided = 0
        with self.nights.warehouse() as warehouse:
            self.seen = promoted_now(warehouse)

    def play(self, history: Sequence[Action]) -> None:
        """Play a history to its end, repair, and compare; raise HistoryError, with the history, where it differs."""
        played: list[Action] = []
        try:
            for action in history:
                played.append(action)
                self.do(action)
            self.end()
        except Exception as error:
            raise HistoryError(f"{error}\n\nThe history, to where it went wrong:\n{told(played)}") from error
        self.figures.counts["histories"] += 1

    def do(self, action: Action) -> None:
        """Take one action, and require that nothing promoted changes where nothing is promoted."""
        match action:
            case Night(day):
                self.run(day)
            case KilledNight():
                self.run_killed(action)
            case FailedGate(day, subject):
                self.run_to_a_failing_gate(day, subject)
            case OverlappingNights(day, step, other):
                self.run_overlapping(day, step, other)
            case LateRows():
                if self.landed < self.deliveries.count - 1:
                    self.landed += 1
                    self.figures.counts["late deliveries"] += 1
            case Decide(kind, choice):
                self.decide(kind, choice)
            case Withdraw(choice):
                if self.nights.decisions:
                    del self.nights.decisions[choice % len(self.nights.decisions)]
                    self.figures.counts["decisions withdrawn"] += 1
            case RepairFirst():
                for day in self.stale()[:1]:
                    self.run(day)

    def run(self, day: date, *, first: str = STEPS[0]) -> None:
        """Run a night from a step on; nothing interferes, so that it must come to its end."""
        self.asked.add(day)
        self.figures.counts["nights"] += 1
        with self.nights.warehouse() as warehouse:
            for step in STEPS[STEPS.index(first) :]:
                self.nights.step(warehouse, step, day, self.landed)
            self.require_promoted_alone(warehouse, day)

    def run_overlapping(self, day: date, step: str, other: date) -> None:
        """Run a night to a step, another one, and the rest of the first, which may be refused."""
        self.asked.add(day)
        self.figures.counts["nights that overlap"] += 1
        with self.nights.warehouse() as warehouse:
            for name in STEPS[: STEPS.index(step) + 1]:
                self.nights.step(warehouse, name, day, self.landed)
            self.require_unchanged(warehouse)
        self.run(other)
        with self.nights.warehouse() as warehouse:
            try:
                for name in STEPS[STEPS.index(step) + 1 :]:
                    self.nights.step(warehouse, name, day, self.landed)
            except SegmentationError:
                self.figures.counts["steps refused"] += 1
                self.require_unchanged(warehouse)
                return
            self.require_promoted_alone(warehouse, day)

    def run_to_a_failing_gate(self, day: date, subject: str) -> None:
        """Run a night whose gate says no; a promotion that is tried all the same is refused."""
        self.asked.add(day)
        self.figures.counts["gate failures"] += 1
        with self.nights.warehouse() as warehouse:
            for step in STEPS[:-1]:
                self.nights.step(warehouse, step, day, self.landed, passes=step != f"gate {subject}")
            try:
                self.nights.step(warehouse, "promote", day, self.landed)
            except SegmentationError:
                self.require_unchanged(warehouse)
            else:
                raise HistoryError(f"{day} is promoted though the gate on its {subject} failed")

    def run_killed(self, action: KilledNight) -> None:
        """Run a night to a step, which dies in a process of its own, and go on as the action says."""
        day, step = action.day, action.step
        self.asked.add(day)
        with self.nights.warehouse() as warehouse:
            for name in STEPS[: STEPS.index(step)]:
                self.nights.step(warehouse, name, day, self.landed)
            self.require_unchanged(warehouse)
        before = self.nights.copy(self.folder / "before.duckdb") if step == "promote" else None
        place = self.die(step, day, action.statement)
        self.figures.kills[f"{step}: {place}"] += 1
        with self.nights.warehouse() as warehouse:
            if before is None or promoted_now(warehouse) == self.seen:
                self.require_unchanged(warehouse)
            else:
                self.require_whole_promotion(before, warehouse, day)
        if action.then == "night":
            self.run(day)
        elif action.then == "step":
            # As the command does: a promotion that was killed after its commit is done.
            is_done = step == "promote" and not self.nights.rows(
                "select 1 from pipeline.plans where run_date = ?", [day]
            )
            if not is_done:
                self.run(day, first=step)

    def die(self, step: str, day: date, statement: int) -> str:
        """Run a step in a process that kills itself before its n-th statement, or behind its last; return where."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            # Nothing of the test runner may run here: neither its handlers nor its clean-up.
            try:
                os.close(reading)

                def at_statement(number: int, place: str) -> None:
                    if number == statement:
                        os.write(writing, place.encode())
                        os.kill(os.getpid(), signal.SIGKILL)

                warehouse = self.nights.warehouse()
                warehouse.at_statement = at_statement
                self.nights.step(warehouse, step, day, self.landed)
                os.write(writing, b"at its end")
            except BaseException:
                os.write(writing, f"error {traceback.format_exc()}".encode())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            place = pipe.read()
        _, status = os.waitpid(child, 0)
        if place.startswith("error ") or os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise HistoryError(f"{step} of {day} ended before it could be killed: {place}")
        return place

    def decide(self, kind: DecisionKind, choice: int) -> None:
        """Decide as the command line does, by what would be published now; where it refuses, nothing is decided."""
        link = self.folder / "published.duckdb"
        link.unlink(missing_ok=True)
        with self.nights.warehouse() as warehouse:
            if not warehouse.rows("select 1 from promoted.runs"):
                return
            lens = self.deliveries.lens
            record_versions(
                warehouse,
                [lens],
                self.nights.versions,
                promoted_decisions(warehouse),
                sample_size=self.nights.sample_size,
                refit_months=self.nights.refit_months,
            )
            for table, query in PUBLISHED.items():
                warehouse.rows(f"create or replace temporary table {table} as {query}")
            warehouse.rows(f"attach '{link}' as published")
            for table in PUBLISHED:
                warehouse.rows(f"create table published.{table} as from temp.{table}")
            warehouse.rows("detach published")
            refits = [day for (day,) in warehouse.rows("select fitted_as_of from temp.models order by 1")]
            ids = [name for (name,) in warehouse.rows("select segment_id from temp.segments order by segment_id")]
        now = FIRST_DECISION_AT + timedelta(minutes=self.decided)
        self.decided += 1
        try:
            if kind is DecisionKind.RENAME:
                decision = decide_rename(
                    link,
                    str(ids[choice % len(ids)]),
                    f"Those of decision {self.decided}",
                    now=now,
                    decided_by="",
                    reason="",
                    earlier=self.nights.decisions,
                )
            else:
                decision = decide_about_model(
                    link,
                    kind,
                    lens.name,
                    [None, *refits][choice % (len(refits) + 1)],
                    now=now,
                    decided_by="",
                    reason="",
                    refit_months=self.nights.refit_months,
                )
        except MisconfiguredError:
            self.figures.counts["decisions refused"] += 1
            return
        self.nights.decisions.append(decision)
        self.figures.counts[f"decisions: {kind.value}"] += 1

    def stale(self) -> list[date]:
        """Return what is stale once the facts are what has landed; to build them alone changes nothing promoted."""
        with self.nights.warehouse() as warehouse:
            self.nights.build_facts(warehouse, self.landed)
        return self.nights.stale()

    def end(self) -> None:
        """Run what was asked for and never came to its end, repair, and compare."""
        labelled = set(self.seen.labels)
        for day in sorted(self.asked - labelled):
            self.run(day)
        repaired: list[date] = []
        while stale := self.stale():
            if repaired and stale[0] <= repaired[-1]:
                raise HistoryError(f"After the repair of {', '.join(map(str, repaired))} {stale[0]} is stale again")
            self.run(stale[0])
            repaired.append(stale[0])
        self.figures.counts["dates repaired"] += len(repaired)
        if not self.asked:
            return
        dates = sorted(self.asked)
        with self.nights.warehouse() as warehouse:
            applied = {decision.decision_id for decision in promoted_decisions(warehouse)}
        if applied != {decision.decision_id for decision in self.nights.decisions}:
            # `check` does not skip the next night.
            self.run(dates[-1])
        reference = self.references.of(self.landed, dates, self.nights.decisions)
        self.require_equal(converged(self.nights), reference.rows)
        self.require_same_segments(segment_ids(self.nights), reference.ids)
        self.require_names_as_decided()
        before = self.nights.converging_rows()
        self.run(dates[0])
        self.require_equal(self.nights.converging_rows(), before)
        if stale := self.nights.stale():
            raise HistoryError(f"A rerun of {dates[0]}, which was not stale, makes {stale} stale")

    def require_unchanged(self, warehouse: Warehouse) -> None:
        """Raise HistoryError where something promoted has changed since the last look."""
        now = promoted_now(warehouse)
        if now != self.seen:
            changed = [name for name in now.tables if now.tables[name] != self.seen.tables.get(name)]
            raise HistoryError(f"Without a promotion there changed: {', '.join(changed)}")

    def require_promoted_alone(self, warehouse: Warehouse, day: date) -> None:
        """Raise HistoryError where a promotion changed more than its date, or forgot an id or an event."""
        now = promoted_now(warehouse)
        if day not in now.labels:
            raise HistoryError(f"{day} was run and has no labels")
        others = now.labels.keys() | self.seen.labels.keys()
        changed = [other for other in others - {day} if now.labels.get(other) != self.seen.labels.get(other)]
        if changed:
            raise HistoryError(f"The run of {day} changed the labels of {', '.join(map(str, changed))}")
        if lost := self.seen.segments - now.segments:
            raise HistoryError(f"The run of {day} lost the segments {sorted(lost)}")
        if now.events[: len(self.seen.events)] != self.seen.events:
            raise HistoryError(f"The run of {day} changed events of the registry")
        self.seen = now

    def require_whole_promotion(self, before: DeliveredNights, warehouse: Warehouse, day: date) -> None:
        """Raise HistoryError where a promotion that was killed is another than the same one undisturbed."""
        self.require_promoted_alone(warehouse, day)
        with before.warehouse() as undisturbed:
            before.step(undisturbed, "promote", day, self.landed)
            whole = promoted_now(undisturbed)
        if whole != self.seen:
            changed = [name for name in whole.tables if whole.tables[name] != self.seen.tables.get(name)]
            raise HistoryError(f"Half a promotion of {day} can be seen in {', '.join(changed)}")
        if warehouse.rows("select 1 from pipeline.plans where run_date = ?", (day,)):
            raise HistoryError(f"{day} is promoted, and its plan is still there")

    def require_equal(self, found: Mapping[str, Collection[Row]], expected: Mapping[str, Collection[Row]]) -> None:
        """Raise HistoryError, with a few rows, where tables differ."""
        lines = []
        for table, rows in expected.items():
            own, wanted = {repr(row) for row in found[table]}, {repr(row) for row in rows}
            self.figures.counts["rows compared"] += len(rows)
            self.figures.counts["rows different"] += len(own ^ wanted)
            if own != wanted or len(found[table]) != len(rows):
                lines.append(f"{table}: {len(found[table])} rows, in order {len(rows)}")
                lines += [f"  only here      {row[:300]}" for row in sorted(own - wanted)[:3]]
                lines += [f"  only in order  {row[:300]}" for row in sorted(wanted - own)[:3]]
        if lines:
            raise HistoryError("\n".join(["Not what a run in order promotes:", *lines]))

    def require_same_segments(self, own: Mapping[str, str], other: Mapping[str, str]) -> None:
        """Raise HistoryError where an id does not stand for one segment of the run in order, and that for one id."""
        if own.keys() != other.keys():
            raise HistoryError(f"Keys of one run alone: {sorted(own.keys() ^ other.keys())}")
        pairs = {(own[key], other[key]) for key in own}
        for side, name in ((0, "here"), (1, "in order")):
            for segment_id, count in Counter(pair[side] for pair in pairs).items():
                if count > 1:
                    pairs_of_it = sorted(pair for pair in pairs if pair[side] == segment_id)
                    raise HistoryError(f"{segment_id} {name} is {count} segments of the other run: {pairs_of_it}")

    def require_names_as_decided(self) -> None:
        """Raise HistoryError where a segment is not called what somebody has called it last."""
        ids = dict(self.nights.rows(f"select segment_key, segment_id from {RESOLVED_SEGMENTS} as segments"))
        decided = {
            ids[decision.segment_key]: decision.name
            for decision in self.nights.decisions
            if decision.kind is DecisionKind.RENAME and decision.segment_key in ids
        }
        names = self.nights.published_names()
        for segment_id, name in decided.items():
            if names[segment_id] != name:
                raise HistoryError(f"{segment_id} is called {names[segment_id]}, and {name} was decided")


# What a decision is checked against, in the columns of the published file.
PUBLISHED: Final = {
    "segmentation_runs": "select as_of_date, lens from promoted.runs",
    "models": (
        "select lineage.lens, lineage.refit_date as fitted_as_of, statuses.status, lineage.model_version"
        " from promoted.lineage as lineage inner join pipeline.model_statuses as statuses"
        " on lineage.lens = statuses.lens and lineage.model_version = statuses.model_version"
    ),
    "segments": (
        "select segments.lens, segments.segment_id, min(segments.segment_key) as segment_key,"
        " min(segments.name) as name, max(superseded.superseded_by) as superseded_by"
        " from promoted.segments as segments left join promoted.superseded_segments as superseded"
        " on segments.segment_id = superseded.segment_id group by segments.lens, segments.segment_id"
    ),
}
