"""Repair: dates that are stale, or whose run stopped, are run again in ascending order until none is left.

Ascending, since a date leans on earlier ones only. Where one comes out equal, what leaned on it is stale no more, and
the walk stops there by itself: what is left is asked anew after every date.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from segmentation_job.errors import SegmentationError, WarehouseLockedError
from segmentation_job.runs.repairs import DateToRepair
from segmentation_job.settings import Settings
from segmentation_job.steps import PROMOTING_STEPS

WAIT_FOR_WAREHOUSE_SECONDS = 600.0

Found = TypeVar("Found")


class RepairFailedError(SegmentationError):
    """Some dates could not be repaired; the others are."""


@dataclass(frozen=True)
class Repair:
    """What a repair did. run: dates that were run again, ascending. failed: by date, what the run said."""

    run: tuple[date, ...]
    failed: dict[date, str]


def repair_dates(
    find: Callable[[], Sequence[DateToRepair]], run: Callable[[DateToRepair], None], tell: Callable[[str], None]
) -> Repair:
    """Run the dates again, ascending, each at most once; a date that fails leaves the others to be run.

    find: returns what wants a repair now, ascending. run: runs one of them, and raises SegmentationError where that
    fails. tell: shown each date and how it ended. Raises SegmentationError where a date is stale after its own run.
    """
    done: list[date] = []
    failed: dict[date, str] = {}
    while True:
        found = find()
        untouched = [each for each in found if each.as_of not in failed and each.as_of not in done]
        again = [each.as_of for each in found if each.as_of in done]
        if not untouched:
            break
        chosen = untouched[0]
        tell(f"{chosen.as_of}: {chosen.reason}")
        try:
            run(chosen)
        except SegmentationError as error:
            failed[chosen.as_of] = str(error)
            tell(f"{chosen.as_of} failed: {error}")
        else:
            done.append(chosen.as_of)
    if again and not failed:
        raise SegmentationError(
            f"{', '.join(str(day) for day in again)} came out stale after having been run again: data may have landed "
            "meanwhile; run `segmentation repair` once more. If it happens again, please report it as a bug."
        )
    return Repair(tuple(done), failed)


def run_promoting_steps(settings: Settings, as_of: date) -> None:
    """Compute and promote a date by the commands of its steps, on facts that are built; what reads it is built later.

    Raises SegmentationError naming the step that failed.
    """
    for step in PROMOTING_STEPS:
        finished = subprocess.run(step.command(as_of.isoformat()), cwd=settings.project_dir, check=False)
        if finished.returncode != 0:
            raise SegmentationError(
                f"step {step.name} of {as_of} ended with {finished.returncode}; what it said stands above, and what is "
                "promoted of the date is unchanged."
            )


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
