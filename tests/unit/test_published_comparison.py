import shutil
from pathlib import Path

import duckdb
import pytest

from tests.support.published_comparison import PublishedDifference, compare_published

TABLES = (
    "create table segments as select *"
    " from (values ('overall', 1, 0.1::double), ('overall', 2, null)) as made (lens, id, share)",
    "create view shown as select lens, id from segments",
    "create table run_log as select 'a1' as run_id, 'segment' as step, timestamp '2018-01-01 02:00:00' as started_at,"
    " timestamp '2018-01-01 02:01:00' as ended_at, '{}' as details",
)


def changed(folder: Path, *statements: str) -> list[PublishedDifference]:
    """What differs between a published file and a copy of it that some statements changed."""
    one, other = folder / "one.duckdb", folder / "other.duckdb"
    with duckdb.connect(str(one)) as connection:
        for statement in TABLES:
            connection.execute(statement)
    shutil.copy(one, other)
    with duckdb.connect(str(other)) as connection:
        for statement in statements:
            connection.execute(statement)
    return compare_published(one, other)


def test_a_copy_in_another_order_and_of_another_night_is_the_same(tmp_path: Path) -> None:
    assert not changed(
        tmp_path,
        "create or replace table segments as select * from segments order by id desc",
        "update run_log set run_id = 'b2', started_at = now(), ended_at = now()",
    )


@pytest.mark.parametrize(
    ("statement", "tables", "words"),
    [
        ("update segments set share = nextafter(0.1::double, 1::double) where id = 1", ["segments"], "1 rows only in"),
        ("update segments set id = 3 where id = 2", ["segments", "shown"], "'id': 3"),
        ("insert into segments from segments limit 1", ["segments", "shown"], "2 rows against 3"),
        ("alter table segments alter id type bigint", ["segments", "shown"], "id is INTEGER against BIGINT"),
        ("update run_log set step = 'publish'", ["run_log"], "'step': 'publish'"),
        ("drop table run_log", ["run_log"], "the second file has no such table"),
        ("create table extra as select 1 as a", ["extra"], "the first file has no such table"),
        (
            "create or replace table segments as select id, lens, share from segments",
            ["segments"],
            "in the order lens, id, share against id, lens, share",
        ),
    ],
)
def test_any_other_change_is_said_by_table(tmp_path: Path, statement: str, tables: list[str], words: str) -> None:
    found = [statement] if not statement.startswith("alter") else ["drop view shown", statement, TABLES[1]]
    differences = changed(tmp_path, *found)
    assert [difference.table for difference in differences] == tables
    assert words in "\n".join(map(str, differences))


def test_a_column_to_leave_out_that_is_not_there_is_refused(tmp_path: Path) -> None:
    changed(tmp_path)
    with pytest.raises(ValueError, match="segments has no column moment"):
        compare_published(tmp_path / "one.duckdb", tmp_path / "other.duckdb", {"segments": {"moment": "none"}})
