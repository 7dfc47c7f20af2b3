"""What a person is told at night, and how: one JSON object on the standard input of a command that the user names.

The DAG's callbacks import this module whenever Airflow parses the DAG: nothing heavy belongs here. An alert that
cannot be told never fails a run.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from segmentation_job.settings import Settings
from segmentation_job.steps import DAG_ID, ExitCode, served_after

COMMAND_VARIABLE: Final = "SEGMENTATION_ALERT_COMMAND"
TIMEOUT_SECONDS: Final = 30.0
RUNBOOK: Final = "docs/runbook.md"
TOLD_STALE_DATES: Final = "told_stale_dates.json"
_SHOWN_DATES: Final = 10


class AlertKind(StrEnum):
    """What happened."""

    FAILED_STEP = "failed_step"
    FAILED_GATE = "failed_gate"
    WEEKLY_CHECK = "weekly_check"
    STALE_DATES = "stale_dates"


@dataclass(frozen=True)
class Alert:
    """What a person should know, and what to do about it.

    run: Airflow's run id. step: the task. exit_code: of its command, negative where a signal ended it; None where
    there was none. meaning: in words. remedy: with the section of the runbook. details: figures, by kind.
    """

    kind: AlertKind
    as_of: str
    meaning: str
    remedy: str
    run: str | None = None
    step: str | None = None
    exit_code: int | None = None
    log_url: str | None = None
    dag: str = DAG_ID
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the alert as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def send_alert(
    alert: Alert,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    *,
    timeout: float = TIMEOUT_SECONDS,
) -> bool:
    """Give the alert to the command of SEGMENTATION_ALERT_COMMAND; return False where that failed.

    The command is split into words as a shell would, but no shell sees it. say: writes to the log, in which every alert
    stands; without a command that is all. timeout: seconds, after which the command and its children are killed.
    """
    say(f"ALERT {alert.as_json()}")
    written = environment.get(COMMAND_VARIABLE, "").strip()
    if not written:
        say(f"{COMMAND_VARIABLE} is not set: nobody is told but who reads this log.")
        return True
    try:
        said, exit_code = _give(alert, shlex.split(written), environment, timeout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        say(f"The alert was not told: {COMMAND_VARIABLE} failed ({error}).")
        return False
    if exit_code != 0:
        say(f"The alert was not told: {COMMAND_VARIABLE} ended with {exit_code}: {said.strip()[-500:]}")
        return False
    return True


def _give(alert: Alert, command: list[str], environment: Mapping[str, str], timeout: float) -> tuple[str, int]:
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Its children go with it when it takes too long.
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(alert.as_json() + "\n", timeout=timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return said, process.returncode


def alert_of_step(
    *, as_of: str, step: str, exit_code: int | None, meaning: str, run: str | None, log_url: str | None
) -> Alert:
    """Return the alert of a step that failed for good.

    exit_code: None where the task's own process ended before its command did.
    """
    if exit_code == ExitCode.GATE_FAILED:
        kind, section, first = AlertKind.FAILED_GATE, "Gate failure", "The log names the expectation and the rows."
    elif exit_code == ExitCode.SOURCE_NOT_READY:
        kind, section, first = AlertKind.FAILED_STEP, "Late data", "The log says which source is missing or too old."
    else:
        kind, section, first = AlertKind.FAILED_STEP, "Nightly failure", f"{served_after(step).capitalize()}."
    return Alert(
        kind=kind,
        as_of=as_of,
        step=step,
        exit_code=exit_code,
        meaning=meaning,
        remedy=f"{first} Follow {RUNBOOK}, section “{section}”.",
        run=run,
        log_url=log_url,
    )


def tell_about_night(
    settings: Settings,
    as_of: date,
    *,
    run: str | None,
    log_url: str | None,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> list[Alert]:
    """Tell what a published night shows: alarms of its weekly check, and dates newly stale beyond the horizon.

    as_of: the date that was published; alarms of a date that is not the newest are history and are not told. A date
    that stays stale is told once; what could not be told is tried again after the next night. Returns the alerts.
    """
    newest, alarms, stale = _read_night(settings.current_link)
    alerts = []
    if newest == as_of and alarms:
        alerts.append(_alert_of_alarms(as_of, alarms, run, log_url))
    for alert in alerts:
        send_alert(alert, environment, say)
    beyond = {day: why for day, why in stale.items() if day < newest - timedelta(days=settings.late_horizon_days)}
    told_path = settings.source_data_dir / TOLD_STALE_DATES
    told = _read_told(told_path)
    fresh = sorted(beyond.keys() - told)
    if fresh:
        alert = _alert_of_stale_dates(newest, fresh, beyond, settings.late_horizon_days, run, log_url)
        alerts.append(alert)
        if not send_alert(alert, environment, say):
            return alerts
    _write_told(told_path, beyond.keys())
    return alerts


def _alert_of_alarms(as_of: date, alarms: list[dict[str, str]], run: str | None, log_url: str | None) -> Alert:
    return Alert(
        kind=AlertKind.WEEKLY_CHECK,
        as_of=str(as_of),
        meaning="The weekly check found: " + "; ".join(f"{alarm['lens']}: {alarm['evidence']}" for alarm in alarms),
        remedy="; ".join(dict.fromkeys(alarm["proposal"] for alarm in alarms))
        + ". See README.md, “Segments that last”.",
        run=run,
        log_url=log_url,
        details={"alarms": alarms},
    )


def _alert_of_stale_dates(
    newest: date, fresh: list[date], reasons: Mapping[date, str], horizon: int, run: str | None, log_url: str | None
) -> Alert:
    shown = ", ".join(map(str, fresh[:_SHOWN_DATES])) + (" …" if len(fresh) > _SHOWN_DATES else "")
    return Alert(
        kind=AlertKind.STALE_DATES,
        as_of=str(newest),
        meaning=f"Stale now, more than {horizon} days back: {len(fresh)} dates ({shown}), {reasons[fresh[0]]}",
        remedy=f"They stay as they were until `segmentation repair`. Follow {RUNBOOK}, section “Stale dates”.",
        run=run,
        log_url=log_url,
        details={"dates": {str(day): reasons[day] for day in fresh}},
    )


def _read_night(published: Path) -> tuple[date, list[dict[str, str]], dict[date, str]]:
    """Return a published file's newest date, the alarms of that date, and the stale dates with their reasons."""
    import duckdb

    from segmentation_job.summary import stale_dates_in

    with duckdb.connect(str(published), read_only=True) as connection:
        newest = connection.execute("select max(as_of_date) from segmentation_runs").fetchall()[0][0]
        alarms = connection.execute(
            "select lens, kind, evidence, proposal from segment_alarms where as_of_date = ? order by all", [newest]
        ).fetchall()
        stale = dict(stale_dates_in(connection))
    named = [dict(zip(("lens", "kind", "evidence", "proposal"), map(str, alarm), strict=True)) for alarm in alarms]
    return newest, named, stale


def _read_told(path: Path) -> set[date]:
    try:
        return {date.fromisoformat(day) for day in json.loads(path.read_text())}
    except (FileNotFoundError, ValueError):
        # Told twice is better than never.
        return set()


def _write_told(path: Path, days: Collection[date]) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(sorted(map(str, days))) + "\n")
    unfinished.replace(path)
