"""Which dates and models a run needs: a function of the calendar, never of the order of runs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from segmentation_job.errors import SourceNotReadyError


@dataclass(frozen=True)
class RunPlan:
    """What the run for `as_of` computes.

    lineage_start: the first refit date; every later one has a model that follows its predecessor. refit_dates:
    ascending, from lineage_start to the one whose model is in effect. dates_to_compute: as-of dates whose
    features this run computes, ascending; `as_of` is the last one.
    """

    as_of: date
    lineage_start: date
    refit_dates: tuple[date, ...]
    dates_to_compute: tuple[date, ...]


def refit_date_for(as_of: date) -> date:
    """Return the refit date whose model is in effect at an as-of date: the first of its month."""
    return as_of.replace(day=1)


def refit_dates_between(start: date, end: date) -> tuple[date, ...]:
    """Return the first of every month from start to end, both included."""
    dates = []
    current = refit_date_for(start)
    while current <= end:
        if current >= start:
            dates.append(current)
        current = current.replace(year=current.year + current.month // 12, month=current.month % 12 + 1)
    return tuple(dates)


def plan_run(
    as_of: date, lineage_start: date | None, promoted_dates: Collection[date], first_customer_date: date | None
) -> RunPlan:
    """Plan the run for an as-of date.

    lineage_start: of the models so far, None on a fresh warehouse; an earlier date extends the lineage backwards.
    promoted_dates: whose promoted features may be used as they are. first_customer_date: on which the first customer
    was seen. Raises SourceNotReadyError where nobody is in scope at the refit date in effect.
    """
    refit_date = refit_date_for(as_of)
    if first_customer_date is None or first_customer_date >= refit_date:
        seen = (
            "no customer is in the source" if first_customer_date is None else f"the first came {first_customer_date}"
        )
        first = (
            ""
            if first_customer_date is None
            else (f" The first date that can be segmented is {_month_after(first_customer_date)}.")
        )
        raise SourceNotReadyError(
            f"Nobody is in scope at {refit_date}, the refit date in effect at {as_of}: {seen}.{first}"
        )
    start = min(refit_date, lineage_start) if lineage_start is not None else refit_date
    refit_dates = refit_dates_between(start, as_of)
    needed = {as_of} | {day for day in refit_dates if day not in promoted_dates}
    return RunPlan(as_of, start, refit_dates, tuple(sorted(needed)))


def _month_after(day: date) -> date:
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)
