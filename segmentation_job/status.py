"""How the last night went, what is served and what wants somebody: from the run log, the published file, the folder.

Never from the warehouse: a person must be able to look while a run holds it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from segmentation_job.errors import SegmentationError
from segmentation_job.publishing import kept_files, report_beside, served_night
from segmentation_job.run_log import LoggedStep, read_run_log
from segmentation_job.settings import DEFAULT_SOURCE, Settings
from segmentation_job.sizes import in_words
from segmentation_job.steps import STEPS, served_after
from segmentation_job.summary import stale_dates_in

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_DATES: Final = 8
SHOWN_REASONS: Final = 3
WEEK: Final = timedelta(days=7)
"""Segments are checked once a week: what the last check said holds until the next."""

STYLES: Final = {"done": "green", "skipped": "dim", "failed": "bold red", "unfinished": "bold yellow"}


@dataclass(frozen=True)
class StepStatus:
    """What became of a step in a run. seconds: of all attempts that ended. note: what its log entry adds, in words."""

    name: str
    outcome: str
    attempts: int
    seconds: float
    note: str


@dataclass(frozen=True)
class NightStatus:
    """The last run of a date that did anything. checked_again: when it was last found that nothing had changed."""

    as_of: date
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    steps: tuple[StepStatus, ...]
    checked_again: datetime | None


@dataclass(frozen=True)
class EntityRows:
    """Rows of an entity that a date saw. quarantined: by reason."""

    entity: str
    rows_in: int
    kept: int
    quarantined: Mapping[str, int]


@dataclass(frozen=True)
class Served:
    """The published file of the source: its newest date, since when it is served (UTC), its size in bytes.

    kept_nights: the as-of dates of the published files on disk. is_what_bi_opens: the common link points to it.
    """

    path: Path
    as_of: date
    since: datetime
    size: int
    kept_nights: tuple[date, ...]
    is_what_bi_opens: bool


@dataclass(frozen=True)
class Status:
    """Everything that `segmentation status` shows.

    night: None where nothing was ever run. served: None where nothing is published. rows: of the night, as its run
    counted them, or else as they are published, which leaves out rows without a day. stale: dates with the reason.
    alarms: lens, kind, evidence and proposal. unfinished: steps that began and never ended, and were not tried again.
    disk: bytes by entry of the source's folder.
    """

    night: NightStatus | None
    served: Served | None
    rows: tuple[EntityRows, ...] = ()
    stale: tuple[tuple[date, str], ...] = ()
    alarms: tuple[tuple[str, str, str, str], ...] = ()
    unfinished: tuple[LoggedStep, ...] = ()
    disk: Mapping[str, int] = field(default_factory=dict)


def read_status(settings: Settings, as_of: date | None = None) -> Status:
    """Gather the status of a source, without opening its warehouse.

    as_of: the night to look at; the one run last by default. Raises SegmentationError where that date was never run.
    """
    entries = read_run_log(settings.run_log_path)
    night = _night(entries, as_of)
    served = _served(settings)
    rows: tuple[EntityRows, ...] = ()
    stale: tuple[tuple[date, str], ...] = ()
    alarms: tuple[tuple[str, str, str, str], ...] = ()
    if served is not None:
        with duckdb.connect(str(served.path), read_only=True) as published:
            rows = _published_rows(published, night.as_of) if night is not None else ()
            stale = tuple(stale_dates_in(published))
            alarms = _alarms(published, served.as_of)
    if night is not None:
        rows = _logged_rows(entries, night.as_of) or rows
    unfinished = tuple(unfinished_steps(entries))
    return Status(night, served, rows, stale, alarms, unfinished, disk_use(settings.source_data_dir))


def unfinished_steps(entries: Iterable[LoggedStep]) -> list[LoggedStep]:
    """Return the steps that began and never ended, unless the step was tried again for the date; in their order."""
    last: dict[tuple[date, str], LoggedStep] = {}
    for entry in entries:
        last[entry.as_of, entry.step] = entry
    return [entry for entry in last.values() if entry.outcome == "unfinished"]


def runs_of_date(entries: Iterable[LoggedStep], as_of: date) -> list[list[LoggedStep]]:
    """Return the runs of a date in the order of their start, each as its attempts at steps.

    The steps of one run share Airflow's run id. By hand a run begins with each `check`; another step that is run by
    hand goes on with the run before it.
    """
    runs: list[list[LoggedStep]] = []
    for entry in entries:
        if entry.as_of != as_of:
            continue
        is_by_hand = entry.run_id.startswith(f"{as_of}#")
        same = [run for run in runs if run[0].run_id == entry.run_id and not is_by_hand]
        if is_by_hand and runs and entry.step != STEPS[0].name:
            runs[-1].append(entry)
        elif same:
            same[0].append(entry)
        else:
            runs.append([entry])
    return runs


def disk_use(folder: Path) -> dict[str, int]:
    """Return the bytes of each entry of a folder, largest first; links count for nothing."""
    used = {path.name: _bytes_below(path) for path in folder.iterdir()} if folder.is_dir() else {}
    return dict(sorted(used.items(), key=lambda item: (-item[1], item[0])))


def print_status(status: Status, settings: Settings, console: Console) -> None:
    """Print the status: the night, its rows, what is served, and what wants somebody last."""
    if status.night is None:
        console.print(f"Nothing was run yet for the source {settings.source}. Begin with {_make_run(settings)}.")
    else:
        _print_night(status.night, console)
        _print_rows(status, console)
    _print_served(status.served, settings, console)
    used = [f"{name} {in_words(size)}" for name, size in status.disk.items() if size >= 1_000_000]
    console.print(
        f"[bold]Disk[/]      {in_words(sum(status.disk.values()))} in {settings.source_data_dir}"
        + (f": {', '.join(used)}" if used else ""),
        soft_wrap=True,
    )
    _print_wants(status, settings, console)


def _night(entries: Sequence[LoggedStep], as_of: date | None) -> NightStatus | None:
    if not entries:
        if as_of is not None:
            raise SegmentationError(f"No step was ever run, so there is nothing to say of {as_of}.")
        return None
    day = as_of or max(entries, key=lambda entry: entry.started_at).as_of
    runs = runs_of_date(entries, day)
    if not runs:
        newest = max(entry.as_of for entry in entries)
        raise SegmentationError(f"No step was ever run for {day}, or its log is dropped; the newest date is {newest}.")
    # A check that found nothing to do says nothing of the run that did the work.
    idle = [run for run in runs if all(entry.outcome == "skipped" for entry in run)]
    worked = [run for run in runs if run not in idle and any(entry.step != STEPS[0].name for entry in run)]
    shown = next((run for run in reversed(runs) if run not in idle and (run in worked or run is runs[-1])), runs[-1])
    later = [run for run in idle if run[0].started_at > shown[0].started_at]
    return NightStatus(
        day,
        shown[-1].run_id,
        shown[0].started_at,
        None
        if any(entry.ended_at is None for entry in shown[-1:])
        else max(entry.ended_at for entry in shown if entry.ended_at is not None),
        tuple(_step_status(step.name, [entry for entry in shown if entry.step == step.name]) for step in STEPS),
        later[-1][-1].started_at if later else None,
    )


def _step_status(name: str, attempts: Sequence[LoggedStep]) -> StepStatus:
    if not attempts:
        return StepStatus(name, "", 0, 0.0, "")
    seconds = sum((entry.ended_at - entry.started_at).total_seconds() for entry in attempts if entry.ended_at)
    return StepStatus(name, attempts[-1].outcome, len(attempts), seconds, _note(attempts[-1]))


def _note(entry: LoggedStep) -> str:
    """What a step's details say in a few words."""
    details: Mapping[str, Any] = entry.details
    if entry.outcome == "failed":
        return str(details.get("error", ""))
    if entry.outcome == "skipped":
        return "nothing had changed"
    if entry.step.startswith("gate_"):
        order = ("passed", "warned", "not_applicable")
        return ", ".join(f"{details[name]} {name.replace('_', ' ')}" for name in order if details.get(name))
    if entry.step == "build_facts" and details.get("rebuilt") is False:
        return "the landing is unchanged"
    if entry.step == "build_features":
        days = [day for day in details.get("dates", ()) if day != str(entry.as_of)]
        return f"and {len(days)} date{'s' if len(days) > 1 else ''} that it leans on" if days else ""
    if entry.step == "promote" and details.get("customers"):
        customers = details["customers"]
        return f"{max(customers.values()):,} customers in {len(customers)} lens{'es' if len(customers) > 1 else ''}"
    if entry.step == "publish" and details.get("rows"):
        return f"{sum(details['rows'].values()):,} rows"
    return ""


