"""What is promised of either engine, on a real Spark cluster: one for all tests of this file."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from segmentation_job.errors import MisconfiguredError, WarehouseLockedError
from segmentation_job.gate import evaluate_gate
from segmentation_job.gate.duckdb_store import DuckDBStore
from segmentation_job.gate.spark_store import SparkStore
from segmentation_job.settings import Settings
from segmentation_job.spark_cluster import RunningCluster
from segmentation_job.steps import ExitCode
from segmentation_job.warehouse import open_warehouse
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.spark_engine import SparkWarehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES
from tests.support.every_family import AS_OF as AS_OF_SHOP
from tests.support.every_family import night_of_every_family
from tests.support.gate_on_spark import broken_warehouse, copy_to_spark, write_telling_suites
from tests.support.nights import Nights
from tests.support.published_comparison import compare_published
from tests.support.spark import settings_on, small_cluster
from tests.unit.gate.gate_warehouse import AS_OF

# Minutes of Spark: `make test-spark` has them all.
slow = pytest.mark.skipif(os.environ.get("SPARK_TESTS") != "all", reason="slow: make test-spark runs it")

DAY = date(2018, 1, 1)
NEXT = date(2018, 1, 2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with small_cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="module")
def on_spark(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a source that no test runs a night of: its tables are the engine's own."""
    return settings_on(cluster, tmp_path_factory.mktemp("engine"), SOURCE="example_csv")


