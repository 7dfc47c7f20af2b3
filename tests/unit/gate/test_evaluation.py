import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from segmentation_job.errors import WarehouseLockedError
from segmentation_job.gate import ExpectationOutcome, evaluate_gate, evaluation, gate_failed
from segmentation_job.gate.duckdb_store import DuckDBStore
from segmentation_job.gate.outcomes import Subject
from segmentation_job.gate.row_counts import CountingStatement
from tests.unit.gate.conftest import Warehouse
from tests.unit.gate.gate_warehouse import AS_OF, LENSES, PREVIOUS, SHOPPER

EXPECTATIONS = Path(__file__).parents[3] / "expectations"


def store(path: Path) -> DuckDBStore:
    return DuckDBStore(path, threads=2, memory_limit="1GB")


def evaluate(path: Path, subject: Subject = "labels", batch_date: date = AS_OF) -> list[ExpectationOutcome]:
    return evaluate_gate(store(path), EXPECTATIONS, subject, AS_OF, [batch_date])


def loud(outcomes: list[ExpectationOutcome]) -> list[ExpectationOutcome]:
    return [o for o in outcomes if o.outcome not in ("passed", "not_applicable")]


def test_the_file_is_free_for_a_writer_of_another_process_when_the_gate_returns(warehouse: Warehouse) -> None:
    path = warehouse()
    evaluate(path)
    write = f"import duckdb; duckdb.connect({str(path)!r}).execute('create table written as select 1')"
    subprocess.run([sys.executable, "-c", write], check=True, capture_output=True, timeout=60)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select count(*) from written").fetchone() == (1,)


def test_the_file_is_free_for_a_writer_of_this_process_also_after_a_failed_gate(warehouse: Warehouse) -> None:
    path = warehouse("update candidate.labels set confidence = 2")
    assert gate_failed(evaluate(path))
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table written as select 1")


def test_the_gate_leaves_the_file_byte_for_byte_as_it_was(warehouse: Warehouse) -> None:
    path = warehouse()
    before = path.read_bytes()
    evaluate(path)
    assert path.read_bytes() == before


