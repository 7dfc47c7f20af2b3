from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from segmentation_job.forecasts import next_category
from segmentation_job.forecasts.errors import TooLittleHistoryError
from segmentation_job.forecasts.next_category import (
    BoolArray,
    CategoryFacts,
    category_probabilities,
    fit_next_category,
    hit_rate,
    most_frequent_categories,
    next_categories,
    seasonal_lift,
)

CATEGORIES = 8


def purchases(seed: int, customers: int = 600, days: int = 400) -> np.ndarray:
    """Days on which customers bought categories, (customers, days, categories): some by rhythm, some at random."""
    rng = np.random.default_rng(seed)
    bought = np.zeros((customers, days, CATEGORIES), dtype=bool)
    for customer in range(customers):
        orders = rng.random(days) < rng.uniform(0.05, 0.25)
        for category in range(CATEGORIES):
            if rng.random() < 0.4:
                rhythm = rng.uniform(12, 60)
                clock = rng.uniform(0, rhythm)
                for day in np.flatnonzero(orders):
                    if day >= clock:
                        bought[customer, day, category] = True
                        clock = day + rhythm * rng.uniform(0.9, 1.1)
            else:
                bought[customer, :, category] = orders & (rng.random(days) < rng.beta(1, 6))
    return bought


def facts_before(bought: np.ndarray, day: int) -> tuple[CategoryFacts, BoolArray]:
    """Facts of the customers who order from the day on, and which category their next order day holds."""
    rows: dict[str, list[Any]] = {field.name: [] for field in fields(CategoryFacts) if field.name != "season"}
    outcomes = []
    for customer, history in enumerate(bought):
        orders = np.flatnonzero(history[:day].any(axis=1))
        later = np.flatnonzero(history[day:].any(axis=1))
        if len(later) == 0:
            continue
        for category in range(CATEGORIES):
            days = np.flatnonzero(history[:day, category])
            if len(days) == 0:
                continue
            gaps = np.diff(days)
            values = {
                "customer": customer,
                "category": category,
                "purchase_days": len(days),
                "days_since_last": float(day - days[-1]),
                "mean_gap_days": gaps.mean() if len(gaps) else np.nan,
                "order_days": len(orders),
                "order_gap_days": np.diff(orders).mean() if len(orders) > 1 else np.nan,
                "gap_variation": gaps.std(ddof=1) / gaps.mean() if len(gaps) > 1 else np.nan,
            }
            for name, value in values.items():
                rows[name].append(value)
            outcomes.append(bool(history[day + later[0], category]))
    return CategoryFacts(**{name: np.array(values) for name, values in rows.items()}), np.array(outcomes)


@pytest.fixture(scope="module")
def earlier_and_later() -> tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]]:
    bought = purchases(1)
    return facts_before(bought[:, :350], 300), facts_before(bought, 350)


def some_facts(**columns: Any) -> CategoryFacts:
    facts = CategoryFacts(
        customer=np.array([3, 3, 7]),
        category=np.array([0, 2, 1]),
        purchase_days=np.array([4, 9, 1]),
        days_since_last=np.array([30.0, 2.0, 5.0]),
        mean_gap_days=np.array([28.0, 10.0, np.nan]),
        order_days=np.array([20, 20, 1]),
        order_gap_days=np.array([6.0, 6.0, np.nan]),
    )
    return replace(facts, **columns)


@pytest.mark.parametrize(("knows_variation", "gain"), [(True, 0.03), (False, 0.01)])
def test_the_next_category_is_right_more_often_than_the_most_frequent_one(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
    knows_variation: bool,
    gain: float,
) -> None:
    (facts, bought_next), (later, came) = earlier_and_later
    if not knows_variation:
        facts, later = replace(facts, gap_variation=None), replace(later, gap_variation=None)
    model = fit_next_category(facts, bought_next)
    assert hit_rate(later, came, next_categories(model, later).category) > gain + hit_rate(
        later, came, most_frequent_categories(later)
    )


def test_a_probability_of_one_half_comes_true_half_of_the_time(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
) -> None:
    (facts, bought_next), (later, came) = earlier_and_later
    probability = category_probabilities(fit_next_category(facts, bought_next), later)
    for low, high in [(0.0, 0.15), (0.15, 0.3), (0.3, 0.45), (0.45, 0.65)]:
        group = (probability >= low) & (probability < high)
        assert group.sum() > 80
        assert probability[group].mean() == pytest.approx(came[group].mean(), abs=0.08)