def _served(settings: Settings) -> Served | None:
    if not settings.current_link.exists():
        return None
    served = served_night(settings.published_dir)
    return Served(
        served.night.path,
        served.night.as_of,
        served.since,
        served.night.path.stat().st_size,
        tuple(sorted({night.as_of for night in kept_files(settings.published_dir)})),
        settings.serving_link.exists() and settings.serving_link.samefile(served.night.path),
    )


def _published_rows(published: duckdb.DuckDBPyConnection, as_of: date) -> tuple[EntityRows, ...]:
    found = published.execute(
        "select entity, outcome, row_count from row_accounts where as_of_date = ? order by entity, row_count desc",
        [as_of],
    ).fetchall()
    counts: dict[str, dict[str, int]] = {}
    for entity, outcome, count in found:
        counts.setdefault(str(entity), {})[str(outcome)] = int(count)
    return tuple(_entity_rows(entity, outcomes) for entity, outcomes in counts.items())


def _entity_rows(entity: str, outcomes: Mapping[str, int]) -> EntityRows:
    reasons = {outcome: count for outcome, count in outcomes.items() if outcome != "kept"}
    return EntityRows(entity, sum(outcomes.values()), outcomes.get("kept", 0), reasons)


def _logged_rows(entries: Iterable[LoggedStep], as_of: date) -> tuple[EntityRows, ...]:
    """As the features of a date were built from them last."""
    counted: Mapping[str, Any] = {}
    for entry in entries:
        if entry.as_of == as_of and entry.step == "build_features" and entry.details.get("rows"):
            counted = dict(entry.details["rows"])  # type: ignore[call-overload]
    return tuple(
        EntityRows(entity, rows["in"], rows["kept"], dict(sorted(rows["quarantined"].items(), key=lambda one: -one[1])))
        for entity, rows in sorted(counted.items())
    )


