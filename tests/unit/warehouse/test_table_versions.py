"""A warehouse of an older version is brought to this one's tables with its rows."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import pytest

from segmentation_job.warehouse import duckdb_engine
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.tables import TABLES

OLD = (
    ("promoted.kept", "(day date not null, gone varchar not null, name varchar not null)"),
    ("promoted.other", "(a integer not null)"),
)
NEW = (
    ("promoted.kept", "(day date not null, count bigint not null, name varchar)"),
    ("promoted.other", "(b double)"),
    ("promoted.fresh", "(name varchar not null)"),
)


def opened(path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(path, threads=1, memory_limit="500MB")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "warehouse.duckdb"
    use(monkeypatch, OLD)
    with opened(path) as warehouse:
        warehouse.rows(
            "insert into promoted.kept values (date '2024-01-01', 'x', 'anna'), (date '2024-01-02', 'y', 'b')"
        )
        warehouse.rows("insert into promoted.other values (1)")
    use(monkeypatch, NEW)
    return path


def use(monkeypatch: pytest.MonkeyPatch, tables: Sequence[tuple[str, str]]) -> None:
    monkeypatch.setattr(duckdb_engine, "TABLES", tuple(tables))


def test_rows_are_kept_and_are_null_in_what_is_new(old: Path) -> None:
    with opened(old) as warehouse:
        assert warehouse.rows("select day, name, count from promoted.kept order by day") == [
            (date(2024, 1, 1), "anna", None),
            (date(2024, 1, 2), "b", None),
        ]
        assert warehouse.rows("select b from promoted.other") == [(None,)]
        assert warehouse.rows("select * from promoted.fresh") == []


def test_columns_come_and_go_the_new_ones_last(old: Path) -> None:
    with opened(old) as warehouse:
        kept = warehouse.columns("promoted.kept")
        assert list(kept.items()) == [("day", "DATE"), ("name", "VARCHAR"), ("count", "BIGINT")]
        assert warehouse.columns("promoted.other") == {"b": "DOUBLE"}


def test_a_column_that_may_be_null_now_takes_nulls(old: Path) -> None:
    with opened(old) as warehouse:
        warehouse.rows("insert into promoted.kept by name select date '2024-01-03' as day, 1 as count, null as name")
        assert warehouse.rows("select count(*) from promoted.kept where name is null") == [(1,)]


def test_what_must_not_be_null_still_must_not(old: Path) -> None:
    with opened(old) as warehouse, pytest.raises(duckdb.ConstraintException):
        warehouse.rows("insert into promoted.kept by name select null as day, 1 as count")


def test_opened_again_nothing_changes(old: Path) -> None:
    for _ in range(2):
        with opened(old) as warehouse:
            found = warehouse.rows("select * from promoted.kept order by day")
            assert len(found) == 2
            assert len(warehouse.rows("select * from pipeline.tables_version")) == 1


def test_a_step_that_fails_leaves_the_older_version_whole(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, (*NEW, ("promoted.broken", "(no columns at all)")))
    with pytest.raises(duckdb.Error):
        opened(old)
    use(monkeypatch, OLD)
    with opened(old) as warehouse:
        assert warehouse.rows("select gone, name from promoted.kept order by day") == [("x", "anna"), ("y", "b")]
    use(monkeypatch, NEW)
    with opened(old) as warehouse:
        assert warehouse.rows("select name from promoted.kept order by day") == [("anna",), ("b",)]


def test_a_warehouse_from_before_versions_takes_this_one_s_tables(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema promoted")
        connection.execute(
            "create table promoted.lineage (lens varchar not null, refit_date date not null,"
            " model_version varchar not null, fitting_hash varchar not null)"
        )
        connection.execute("insert into promoted.lineage values ('overall', date '2024-01-01', 'model', 'hash')")
    with opened(path) as warehouse:
        assert warehouse.rows("select lens, refit_date, model_version, lens_version from promoted.lineage") == [
            ("overall", date(2024, 1, 1), "model", None)
        ]
        for table, _ in TABLES:
            assert warehouse.has_table(table)
        assert "fitting_hash" not in warehouse.columns("promoted.lineage")


def test_what_a_killed_process_had_spilled_is_gone_once_the_warehouse_is_opened(tmp_path: Path) -> None:
    spilled = tmp_path / "warehouse.duckdb.tmp"
    spilled.mkdir()
    (spilled / "duckdb_temp_storage-0.tmp").write_bytes(b"rows")
    with opened(tmp_path / "warehouse.duckdb") as warehouse:
        assert not spilled.exists()
        assert warehouse.rows("select 1") == [(1,)]
