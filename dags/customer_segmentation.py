"""The nightly run as an Airflow DAG: schedule, order and pool; the work is in `segmentation` commands."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, chain

from segmentation_job.airflow_step import SegmentationStep
from segmentation_job.steps import DAG_ID, PUBLISHING_STEP, STEPS

PROJECT_DIR = Path(__file__).resolve().parents[1]

DOC = """
Segments every customer for one **as-of date D**: everything that happened strictly before D 00:00.
One date at a time is written as a candidate, audited, promoted in one transaction and published as one
immutable file. A failure leaves the last good night served.

| when | which date |
|---|---|
| every night at 02:00 UTC | D is the date of the logical date: the run of the morning of D |
| a backfill | D is each date of the range, both ends included (write the end as `T23:59:59Z`) |
| by hand with a logical date | D is the date of that logical date |
| by hand without one, or by an asset | D is the UTC date at which the run was asked for (`run_after`) |

| step | what it does |
|---|---|
{steps}

**When a step fails.** `check` is tried again while data may still land. A failed gate (exit code 4) and a
wrong setting (5) are not: look at the task's log, which names the expectation, the rows and the first
keys. Anything else is tried again twice. What fails for good is told to the command of
`SEGMENTATION_ALERT_COMMAND`, if that is set. A date can be run as often as wanted, in any order; with the
parameter `force` it is computed again even where nothing has changed.
"""

published_segments = Asset(name="published_segments")

with DAG(
    dag_id=DAG_ID,
    description="Customers into segments, one as-of date a night",
    doc_md=DOC.format(steps="\n".join(f"| `{step.name}` | {step.purpose} |" for step in STEPS)),
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC"),
    # Only a lower bound: no source is older, and with catchup off nothing before today is scheduled.
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    # Keeps scheduled nights in order, but a backfill ignores it: what makes two runs at once safe is that
    # each date is a candidate until one transaction promotes it. The pool only prevents lock errors.
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"force": Param(False, type="boolean", description="Compute the date again even if nothing changed")},
    # A command that hangs would hold the pool's only slot for good.
    default_args={"execution_timeout": timedelta(hours=6)},
    tags=["segmentation"],
) as dag:
    chain(
        *(
            SegmentationStep(
                step_name=step.name,
                project_dir=str(PROJECT_DIR),
                doc_md=step.purpose,
                outlets=[published_segments] if step.name == PUBLISHING_STEP else None,
            )
            for step in STEPS
        )
    )
