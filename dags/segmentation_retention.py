"""The weekly retention as an Airflow DAG: one task, after the night of Sunday, that runs `segmentation retain`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from segmentation_job.airflow_step import SegmentationStep
from segmentation_job.steps import RETAIN, RETENTION_DAG_ID

PROJECT_DIR = Path(__file__).resolve().parents[1]

DOC = """
Lets go of what has been kept long enough. Every Sunday at 05:00 UTC, after the night's run.

| what | stays |
|---|---|
| features, labels, forecasts, insights of the first of a month | for good |
| those of any other date | `SEGMENTATION_KEPT_FEATURE_DAYS` (35) days before the newest date |
| segments' history, runs, alarms, registry | for good |
| a model's origins, sample and candidates | while a refit, a kept date or a date beside one uses it |
| log files of dbt and Airflow | `SEGMENTATION_KEPT_LOG_DAYS` (90) days |
| the run log | 400 days |

A date that went can be run again at any time: what it leans on is computed again, and its rows are the same.
`segmentation retain --dry-run` says beforehand what would go. Where a run is under way, which may read any date, the
warehouse is left alone until the next week.

**When it fails** nothing of the warehouse has gone: it is one transaction. Clear the task, or wait a week.
"""

with DAG(
    dag_id=RETENTION_DAG_ID,
    description="Old features, labels, forecasts, models and logs go, once a week",
    doc_md=DOC,
    schedule=CronTriggerTimetable("0 5 * * SUN", timezone="UTC"),
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    # A command that hangs would hold the pool's only slot for good.
    default_args={"execution_timeout": timedelta(hours=6)},
    tags=["segmentation"],
) as dag:
    SegmentationStep(step_name=RETAIN.name, project_dir=str(PROJECT_DIR), doc_md=RETAIN.purpose)
