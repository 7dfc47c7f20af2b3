"""Repair: dates that are stale, or whose run stopped, are run again in ascending order until none is left.

Ascending, since a date leans on earlier ones only. Where one comes out equal, what leaned on it is stale no more, and
the walk stops there by itself: what is left is asked anew after every date.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from segmentation_job.airflow_client import AirflowClient, BackfillIsOpenError, Reprocess
from segmentation_job.errors import SegmentationError, WarehouseLockedError
from segmentation_job.run_log import LoggedStep
from segmentation_job.runs.repairs import DateToRepair
from segmentation_job.settings import Settings
from segmentation_job.steps import DAG_ID, PROMOTING_STEPS

WAIT_FOR_WAREHOUSE_SECONDS = 600.0
BACKFILL_DEADLINE_SECONDS = 24 * 3600.0
MOST_RUNS_OF_A_DATE = 2
LONGEST_BACKFILL = 31
"""Dates of one backfill: what is stale is asked anew after each."""

Found = TypeVar("Found")


class RepairFailedError(SegmentationError):
    """Some dates could not be repaired; the others are."""


@dataclass(frozen=True)
class Repair:
    """What a repair did. run: dates that were run again, ascending. failed: by date, what the run said."""

    run: tuple[date, ...]
    failed: dict[date, str]


def repair_dates(
    find: Callable[[], Sequence[DateToRepair]],
    run: Callable[[Sequence[date]], Mapping[date, str]],
    tell: Callable[[str], None],
    *,
    at_a_time: int = 1,
    others_are_stale: Callable[[], bool] = lambda: False,
) -> Repair:
    """Run the dates again, ascending, each as often as needed; a date that fails leaves the others to be run.

    find: returns what wants a repair now, ascending. run: runs dates that follow each other day by day, and returns
    those that failed with what they said. tell: shown each date and how it ended. at_a_time: dates given to `run` at
    most. others_are_stale: asked once, where there is something to run: whether dates are stale that `find` leaves out;
    what leans on them is run once and may stay stale. Raises SegmentationError where dates are stale after their own
    runs, and no other date is why.
    """
    times_run: Counter[date] = Counter()
    failed: dict[date, str] = {}
    waits: bool | None = None
    while True:
        found = [each for each in find() if each.as_of not in failed]
        if found and waits is None:
            waits = others_are_stale()
        # Once more where an earlier date turned out to be stale after it: that is known once the facts are built.
        due = [each for each in found if times_run[each.as_of] < (1 if waits else MOST_RUNS_OF_A_DATE)]
        if not due:
            break
        chosen = _consecutive(due)[:at_a_time]
        for each in chosen:
            tell(f"{each.as_of}: {each.reason}")
        failures = run([each.as_of for each in chosen])
        for day, said in failures.items():
            tell(f"{day} failed: {said}")
        failed |= failures
        times_run.update(each.as_of for each in chosen)
    if found and not failed and not waits:
        raise SegmentationError(
            f"{', '.join(str(each.as_of) for each in found)} came out stale after having been run again: data may have "
            "landed meanwhile; run `segmentation repair` once more. If it happens again, please report it as a bug."
        )
    return Repair(tuple(sorted(times_run.keys() - failed.keys())), failed)


def is_under_way_at(client: AirflowClient, entry: LoggedStep) -> bool:
    """Say whether a running Airflow has steps left to run for the date of a log's entry."""
    return client.dag_run_state(DAG_ID, entry.as_of) in ("queued", "running")


def run_by_backfill(client: AirflowClient, days: Sequence[date], deadline: float) -> dict[date, str]:
    """Let a running Airflow run days that follow each other as one backfill; return those that failed, with why.

    A day that is not stale any more when its turn comes is skipped by its own first step. Waits for the backfill that
    is open. deadline: seconds for each wait. Raises AirflowError where Airflow does not take it or does not end it.
    """
    until = time.monotonic() + deadline
    while True:
        for backfill in client.open_backfills(DAG_ID):
            client.wait_for_backfill(backfill.id, deadline)
        try:
            created = client.create_backfill(DAG_ID, days[0], days[-1], Reprocess.COMPLETED)
            break
        except BackfillIsOpenError:
            # Somebody else was quicker.
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
    client.wait_for_backfill(created.id, deadline)
    failed = {}
    for day in days:
        runs = client.dag_runs(DAG_ID, day, day)
        if not runs or runs[-1].state != "success":
            state = runs[-1].state if runs else "without a run"
            failed[day] = f"its run is {state}: see {client.url}/dags/{DAG_ID}/runs"
    return failed


def run_promoting_steps(settings: Settings, days: Sequence[date]) -> dict[date, str]:
    """Compute and promote dates by the commands of their steps, on facts that are built; marts and file come later.

    Returns the dates that failed, with the step.
    """
    failed = {}
    for day in days:
        for step in PROMOTING_STEPS:
            finished = subprocess.run(step.command(day.isoformat()), cwd=settings.project_dir, check=False)
            if finished.returncode != 0:
                failed[day] = (
                    f"step {step.name} ended with {finished.returncode}; what it said stands above, and what is "
                    "promoted of the date is unchanged."
                )
                break
    return failed


def when_free(ask: Callable[[], Found], patience: float = WAIT_FOR_WAREHOUSE_SECONDS) -> Found:
    """Ask again until no other process holds the warehouse; raise WarehouseLockedError after `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            return ask()
        except WarehouseLockedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _consecutive(found: Sequence[DateToRepair]) -> list[DateToRepair]:
    """The first of the dates, with those that follow it day by day."""
    days = [found[0]]
    for each in found[1:]:
        if each.as_of != days[-1].as_of + timedelta(days=1):
            break
        days.append(each)
    return days
