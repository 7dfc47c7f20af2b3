"""What a task makes of its command: real processes of a tiny stand-in for `segmentation`."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from segmentation_job.airflow_step import (
    CommandFaultError,
    DataMayStillLandError,
    SegmentationStep,
    raise_for_exit_code,
)
from segmentation_job.steps import RETAIN, STEPS, ExitCode, RetrySettings, step_named

from .conftest import PROJECT_DIR, FakeCommand


def task_for(step_name: str, tmp_path: Path) -> SegmentationStep:
    return SegmentationStep(step_name=step_name, project_dir=str(tmp_path), as_of="2018-01-01")


def wait_for(path: Path, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear in {seconds:.0f} s"
        time.sleep(0.02)


def test_a_task_runs_the_command_of_its_step_for_the_date(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    calls = fake_segmentation("exit 0")
    for step in STEPS:
        task_for(step.name, tmp_path).run_command(force=False, attempt=1)
    assert calls.read_text().splitlines() == [
        "check --as-of 2018-01-01",
        "build facts --as-of 2018-01-01",
        "repair-recent --as-of 2018-01-01",
        "build features --as-of 2018-01-01",
        "gate features --as-of 2018-01-01",
        "forecast --as-of 2018-01-01",
        "gate forecasts --as-of 2018-01-01",
        "segment --as-of 2018-01-01",
        "gate labels --as-of 2018-01-01",
        "promote --as-of 2018-01-01",
        "build marts --as-of 2018-01-01",
        "publish --as-of 2018-01-01",
        "report --as-of 2018-01-01",
    ]


def test_the_retention_runs_for_no_date(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    calls = fake_segmentation("exit 0")
    task_for(RETAIN.name, tmp_path).run_command(force=True, attempt=1)
    assert calls.read_text().splitlines() == ["retain"]


def test_force_reaches_the_check_alone(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    calls = fake_segmentation("exit 0")
    for step in STEPS:
        task_for(step.name, tmp_path).run_command(force=True, attempt=1)
    forced = [line for line in calls.read_text().splitlines() if "--force" in line]
    assert forced == ["check --as-of 2018-01-01 --force"]


def test_the_commands_output_is_in_the_tasks_log(
    fake_segmentation: FakeCommand, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_segmentation("echo 2,469 customers in scope; echo a warning >&2")
    task_for("segment", tmp_path).run_command(force=False, attempt=1)
    logged = capfd.readouterr().out
    assert "2,469 customers in scope" in logged
    assert "a warning" in logged


@pytest.mark.parametrize(
    ("step_name", "exit_lines", "outcome", "said"),
    [
        ("check", "exit 99", AirflowSkipException, "nothing to do"),
        ("check", "exit 3", DataMayStillLandError, "source is not ready"),
        ("build_facts", "exit 3", AirflowFailException, "source is not ready"),
        ("gate_features", "exit 4", AirflowFailException, "the gate failed"),
        ("segment", "exit 5", AirflowFailException, "a lens, a suite or a setting is wrong"),
        ("promote", "exit 2", AirflowFailException, "wrong command line"),
        ("promote", "exit 6", CommandFaultError, "another process holds the warehouse"),
        ("publish", "exit 1", CommandFaultError, "an unexpected error"),
        ("publish", "kill -9 $$", CommandFaultError, "killed by SIGKILL"),
        ("publish", "exit 42", CommandFaultError, "42"),
    ],
)
def test_an_exit_code_becomes_what_airflow_understands(
    fake_segmentation: FakeCommand,
    tmp_path: Path,
    step_name: str,
    exit_lines: str,
    outcome: type[Exception],
    said: str,
) -> None:
    fake_segmentation(exit_lines)
    with pytest.raises(Exception, match=said) as raised:
        task_for(step_name, tmp_path).run_command(force=False, attempt=1)
    assert type(raised.value) is outcome


def test_every_exit_code_but_success_stops_the_task() -> None:
    for code in ExitCode:
        if code is not ExitCode.OK:
            with pytest.raises(Exception, match=rf"ended with {int(code)}: "):
                raise_for_exit_code(step_named("publish"), code, attempt=1, settings=RetrySettings())
    raise_for_exit_code(step_named("publish"), ExitCode.OK, attempt=1, settings=RetrySettings())


def test_a_fault_is_retried_twice_and_late_data_three_times() -> None:
    check, settings = step_named("check"), RetrySettings()
    for attempt in (1, 2):
        with pytest.raises(CommandFaultError):
            raise_for_exit_code(check, 1, attempt=attempt, settings=settings)
    with pytest.raises(AirflowFailException):
        raise_for_exit_code(check, 1, attempt=3, settings=settings)
    with pytest.raises(DataMayStillLandError):
        raise_for_exit_code(check, 3, attempt=3, settings=settings)
    with pytest.raises(AirflowFailException):
        raise_for_exit_code(check, 3, attempt=4, settings=settings)


def test_a_setting_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="SEGMENTATION_FAULT_RETRIES='often'"):
        RetrySettings.from_environment({"SEGMENTATION_FAULT_RETRIES": "often"})
    with pytest.raises(ValueError, match="SEGMENTATION_SOURCE_RETRY_MINUTES='-1'"):
        RetrySettings.from_environment({"SEGMENTATION_SOURCE_RETRY_MINUTES": "-1"})


def test_a_missing_command_says_what_to_put_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AirflowFailException, match="on PATH"):
        task_for("check", tmp_path).run_command(force=False, attempt=1)


def test_killing_a_task_ends_its_command(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    calls = fake_segmentation(
        f'trap \'touch "{tmp_path}/heard"; exit 143\' TERM\ntouch "{tmp_path}/started"\nsleep 60 & wait'
    )
    task, outcome = task_for("segment", tmp_path), []

    def run() -> None:
        try:
            task.run_command(force=False, attempt=1)
        except Exception as error:
            outcome.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(tmp_path / "started")
    task.on_kill()
    thread.join(timeout=20)
    assert calls.exists()
    assert not thread.is_alive()
    assert (tmp_path / "heard").exists()
    assert outcome == [CommandFaultError]


def test_ctrl_c_ends_the_command_too(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    fake_segmentation(f'trap \'touch "{tmp_path}/heard"; exit 143\' TERM\ntouch "{tmp_path}/started"\nsleep 60 & wait')
    script = (
        "from segmentation_job.airflow_step import SegmentationStep\n"
        f"task = SegmentationStep(step_name='segment', project_dir={str(tmp_path)!r}, as_of='2018-01-01')\n"
        "task.run_command(force=False, attempt=1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    runner = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "started")
    runner.send_signal(signal.SIGINT)
    assert runner.wait(timeout=30) != 0
    assert (tmp_path / "heard").exists()


def test_killing_a_task_whose_command_has_ended_is_harmless(fake_segmentation: FakeCommand, tmp_path: Path) -> None:
    fake_segmentation("exit 0")
    task = task_for("segment", tmp_path)
    task.on_kill()
    task.run_command(force=False, attempt=1)
    task.on_kill()
    assert task._process is not None
    assert task._process.sub_process is not None
    assert task._process.sub_process.returncode == 0
