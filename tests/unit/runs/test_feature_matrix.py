"""Features are read side by side: numbers as numbers, categories as texts."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.feature_matrix import read_batches, read_values
from segmentation_job.segments.encoding import FeatureValues, is_category
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

AS_OF = date(2018, 1, 1)
COLUMNS = ("demographic_features.region", "purchase_features.order_count", "demographic_features.is_known")
TEXTS = frozenset({"demographic_features.region", "demographic_features.is_known"})
REGIONS = ["north", None, "south", "north"]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBWarehouse]:
    path: Path = tmp_path_factory.mktemp("features") / "warehouse.duckdb"
    with DuckDBWarehouse(path, threads=1, memory_limit="500MB") as opened:
        opened.rows(
            "create table candidate.demographic_features as select date '2018-01-01' as as_of_date, * from (values"
            " ('d', 'north', true), ('a', 'north', false), ('c', 'south', true), ('b', null, null))"
            " as rows (customer_id, region, is_known)"
        )
        opened.rows(
            "create table candidate.purchase_features as select date '2018-01-01' as as_of_date, * from (values"
            " ('a', 1), ('b', 2), ('c', null), ('d', 4)) as rows (customer_id, order_count)"
        )
        yield opened


def texts_of(values: FeatureValues, index: int) -> list[str | None]:
    """Return a text feature in words."""
    codes = values.numbers[:, index]
    return [None if np.isnan(code) else values.texts[index][int(code)] for code in codes]


def test_numbers_and_texts_stand_in_the_order_asked_for_by_customer(warehouse: DuckDBWarehouse) -> None:
    ids, values = read_values(warehouse, "candidate", AS_OF, COLUMNS, TEXTS)
    assert ids == ["a", "b", "c", "d"]
    assert texts_of(values, 0) == REGIONS
    assert texts_of(values, 2) == ["false", None, "true", "true"]
    assert values.numbers[:, 1].tolist() == pytest.approx([1, 2, np.nan, 4], nan_ok=True)
    assert is_category(values, 0, "north").tolist() == [True, False, False, True]


def test_batches_hold_what_a_single_reading_does(warehouse: DuckDBWarehouse) -> None:
    batches = list(read_batches(warehouse, "candidate", AS_OF, COLUMNS, TEXTS, 3))
    assert len(batches) > 1
    assert [region for _, values in batches for region in texts_of(values, 0)] == REGIONS


def test_the_customers_asked_for_are_read_and_nobody_gives_no_rows(warehouse: DuckDBWarehouse) -> None:
    ids, values = read_values(warehouse, "candidate", AS_OF, COLUMNS, TEXTS, ["b", "c"])
    assert ids == ["b", "c"]
    assert texts_of(values, 0) == [None, "south"]
    ids, values = read_values(warehouse, "candidate", date(2019, 1, 1), COLUMNS, TEXTS)
    assert (ids, values.numbers.shape, set(values.texts)) == ([], (0, 3), {0, 2})


def test_a_text_that_a_lens_takes_for_a_number_is_refused(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(MisconfiguredError, match=r"takes demographic_features\.region for a number, but it is VARCHAR"):
        read_values(warehouse, "candidate", AS_OF, COLUMNS, frozenset())
