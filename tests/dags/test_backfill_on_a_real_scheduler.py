"""A backfill created through Airflow's API, run to its end by a real scheduler on this machine."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from segmentation_job.airflow_client import BackfillIsOpenError, DagRun
from segmentation_job.airflow_environment import AirflowError, airflow_environment
from segmentation_job.steps import DAG_ID, STEPS
from tests.support.airflow_deployment import AirflowDeployment, deployed_airflow
from tests.support.postgres_server import free_port
from tests.support.warm_processes import warm_processes

PROJECT_DIR = Path(__file__).resolve().parents[2]
DATES = (date(2017, 11, 30), date(2017, 12, 1), date(2017, 12, 2))
DEADLINE = 420.0


@pytest.fixture
def deployment(sliced_landing: Path, tmp_path: Path) -> Iterator[AirflowDeployment]:
    """A real Airflow over a copy of a data folder in which a slice of real data has landed."""
    data_dir = tmp_path / "data"
    shutil.copytree(sliced_landing, data_dir, symlinks=True)
    environment = airflow_environment(
        data_dir=data_dir, project_dir=PROJECT_DIR, inherited=os.environ, port=free_port()
    )
    # What fails here fails for good: the test shall say so at once.
    environment |= {"SEGMENTATION_SOURCE_RETRIES": "0", "SEGMENTATION_FAULT_RETRIES": "0"}
    environment |= {"SEGMENTATION_LENSES": "overall"}
    # The DAGs stay as they are: to parse them every half minute takes a tenth of what the three dates do.
    environment |= {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}
    # test_the_nightly_run shows a night of commands started by Airflow; here it is about the backfill.
    warm_processes().put_on_path(tmp_path / "bin")
    environment |= {"PATH": os.pathsep.join((str(tmp_path / "bin"), environment["PATH"]))}
    with deployed_airflow(environment) as deployed:
        yield deployed


def wait_for_runs(deployment: AirflowDeployment, count: int) -> list[DagRun]:
    """Return the backfill's runs once all have ended; fail as soon as one has failed."""
    until = time.monotonic() + DEADLINE
    while True:
        runs = deployment.client.dag_runs(DAG_ID, DATES[0], DATES[-1])
        failed = [run.run_id for run in runs if run.state == "failed"]
        if failed:
            pytest.fail(f"{failed[0]} failed:\n{deployment.task_logs(failed[0])}")
        if len(runs) == count and all(run.has_ended for run in runs):
            return runs
        if time.monotonic() > until:
            states = {run.run_id: run.state for run in runs}
            pytest.fail(f"the backfill did not end in {DEADLINE:.0f} s: {states}")
        ended = deployment.airflow.ended()
        if ended is not None:
            pytest.fail(f"{ended} ended:\n{deployment.airflow.log_tail(ended)}")
        time.sleep(1.0)


@pytest.mark.timeout(600)
def test_a_backfill_of_three_dates_ends_with_the_three_dates_in_the_history(deployment: AirflowDeployment) -> None:
    client = deployment.client
    with pytest.raises(AirflowError, match="is paused"):
        client.create_backfill(DAG_ID, DATES[0], DATES[-1])
    # Unpausing starts the latest scheduled run too: the slice ends years before it, so its check refuses.
    client.unpause(DAG_ID)
    # All at once: the DAG's own max_active_runs does not bind a backfill.
    backfill = client.create_backfill(DAG_ID, DATES[0], DATES[-1], max_active_runs=len(DATES))
    assert (backfill.first_date, backfill.last_date) == (DATES[0], DATES[-1])
    assert [opened.id for opened in client.open_backfills(DAG_ID)] == [backfill.id]
    with pytest.raises(BackfillIsOpenError):
        client.create_backfill(DAG_ID, DATES[0], DATES[0])

    runs = wait_for_runs(deployment, count=len(DATES))

    assert [(run.as_of, run.run_type) for run in runs] == [(day, "backfill") for day in DATES]
    for run in runs:
        assert client.task_states(DAG_ID, run.run_id) == {step.name: "success" for step in STEPS}
    assert client.dag_run_state(DAG_ID, DATES[0]) == "success"

    with duckdb.connect(str(deployment.data_dir / "serving" / "segments.duckdb"), read_only=True) as published:
        recorded = published.execute("select distinct as_of_date from segmentation_runs order by as_of_date").fetchall()
        assert [row[0] for row in recorded] == list(DATES)
        for day in DATES:
            customers = published.execute(
                "select count(*), count(distinct (lens, customer_id)) from customer_segment_history "
                "where valid_from <= $day and (valid_to is null or valid_to > $day)",
                {"day": day},
            ).fetchone()
            assert customers is not None
            rows, distinct_customers = customers
            assert rows == distinct_customers > 0

        assert_dates_are_laid_out(published)
        assert_segments_survive_the_refit(published)


def assert_dates_are_laid_out(published: duckdb.DuckDBPyConnection) -> None:
    """Each date has its labels, one a customer, as many as its run counted; the last one is the current date."""
    counted = published.execute(
        "select runs.as_of_date, runs.customers, count(daily.customer_id), count(distinct daily.customer_id),"
        " runs.stale_reason from segmentation_runs as runs left join customer_segments_daily as daily"
        " using (as_of_date, lens) where lens = 'overall' group by all order by 1"
    ).fetchall()
    assert [row[0] for row in counted] == list(DATES)
    for _, customers, labels, labelled, _ in counted:
        assert customers == labels == labelled > 200
    assert [reason for *_, reason in counted] == [None] * len(DATES)
    changed = published.execute("select distinct valid_from from customer_segment_history order by 1").fetchall()
    assert DATES[0] in {day for (day,) in changed} <= set(DATES)
    assert published.execute("select distinct as_of_date from customer_segments").fetchall() == [(DATES[-1],)]


def assert_segments_survive_the_refit(published: duckdb.DuckDBPyConnection) -> None:
    """What is plainly one segment on both sides of the refit has one id and one name."""
    models = published.execute("select as_of_date, model_version from segmentation_runs order by 1").fetchall()
    assert len({version for _, version in models}) == 2
    assert models[1][1] == models[2][1]
    overlaps = published.execute(
        """
        with before as (select * from customer_segments_daily where lens = 'overall' and as_of_date = $before),
        after as (select * from customer_segments_daily where lens = 'overall' and as_of_date = $after),
        sizes_before as (select segment_id, count(*) as customers from before group by all),
        sizes_after as (select segment_id, count(*) as customers from after group by all)
        select
            before.segment_id, after.segment_id, before.segment_name = after.segment_name,
            count(*) / (any_value(sizes_before.customers) + any_value(sizes_after.customers) - count(*)) as overlap
        from before
        inner join after using (customer_id)
        inner join sizes_before on before.segment_id = sizes_before.segment_id
        inner join sizes_after on after.segment_id = sizes_after.segment_id
        group by all
        """,
        {"before": DATES[0], "after": DATES[1]},
    ).fetchall()
    # More than half of both: no other segment can lie as near to either.
    plain = [(old, new, same_name) for old, new, same_name, overlap in overlaps if overlap > 0.5]
    assert len(plain) >= 2
    assert [(old, new) for old, new, same_name in plain if old != new or not same_name] == []