@pytest.fixture(scope="module")
def on_duckdb(on_spark: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return replace(on_spark, target="duckdb", data_dir=tmp_path_factory.mktemp("duckdb"))


def labels(day: date, lens: str, segments: dict[str, str]) -> pa.Table:
    """Labels of a date in a lens: the segment of each customer, with values that engines write differently."""
    n = len(segments)
    return pa.table(
        {
            "as_of_date": pa.array([day] * n, pa.date32()),
            "lens": [lens] * n,
            "customer_id": list(segments),
            "model_version": ["0a1b"] * n,
            "cluster": pa.array(range(n), pa.int32()),
            "segment_key": list(segments.values()),
            "confidence": [1 / (number + 3) for number in range(n)],
            "is_outlier": [number % 2 == 1 for number in range(n)],
            "distance": [1e-7 * 3**number for number in range(n)],
        }
    )


def fill(warehouse: Warehouse) -> None:
    """What a run does with large and small tables: candidates, promotion, history, in transactions."""
    with warehouse.transaction():
        for table in ("candidate.labels", "promoted.labels", "candidate.model_origins", "promoted.model_origins"):
            warehouse.delete(table, {"as_of_date": DAY} if table.endswith("labels") else {"model_version": "0a1b"})
        warehouse.delete("promoted.label_history", {"lens": "overall"})
        warehouse.rows("delete from promoted.dates")
    with warehouse.transaction():
        warehouse.append("candidate.labels", labels(DAY, "overall", {"é": "a", "b'c": "b", "💛": "a", "d|e": "b"}))
        warehouse.append("candidate.labels", labels(DAY, "purchase", {"é": "x", "f": "y"}))
        warehouse.append(
            "candidate.model_origins",
            pa.table(
                {
                    "run_date": pa.array([DAY] * 2, pa.date32()),
                    "model_version": ["0a1b"] * 2,
                    "customer_id": ["é", "f"],
                    "cluster": pa.array([1, 0], pa.int32()),
                }
            ),
        )
    with warehouse.transaction():
        for lens in ("overall", "purchase"):
            warehouse.move_rows("candidate.labels", "promoted.labels", {"as_of_date": DAY, "lens": lens})
        key = {"run_date": DAY, "model_version": "0a1b"}
        warehouse.copy_rows("candidate.model_origins", "promoted.model_origins", key)
        # What a transaction has changed, it reads.
        assert warehouse.rows("select count(*) from promoted.labels where as_of_date = ?", (DAY,)) == [(6,)]
        warehouse.create_temporary(
            "first_history",
            "select lens, customer_id, as_of_date as valid_from, cast(null as date) as valid_to, segment_key,"
            " 'new' as change_cause from promoted.labels where as_of_date = $1 and lens = $2",
            (DAY, "overall"),
        )
        warehouse.replace_rows(
            "promoted.label_history", {"lens": "overall"}, ("valid_from >= $1", (DAY,)), "first_history"
        )
        warehouse.create_temporary("moved", pa.table({"customer_id": ["é"], "segment_key": ["b"]}))
        warehouse.create_temporary(
            "second_history",
            "select lens, history.customer_id, valid_from, cast($1 as date) as valid_to, history.segment_key,"
            " change_cause from promoted.label_history as history inner join moved"
            " on history.customer_id = moved.customer_id union all"
            " select 'overall', customer_id, cast($1 as date), cast(null as date), segment_key, 'both' from moved",
            (NEXT,),
        )
        warehouse.replace_rows(
            "promoted.label_history", {"lens": "overall"}, ("customer_id = $1", ("é",)), "second_history"
        )
        warehouse.drop_temporary("first_history", "moved", "second_history")
        warehouse.rows("insert into promoted.dates values (?, true, 'content')", (DAY,))


READ = {
    "labels": "select lens, customer_id, model_version, cluster, segment_key, confidence, is_outlier, distance,"
    " as_of_date from promoted.labels order by lens, customer_id",
    "origins": "select model_version, customer_id, cluster from promoted.model_origins order by customer_id",
    "history": "select lens, customer_id, valid_from, valid_to, segment_key, change_cause"
    " from promoted.label_history order by customer_id, valid_from",
    "dates": "select as_of_date, has_labels, content_hash from promoted.dates",
    "both kinds": "select labels.customer_id, dates.content_hash from promoted.labels as labels inner join"
    " promoted.dates as dates on labels.as_of_date = dates.as_of_date order by labels.lens, labels.customer_id",
}


def test_both_engines_hold_the_same_rows_after_the_same_changes(on_spark: Settings, on_duckdb: Settings) -> None:
    found: dict[str, dict[str, list[tuple]]] = {}
    for settings in (on_duckdb, on_spark):
        with open_warehouse(settings) as warehouse:
            fill(warehouse)
        with open_warehouse(settings) as warehouse:
            rows: dict[str, list[tuple]] = {name: warehouse.rows(sql) for name, sql in READ.items()}
            rows["hash of labels"] = [(warehouse.content_hash("promoted.labels", {"as_of_date": DAY}),)]
            rows["hash of dates"] = [(warehouse.content_hash("promoted.dates", {}),)]
            rows["sizes"] = [
                (batch.num_rows,) for batch in warehouse.batches("select customer_id from promoted.labels", (), 4)
            ]
            found[settings.target] = rows
    assert found["spark"].keys() == found["duckdb"].keys()
    for name, expected in found["duckdb"].items():
        assert expected, name
        assert sorted(found["spark"][name], key=repr) == sorted(expected, key=repr), name


def test_a_transaction_that_fails_changes_nothing(on_spark: Settings) -> None:
    with open_warehouse(on_spark) as warehouse:
        fill(warehouse)
        before = {name: warehouse.rows(sql) for name, sql in READ.items()}
        with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - all of it is what fails
            warehouse.delete("promoted.labels", {"as_of_date": DAY})
            warehouse.rows("delete from promoted.dates")
            assert warehouse.rows(READ["labels"]) == warehouse.rows(READ["dates"]) == []
            raise KeyError
        assert {name: warehouse.rows(sql) for name, sql in READ.items()} == before
    with open_warehouse(on_spark) as warehouse:
        assert {name: warehouse.rows(sql) for name, sql in READ.items()} == before


@pytest.mark.parametrize(
    "how_far",
    [
        pytest.param("nothing is in place", marks=slow),
        "the large tables are",
        pytest.param("all is", marks=slow),
    ],
)
def test_what_was_decided_is_put_in_place_by_the_next_that_opens(
    on_spark: Settings, monkeypatch: pytest.MonkeyPatch, how_far: str
) -> None:
    with open_warehouse(on_spark) as warehouse:
        fill(warehouse)

    class KilledError(Exception):
        pass

    put: Callable[[SparkWarehouse], None] = SparkWarehouse._put_in_place
    with monkeypatch.context() as patched:

        def stopped(warehouse: SparkWarehouse) -> None:
            if how_far == "nothing is in place":
                raise KilledError
            part = "put_small_in_place" if how_far == "the large tables are" else "clear"
            patched.setattr(warehouse._staged, part, lambda: (_ for _ in ()).throw(KilledError))
            put(warehouse)

        patched.setattr(SparkWarehouse, "_put_in_place", stopped)
        with pytest.raises(KilledError), open_warehouse(on_spark) as warehouse, warehouse.transaction():  # noqa: PT012
            warehouse.delete("promoted.labels", {"as_of_date": DAY, "lens": "overall"})
            warehouse.append("promoted.labels", labels(DAY, "overall", {"g": "a"}))
            warehouse.rows("insert into promoted.dates values (?, false, 'other')", (NEXT,))
    with open_warehouse(on_spark) as warehouse:
        found = warehouse.rows("select lens, customer_id from promoted.labels order by lens, customer_id")
        assert found == [("overall", "g"), ("purchase", "f"), ("purchase", "é")]
        assert warehouse.rows("select as_of_date from promoted.dates order by 1") == [(DAY,), (NEXT,)]
    assert not (on_spark.spark_warehouse / "_changes" / on_spark.source).exists()


def test_a_second_writer_is_told_who_holds_the_tables(on_spark: Settings) -> None:
    with open_warehouse(on_spark), pytest.raises(WarehouseLockedError, match=r"spark\.lock is open in another process"):
        open_warehouse(on_spark)


def test_where_no_spark_answers_the_remedy_is_said(on_spark: Settings, tmp_path: Path) -> None:
    elsewhere = replace(on_spark, spark_connect="sc://127.0.0.1:1", spark_warehouse=tmp_path, data_dir=tmp_path)
    with pytest.raises(MisconfiguredError, match="make spark-cluster"):
        open_warehouse(elsewhere)


@pytest.fixture(scope="module")
def broken(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[DuckDBStore, SparkStore]:
    """A warehouse with damage of every kind on both engines."""
    path = broken_warehouse(tmp_path_factory.mktemp("broken") / "warehouse.duckdb")
    copy_to_spark(path, cluster.connect, "broken")
    return DuckDBStore(path, threads=1, memory_limit="1GB"), SparkStore(cluster.connect, "broken")


@slow
def test_the_gate_says_the_same_of_each_expectation_on_both_engines(
    broken: tuple[DuckDBStore, SparkStore], on_spark: Settings, tmp_path: Path
) -> None:
    suites = write_telling_suites(on_spark.expectations_dir, tmp_path / "expectations")
    # An error carries the engine's own words.
    of_duckdb, of_spark = (
        [
            replace(outcome, observed=None) if outcome.outcome == "error" else outcome
            for outcome in evaluate_gate(store, suites, "features", AS_OF, [AS_OF])
        ]
        for store in broken
    )
    for expected, found in zip(of_duckdb, of_spark, strict=True):
        assert found == expected
    seen = {outcome.outcome for outcome in of_spark}
    assert seen == {"passed", "failed", "warned", "not_applicable", "error"}


def test_a_source_without_tables_on_spark_fails_its_gate(on_spark: Settings) -> None:
    nothing_there = SparkStore(on_spark.spark_connect, "no_such_source")
    outcomes = evaluate_gate(nothing_there, on_spark.expectations_dir, "labels", AS_OF, [AS_OF])
    assert {(each.outcome, each.observed) for each in outcomes} == {
        ("error", "table candidate.labels does not exist"),
    }


@pytest.fixture(scope="module")
def night_on_spark(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A data folder with the landing of the night of every family, its warehouse on Spark."""
    expected = night_of_every_family(tmp_path_factory)
    place = tmp_path_factory.mktemp("night") / "data"
    shutil.copytree(expected.source_dir / "landing", place / expected.source_dir.name / "landing")
    return Nights(place, {**expected.settings, **cluster.environment})


@slow
@pytest.mark.timeout(1200)
def test_features_and_labels_made_on_spark_are_those_of_duckdb(
    night_on_spark: Nights, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = night_of_every_family(tmp_path_factory)
    for step in ("check", "build_facts", "build_features", "segment"):
        finished = night_on_spark.step(step, AS_OF_SHOP)
        assert finished.exit_code == 0, finished.output
    tables = (*FEATURE_TABLES, "feature_inputs", "labels", "runs", "run_inputs", "run_dates")
    found = {}
    for nights, schema in ((expected, "promoted"), (night_on_spark, "candidate")):
        settings = Settings.from_environment(nights.environment)
        with open_warehouse(settings) as warehouse:
            found[settings.target] = {
                table: warehouse.content_hash(f"{schema}.{table}", {"as_of_date": AS_OF_SHOP}) for table in tables
            }
    assert all(content.split(":")[0] != "0" for content in found["duckdb"].values())
    assert found["spark"] == found["duckdb"]


@slow
@pytest.mark.timeout(1800)
def test_a_night_on_spark_publishes_the_rows_of_duckdb(
    night_on_spark: Nights, tmp_path_factory: pytest.TempPathFactory
) -> None:
    night_on_spark.run(AS_OF_SHOP)
    expected = night_of_every_family(tmp_path_factory)
    assert compare_published(expected.serving_link, night_on_spark.serving_link) == []
    # Nothing is left to do, as on DuckDB.
    assert night_on_spark.step("check", AS_OF_SHOP).exit_code == ExitCode.NOTHING_TO_DO


@pytest.mark.parametrize("command", [("forget", "C01"), ("retain",)])
def test_what_takes_single_rows_away_is_refused_before_anything_is_changed(
    cluster: RunningCluster, tmp_path: Path, command: tuple[str, ...]
) -> None:
    finished = Nights(tmp_path, {"SOURCE": "example_csv", **cluster.environment}).command(*command)
    assert finished.exit_code == ExitCode.MISCONFIGURED
    assert "works on DuckDB alone" in finished.output
    assert list(tmp_path.iterdir()) == []
