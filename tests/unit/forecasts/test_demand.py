from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmentation_job.forecasts.demand import (
    RECENT,
    SEASONAL,
    DemandHistory,
    evaluate_demand,
    forecast_demand,
)

JANUARY = np.datetime64("2024-01", "M")


def shop(seed: int, months: int, categories: int = 12) -> DemandHistory:
    """Categories that grow and have seasons: smooth ones for even seeds, a peak in December for odd ones."""
    rng = np.random.default_rng(seed)
    month = np.arange(months)
    growth = rng.normal(0.05, 0.12, (categories, 1)) * month / 12
    waves = rng.uniform(0.05, 0.35, (categories, 1)) * np.cos(
        2 * np.pi * (month - rng.uniform(0, 12, (categories, 1))) / 12
    )
    peak = rng.uniform(0.2, 0.6, (categories, 1)) * (month % 12 == 11)
    season = waves if seed % 2 == 0 else waves / 3 + peak
    noise = rng.normal(0, rng.choice([0.02, 0.04, 0.08], (categories, 1)), (categories, months))
    days = np.diff((JANUARY + np.arange(months + 1)).astype("datetime64[D]")).astype(float)
    totals = days * np.exp(rng.normal(7, 1, (categories, 1)) + growth + season + noise)
    return DemandHistory(tuple(f"category {row}" for row in range(categories)), JANUARY, totals)


@pytest.mark.parametrize("season", [0, 1], ids=["smooth seasons", "a peak in December"])
def test_two_years_beat_the_seasonal_naive_forecast_and_keep_their_intervals(season: int) -> None:
    errors = [error for seed in range(season, 16, 2) for error in evaluate_demand(shop(seed, 24), 3, [18, 19, 20, 21])]
    assert len(errors) == 8 * 12
    assert {error.method for error in errors} == {SEASONAL}
    assert {error.forecasts for error in errors} == {12}
    assert np.mean([error.mase for error in errors if error.mase is not None]) < 0.9
    assert np.mean([error.against_naive for error in errors if error.against_naive is not None]) < 0.8
    assert 0.7 <= np.mean([error.coverage for error in errors]) <= 0.9


def test_steady_growth_and_season_are_carried_on_exactly() -> None:
    month = np.arange(27)
    days = np.diff((JANUARY + np.arange(28)).astype("datetime64[D]")).astype(float)
    totals = days * np.exp(5 + 0.2 * month / 12 + 0.3 * np.cos(2 * np.pi * month / 12))
    outlook = forecast_demand(DemandHistory(("tea",), JANUARY, totals[None, :24]), 3)
    assert [forecast.month for forecast in outlook.forecasts] == [np.datetime64(f"2026-0{m}", "M") for m in (1, 2, 3)]
    for forecast, actual in zip(outlook.forecasts, totals[24:], strict=True):
        assert forecast.expected == pytest.approx(actual, rel=1e-6)
        assert forecast.lower == pytest.approx(actual, rel=1e-3)
        assert forecast.upper == pytest.approx(actual, rel=1e-3)


def test_nothing_of_the_held_out_months_reaches_a_forecast() -> None:
    history = shop(2, 24)
    spoiled = history.totals.copy()
    spoiled[:, 20:] *= 1000
    assert (
        forecast_demand(DemandHistory(history.categories, JANUARY, spoiled).until(20)).forecasts
        == forecast_demand(history.until(20)).forecasts
    )


def test_a_category_s_growth_is_pulled_towards_that_of_all() -> None:
    rng = np.random.default_rng(1)
    totals = np.exp(5 + 0.1 * np.arange(24) / 12 + rng.normal(0, 0.1, (10, 24)))
    totals[0, 12:] *= 1.2
    names = tuple(f"category {row}" for row in range(10))
    alone = forecast_demand(DemandHistory(names[:1], JANUARY, totals[:1]), 1).forecasts[0]
    among_others = forecast_demand(DemandHistory(names, JANUARY, totals), 1).forecasts[0]
    assert among_others.expected < alone.expected


def test_short_histories_get_a_plain_mean_and_say_so() -> None:
    history = shop(3, 14)
    outlook = forecast_demand(history)
    assert len(outlook.forecasts) == 36
    assert {forecast.method for forecast in outlook.forecasts} == {RECENT}
    assert {forecast.method for forecast in forecast_demand(shop(3, 15)).forecasts} == {SEASONAL}
    # The logarithm's mean of October to December, at 31 days a month where those have 31, 30 and 31.
    daily = history.until(12).totals[0, 9:] / [31, 30, 31]
    (first, *_) = forecast_demand(history.until(12)).forecasts
    assert first.expected == pytest.approx(31 * np.exp(np.log(daily).mean()), rel=1e-8)


