"""Which dates want a repair: those that are stale, and those whose run stopped before its end."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from segmentation_job.landing.declaration import SourceDeclaration
from segmentation_job.landing.readiness import landing_fingerprint
from segmentation_job.run_log import LoggedStep
from segmentation_job.runs.decisions import read_decisions
from segmentation_job.runs.state import dates_with_labels, stale_runs
from segmentation_job.runs.versions import read_lenses, read_logic_versions
from segmentation_job.settings import Settings
from segmentation_job.warehouse.interface import Warehouse


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


def stopped_dates(entries: Iterable[LoggedStep]) -> list[DateToRepair]:
    """Return the dates whose last step failed or never ended, ascending.

    entries: of the run log, in the order of their start. A step that still runs on this machine is under way, not
    stopped; a date refused by its first step was never begun.
    """
    last: dict[date, LoggedStep] = {}
    for entry in entries:
        last[entry.as_of] = entry
    stopped = []
    for day, entry in sorted(last.items()):
        if entry.step == "check" or entry.outcome not in ("failed", "unfinished"):
            continue
        if entry.outcome == "unfinished" and entry.pid is not None and _is_alive(entry.pid):
            continue
        how = "failed" if entry.outcome == "failed" else "was cut off"
        stopped.append(DateToRepair(day, (), f"its run stopped: step {entry.step} {how}"))
    return stopped


def dates_to_repair(warehouse: Warehouse, settings: Settings, entries: Iterable[LoggedStep]) -> list[DateToRepair]:
    """Return the stale dates and those whose run stopped, ascending, each once."""
    found = {each.as_of: each for each in stopped_dates(entries)}
    for stale in stale_dates(warehouse, settings):
        stopped = found.get(stale.as_of)
        reason = f"{stale.reason}; {stopped.reason}" if stopped else stale.reason
        found[stale.as_of] = DateToRepair(stale.as_of, stale.lenses, reason)
    return [found[day] for day in sorted(found)]


def facts_are_current(warehouse: Warehouse, settings: Settings, declaration: SourceDeclaration) -> bool:
    """Say whether the facts are built from the landing as it is now; what is stale is known only then."""
    today = (landing_fingerprint(declaration), read_logic_versions(settings).facts)
    return warehouse.rows("select landing_fingerprint, facts_version from pipeline.facts_state") == [today]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
