"""The figures that the measurements print are what they say."""

from datetime import date

import numpy as np
import pytest
from scipy import stats

from segmentation_job.segments.encoding import FeatureValues
from tests.measurements.foretelling import table_of, value_of_groups
from tests.measurements.recovery import paired_difference, standard_clusters


def test_the_interval_of_a_paired_difference_is_that_of_the_paired_t_test() -> None:
    random = np.random.default_rng(5)
    first, second = random.normal(0.4, 0.1, 20), random.normal(0.3, 0.1, 20)
    found = paired_difference((first - second).tolist())
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert found.mean == pytest.approx((first - second).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_shop_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two differences"):
        paired_difference([0.1])


def test_the_textbook_baseline_bears_a_missing_value_and_an_empty_feature() -> None:
    values = np.array([[0.0, np.nan], [0.1, np.nan], [9.0, np.nan], [9.1, np.nan], [np.nan, np.nan]])
    clusters = standard_clusters(FeatureValues(values), 2, seed=1)
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3]


def test_the_textbook_baseline_refuses_texts() -> None:
    with pytest.raises(ValueError, match="texts"):
        standard_clusters(FeatureValues(np.zeros((2, 1)), {0: ("north",)}), 2, seed=1)


def test_many_groups_that_say_nothing_gain_in_the_sample_and_lose_held_out() -> None:
    random = np.random.default_rng(5)
    outcomes = random.normal(size=(600, 1))
    idle = value_of_groups("idle", random.integers(0, 120, 600), outcomes)
    telling = value_of_groups("telling", (outcomes[:, 0] > 0).astype(np.int64), outcomes)
    assert idle.held_out.value < 0 < idle.in_sample
    assert telling.held_out.value == pytest.approx(2 / np.pi, abs=0.05)
    assert telling.in_sample == pytest.approx(telling.held_out.value, abs=0.01)
    assert table_of([telling, idle], date(2017, 10, 3)).row_count == 2
