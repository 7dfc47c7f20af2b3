"""The history by interval, held against one that is laid out by date."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation_job.runs.history import splice_into_history
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

START = date(2024, 1, 1)
CUSTOMERS = ("anna", "ben", "cleo")
Labels = dict[str, str]
# What happened on each day, in order: the labels, and the model they were given by.
Days = list[tuple[Labels, str]]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBWarehouse]:
    path: Path = tmp_path_factory.mktemp("history") / "warehouse.duckdb"
    with DuckDBWarehouse(path, threads=1, memory_limit="500MB") as opened:
        yield opened


def labels_under(model: str, customer: str, own: str) -> str:
    """What another model makes of a customer: deterministic, and not always what the own model says."""
    return own if (len(customer) + ord(model[-1])) % 2 else "south"


def splice(warehouse: DuckDBWarehouse, days: Days, done: set[int], number: int) -> None:
    labels, model = days[number]
    previous = max((day for day in done if day < number), default=None)
    following = min((day for day in done if day > number), default=None)

    def seen_by(other: str, of: int) -> Labels:
        return {
            customer: own if days[of][1] == other else labels_under(other, customer, own)
            for customer, own in days[of][0].items()
        }

    under_previous = labels if previous is None else seen_by(days[previous][1], number)
    next_under_this = {} if following is None else seen_by(model, following)
    columns = "customer_id varchar, segment_key varchar, under_previous_model varchar"
    warehouse.rows(f"create or replace temporary table day_labels ({columns})")
    warehouse.append(
        "day_labels",
        pa.table(
            {
                "customer_id": pa.array(list(labels), pa.string()),
                "segment_key": pa.array(list(labels.values()), pa.string()),
                "under_previous_model": pa.array([under_previous[customer] for customer in labels], pa.string()),
            }
        ),
    )
    warehouse.rows("create or replace temporary table next_under_this_model (customer_id varchar, segment_key varchar)")
    warehouse.append(
        "next_under_this_model",
        pa.table(
            {
                "customer_id": pa.array(list(next_under_this), pa.string()),
                "segment_key": pa.array(list(next_under_this.values()), pa.string()),
            }
        ),
    )

    def day(of: int | None) -> date | None:
        return None if of is None else START + timedelta(days=of)

    splice_into_history(warehouse, "overall", START + timedelta(days=number), day(previous), day(following))


def by_day(days: Days, done: set[int]) -> set[tuple[str, date, date | None, str | None, str]]:
    """The history written down naively, from the labels of each date in order."""
    rows = set()
    for customer in CUSTOMERS:
        changes: list[tuple[date, str | None, str]] = []
        for before, number in itertools.pairwise([None, *sorted(done)]):
            assert number is not None
            now = days[number][0].get(customer)
            earlier = None if before is None else days[before][0].get(customer)
            if now == earlier:
                continue
            if now is None:
                cause = "left"
            elif earlier is None:
                cause = "new"
            else:
                assert before is not None
                same_model = days[before][1] == days[number][1]
                seen = now if same_model else labels_under(days[before][1], customer, now)
                cause = "model_changed" if seen == earlier else "customer_moved" if seen == now else "both"
            changes.append((START + timedelta(days=number), now, cause))
        for (begin, key, cause), after in itertools.zip_longest(changes, changes[1:]):
            rows.add((customer, begin, after[0] if after else None, key, cause))
    return rows


some_labels = st.dictionaries(st.sampled_from(CUSTOMERS), st.sampled_from(["north", "south", "west"]))
some_days = st.lists(st.tuples(some_labels, st.sampled_from(["m1", "m2"])), min_size=1, max_size=6)


@given(days=some_days, data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_order_of_dates_gives_the_history_that_the_labels_by_date_give(
    warehouse: DuckDBWarehouse, days: Days, data: st.DataObject
) -> None:
    warehouse.rows("delete from promoted.label_history")
    order = data.draw(st.permutations(range(len(days))))
    again = data.draw(st.lists(st.sampled_from(range(len(days))), max_size=2))
    done: set[int] = set()
    for number in [*order, *again]:
        splice(warehouse, days, done - {number}, number)
        done.add(number)
    found = warehouse.rows(
        "select customer_id, valid_from, valid_to, segment_key, change_cause from promoted.label_history"
    )
    assert len(found) == len(set(found))
    assert set(found) == by_day(days, done)


@given(days=some_days, changed=some_labels, data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_date_that_is_computed_again_with_other_labels_replaces_what_it_said(
    warehouse: DuckDBWarehouse, days: Days, changed: Labels, data: st.DataObject
) -> None:
    warehouse.rows("delete from promoted.label_history")
    done: set[int] = set()
    for number in range(len(days)):
        splice(warehouse, days, done, number)
        done.add(number)
    number = data.draw(st.sampled_from(range(len(days))))
    mended = [*days]
    mended[number] = (changed, days[number][1])
    splice(warehouse, mended, done - {number}, number)
    found = warehouse.rows(
        "select customer_id, valid_from, valid_to, segment_key, change_cause from promoted.label_history"
    )
    assert set(found) == by_day(mended, done)


def test_another_lens_keeps_its_history(warehouse: DuckDBWarehouse) -> None:
    warehouse.rows("delete from promoted.label_history")
    warehouse.rows(
        "insert into promoted.label_history values ('purchase', 'anna', date '2024-01-01', null, 'east', 'new')"
    )
    splice(warehouse, [({"anna": "north"}, "m1")], set(), 0)
    assert warehouse.rows("select segment_key from promoted.label_history where lens = 'purchase'") == [("east",)]
