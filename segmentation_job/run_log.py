"""The log of runs: one JSON line when a step starts and one when it ends, so that a killed step shows as unended."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from segmentation_job.durable_files import written_whole

RUN_ID_VARIABLE = "SEGMENTATION_RUN_ID"
"""Set by whoever starts all steps of one run: Airflow's run id."""


@dataclass(frozen=True)
class LoggedStep:
    """One attempt at one step. run_id: common to the steps of one run, date#attempt where a step was run by hand.
    outcome: done, skipped, failed, or `unfinished` where it never ended. pid: of the process.
    """

    run_id: str
    as_of: date
    step: str
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    details: dict[str, object] = field(default_factory=dict)
    pid: int | None = None


@dataclass
class StepInProgress:
    """What a step adds to its entry: details that only this log keeps, and how it ended."""

    details: dict[str, object] = field(default_factory=dict)
    outcome: str = "done"


@contextmanager
def logged_step(path: Path, as_of: date, step: str) -> Iterator[StepInProgress]:
    """Log the start and the end of a step; a step that raises has failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of the attempts before, the oldest may have been dropped from the log.
    attempt = 1 + max(
        (entry.attempt for entry in read_run_log(path) if entry.as_of == as_of and entry.step == step), default=0
    )
    key = {"as_of": as_of.isoformat(), "step": step, "attempt": attempt}
    _append(
        path, {**key, "event": "started", "at": _now(), "run_id": os.environ.get(RUN_ID_VARIABLE), "pid": os.getpid()}
    )
    progress = StepInProgress()
    try:
        yield progress
    except BaseException as error:
        _append(
            path,
            {**key, "event": "ended", "at": _now(), "outcome": "failed", "details": {"error": type(error).__name__}},
        )
        raise
    _append(path, {**key, "event": "ended", "at": _now(), "outcome": progress.outcome, "details": progress.details})


def read_run_log(path: Path) -> list[LoggedStep]:
    """Return the logged steps in the order of their start; what is no line of it is passed over."""
    if not path.exists():
        return []
    steps: dict[tuple[str, str, int], LoggedStep] = {}
    # Bytes that are no text belong to a line that is none: a broken log must not keep a night from running.
    for line in path.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
            key = (event["as_of"], event["step"], event["attempt"])
            at = datetime.fromisoformat(event["at"])
            as_of = date.fromisoformat(event["as_of"])
            is_start = event["event"] == "started"
        except (ValueError, KeyError, TypeError):
            continue
        if is_start:
            run_id = event.get("run_id") or f"{event['as_of']}#{event['attempt']}"
            steps[key] = LoggedStep(
                run_id, as_of, event["step"], event["attempt"], at, None, "unfinished", pid=event.get("pid")
            )
        elif key in steps:
            begun = steps[key]
            steps[key] = LoggedStep(
                begun.run_id,
                begun.as_of,
                begun.step,
                begun.attempt,
                begun.started_at,
                at,
                event["outcome"],
                event.get("details") or {},
                begun.pid,
            )
    return list(steps.values())


def steps_before(path: Path, start: datetime) -> list[bytes]:
    """Return the lines of the steps of which nothing is dated since a time (with a time zone)."""
    return _old_and_kept_lines(path, start)[0]


def drop_steps_before(path: Path, start: datetime) -> None:
    """Rewrite the log without the steps of which nothing is dated since a time; whatever else it holds stays.

    In one step, and while no step can log: a reader meets the old log or the new one.
    """
    with _no_other_writer(path):
        _, kept = _old_and_kept_lines(path, start)
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            file.writelines(kept)


def _old_and_kept_lines(path: Path, start: datetime) -> tuple[list[bytes], list[bytes]]:
    """The lines of old steps, and all others; what cannot be read as an event (half a line) is kept."""
    if not path.exists():
        return [], []
    lines = path.read_bytes().splitlines(keepends=True)
    keys: list[tuple[object, ...] | None] = []
    newest: dict[tuple[object, ...], datetime] = {}
    for line in lines:
        try:
            event = json.loads(line)
            at = datetime.fromisoformat(event["at"])
            key = (event["as_of"], event["step"], event["attempt"])
        except (ValueError, KeyError, TypeError):
            keys.append(None)
            continue
        keys.append(key)
        newest[key] = max(at, newest.get(key, at))
    since = start.astimezone(UTC).replace(tzinfo=None)
    old = [key is not None and newest[key] < since for key in keys]
    return (
        [line for line, is_old in zip(lines, old, strict=True) if is_old],
        [line for line, is_old in zip(lines, old, strict=True) if not is_old],
    )


@contextmanager
def _no_other_writer(path: Path) -> Iterator[None]:
    """Wait for whoever writes the log: a line must not go to a file that is being replaced."""
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(path: Path, event: dict[str, object]) -> None:
    line = json.dumps(event, sort_keys=True, default=str) + "\n"
    with _no_other_writer(path), path.open("a") as file:
        # After a crash the file may end in half a line: it must not swallow this one.
        if file.tell() and not _ends_with_newline(path):
            line = "\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat()