def test_a_locked_file_is_said_to_be_open_in_another_process(warehouse: Warehouse, tmp_path: Path) -> None:
    path = warehouse()
    ready = tmp_path / "ready"
    hold = (
        f"import duckdb, pathlib, time; c = duckdb.connect({str(path)!r});"
        f" pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold]) as writer:
        try:
            while not ready.exists():
                assert writer.poll() is None
            with pytest.raises(WarehouseLockedError, match="open in another process"):
                evaluate(path)
        finally:
            writer.kill()


def test_a_failure_counts_its_rows_and_names_the_first_five_customers_in_order(warehouse: Warehouse) -> None:
    path = warehouse("update candidate.labels set confidence = 2 where lens = 'overall'")
    (failure,) = loud(evaluate(path))
    assert failure.unexpected_count == 60
    assert json.loads(failure.first_keys or "") == ["c001", "c002", "c003", "c004", "c005"]
    assert failure.column_name == "confidence"
    assert failure.observed is not None
    assert "confidence = 2.0" in failure.observed


def test_a_failure_of_custom_sql_names_its_customers_too(warehouse: Warehouse) -> None:
    path = warehouse(f"update candidate.labels set distance = 'inf' where customer_id = '{SHOPPER}'")
    (failure,) = loud(evaluate(path))
    assert (failure.unexpected_count, failure.first_keys) == (2, json.dumps([SHOPPER, SHOPPER]))


def test_a_missing_candidate_table_is_an_error_of_each_expectation_of_its_suite(warehouse: Warehouse) -> None:
    outcomes = evaluate(warehouse("drop table candidate.labels"))
    assert {(o.outcome, o.observed) for o in outcomes} == {("error", "table candidate.labels does not exist")}
    assert gate_failed(outcomes)


def test_a_missing_column_is_an_error_and_not_a_failure(warehouse: Warehouse) -> None:
    outcomes = evaluate(warehouse("alter table candidate.labels drop column is_outlier"))
    (error,) = loud(outcomes)
    assert (error.outcome, error.column_name) == ("error", "is_outlier")
    assert gate_failed(outcomes)


def test_a_missing_fact_table_is_an_error_of_what_reads_it(warehouse: Warehouse) -> None:
    outcomes = evaluate(warehouse("drop table intermediate.int_customer_first_seen"))
    assert {o.outcome for o in loud(outcomes)} == {"error"}
    assert any("customers_in_scope" in (o.observed or "") for o in outcomes)


def test_an_empty_batch_fails_once_and_passes_nothing(warehouse: Warehouse) -> None:
    outcomes = evaluate(warehouse("delete from candidate.labels"))
    assert [o.outcome for o in outcomes].count("failed") == 1
    assert {o.observed for o in outcomes if o.outcome == "not_applicable"} == {"the batch holds no rows"}
    assert not any(o.outcome == "passed" for o in outcomes)


def test_rows_of_another_date_do_not_fill_an_empty_batch(warehouse: Warehouse) -> None:
    assert gate_failed(evaluate(warehouse(), batch_date=AS_OF + timedelta(days=1)))


def test_an_all_null_column_is_not_applicable_and_never_passes(warehouse: Warehouse) -> None:
    path = warehouse(
        "update candidate.demographic_features set income_amount = null, age_years = null",
        "update promoted.demographic_features set age_years = null",
    )
    null = [o for o in evaluate(path, "features") if o.column_name in ("income_amount", "age_years")]
    assert len(null) == 4
    assert {o.outcome for o in null} == {"not_applicable"}


@pytest.mark.parametrize(
    "statement",
    [
        "delete from promoted.dates",
        "drop table promoted.dates",
        "delete from promoted.labels",
        "drop table promoted.labels",
        "update promoted.dates set as_of_date = date '2018-01-01'",
    ],
)
def test_without_an_earlier_promoted_date_comparisons_are_recorded_as_not_applicable(
    warehouse: Warehouse, statement: str
) -> None:
    outcomes = evaluate(warehouse(statement))
    reasons = [o.observed for o in outcomes if o.outcome == "not_applicable"]
    assert reasons == ["there is no earlier promoted date to compare with"] * 3
    assert loud(outcomes) == []


def test_the_batch_is_compared_with_the_latest_promoted_date_before_it_that_still_has_rows(
    warehouse: Warehouse,
) -> None:
    pruned, later = PREVIOUS + timedelta(days=9), AS_OF + timedelta(days=9)
    path = warehouse(
        f"insert into promoted.dates values (date '{pruned}', true, ''), (date '{later}', true, '')",
        f"insert into promoted.labels select * replace (date '{later}' as as_of_date, 'other' as segment_key)"
        " from promoted.labels",
    )
    assert {o.outcome for o in evaluate(path)} == {"passed"}


def test_a_window_is_not_compared_with_a_date_whose_history_was_shorter(warehouse: Warehouse) -> None:
    path = warehouse(
        "update promoted.dates set as_of_date = date '2017-03-01'",
        "update promoted.financial_features set as_of_date = date '2017-03-01', spend_amount_90d = 0",
    )
    outcomes = [o for o in evaluate(path, "features") if o.column_name == "spend_amount_90d"]
    skipped = [o.observed for o in outcomes if o.outcome == "not_applicable"]
    assert skipped == ["the previous promoted date 2017-03-01 has 58 days of history, 90 are needed"] * 2
    assert not any(o.outcome in ("failed", "warned") for o in outcomes)


def test_a_population_that_more_than_doubles_fails(warehouse: Warehouse) -> None:
    outcomes = evaluate(warehouse("delete from promoted.labels where customer_id > 'c025'"))
    (failure,) = loud(outcomes)
    assert failure.unexpected_count == len(LENSES)
    assert "customers_now = 60, customers_before = 25" in (failure.observed or "")


def test_more_than_twelve_segments_fail(warehouse: Warehouse) -> None:
    path = warehouse(
        "update candidate.labels set cluster = cast(substr(customer_id, 2) as integer) % 13,"
        " segment_key = 's' || cast(substr(customer_id, 2) as integer) % 13",
        "delete from promoted.labels",
    )
    assert {(o.description, o.unexpected_count) for o in loud(evaluate(path))} == {
        ("A lens has between 2 and 12 segments", 2)
    }


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("financial_features", "discount_share"),
        ("financial_features", "spend_volatility"),
        ("financial_features", "spend_trend_90d"),
        ("purchase_features", "items_per_order"),
        ("purchase_features", "favourite_category_share"),
        ("purchase_features", "private_label_share"),
        ("purchase_features", "discounted_line_share"),
        ("purchase_features", "interpurchase_days_mean"),
        ("purchase_features", "interpurchase_days_cv"),
        ("purchase_features", "weekend_order_share"),
        ("engagement_features", "active_window_share"),
        ("engagement_features", "campaign_response_rate"),
    ],
)
def test_the_finiteness_rule_of_a_suite_reads_every_double_column(table: str, column: str) -> None:
    rules = [
        expectation["kwargs"]["unexpected_rows_query"]
        for expectation in json.loads((EXPECTATIONS / f"{table}.json").read_text())["expectations"]
        if expectation["description"] == "No number is infinite or NaN"
    ]
    assert len(rules) == 1
    assert f"not isfinite({column})" in rules[0]


