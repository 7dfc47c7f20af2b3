"""Which dates, models and earlier dates a run needs: functions of the calendar, never of the order of runs."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from segmentation_job.errors import SourceNotReadyError

LOOKBACK_DAYS = 90
"""How far a choice of model looks back: features as of so many days before the refit, outcomes since then."""

VOTES = 3
"""Days that must agree before a customer moves."""

_MONDAY = 0


@dataclass(frozen=True)
class RunPlan:
    """What the run for `as_of` computes.

    lineage_start: the first refit date; every later one has a model that follows its predecessor. refit_dates:
    ascending, from lineage_start to the one that is newest at `as_of`. dates_to_compute: as-of dates whose features
    this run computes, ascending; `as_of` is among them. refit_months: of the calendar.
    """

    as_of: date
    lineage_start: date
    refit_dates: tuple[date, ...]
    dates_to_compute: tuple[date, ...]
    refit_months: int = 1


def refit_date_for(as_of: date, refit_months: int = 1) -> date:
    """Return the newest refit date at an as-of date: the first of every so many months, counted from January."""
    return as_of.replace(month=as_of.month - (as_of.month - 1) % refit_months, day=1)


def refit_dates_between(start: date, end: date, refit_months: int = 1) -> tuple[date, ...]:
    """Return the refit dates from start to end, both included."""
    return tuple(day for day in _firsts_of_months(start, end) if day == refit_date_for(day, refit_months))


def anchor_dates(fitted_as_of: date, as_of: date) -> tuple[date, ...]:
    """Return the firsts of months strictly between a model's fit and a date, ascending: labels stand on the latest."""
    return tuple(day for day in _firsts_of_months(fitted_as_of, as_of) if fitted_as_of < day < as_of)


def settling_dates(fitted_as_of: date, as_of: date, arrivals: Sequence[date]) -> tuple[date, ...]:
    """Return the Mondays on which somebody who came into scope after a fit gets an origin, up to a date, ascending.

    arrivals: ascending, the days on which some customer was seen first; who was comes into scope on the day after.
    """
    settled = set()
    for first_seen in arrivals[bisect_left(arrivals, fitted_as_of) :]:
        if first_seen >= as_of:
            break
        monday = first_seen + timedelta(days=1)
        monday += timedelta(days=(_MONDAY - monday.weekday()) % 7)
        if monday <= as_of:
            settled.add(monday)
    return tuple(sorted(settled))


def voting_dates(fitted_as_of: date, day: date) -> tuple[date, ...]:
    """Return the three dates that must agree before a customer moves on a day: the two before it, and itself.

    None within two days of the fit: at its fit a model says of everybody what their origin says, so nobody moves.
    """
    first = day - timedelta(days=VOTES - 1)
    return tuple(first + timedelta(days=days) for days in range(VOTES)) if first > fitted_as_of else ()


def label_dates(fitted_as_of: date, as_of: date, arrivals: Sequence[date]) -> frozenset[date]:
    """Return the dates whose features the labels of a date lean on, under the model of a refit date; itself included.

    arrivals: as in `settling_dates`.
    """
    days = {as_of, *settling_dates(fitted_as_of, as_of, arrivals)}
    for day in (*anchor_dates(fitted_as_of, as_of), as_of):
        days.update(voting_dates(fitted_as_of, day))
    return frozenset(days)


def lookback_date(refit_date: date, first_customer_date: date) -> date | None:
    """Return the date as of which the candidates of a refit are judged by what came since; None without a history.

    Its features look back as far again, so that the first customer must have been seen twice as long ago.
    """
    day = refit_date - timedelta(days=LOOKBACK_DAYS)
    return day if first_customer_date <= day - timedelta(days=LOOKBACK_DAYS) else None


def fit_dates(
    refit_date: date, predecessor_fitted_as_of: date | None, first_customer_date: date, arrivals: Sequence[date]
) -> frozenset[date]:
    """Return the dates whose features a refit leans on.

    Its own, the one it looks back to, and those that the predecessor's labels at the refit lean on.
    """
    days = {refit_date}
    if predecessor_fitted_as_of is not None:
        days |= label_dates(predecessor_fitted_as_of, refit_date, arrivals)
    lookback = lookback_date(refit_date, first_customer_date)
    if lookback is not None:
        days.add(lookback)
    return frozenset(days)


def start_of_lineage(as_of: date, lineage_start: date | None, refit_months: int = 1) -> date:
    """Return where the models of a run begin: where they begin already, or earlier where the date lies before that."""
    refit_date = refit_date_for(as_of, refit_months)
    return min(refit_date, lineage_start) if lineage_start is not None else refit_date


def require_customers(as_of: date, first_customer_date: date | None, refit_months: int = 1) -> date:
    """Return the date on which the first customer was seen; raise SourceNotReadyError where nobody is in scope.

    Somebody must be, at the refit date that is newest at the as-of date.
    """
    refit_date = refit_date_for(as_of, refit_months)
    if first_customer_date is None:
        raise SourceNotReadyError(
            f"Nobody is in scope at {refit_date}, the refit date in effect at {as_of}: no customer is in the source."
        )
    if first_customer_date >= refit_date:
        possible = first_customer_date + timedelta(days=1)
        while refit_date_for(possible, refit_months) <= first_customer_date:
            possible += timedelta(days=1)
        raise SourceNotReadyError(
            f"Nobody is in scope at {refit_date}, the refit date in effect at {as_of}: the first came "
            f"{first_customer_date}. The first date that can be segmented is {possible}."
        )
    return first_customer_date


def plan_run(
    as_of: date, start: date, needed: Collection[date], usable: Collection[date], refit_months: int = 1
) -> RunPlan:
    """Plan the run for an as-of date.

    start: of the lineage. needed: dates whose features the models and labels lean on. usable: dates whose promoted
    features may be used as they are; the date itself is computed in any case.
    """
    to_compute = {as_of} | {day for day in needed if day not in usable}
    return RunPlan(
        as_of, start, refit_dates_between(start, as_of, refit_months), tuple(sorted(to_compute)), refit_months
    )


def _firsts_of_months(start: date, end: date) -> list[date]:
    dates = []
    current = start.replace(day=1)
    while current <= end:
        if current >= start:
            dates.append(current)
        current = current.replace(year=current.year + current.month // 12, month=current.month % 12 + 1)
    return dates
