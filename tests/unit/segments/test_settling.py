"""Labels stand still until three days agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.settling import ABSENT, held_or_nearest, moved_where_all_agree

COSTS = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(4)), elements=st.floats(0, 100))


@pytest.mark.parametrize(("own", "expected"), [(1.0, 1), (1.05, 1), (1.10, 1), (1.1000001, 0), (1.2, 0), (0.5, 1)])
def test_a_segment_is_kept_up_to_a_tenth_above_the_least_cost(own: float, expected: int) -> None:
    assert held_or_nearest(np.array([[1.0, own, 9.0]]), np.array([1])).tolist() == [expected]


def test_who_stands_nowhere_gets_the_nearest_and_a_tie_the_lowest() -> None:
    cost = np.array([[5.0, 1.0, 1.05], [2.0, 3.0, 2.0]])
    assert held_or_nearest(cost, np.array([ABSENT, ABSENT])).tolist() == [1, 0]


def test_on_a_centroid_only_the_segments_that_lie_there_hold() -> None:
    assert held_or_nearest(np.array([[0.0, 0.1], [0.0, 0.0]]), np.array([1, 1])).tolist() == [0, 1]


@given(COSTS, st.data())
def test_what_a_day_says_is_the_rule_said_slowly(cost: FloatArray, data: st.DataObject) -> None:
    standing = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=len(cost), max_size=len(cost))))
    expected = []
    for costs, stands in zip(cost.tolist(), standing.tolist(), strict=True):
        keeps = stands != ABSENT and costs[stands] <= 1.10 * min(costs)
        expected.append(stands if keeps else costs.index(min(costs)))
    assert held_or_nearest(cost, standing).tolist() == expected


def votes(*days: list[int]) -> list[IntArray]:
    return [np.array(day) for day in days]


def test_a_customer_moves_where_all_days_agree_and_stays_where_one_differs() -> None:
    standing = np.array([0, 0, 0, 0])
    assert moved_where_all_agree(standing, votes([1, 1, 2, 0], [1, 1, 1, 0], [1, 2, 1, 0])).tolist() == [1, 0, 0, 0]


def test_a_customer_who_was_not_in_scope_on_one_of_the_days_stays() -> None:
    absent = votes([ABSENT, 1, 1, ABSENT], [1, ABSENT, 1, ABSENT], [1, 1, ABSENT, ABSENT])
    assert moved_where_all_agree(np.array([2, 2, 2, 2]), absent).tolist() == [2, 2, 2, 2]


def test_without_votes_nobody_moves() -> None:
    assert moved_where_all_agree(np.array([2, 0]), []).tolist() == [2, 0]


def test_the_votes_are_left_as_they_were() -> None:
    days = votes([1, 0], [1, 0], [1, 1])
    standing = np.array([0, 2])
    moved_where_all_agree(standing, days)
    assert [day.tolist() for day in days] == [[1, 0], [1, 0], [1, 1]]
    assert standing.tolist() == [0, 2]