def test_of_two_equal_shares_the_one_that_is_due_comes_first(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
) -> None:
    (facts, bought_next), _ = earlier_and_later
    model = replace(fit_next_category(facts, bought_next), log_popularity=(-2.0,) * CATEGORIES)
    pair = CategoryFacts(
        customer=np.array([1, 1]),
        category=np.array([0, 1]),
        purchase_days=np.array([6, 6]),
        days_since_last=np.array([3.0, 29.0]),
        mean_gap_days=np.array([30.0, 30.0]),
        order_days=np.array([30, 30]),
        order_gap_days=np.array([6.0, 6.0]),
        gap_variation=np.array([0.1, 0.1]),
    )
    found = next_categories(model, pair)
    assert found.category.tolist() == [1]
    assert found.expected_days.tolist() == [1.0]


def test_rows_stand_alone_however_many_are_worked_on_at_a_time(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (facts, bought_next), (later, _) = earlier_and_later
    model = fit_next_category(facts, bought_next)
    whole = category_probabilities(model, later)
    monkeypatch.setattr(next_category, "ROWS_AT_ONCE", 7)
    assert (category_probabilities(model, later) == whole).all()
    assert ((whole > 0) & (whole < 1)).all()


def test_single_purchases_and_categories_unknown_when_fitted_get_finite_answers(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
) -> None:
    (facts, bought_next), _ = earlier_and_later
    model = fit_next_category(facts, bought_next)
    found = next_categories(model, some_facts(category=np.array([0, 50, 51])))
    assert found.customer.tolist() == [3, 7]
    assert np.isfinite(found.probability).all()
    assert np.isfinite(found.expected_days).all()
    assert (found.expected_days >= 0).all()


def test_no_facts_give_no_rows(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
) -> None:
    (facts, bought_next), _ = earlier_and_later
    columns = [field.name for field in fields(facts) if field.name != "season"]
    nobody = CategoryFacts(**{name: getattr(facts, name)[:0] for name in columns})
    assert len(next_categories(fit_next_category(facts, bought_next), nobody).customer) == 0
    assert len(most_frequent_categories(nobody)) == 0


def test_of_equally_frequent_categories_the_first_counts() -> None:
    assert most_frequent_categories(some_facts(purchase_days=np.array([9, 9, 1]))).tolist() == [0, 1]
    assert most_frequent_categories(some_facts()).tolist() == [2, 1]


def test_a_season_is_told_from_the_same_months_a_year_ago() -> None:
    orders = np.full(15, 1000.0)
    days = np.full((3, 15), 300.0)
    # Of fifteen months, the fourth and fifth lie a year before the two that come; the first three are too old.
    days[0, 3:5] = 900.0
    days[1, 0:3] = 900.0
    days[2, :] = 0.0
    lift = seasonal_lift(days, orders)
    assert lift is not None
    assert lift.tolist() == pytest.approx([np.log(1820 / 820), 0.0, 0.0])
    assert seasonal_lift(days[:, :11], orders[:11]) is None
    with pytest.raises(ValueError, match="order days of shape"):
        seasonal_lift(days, orders[:14])


def test_a_category_in_season_gains_and_one_without_a_season_stays(
    earlier_and_later: tuple[tuple[CategoryFacts, BoolArray], tuple[CategoryFacts, BoolArray]],
) -> None:
    (facts, bought_next), _ = earlier_and_later
    model = fit_next_category(facts, bought_next)
    plain = category_probabilities(model, some_facts())
    seasonal = category_probabilities(model, some_facts(season=np.array([1.0, 0.0])))
    assert seasonal[0] > plain[0] + 0.03
    assert seasonal[1:].tolist() == plain[1:].tolist()


def test_a_hit_is_a_category_of_the_next_order_day() -> None:
    outcomes = np.array([True, False, True])
    assert hit_rate(some_facts(), outcomes, np.array([0, 1])) == 1.0
    assert hit_rate(some_facts(), outcomes, np.array([2, 1])) == 0.5
    with pytest.raises(ValueError, match="2 customers"):
        hit_rate(some_facts(), outcomes, np.array([2]))


def test_too_few_customers_are_named() -> None:
    with pytest.raises(TooLittleHistoryError, match="2 customers have ordered again, 1 of their 3 categories"):
        fit_next_category(some_facts(), np.array([True, False, False]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customer": np.array([7, 3, 3])}, "sorted by customer and category"),
        ({"category": np.array([2, 2, 1])}, "sorted by customer and category"),
        ({"purchase_days": np.array([4, 21, 1])}, "21 purchase days of 20 order days"),
        ({"days_since_last": np.array([np.nan, 1.0, 1.0])}, "1 of 3 rows cannot be"),
        ({"order_days": np.array([20, 20])}, "differ in length"),
    ],
)
def test_facts_that_cannot_be_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        some_facts(**columns)
