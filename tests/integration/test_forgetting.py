"""A customer is forgotten: no trace is left, nobody else's rows change, nothing is stale, nothing brings them back."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Finished, Nights
from tests.support.renamed_customer import rename_customers, traces
from tests.support.rows import Rows, differences, schema_rows

FORGOTTEN = "forgotten-zxq"
CONTROL = "control-zxq"
# What runs write of themselves: numbers and hashes of the inputs, which are those of everybody.
OF_RUNS = {"runs", "run_inputs", "run_dates", "lineage", "lineage_dates", "dates", "feature_inputs", "forecast_models"}


def rows_of_others(nights: Nights) -> Rows:
    """Return every promoted row but those of the forgotten customer and those that tell of runs."""
    rows = schema_rows(nights.warehouse, "promoted", leave_out=OF_RUNS)
    return {name: [row for row in found if f"'{FORGOTTEN}'" not in row] for name, found in rows.items()}


def published_rows_of_others(nights: Nights) -> Rows:
    rows = schema_rows(nights.serving_link.resolve(), "main", leave_out={"run_log"})
    return {name: [row for row in found if f"'{FORGOTTEN}'" not in row] for name, found in rows.items()}


@pytest.fixture(scope="module")
def known(first_night: Nights, copy_nights: CopyNights, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A night after which two customers with all there is to have can be found by their ids."""
    key = tmp_path_factory.mktemp("key") / "forget.key"
    nights = copy_nights(first_night, "known", SEGMENTATION_FORGET_KEY_FILE=str(key))
    landing = nights.source_dir / "landing"
    with duckdb.connect() as connection:
        chosen = connection.execute(
            f"select distinct household_id from '{landing}/coupon_redemptions.parquet'"
            f" inner join '{landing}/demographics.parquet' using (household_id) order by household_id limit 2"
        ).fetchall()
    rename_customers(nights, {str(old): new for (old,), new in zip(chosen, (FORGOTTEN, CONTROL), strict=True)})
    nights.change(
        "insert into pipeline.gate_results select * replace ("
        f"""'["{CONTROL}", "{FORGOTTEN}"]' as first_keys, 'customer_id = {FORGOTTEN}, spend = 7' as observed)"""
        " from pipeline.gate_results limit 1",
        f"insert into pipeline.gate_results select * replace ('[\"{FORGOTTEN}\"]' as first_keys, null as observed)"
        " from pipeline.gate_results limit 1",
    )
    log = nights.data_dir / "airflow" / "logs" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"event": f"2 rows · first customers: {CONTROL}, {FORGOTTEN} · seen: 7"}) + "\n")
    return nights


@pytest.fixture(scope="module")
def before(known: Nights) -> tuple[Rows, Rows]:
    return rows_of_others(known), published_rows_of_others(known)


@pytest.fixture(scope="module")
def original_landing(known: Nights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("original") / "landing"
    shutil.copytree(known.source_dir / "landing", place)
    return place


@pytest.fixture(scope="module")
def forgetting(known: Nights, before: tuple[Rows, Rows], original_landing: Path) -> Finished:
    assert before[0]
    assert original_landing.is_dir()
    return known.command("forget", FORGOTTEN)


@pytest.fixture(scope="module")
def forgotten(known: Nights, forgetting: Finished) -> Nights:
    assert forgetting.exit_code == 0, forgetting.output
    return known


def test_no_file_holds_a_trace_of_the_forgotten_and_the_same_search_finds_another(forgotten: Nights) -> None:
    assert traces(forgotten.data_dir, FORGOTTEN) == []
    control = traces(forgotten.data_dir, CONTROL)
    where = "\n".join(control)
    for place in (
        "landing/transactions.parquet",
        "landing/coupon_redemptions.parquet",
        "landing/demographics.parquet",
        "warehouse.duckdb:staging.stg_orders",
        "warehouse.duckdb:intermediate.int_customer_days",
        "warehouse.duckdb:promoted.purchase_features",
        "warehouse.duckdb:promoted.labels",
        "warehouse.duckdb:promoted.label_history",
        "warehouse.duckdb:promoted.model_samples",
        "warehouse.duckdb:promoted.model_origins",
        "warehouse.duckdb:promoted.customer_forecasts",
        "warehouse.duckdb:marts.customer_360",
        "warehouse.duckdb:pipeline.gate_results",
        "duckdb:main.customer_segments",
        "duckdb:main.model_sample",
        "attempt=1.log:bytes",
    ):
        assert place in where, where


def test_forgetting_leaves_no_log_and_no_folder_of_its_own_behind(forgotten: Nights) -> None:
    names = {path.name for path in forgotten.source_dir.iterdir()}
    assert "warehouse.duckdb" in names
    assert not names & {"warehouse.duckdb.wal", ".forgetting"}


def test_the_served_file_is_another_one_without_them_and_the_old_is_gone(
    forgotten: Nights, before: tuple[Rows, Rows], first_night: Nights
) -> None:
    files = [path.name for path in forgotten.published_dir.glob("segments_*.duckdb")]
    assert files == [forgotten.serving_link.resolve().name]
    assert files != [first_night.serving_link.resolve().name]
    assert differences(published_rows_of_others(forgotten), before[1]) == {}


def test_the_report_is_drawn_anew_without_them_and_shown(forgotten: Nights, first_night: Nights) -> None:
    (report,) = forgotten.published_dir.glob("segments_*.html")
    assert report == forgotten.serving_link.resolve().with_suffix(".html")
    links = (forgotten.published_dir / "latest.html", forgotten.serving_link.with_name("report.html"))
    assert [link.resolve() for link in links] == [report, report]
    before = (first_night.published_dir / "latest.html").read_text()
    with duckdb.connect(str(forgotten.serving_link), read_only=True) as published:
        ((customers,),) = published.execute("select count(distinct customer_id) from customer_segments").fetchall()
    assert f">{customers:,}</data>" in report.read_text()
    assert f">{customers:,}</data>" not in before
    assert f">{customers + 1:,}</data>" in before


def test_nobody_elses_rows_change(forgotten: Nights, before: tuple[Rows, Rows]) -> None:
    assert differences(rows_of_others(forgotten), before[0]) == {}


def test_no_date_is_stale_by_it(forgotten: Nights) -> None:
    check = forgotten.step("check", FIRST_NIGHT)
    assert check.exit_code == 99, check.output


def test_without_the_key_no_run_begins(forgotten: Nights, tmp_path: Path) -> None:
    other = Nights(forgotten.data_dir, {**forgotten.settings, "SEGMENTATION_FORGET_KEY_FILE": str(tmp_path / "none")})
    check = other.step("check", FIRST_NIGHT)
    assert check.exit_code == 5
    assert "their key is not at" in check.output


def test_the_files_as_they_landed_and_a_forced_run_bring_nobody_back_and_change_nobody_else(
    forgotten: Nights, original_landing: Path, before: tuple[Rows, Rows], copy_nights: CopyNights
) -> None:
    again = copy_nights(forgotten, "again")
    for path in original_landing.iterdir():
        shutil.copy(path, again.source_dir / "landing" / path.name)
    assert traces(again.source_dir / "landing", FORGOTTEN)

    # As a forced run does, which `check` lets through.
    printed = again.run(FIRST_NIGHT, first="build_facts")

    assert "of 1 forgotten customer landed again and were removed" in printed["build_facts"].output
    assert traces(again.data_dir, FORGOTTEN) == []
    assert differences(rows_of_others(again), before[0]) == {}
    assert again.step("check", FIRST_NIGHT).exit_code == 99
