"""One step of the nightly run as an Airflow task: a `segmentation` command in a process of its own.

The DAG imports this module whenever Airflow parses it: nothing heavy belongs here.
"""

import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, Context, WeightRule
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from segmentation_job.alerting import alert_of_step, send_alert, tell_about_night
from segmentation_job.run_log import RUN_ID_VARIABLE
from segmentation_job.settings import Settings
from segmentation_job.steps import POOL, STEPS, ExitCode, RetrySettings, Step, step_named

AS_OF_TEMPLATE = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"

log = logging.getLogger(__name__)

MEANINGS = {
    ExitCode.UNEXPECTED: "an unexpected error; the log above has its traceback",
    ExitCode.USAGE: "a wrong command line",
    ExitCode.SOURCE_NOT_READY: "the source is not ready for this date, or the date is refused",
    ExitCode.GATE_FAILED: "the gate failed: what is served is unchanged, the candidate is kept",
    ExitCode.MISCONFIGURED: "a lens, a suite or a setting is wrong",
    ExitCode.WAREHOUSE_LOCKED: "another process holds the warehouse",
    ExitCode.NOTHING_TO_DO: "nothing to do",
}


class DataMayStillLandError(AirflowException):
    """The source is not there yet: try again later."""


class CommandFaultError(AirflowException):
    """A command failed in a way that another attempt may mend."""


def describe_exit(exit_code: int) -> str:
    """Say in words what this exit code means; negative numbers are signals."""
    if exit_code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
        return f"killed by signal {-exit_code}"
    try:
        return MEANINGS.get(ExitCode(exit_code), "no known meaning")
    except ValueError:
        return "no known meaning"


def raise_for_exit_code(step: Step, exit_code: int, *, attempt: int, settings: RetrySettings) -> None:
    """Turn a command's exit code into what Airflow understands; return quietly on success.

    attempt: this attempt, from 1. Raises AirflowSkipException where there was nothing to do,
    AirflowFailException where no retry can help, and DataMayStillLandError or CommandFaultError, after
    which Airflow tries again.
    """
    if exit_code == ExitCode.OK:
        return
    message = f"segmentation {' '.join(step.arguments)} ended with {exit_code}: {describe_exit(exit_code)}"
    if exit_code == ExitCode.NOTHING_TO_DO:
        raise AirflowSkipException(message)
    if not settings.may_retry(step, exit_code, attempt):
        raise AirflowFailException(message)
    if exit_code == ExitCode.SOURCE_NOT_READY:
        raise DataMayStillLandError(message)
    raise CommandFaultError(message)


def as_of_in(context: Context) -> date:
    """Return the as-of date of the run, by the rule of AS_OF_TEMPLATE."""
    run = context["dag_run"]
    moment = run.logical_date or run.run_after
    return moment.date()


def tell_failure(context: Context) -> None:
    """Tell a person that a task has failed for good: Airflow calls this after the last attempt."""
    instance, task = context["ti"], context["task"]
    # None where Airflow speaks for a process of its own that is gone.
    exit_code = getattr(task, "exit_code", None)
    meaning = f"the task's own process ended or was timed out: {context.get('exception') or 'no word from it'}"
    send_alert(
        alert_of_step(
            as_of=str(as_of_in(context)),
            step=str(task.task_id),
            exit_code=exit_code,
            meaning=meaning if exit_code is None else describe_exit(exit_code),
            run=str(context["dag_run"].run_id),
            log_url=getattr(instance, "log_url", None),
        ),
        os.environ,
        log.warning,
    )


def tell_night(context: Context) -> None:
    """Tell a person what the published night shows."""
    tell_about_night(
        Settings.from_environment(os.environ),
        as_of_in(context),
        run=str(context["dag_run"].run_id),
        log_url=getattr(context["ti"], "log_url", None),
        environment=os.environ,
        say=log.warning,
    )


class SegmentationStep(BaseOperator):
    """Run one step's command, stream its output into the task's log, and act on its exit code.

    step_name: as in `segmentation_job.steps.step_named`; it is the task's id as well. as_of: ISO date,
    templated. project_dir: where the command runs. exit_code: of the command, once it has ended.
    """

    template_fields: Sequence[str] = ("as_of",)
    ui_color = "#e8f4f8"

    def __init__(self, *, step_name: str, project_dir: str, as_of: str = AS_OF_TEMPLATE, **kwargs: Any) -> None:
        step = step_named(step_name)
        settings = RetrySettings.from_environment(os.environ)
        kwargs.setdefault("task_id", step.name)
        kwargs.setdefault("pool", POOL)
        # The date that is furthest goes first for the pool's slot: a backfill ends one date, then the next.
        kwargs.setdefault("weight_rule", WeightRule.UPSTREAM)
        kwargs.setdefault("retries", settings.retries(step))
        kwargs.setdefault("retry_delay", settings.fault_delay)
        kwargs.setdefault("on_failure_callback", tell_failure)
        if step == STEPS[-1]:
            kwargs.setdefault("on_success_callback", tell_night)
        if step.awaits_source:
            # Data lands in minutes, a lock is gone in seconds: each failure waits its own time.
            rule = RetryRule(exception=DataMayStillLandError, retry_delay=settings.source_delay)
            kwargs.setdefault("retry_policy", ExceptionRetryPolicy(rules=[rule]))
        super().__init__(**kwargs)
        self.step_name = step_name
        self.as_of = as_of
        self.project_dir = project_dir
        self.exit_code: int | None = None
        self._process: SubprocessHook | None = None

    def execute(self, context: Context) -> None:
        """Run the command to its end."""
        instance = context["ti"]
        os.environ[RUN_ID_VARIABLE] = str(instance.run_id)
        # Clearing a task raises max_tries but never lowers try_number: count from the last clearing.
        attempt = instance.try_number - (instance.max_tries - (self.retries or 0))
        self.run_command(force=bool(context["params"].get("force", False)), attempt=attempt)

    def run_command(self, *, force: bool, attempt: int) -> None:
        """Run the command for `as_of` and raise for its exit code.

        force: pass `--force` on where the step accepts it. attempt: this attempt, from 1.
        """
        step = step_named(self.step_name)
        self._process = SubprocessHook()
        try:
            result = self._process.run_command(command=step.command(self.as_of, force=force), cwd=self.project_dir)
        except FileNotFoundError as error:
            raise AirflowFailException(
                f"cannot start `segmentation` in {Path(self.project_dir)} ({error}): put the environment's "
                "bin folder first on PATH of the process that runs tasks"
            ) from error
        except BaseException:
            # Ctrl-C and a timeout end this process alone, for the command has a session of its own.
            self._end_command()
            raise
        self.exit_code = result.exit_code
        settings = RetrySettings.from_environment(os.environ)
        raise_for_exit_code(step, result.exit_code, attempt=attempt, settings=settings)

    def _end_command(self, patience: float = 30.0) -> None:
        """End the command and wait for it: SIGTERM, then SIGKILL to its session after `patience` seconds."""
        self.on_kill()
        process = self._process.sub_process if self._process is not None else None
        if process is None:
            return
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def on_kill(self) -> None:
        """Pass the end of the task on to the command, which has a session of its own."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_sigterm()  # type: ignore[no-untyped-call]