def test_outcomes_come_by_date_then_suite_and_carry_the_date_of_the_run(warehouse: Warehouse) -> None:
    path = warehouse()
    dates = [AS_OF, AS_OF + timedelta(days=1)]
    outcomes = evaluate_gate(store(path), EXPECTATIONS, "labels", AS_OF, dates)
    assert [o.batch_date for o in outcomes] == sorted(o.batch_date for o in outcomes)
    assert {o.batch_date for o in outcomes} == set(dates)
    assert {(o.as_of_date, o.subject) for o in outcomes} == {(AS_OF, "labels")}


def test_dates_judged_together_get_the_outcomes_of_each_judged_alone(warehouse: Warehouse) -> None:
    later = AS_OF + timedelta(days=30)
    path = warehouse(
        f"insert into candidate.labels select * replace (date '{later}' as as_of_date, 2 as confidence)"
        f" from candidate.labels where customer_id <> '{SHOPPER}'",
    )
    alone = {day: evaluate(path, batch_date=day) for day in (AS_OF, later)}
    assert loud(alone[AS_OF]) == []
    assert len(loud(alone[later])) > 1
    for dates in ([AS_OF, later], [later, AS_OF]):
        together = evaluate_gate(store(path), EXPECTATIONS, "labels", AS_OF, dates)
        assert together == [outcome for day in dates for outcome in alone[day]]


def test_a_gate_over_no_date_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="at least one batch date"):
        evaluate_gate(store(warehouse()), EXPECTATIONS, "features", AS_OF, [])


def test_importing_the_gate_does_not_import_great_expectations() -> None:
    code = "import sys, segmentation_job.gate; sys.exit('great_expectations' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=EXPECTATIONS.parent, timeout=60)


def test_a_gate_on_duckdb_loads_nothing_of_spark_although_it_is_installed(warehouse: Warehouse) -> None:
    code = (
        "import sys\n"
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from segmentation_job.gate import evaluate_gate\n"
        "from segmentation_job.gate.duckdb_store import DuckDBStore\n"
        f"store = DuckDBStore(Path({str(warehouse())!r}), threads=1, memory_limit='1GB')\n"
        f"evaluate_gate(store, Path({str(EXPECTATIONS)!r}), 'labels', date({AS_OF:%Y, %-m, %-d}), [date(2018, 1, 1)])\n"
        "print(*[name for name in sys.modules if name.partition('.')[0] in ('pyspark', 'grpc')])\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=EXPECTATIONS.parent, timeout=60, capture_output=True, text=True
    )
    assert finished.stdout.split() == []


def test_rows_that_were_counted_together_are_not_counted_again(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def sevens(queries: Iterable[str]) -> list[CountingStatement]:
        asked.extend(queries)
        return [CountingStatement(f"select {', '.join('7' for _ in asked)}", tuple(asked))]

    monkeypatch.setattr(evaluation, "counting_statements", sevens)
    outcomes = evaluate(warehouse())
    assert len(asked) == len([o for o in outcomes if o.unexpected_count == 7]) > 10


def test_great_expectations_comes_without_what_no_suite_uses_until_it_is_asked_for() -> None:
    code = (
        "import sys\n"
        "from segmentation_job.gate import evaluation\n"
        "evaluation._prepare_great_expectations()\n"
        "import great_expectations\n"
        "asked = ('scipy.stats._distn_infrastructure', 'great_expectations.core')\n"
        "loaded = [name for name in asked if name in sys.modules]\n"
        "from scipy import stats\n"
        "print(*loaded, stats.norm.cdf(0))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=EXPECTATIONS.parent, timeout=60, capture_output=True, text=True
    )
    assert finished.stdout.split() == ["great_expectations.core", "0.5"]