def test_short_histories_keep_their_intervals_where_sales_only_wander() -> None:
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(20):
        totals = np.exp(6 + rng.normal(0, rng.uniform(0.02, 0.2, (12, 1)), (12, 12)))
        history = DemandHistory(tuple(f"category {row}" for row in range(12)), JANUARY, totals)
        covered += [error.coverage for error in evaluate_demand(history, 3, [7, 8, 9])]
    assert 0.7 <= np.mean(covered) <= 0.9


def test_under_four_months_there_is_a_reason_instead_of_a_forecast() -> None:
    totals = np.array([[np.nan, 3.0, 4.0, 5.0], [6.0, 5.0, 4.0, 3.0]])
    outlook = forecast_demand(DemandHistory(("new", "old"), JANUARY, totals))
    assert outlook.reasons == {"new": "3 months known, a forecast needs 4"}
    assert {forecast.category for forecast in outlook.forecasts} == {"old"}


def test_months_without_sales_and_unknown_months_do_not_stop_a_forecast() -> None:
    history = shop(4, 24)
    totals = history.totals.copy()
    totals[0, 5] = 0.0
    totals[1, [3, 12, 22]] = np.nan
    totals[2] = 0.0
    totals[3, -1] = -5.0
    outlook = forecast_demand(DemandHistory(history.categories, JANUARY, totals))
    by_category = {forecast.category: forecast for forecast in outlook.forecasts}
    assert by_category["category 0"].method == RECENT
    assert by_category["category 1"].method == SEASONAL
    assert by_category["category 2"].expected == 0.0
    assert by_category["category 3"].method == RECENT
    assert by_category["category 1"].expected == pytest.approx(
        next(f for f in forecast_demand(history).forecasts if f.category == "category 1").expected, rel=0.3
    )


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 4).flatmap(
        lambda rows: st.integers(1, 30).flatmap(
            lambda months: arrays(
                np.float64,
                (rows, months),
                elements=st.one_of(st.just(0.0), st.just(float("nan")), st.floats(0.01, 1e9), st.floats(50, 200)),
            )
        )
    )
)
def test_whatever_the_history_forecasts_are_finite_and_within_their_intervals(totals: np.ndarray) -> None:
    names = tuple(f"category {row}" for row in range(len(totals)))
    outlook = forecast_demand(DemandHistory(names, JANUARY, totals), 3)
    assert len(outlook.forecasts) == 3 * (len(names) - len(outlook.reasons))
    for forecast in outlook.forecasts:
        assert 0 <= forecast.lower <= forecast.expected <= forecast.upper < np.inf


def test_an_error_measure_is_what_its_definition_says() -> None:
    totals = np.array([[100.0, 110, 90, 100, 110, 90, 100, 130]])
    (error,) = evaluate_demand(DemandHistory(("tea",), np.datetime64("2023-07", "M"), totals), 1, [7])
    (forecast,) = forecast_demand(DemandHistory(("tea",), np.datetime64("2023-07", "M"), totals[:, :7]), 1).forecasts
    miss = abs(forecast.expected - 130)
    assert error.naive_lag == 1
    assert error.mase == pytest.approx(miss / np.mean([10, 20, 10, 10, 20, 10]))
    assert error.against_naive == pytest.approx(miss / 30)
    assert error.coverage == float(forecast.lower <= 130 <= forecast.upper)


@pytest.mark.parametrize("origins", [[], [0], [24]])
def test_origins_without_past_or_future_are_refused(origins: list[int]) -> None:
    with pytest.raises(ValueError, match="origins must lie between 1 and 23"):
        evaluate_demand(shop(0, 24), 3, origins)


def test_impossible_histories_are_refused() -> None:
    with pytest.raises(ValueError, match="a category comes twice"):
        DemandHistory(("tea", "tea"), JANUARY, np.ones((2, 5)))
    with pytest.raises(ValueError, match="expected totals of 2 categories"):
        DemandHistory(("tea", "milk"), JANUARY, np.ones((1, 5)))
    with pytest.raises(ValueError, match="1 monthly totals are infinite"):
        DemandHistory(("tea",), JANUARY, np.array([[1.0, np.inf]]))
    with pytest.raises(ValueError, match="horizon must be 1 to 12"):
        forecast_demand(shop(0, 24), 13)