def _alarms(published: duckdb.DuckDBPyConnection, newest: date) -> tuple[tuple[str, str, str, str], ...]:
    found = published.execute(
        "select lens, kind, evidence, proposal from segment_alarms where as_of_date > ? and as_of_date <= ?"
        " order by as_of_date, lens, kind, evidence",
        [newest - WEEK, newest],
    ).fetchall()
    return tuple((str(lens), str(kind), str(evidence), str(proposal)) for lens, kind, evidence, proposal in found)


def _bytes_below(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return 0 if path.is_symlink() else path.stat().st_size
    total = 0
    for parent, _, names in os.walk(path):
        files = (Path(parent) / name for name in names)
        # A run may remove a file while it is counted.
        total += sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
    return total


def _print_night(night: NightStatus, console: Console) -> None:
    ended = f"to {_clock(night.ended_at, night.started_at)}" if night.ended_at else "and has not ended"
    table = Table(
        title=f"Night of {night.as_of}: run from {night.started_at:%Y-%m-%d %H:%M:%S} {ended} UTC",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
    )
    table.add_column("step", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("attempts", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("")
    for step in night.steps:
        style = STYLES.get(step.outcome, "dim")
        table.add_row(
            step.name,
            f"[{style}]{step.outcome or 'not begun'}[/]",
            str(step.attempts) if step.attempts else "",
            f"{step.seconds:.1f}" if step.attempts else "",
            escape(step.note),
        )
    table.add_section()
    table.add_row("all", "", str(sum(step.attempts for step in night.steps)), f"{_seconds(night.steps):.1f}", "")
    console.print(table)
    if night.checked_again is not None:
        console.print(f"Checked again at {night.checked_again:%Y-%m-%d %H:%M:%S} UTC: nothing had changed.\n")


def _print_rows(status: Status, console: Console) -> None:
    if not status.rows:
        return
    table = Table(title="Rows that it saw", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("entity", no_wrap=True)
    for column in ("in", "kept", "set aside"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("most of them because of")
    for rows in status.rows:
        largest = sorted(rows.quarantined.items(), key=lambda one: (-one[1], one[0]))
        reasons = [f"{reason} {count:,}" for reason, count in largest[:SHOWN_REASONS]]
        further = [f"{len(largest) - SHOWN_REASONS} further reasons"] if len(largest) > SHOWN_REASONS else []
        table.add_row(
            rows.entity,
            f"{rows.rows_in:,}",
            f"{rows.kept:,}",
            f"{sum(rows.quarantined.values()):,}",
            escape(", ".join([*reasons, *further])),
        )
    console.print(table)


def _print_served(served: Served | None, settings: Settings, console: Console) -> None:
    if served is None:
        console.print("[bold]Served[/]    nothing is published yet")
        return
    nights = ", ".join(str(night) for night in served.kept_nights)
    console.print(
        f"[bold]Served[/]    {served.as_of}, since {served.since:%Y-%m-%d %H:%M:%S} UTC, {in_words(served.size)}:"
        f" {served.path.name}",
        soft_wrap=True,
    )
    if report_beside(served.path).exists():
        console.print(f"[bold]Report[/]    {report_beside(served.path)}", soft_wrap=True)
    else:
        console.print("[bold]Report[/]    what is served has none: segmentation report writes it", soft_wrap=True)
    console.print(f"[bold]Nights[/]    {len(served.kept_nights)} on disk: {nights}", soft_wrap=True)
    if not served.is_what_bi_opens:
        console.print(
            f"          {settings.serving_link} points elsewhere: another source was run last, or the link is gone.",
            soft_wrap=True,
        )


def _print_wants(status: Status, settings: Settings, console: Console) -> None:
    """Print what somebody has to do, or that nothing is."""
    failed = [step for step in status.night.steps if step.outcome == "failed"] if status.night else []
    console.print()
    if not (failed or status.unfinished or status.stale or status.alarms):
        console.print("[green]Nothing wants anybody.[/]")
        return
    for step in failed:
        console.print(
            f"[bold red]Failed[/]    {step.name} ended with {step.note}; its log says why."
            f" {served_after(step.name).capitalize()}.",
            soft_wrap=True,
        )
    for entry in status.unfinished:
        console.print(
            f"[bold yellow]Not ended[/] {entry.step} of {entry.as_of}, attempt {entry.attempt}, began"
            f" {entry.started_at:%Y-%m-%d %H:%M:%S} UTC and never ended: it is running now, or its process died (the"
            " log does not know its pid). If it died, nothing is half promoted: run the date again with"
            f" {_make_run(settings, entry.as_of)}, or clear the task in Airflow.",
            soft_wrap=True,
        )
    if status.stale:
        reasons = _dates_by_reason(status.stale)
        console.print(
            f"[bold yellow]Stale[/]     {len(status.stale)} date{'s' if len(status.stale) > 1 else ''} would come out"
            " otherwise today. Repair: segmentation repair",
            soft_wrap=True,
        )
        for reason, days in reasons.items():
            console.print(f"          {escape(reason)}: {_some(days)}", soft_wrap=True)
    for lens, kind, evidence, proposal in status.alarms:
        console.print(f"[bold yellow]Alarm[/]     lens {lens}, {kind}: {escape(evidence)} {escape(proposal)}")


def _dates_by_reason(stale: Sequence[tuple[date, str]]) -> dict[str, list[date]]:
    reasons: dict[str, list[date]] = {}
    for day, reason in stale:
        reasons.setdefault(reason, []).append(day)
    return reasons


def _some(days: Collection[date]) -> str:
    shown = [str(day) for day in sorted(days)]
    further = len(shown) - SHOWN_DATES
    return ", ".join(shown[:SHOWN_DATES]) + (f" and {further} more" if further > 0 else "")


def _seconds(steps: Iterable[StepStatus]) -> float:
    return sum(step.seconds for step in steps)


def _clock(at: datetime, other: datetime) -> str:
    """The time of day, with its date where that is another one."""
    return f"{at:%H:%M:%S}" if at.date() == other.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def _make_run(settings: Settings, as_of: date | None = None) -> str:
    source = "" if settings.source == DEFAULT_SOURCE else f" SOURCE={settings.source}"
    return f"`make run{source}{f' AS_OF={as_of}' if as_of else ''}`"
