"""Which dates want a repair: those that are stale, and those whose run stopped before its end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from segmentation_job.landing.declaration import SourceDeclaration
from segmentation_job.landing.readiness import landing_fingerprint
from segmentation_job.lock_holder import is_alive
from segmentation_job.run_log import LoggedStep
from segmentation_job.runs.decisions import read_decisions
from segmentation_job.runs.state import dates_with_labels, stale_runs
from segmentation_job.runs.versions import read_lenses, read_logic_versions
from segmentation_job.settings import Settings
from segmentation_job.steps import PUBLISHING_STEP, STEPS, STEPS_AFTER_PUBLISHING
from segmentation_job.warehouse.interface import Warehouse

BETWEEN_STEPS = timedelta(hours=1)
FIRST_STEP = STEPS[0].name
PROMOTED_STEPS = ("promote", "build_marts")
FURTHER_STEPS = {step.name for step in STEPS_AFTER_PUBLISHING}

IsUnderWay = Callable[[LoggedStep], bool]


@dataclass(frozen=True)
class DateToRepair:
    """A date that should be run again. lenses: that are stale, none where its run stopped. reason: in words."""

    as_of: date
    lenses: tuple[str, ...]
    reason: str


def stale_dates(warehouse: Warehouse, settings: Settings, dates: Sequence[date] | None = None) -> list[DateToRepair]:
    """Return the dates that a run today would compute from something else, ascending.

    dates: to look at; all whose labels are kept by default.
    """
    found = stale_runs(
        warehouse,
        read_lenses(settings),
        read_logic_versions(settings),
        read_decisions(settings.decisions_path),
        dates,
        sample_size=settings.sample_size,
        refit_months=settings.refit_months,
    )
    stale = []
    for day, runs in groupby(found, key=lambda run: run.as_of):
        of_the_day = list(runs)
        reasons = dict.fromkeys(reason for run in of_the_day for reason in run.reason.split("; "))
        stale.append(DateToRepair(day, tuple(run.lens for run in of_the_day), "; ".join(reasons)))
    return stale


def recent_stale_dates(warehouse: Warehouse, settings: Settings, as_of: date) -> list[DateToRepair]:
    """Return the stale dates of the `late_horizon_days` before a date, which its nightly run repairs by itself."""
    horizon = as_of - timedelta(days=settings.late_horizon_days)
    recent = [day for day in dates_with_labels(warehouse) if horizon <= day < as_of]
    return stale_dates(warehouse, settings, recent) if recent else []


def older_dates_are_stale(warehouse: Warehouse, settings: Settings, as_of: date) -> bool:
    """Say whether dates are stale that lie before those which the nightly run for a date repairs by itself."""
    horizon = as_of - timedelta(days=settings.late_horizon_days)
    older = [day for day in dates_with_labels(warehouse) if day < horizon]
    return bool(older and stale_dates(warehouse, settings, older))


def stopped_dates(entries: Iterable[LoggedStep], is_under_way: IsUnderWay) -> list[DateToRepair]:
    """Return the dates whose run was begun and stopped before it was published, ascending.

    entries: of the run log, in the order of their start. is_under_way: tells of the last entry of a date whether its
    run goes on. A step that still runs on this machine is under way; a date refused by its first step was never begun.
    """
    stopped = []
    for day, entry in sorted(_begun(entries).items()):
        if entry.outcome == "unfinished" and entry.pid is not None and is_alive(entry.pid):
            continue
        if entry.outcome == "done" and is_under_way(entry):
            continue
        # A step that is killed while it starts has not yet told the log of itself.
        how = {"failed": "failed", "unfinished": "was cut off"}.get(entry.outcome, "was the last one done")
        stopped.append(DateToRepair(day, (), f"its run stopped: step {entry.step} {how}"))
    return stopped


def _begun(entries: Iterable[LoggedStep]) -> dict[date, LoggedStep]:
    """The last entry of each date whose run was begun and is not published."""
    begun: dict[date, LoggedStep] = {}
    for entry in entries:
        if entry.step in FURTHER_STEPS:
            continue
        if entry.step == FIRST_STEP and entry.outcome == "skipped":
            begun.pop(entry.as_of, None)
        elif entry.step == PUBLISHING_STEP and entry.outcome == "done":
            # It publishes whatever was promoted by then, for this date or another.
            begun = {
                day: last
                for day, last in begun.items()
                if day != entry.as_of and not (last.step in PROMOTED_STEPS and last.outcome == "done")
            }
        elif entry.step != FIRST_STEP or entry.outcome == "done" or entry.as_of in begun:
            begun[entry.as_of] = entry
    return begun


def is_recent(entry: LoggedStep, now: datetime) -> bool:
    """Say whether a run may be between two steps, where nobody can be asked.

    now: in UTC, without a time zone, as the log writes it.
    """
    return entry.ended_at is not None and now - entry.ended_at < BETWEEN_STEPS


def dates_to_repair(
    warehouse: Warehouse, settings: Settings, entries: Iterable[LoggedStep], is_under_way: IsUnderWay
) -> list[DateToRepair]:
    """Return the stale dates and those whose run stopped, ascending, each once.

    entries, is_under_way: as of `stopped_dates`.
    """
    found = {each.as_of: each for each in stopped_dates(entries, is_under_way)}
    for stale in stale_dates(warehouse, settings):
        stopped = found.get(stale.as_of)
        reason = f"{stale.reason}; {stopped.reason}" if stopped else stale.reason
        found[stale.as_of] = DateToRepair(stale.as_of, stale.lenses, reason)
    return [found[day] for day in sorted(found)]


def facts_are_current(warehouse: Warehouse, settings: Settings, declaration: SourceDeclaration) -> bool:
    """Say whether the facts are built from the landing as it is now; what is stale is known only then."""
    today = (landing_fingerprint(declaration), read_logic_versions(settings).facts)
    return warehouse.rows("select landing_fingerprint, facts_version from pipeline.facts_state") == [today]
