"""The comparison of two engines sees what it is there to see."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.support.engine_comparison import difference

AT = datetime(2018, 1, 1, 2, 30, tzinfo=UTC).replace(tzinfo=None)


def table(**columns: object) -> pa.Table:
    """Two customers, with a column of each kind; columns: in the place of these."""
    usual: dict[str, object] = {
        "customer_id": ["anna", "bert"],
        "order_count": pa.array([3, None], pa.int32()),
        "spend_amount": pa.array([Decimal("12.50"), Decimal("0.00")], pa.decimal128(18, 2)),
        "share": [0.1 + 0.2, None],
        "seen_at": pa.array([AT, None], pa.timestamp("us")),
    }
    return pa.table({**usual, **columns})


def test_the_same_rows_are_equal_in_any_order_and_in_each_engines_types() -> None:
    of_spark = table(
        order_count=pa.array([3, None], pa.int64()),
        spend_amount=pa.array([Decimal("12.50"), Decimal("0.00")], pa.decimal128(28, 2)),
        seen_at=pa.array([AT.replace(tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    )
    shuffled = of_spark.take([1, 0]).select(sorted(of_spark.column_names, reverse=True))
    assert difference("marts.t", table(), shuffled) is None


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("share", [0.3, None]),  # the last bit
        ("share", [0.1 + 0.2, 0.0]),  # not known is not nothing
        ("order_count", pa.array([3, 0], pa.int32())),
        ("customer_id", ["anna", "bert "]),
        ("seen_at", pa.array([AT.replace(microsecond=1), None], pa.timestamp("us"))),
        ("spend_amount", pa.array([Decimal("12.51"), Decimal("0.00")], pa.decimal128(18, 2))),
    ],
)
def test_one_value_that_differs_is_found_and_named(column: str, values: object) -> None:
    found = difference("marts.t", table(), table(**{column: values}))
    assert found is not None
    assert (found.only_in_duckdb, found.only_in_spark, len(found.examples)) == (1, 1, 1)
    assert f"{column}: " in found.examples[0]


def test_a_row_that_comes_twice_is_no_row_that_comes_once() -> None:
    found = difference("marts.t", table(), table().take([0, 1, 1]))
    assert found is not None
    assert (found.only_in_duckdb, found.only_in_spark) == (0, 1)


def test_a_column_that_one_engine_lacks_or_has_with_other_digits_is_a_difference() -> None:
    assert difference("marts.t", table(), table().drop_columns(["share"])) is not None
    four_digits = pa.array([Decimal("12.5000"), Decimal("0.0000")], pa.decimal128(18, 4))
    found = difference("marts.t", table(), table(spend_amount=four_digits))
    assert found is not None
    assert "spend_amount" in found.columns[0]


def test_a_column_of_one_engines_layout_can_be_passed_over() -> None:
    wider = table(order_month=["2018-01", "2018-01"])
    assert difference("marts.t", table(), wider) is not None
    assert difference("marts.t", table(), wider, ignored=["order_month"]) is None
