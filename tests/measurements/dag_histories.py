"""Random histories through the whole DAG: its steps as processes of the real command, the last night by Airflow.

Every history ends at the same landing, dates and decisions, so that one run in order is held against all of them.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from segmentation_job.steps import ExitCode, step_named
from tests.support.histories import Figures, HistoryError
from tests.support.landing_slice import edit_landing, landing_of, write_slice
from tests.support.nights import STEP_NAMES, Nights, StepFailedError
from tests.support.rows import differences, published_rows
from tests.support.same_segments import published, rows_in_the_words_of

DATES: Final = (date(2017, 11, 15), date(2017, 11, 29), date(2017, 12, 5))
"""Over the refits of November and December."""

# Receipts of old dates that come late: some before the first date, some between the others, all after November's refit.
LATE_RECEIPTS: Final = (
    "(transaction_timestamp >= '2017-11-09' and transaction_timestamp < '2017-11-11' and household_id % 5 = 0)"
    " or (transaction_timestamp >= '2017-11-20' and transaction_timestamp < '2017-11-24' and household_id % 3 = 0)"
)
NEW_NAME: Final = "The regulars"
GOES_ON: Final = ("the step is run again", "the night is run again", "nothing is run again")


@dataclass(frozen=True)
class Origin:
    """What every history begins with.

    early, late: landings without and with the late rows. first: the first date run on the early one. decisions: the
    lines that the command line wrote then. seconds: by step, of that night.
    """

    early: Nights
    late: Nights
    first: Nights
    decisions: bytes
    seconds: dict[str, float]


def play_dag_histories(folder: Path, count: int, seed: int) -> tuple[Figures, list[str]]:
    """Play so many histories; return their figures, and of each that failed what was done and what is wrong."""
    figures = Figures()
    origin = _origin(folder)
    reference = origin.late.copy(folder / "in_order")
    _decide(reference, origin)
    for day in DATES:
        _run_night(reference, day)
    failures = []
    for number in range(count):
        history = DagHistory(
            origin, reference, folder / f"history-{number}", random.Random(f"{seed}/{number}"), figures
        )
        try:
            history.play()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            done = "\n".join(f"{place:3}. {line}" for place, line in enumerate(history.told, start=1))
            failures.append(f"History {number} of seed {seed}: {error}\n{done}")
        else:
            shutil.rmtree(folder / f"history-{number}")
            figures.counts["histories"] += 1
        print(f"history {number} through the DAG: {'; '.join(history.told)}", flush=True)
    return figures, failures


def _origin(folder: Path) -> Origin:
    late = Nights(folder / "late")
    write_slice(late.data_dir)
    early = late.copy(folder / "early")
    edit_landing(early.data_dir, "transactions", f"select * from landed where not ({LATE_RECEIPTS})")
    first = early.copy(folder / "first")
    seconds = {}
    for name in STEP_NAMES:
        started = time.monotonic()
        first.run(DATES[0], first=name, last=name)
        seconds[name] = time.monotonic() - started
    ((segment_id,),) = published(first, "select min(segment_id) from segments where lens = 'overall'")
    for arguments in (("rename", segment_id, NEW_NAME), ("hold", "overall", "2017-12-01")):
        decided = first.command(*arguments)
        assert decided.exit_code == 0, decided.output
    decisions = first.source_dir / "decisions.jsonl"
    lines = decisions.read_bytes()
    decisions.unlink()
    return Origin(early, late, first, lines, seconds)


def _decide(nights: Nights, origin: Origin) -> None:
    nights.source_dir.mkdir(parents=True, exist_ok=True)
    (nights.source_dir / "decisions.jsonl").write_bytes(origin.decisions)


def _run_night(nights: Nights, day: date, *, first: str = STEP_NAMES[0], last: str = STEP_NAMES[-1]) -> bool:
    """Run a night from a step to another; say whether there was anything to do."""
    for name in STEP_NAMES[STEP_NAMES.index(first) : STEP_NAMES.index(last) + 1]:
        finished = nights.step(name, day)
        if name == "check" and finished.exit_code == ExitCode.NOTHING_TO_DO:
            return False
        if finished.exit_code != 0:
            raise StepFailedError(f"{name} of {day} ended with {finished.exit_code}:\n{finished.output[-2000:]}")
    return True


class DagHistory:
    """One history: drawn, played, repaired, and held against the run in order."""

    def __init__(
        self, origin: Origin, reference: Nights, data_dir: Path, chance: random.Random, figures: Figures
    ) -> None:
        self.origin = origin
        self.reference = reference
        self.chance = chance
        self.figures = figures
        self.told: list[str] = []
        self.order = [*chance.sample(DATES, len(DATES)), chance.choice(DATES)]
        self.late_at, self.decided_at = chance.randrange(len(self.order)), chance.randrange(len(self.order))
        # The first date on the early landing has been run already.
        starts_with_it = self.order[0] == DATES[0] and self.late_at > 0 and self.decided_at > 0
        self.nights = (origin.first if starts_with_it else origin.early).copy(data_dir)
        if starts_with_it:
            self._tell(f"run {self.order[0]}")
            self.order = self.order[1:]
            self.late_at, self.decided_at = self.late_at - 1, self.decided_at - 1

    def play(self) -> None:
        """Play the history; raise AssertionError where something that must hold does not."""
        for place, day in enumerate(self.order):
            if place == self.late_at:
                self._tell("late rows land")
                self.figures.counts["late deliveries"] += 1
                name = "transactions.parquet"
                landed = landing_of(self.nights.data_dir) / name
                shutil.copyfile(landing_of(self.origin.late.data_dir) / name, landed.with_suffix(".unfinished"))
                landed.with_suffix(".unfinished").replace(landed)
            if place == self.decided_at:
                self._tell("somebody decides")
                self.figures.counts["decisions"] += 2
                _decide(self.nights, self.origin)
            kind = self.chance.choice((self._plain, self._killed, self._killed, self._failed_gate, self._overlapping))
            kind(day)
            self._require_served()
        self._end()

    def _plain(self, day: date) -> None:
        self._tell(f"run {day}")
        self.figures.counts["nights"] += 1
        _run_night(self.nights, day)

    def _killed(self, day: date) -> None:
        step = self.chance.choice(STEP_NAMES)
        share = self.chance.random()
        goes_on = self.chance.choice(GOES_ON)
        self._tell(f"run {day}, kill {step} after {share:.0%} of its time; {goes_on}")
        self.figures.counts["nights"] += 1
        before = STEP_NAMES[: STEP_NAMES.index(step)]
        if before and not _run_night(self.nights, day, last=before[-1]):
            return
        with self.nights.start(*step_named(step).command(str(day), force=False)[1:]) as process:
            try:
                process.communicate(timeout=share * self.origin.seconds[step])
                self.figures.kills[f"{step}: had ended"] += 1
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                self.figures.kills[step] += 1
        if self.nights.warehouse.exists():
            self.nights.wait_until_free()
        self._require_served()
        if goes_on != GOES_ON[2]:
            _run_night(self.nights, day, first=step if goes_on == GOES_ON[0] else STEP_NAMES[0])

    def _failed_gate(self, day: date) -> None:
        self._tell(f"run {day}, whose gate on the features fails")
        if not _run_night(self.nights, day, last="build_features"):
            return
        self.figures.counts["gate failures"] += 1
        before = self.nights.query("select as_of_date, content_hash from promoted.dates order by 1")
        self.nights.change(f"update candidate.purchase_features set recency_days = -1 where as_of_date = '{day}'")
        for name, expected in (("gate_features", ExitCode.GATE_FAILED), ("promote", ExitCode.GATE_FAILED)):
            finished = self.nights.step(name, day)
            if finished.exit_code != expected:
                raise HistoryError(f"{name} of {day} ended with {finished.exit_code}:\n{finished.output[-2000:]}")
        if self.nights.query("select as_of_date, content_hash from promoted.dates order by 1") != before:
            raise HistoryError(f"{day} failed its gate, and something is promoted")

    def _overlapping(self, day: date) -> None:
        other = self.chance.choice([another for another in DATES if another != day])
        step = self.chance.choice(STEP_NAMES[1:-1])
        self._tell(f"run {day} to {step}, run {other}, go on with {day}")
        self.figures.counts["nights that overlap"] += 1
        if not _run_night(self.nights, day, last=step):
            return
        _run_night(self.nights, other)
        try:
            _run_night(self.nights, day, first=STEP_NAMES[STEP_NAMES.index(step) + 1])
        except StepFailedError:
            self.figures.counts["steps refused"] += 1

    def _end(self) -> None:
        """Run what is missing, the newest date by Airflow, and what is stale; compare."""
        came_to_its_end: set[date] = set()
        if self.nights.warehouse.exists():
            came_to_its_end = {day for (day,) in self.nights.query("select as_of_date from pipeline.publications")}
        for day in DATES[:-1]:
            if day not in came_to_its_end:
                self._plain(day)
        self._tell(f"run {DATES[-1]} by Airflow")
        ran = self.nights.command("run", "--as-of", str(DATES[-1]))
        if ran.exit_code != 0:
            raise StepFailedError(f"run of {DATES[-1]} ended with {ran.exit_code}:\n{ran.output[-3000:]}")
        repaired: list[date] = []
        for day in self._stale():
            if repaired and day <= repaired[-1]:
                raise HistoryError(f"{day} is stale again after {', '.join(map(str, repaired))}")
            self._tell(f"repair {day}")
            _run_night(self.nights, day)
            repaired.append(day)
        self.figures.counts["dates repaired"] += len(repaired)
        self._compare()

    def _stale(self) -> Iterator[date]:
        while found := published(
            self.nights, "select min(as_of_date) from segmentation_runs where stale_reason is not null"
        )[0][0]:
            yield found

    def _require_served(self) -> None:
        """Raise HistoryError where what is served is no whole night."""
        if not self.nights.serving_link.exists():
            return
        ((labels, of_the_run),) = published(
            self.nights,
            "select (select count(*) from customer_segments), (select sum(customers) from segmentation_runs"
            " where as_of_date = (select max(as_of_date) from segmentation_runs))",
        )
        if labels != of_the_run or not labels:
            raise HistoryError(f"{labels} labels are served of a run with {of_the_run}")

    def _compare(self) -> None:
        expected, found = (
            published_rows(self.reference.serving_link),
            rows_in_the_words_of(self.reference, self.nights, all_are_known=False),
        )
        for rows in (expected, found):
            # Ids that a repair replaced stay as aliases; and what a person called a segment by is the id of its time.
            rows.pop("segments")
            rows["decisions"] = _without(rows["decisions"], "segment_id")
        wrong = differences(expected, found)
        self.figures.counts["published rows compared"] += sum(len(rows) - 1 for rows in expected.values())
        self.figures.counts["published rows different"] += sum(
            len(set(expected.get(table, ())) ^ set(found.get(table, ()))) for table in wrong
        )
        if wrong:
            raise HistoryError(
                "\n".join(f"{table}: in order {pair[0]}, here {pair[1]}" for table, pair in wrong.items())
            )
        for nights in (self.reference, self.nights):
            names = [name for (name,) in published(nights, "select name from segments where superseded_by is null")]
            if names.count(NEW_NAME) != 1:
                raise HistoryError(f"{names.count(NEW_NAME)} segments are called {NEW_NAME}, as one was renamed")

    def _tell(self, line: str) -> None:
        self.told.append(line)


def _without(rows: Sequence[tuple[str, ...]], column: str) -> list[tuple[str, ...]]:
    """Rows of a table, the first being its header, without one of its columns."""
    place = next(index for index, name in enumerate(rows[0]) if name.split(" ")[0] == column)
    return [row[:place] + row[place + 1 :] for row in rows]
