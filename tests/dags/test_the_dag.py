"""The DAG as Airflow sees it: order, schedule, pool, dates, retries, and what parsing it costs."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset, CronTriggerTimetable, TriggerRule
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction
from airflow.serialization.serialized_objects import DagSerialization

from segmentation_job.airflow_step import CommandFaultError, DataMayStillLandError, SegmentationStep
from segmentation_job.steps import POOL, STEPS

from .conftest import PROJECT_DIR, ParseDag

HEAVY = ("dbt", "duckdb", "great_expectations", "numpy", "pandas", "pyarrow", "scipy", "sklearn")


@pytest.fixture
def dag(parse_dag: ParseDag) -> DAG:
    return parse_dag()


def step_tasks(dag: DAG) -> list[SegmentationStep]:
    tasks = [dag.get_task(step.name) for step in STEPS]
    return [task for task in tasks if isinstance(task, SegmentationStep)]


def test_the_tasks_are_the_steps_one_after_the_other(dag: DAG) -> None:
    names = [step.name for step in STEPS]
    assert sorted(dag.task_ids) == sorted(names)
    for before, after in pairwise(names):
        assert dag.get_task(before).downstream_task_ids == {after}
    assert dag.get_task(names[0]).upstream_task_ids == set()


def test_it_runs_at_two_every_night_and_never_catches_up_by_itself(dag: DAG) -> None:
    assert isinstance(dag.timetable, CronTriggerTimetable)
    assert dag.timetable == CronTriggerTimetable("0 2 * * *", timezone="UTC")
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is True


def test_every_task_takes_the_one_slot_of_the_writer_pool(dag: DAG) -> None:
    assert {(task.pool, task.pool_slots) for task in dag.tasks} == {(POOL, 1)}


def test_a_date_under_way_goes_before_one_that_has_not_begun(dag: DAG) -> None:
    arrived = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    weights = [arrived.task_dict[step.name].weight_rule for step in STEPS]
    assert {type(weight).__name__ for weight in weights} == {"_UpstreamPriorityWeightStrategy"}


def test_a_skipped_or_failed_step_stops_what_follows(dag: DAG) -> None:
    assert {task.trigger_rule for task in dag.tasks} == {TriggerRule.ALL_SUCCESS}


def test_only_the_last_step_tells_readers_that_segments_are_published(dag: DAG) -> None:
    outlets = {task.task_id: task.outlets for task in dag.tasks if task.outlets}
    assert outlets == {"publish": [Asset(name="published_segments")]}


def test_the_documentation_lists_every_step_with_its_purpose(dag: DAG) -> None:
    assert dag.doc_md is not None
    for step in STEPS:
        assert f"| `{step.name}` | {step.purpose} |" in dag.doc_md


@pytest.mark.parametrize(
    ("logical_date", "run_after", "as_of"),
    [
        (datetime(2018, 1, 1, 2, tzinfo=UTC), datetime(2026, 5, 4, 9, tzinfo=UTC), "2018-01-01"),
        (None, datetime(2026, 5, 4, 9, tzinfo=UTC), "2026-05-04"),
    ],
    ids=["a run with a logical date is for that date", "a run without one is for the day it was asked for"],
)
def test_the_as_of_date_follows_the_stated_rule(
    dag: DAG, logical_date: datetime | None, run_after: datetime, as_of: str
) -> None:
    run = SimpleNamespace(logical_date=logical_date, run_after=run_after)
    for task in step_tasks(dag):
        rendered = dag.get_template_env().from_string(task.as_of).render(dag_run=run)
        assert rendered == as_of


def test_only_the_check_waits_for_data_to_land(dag: DAG) -> None:
    for step, task in zip(STEPS, step_tasks(dag), strict=True):
        if step.name == "check":
            assert task.retries == 3
            assert isinstance(task.retry_policy, ExceptionRetryPolicy)
            late = task.retry_policy.evaluate(DataMayStillLandError("x"), try_number=1, max_tries=3)
            assert late.retry_delay == timedelta(minutes=10)
            broken = task.retry_policy.evaluate(CommandFaultError("x"), try_number=1, max_tries=3)
            assert (broken.action, broken.retry_delay) == (RetryAction.DEFAULT, None)
        else:
            assert task.retries == 2
            assert task.retry_policy is None
        assert task.retry_delay == timedelta(minutes=2)


def test_retries_are_a_setting(parse_dag: ParseDag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENTATION_SOURCE_RETRIES", "6")
    monkeypatch.setenv("SEGMENTATION_FAULT_RETRIES", "0")
    monkeypatch.setenv("SEGMENTATION_FAULT_RETRY_MINUTES", "0.5")
    tasks = step_tasks(parse_dag())
    assert [task.retries for task in tasks] == [6, *[0] * (len(STEPS) - 1)]
    assert {task.retry_delay for task in tasks} == {timedelta(seconds=30)}


def test_a_hanging_command_cannot_hold_the_pool_for_good(dag: DAG) -> None:
    assert all(task.execution_timeout == timedelta(hours=6) for task in dag.tasks)


def test_the_dag_survives_the_way_to_the_scheduler(dag: DAG) -> None:
    arrived = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert sorted(arrived.task_ids) == sorted(step.name for step in STEPS)
    assert arrived.task_dict["check"].retries == 3


def test_parsing_the_dag_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, time, airflow.sdk\n"
        "started = time.process_time()\n"
        "import runpy\n"
        f"runpy.run_path({str(PROJECT_DIR / 'dags' / 'customer_segmentation.py')!r})\n"
        "print(time.process_time() - started)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT_DIR)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    seconds, heavy = finished.stdout.splitlines()[-2:]
    assert heavy == ""
    assert float(seconds) < 10
