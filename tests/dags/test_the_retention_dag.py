"""The retention as Airflow sees it: one task a week, in the writer's pool, off until somebody switches it on."""

import pytest
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization

from segmentation_job.airflow_step import SegmentationStep
from segmentation_job.old_logs import KEPT_RUN_LOG_DAYS
from segmentation_job.settings import Settings
from segmentation_job.steps import POOL, RETAIN, RETENTION_DAG_ID

from .conftest import ParseDag


@pytest.fixture
def dag(parse_dag: ParseDag) -> DAG:
    return parse_dag(RETENTION_DAG_ID)


def test_it_runs_every_sunday_at_five_and_is_off_until_switched_on(dag: DAG) -> None:
    assert dag.dag_id == RETENTION_DAG_ID
    assert dag.timetable == CronTriggerTimetable("0 5 * * SUN", timezone="UTC")
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is True


def test_its_one_task_takes_the_slot_of_the_writer_pool(dag: DAG) -> None:
    (task,) = dag.tasks
    assert isinstance(task, SegmentationStep)
    assert (task.task_id, task.pool, task.pool_slots) == (RETAIN.name, POOL, 1)
    assert (task.retries, task.execution_timeout is not None) == (2, True)


def test_it_survives_the_way_to_the_scheduler(dag: DAG) -> None:
    arrived = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert arrived.task_ids == [RETAIN.name]


def test_its_documentation_states_the_settings_defaults(dag: DAG) -> None:
    settings = Settings.from_environment({})
    assert dag.doc_md is not None
    assert f"`SEGMENTATION_KEPT_FEATURE_DAYS` ({settings.kept_feature_days}) days" in dag.doc_md
    assert f"`SEGMENTATION_KEPT_LOG_DAYS` ({settings.kept_log_days}) days" in dag.doc_md
    assert f"| the run log | {KEPT_RUN_LOG_DAYS} days |" in dag.doc_md
