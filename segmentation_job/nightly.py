"""One run of the DAG through Airflow, without a server, with its progress step by step."""

import json
import os
import re
import subprocess
import time
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

from segmentation_job.airflow_environment import airflow_command, airflow_environment, prepare_airflow
from segmentation_job.errors import SegmentationError
from segmentation_job.run_log import LoggedStep, read_run_log
from segmentation_job.settings import Settings
from segmentation_job.steps import DAG_ID, STEPS, ExitCode, served_after

# The words of a step's own command in Airflow's log of it.
COMMAND_OUTPUT = re.compile(r"^\S+ \[\w+\s*\] (?P<text>.*?)\s*\[airflow\.task\.hooks\.[\w.]*SubprocessHook\]")
TOLD_OF_OTHER_DATES = re.compile(r"Late rows: |Recent dates computed again: (?!0, failed: 0)")
COMMAND_EXIT = re.compile(r"Command exited with return code (?P<code>-?\d+)")


class DagRunFailedError(SegmentationError):
    """The DAG run failed; it has the failed command's exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[assignment]


def run_dag(settings: Settings, as_of: date, *, force: bool, console: Console) -> bool:
    """Run the DAG for an as-of date and show each step as it ends; return False where there was nothing to do.

    Raises DagRunFailedError with the words of the step that failed.
    """
    environment = airflow_environment(
        data_dir=settings.data_dir, project_dir=settings.project_dir, inherited=os.environ
    )
    environment["SOURCE"] = settings.source
    # Somebody is watching: a failure is told at once, not tried again for half an hour.
    environment["SEGMENTATION_SOURCE_RETRIES"] = environment["SEGMENTATION_FAULT_RETRIES"] = "0"
    prepared = prepare_airflow(environment)
    console.print(
        f"Airflow   {environment['AIRFLOW_HOME']}: {'metadata migrated, pool created' if prepared else 'ready'}"
    )
    console.print(f"Run       DAG {DAG_ID}, source {settings.source}, as of {as_of}")
    if not force and _is_current(environment, as_of):
        console.print(f"Nothing to do: {as_of} is published and nothing it rests on has changed (FORCE=1 computes it).")
        return False
    log_path = settings.source_data_dir / "logs" / f"dag_{as_of}_{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = airflow_command("dags", "test", DAG_ID, f"{as_of}T02:00:00+00:00")
    if force:
        command += ["--conf", json.dumps({"force": True})]
    earlier = len(_entries(settings, as_of))
    begun = time.monotonic()
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            shown = 0
            while process.poll() is None:
                shown = _show_ended(settings, as_of, earlier, shown, console)
                time.sleep(0.2)
            shown = _show_ended(settings, as_of, earlier, shown, console)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    entries = _entries(settings, as_of)[earlier:]
    done = [entry.step for entry in entries if entry.outcome == "done"]
    if process.returncode != 0 or done != [step.name for step in STEPS]:
        _raise_failed(entries, log_path)
    console.print(f"Done in {time.monotonic() - begun:.0f} s. Log of the run: {log_path}")
    for line in _accounts(log_path):
        console.print(line, soft_wrap=True)
    return True


def _is_current(environment: dict[str, str], as_of: date) -> bool:
    """Ask the DAG's first step, before Airflow starts, whether there is anything to do; a refusal is told here."""
    asked = subprocess.run(
        STEPS[0].command(as_of.isoformat()), env=environment, capture_output=True, text=True, check=False
    )
    if asked.returncode not in (ExitCode.OK, ExitCode.NOTHING_TO_DO):
        raise DagRunFailedError(asked.stderr.strip().removeprefix("error: "), asked.returncode)
    return asked.returncode == ExitCode.NOTHING_TO_DO


def _entries(settings: Settings, as_of: date) -> list[LoggedStep]:
    return [entry for entry in read_run_log(settings.run_log_path) if entry.as_of == as_of]


def _show_ended(settings: Settings, as_of: date, earlier: int, shown: int, console: Console) -> int:
    """Print the steps that ended since the last look; return how many have been shown."""
    titles = {step.name: step.title for step in STEPS}
    entries = _entries(settings, as_of)[earlier:]
    for entry in entries[shown:]:
        if entry.ended_at is None:
            break
        mark = {"done": "✓", "skipped": "–"}.get(entry.outcome, "✗")
        seconds = (entry.ended_at - entry.started_at).total_seconds()
        console.print(f"  {mark} {titles.get(entry.step, entry.step):<24} {seconds:6.1f} s")
        shown += 1
    return shown


def _raise_failed(entries: list[LoggedStep], log_path: Path) -> None:
    lines = log_path.read_text(errors="replace").splitlines()
    codes = [int(match["code"]) for line in lines if (match := COMMAND_EXIT.search(line))]
    failed_code = next((code for code in reversed(codes) if code != 0), int(ExitCode.UNEXPECTED))
    begun = max((number for number, line in enumerate(lines) if "Running command: ['segmentation'" in line), default=0)
    said = [match["text"] for line in lines[begun + 2 :] if (match := COMMAND_OUTPUT.match(line))]
    said = [text for text in said if not COMMAND_EXIT.search(text)]
    step = entries[-1].step if entries else "start"
    words = "\n".join(f"  {text}" for text in said[-40:]) or "\n".join(f"  {line}" for line in lines[-20:])
    raise DagRunFailedError(
        f"The run stopped at step {step}; {served_after(step)}. It said:\n{words}\nLog of the run: {log_path}",
        failed_code if failed_code > 0 else int(ExitCode.UNEXPECTED),
    )


def _accounts(log_path: Path) -> list[str]:
    """The account of rows that `build features` printed, and what was said of late rows and recent dates."""
    accounts: list[str] = []
    said: list[str] = []
    is_account = False
    for line in log_path.read_text(errors="replace").splitlines():
        match = COMMAND_OUTPUT.match(line)
        if match is None:
            continue
        text = match["text"]
        if text.startswith("Rows at "):
            # Of dates that were repaired before, the account is the first; this run's is the last.
            accounts, is_account = [text], True
        elif is_account and text.startswith("  "):
            accounts.append(text)
        else:
            is_account = False
            if TOLD_OF_OTHER_DATES.match(text):
                said.append(text)
    return [*said, *accounts]
