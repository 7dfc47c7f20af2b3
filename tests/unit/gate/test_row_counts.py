import duckdb
import pytest

from segmentation_job.gate.row_counts import counting_statements

FILTERS = (
    "select a from {batch} where a > 1",
    "select a, b from {batch} where a = 2 or b = 'select'",
    "select t.a from {batch} as t join {batch} as other on other.a = t.a where t.a > 2",
)
OTHERS = (
    "select b, count(*) as n from {batch} where a > 0 group by b having count(*) > 1",
    "select a from {batch} where a in (select max(a) from {batch})",
    "select distinct b from {batch} where a > 0",
    "select a from {batch}",
    "select 'x' as k, a from {batch} where a > 1",
    "select a from {batch} where a > 0 order by a limit 2",
)


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute(
        "create table batch as select * from (values (1, 'x'), (2, 'x'), (3, 'select'), (null, 'y')) t(a, b)"
    )
    return opened


def test_queries_counted_together_find_as_many_rows_as_each_alone(connection: duckdb.DuckDBPyConnection) -> None:
    alone = {
        query: connection.execute(f"select count(*) from ({query.format(batch='batch')})").fetchone()
        for query in (*FILTERS, *OTHERS)
    }
    together: dict[str, tuple[int, ...]] = {}
    for counting in counting_statements((*FILTERS, *OTHERS)):
        counts = connection.execute(counting.statement.format(batch="batch")).fetchone()
        together |= {query: (count,) for query, count in zip(counting.queries, counts or (), strict=True)}
    assert together == alone
    assert len(set(alone.values())) > 2


def test_queries_that_filter_the_same_rows_share_a_scan() -> None:
    statements = counting_statements(
        ["select a from {batch} where a > 1", *OTHERS, "select b from {batch} where b = 1"]
    )
    assert [len(counting.queries) for counting in statements] == [2, len(OTHERS)]
    assert statements[0].statement.count("{batch}") == 1


def test_no_queries_are_no_statement() -> None:
    assert counting_statements([]) == []
