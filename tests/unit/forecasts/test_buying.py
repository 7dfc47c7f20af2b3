from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.special import beta as beta_function
from scipy.special import gamma as gamma_function
from scipy.stats import beta, gamma

from segmentation_job.forecasts.buying import (
    BgNbdParameters,
    FloatArray,
    GammaGammaParameters,
    bg_nbd_log_likelihood,
    expected_purchases,
    expected_value,
    fit_bg_nbd,
    fit_gamma_gamma,
    probability_active,
)
from segmentation_job.forecasts.errors import TooLittleHistoryError

CDNOW = Path(__file__).parents[3] / ".venv" / "clients" / "lifetimes-0.11.3" / "lifetimes" / "datasets"

History = tuple[FloatArray, FloatArray, FloatArray]


def bg_nbd(r: float, alpha: float, a: float, b: float) -> BgNbdParameters:
    return BgNbdParameters(r, alpha, a, b, log_likelihood=0.0, converged=True, is_at_bound=False, customers=1)


PUBLISHED = bg_nbd(0.243, 4.414, 0.793, 2.426)


def cdnow(name: str) -> dict[str, FloatArray]:
    file = CDNOW / name
    assert file.exists(), f"{file} is not there: `make test` brings it along, `make .venv/clients/lifetimes-0.11.3` too"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def simulated_purchase_days(
    parameters: BgNbdParameters, age: FloatArray, until: FloatArray, rng: np.random.Generator
) -> tuple[History, FloatArray]:
    """Histories at each customer's age, and purchases from then until a later age."""
    rates = rng.gamma(parameters.r, 1 / parameters.alpha, len(age))
    lapses = rng.beta(parameters.a, parameters.b, len(age))
    frequency, recency, later = np.zeros(len(age)), np.zeros(len(age)), np.zeros(len(age))
    clock, active = np.zeros(len(age)), np.ones(len(age), dtype=bool)
    while active.any():
        clock = clock + rng.exponential(1 / rates)
        active &= clock <= until
        before = active & (clock <= age)
        frequency[before] += 1
        recency[before] = clock[before]
        later[active & (clock > age)] += 1
        active &= rng.random(len(age)) >= lapses
    return (frequency, recency, age), later


@pytest.mark.parametrize("unit", [1.0, 7.0], ids=["weeks", "days"])
def test_the_cdnow_sample_gives_the_published_parameters(unit: float) -> None:
    sample = cdnow("cdnow_customers_summary.csv")
    fitted = fit_bg_nbd(sample["frequency"], sample["recency"] * unit, sample["T"] * unit)
    assert fitted.customers == 2357
    assert fitted.converged
    assert not fitted.is_at_bound
    assert [fitted.r, fitted.alpha / unit, fitted.a, fitted.b] == pytest.approx([0.243, 4.414, 0.793, 2.426], rel=0.01)
    assert fitted.log_likelihood + sample["frequency"].sum() * np.log(unit) == pytest.approx(-9582.4, abs=0.1)


def test_the_cdnow_sample_gives_the_published_gamma_gamma_parameters() -> None:
    sample = cdnow("cdnow_customers_summary_with_transactions.csv")
    fitted = fit_gamma_gamma(sample["x"], sample["zbar"])
    assert fitted.customers == 946
    assert [fitted.p, fitted.q, fitted.gamma] == pytest.approx([6.25, 3.74, 15.44], rel=0.01)


@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 10.0), (1, 3.0, 10.0), (4, 9.5, 10.0), (3, 2.0, 30.0)])
def test_the_likelihood_is_the_integral_over_rates_and_lapses(x: int, t_x: float, T: float) -> None:
    r, alpha, a, b = 1.4, 5.0, 1.7, 2.5

    def density(lapse: float, rate: float) -> float:
        stays = (1 - lapse) ** x * rate**x * np.exp(-rate * T)
        leaves = lapse * (1 - lapse) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x else 0.0
        of_rate = alpha**r * rate ** (r - 1) * np.exp(-alpha * rate) / gamma_function(r)
        of_lapse = lapse ** (a - 1) * (1 - lapse) ** (b - 1) / beta_function(a, b)
        return float((stays + leaves) * of_rate * of_lapse)

    integral, _ = dblquad(density, 0, 8, 0, 1)
    (log_likelihood,) = bg_nbd_log_likelihood(r, alpha, a, b, [x], [t_x], [T])
    assert log_likelihood == pytest.approx(np.log(integral), abs=1e-6)


@pytest.mark.parametrize("a", [0.4, 1.0, 1.00005, 1.0002, 2.3])
@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 20.0), (2, 15.0, 20.0), (350, 360.0, 365.0)])
@pytest.mark.parametrize("horizon", [0.01, 13.0, 4000.0])
def test_expected_purchases_are_the_integral_over_lapses(
    a: float, x: int, t_x: float, T: float, horizon: float
) -> None:
    parameters = bg_nbd(1.3, 6.0, a, 4.0)

    def purchases_if_active(lapse: float) -> float:
        stays = -np.expm1(-(1.3 + x) * np.log1p(lapse * horizon / (6.0 + T)))
        return float(stays / lapse * beta.pdf(lapse, a, 4.0 + x))

    middle = a / (a + 4.0 + x)
    integral = sum(quad(purchases_if_active, *ends, limit=400)[0] for ends in [(0, middle), (middle, 1)])
    (active,) = probability_active(parameters, [x], [t_x], [T])
    assert expected_purchases(parameters, [x], [t_x], [T], horizon)[0] == pytest.approx(integral * active, rel=1e-5)


def test_expected_purchases_agree_with_simulated_buyers() -> None:
    rng = np.random.default_rng(7)
    age = np.full(200_000, 30.0)
    (x, t_x, T), later = simulated_purchase_days(PUBLISHED, age, age + 20, rng)
    expected = expected_purchases(PUBLISHED, x, t_x, T, 20)
    for group in (x == 0, x == 1, (x >= 2) & (t_x < 15), (x >= 2) & (t_x >= 15), x >= 8):
        standard_error = later[group].std() / np.sqrt(group.sum())
        assert group.sum() > 1000
        assert expected[group].mean() == pytest.approx(later[group].mean(), abs=4 * standard_error)


def test_the_probability_of_being_active_is_the_share_of_simulated_buyers_who_are() -> None:
    rng = np.random.default_rng(8)
    parameters = bg_nbd(2.0, 1.0, 1.5, 3.0)
    age = np.full(20_000, 10.0)
    # Who has not lapsed buys again some day, and after so long a time nearly surely has.
    (x, t_x, T), later = simulated_purchase_days(parameters, age, age + 500, rng)
    active = probability_active(parameters, x, t_x, T)
    for low, high in [(0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.999)]:
        group = (active >= low) & (active < high)
        share = (later[group] > 0).mean()
        assert group.sum() > 200
        assert active[group].mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / group.sum()))


@pytest.mark.parametrize("seed", range(3))
def test_the_parameters_of_simulated_buyers_are_found_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = bg_nbd(1.2, 8.0, 0.9, 3.0)
    age = rng.uniform(20, 80, 30_000)
    history, _ = simulated_purchase_days(true, age, age, rng)
    fitted = fit_bg_nbd(*history)
    assert [fitted.r, fitted.alpha] == pytest.approx([true.r, true.alpha], rel=0.06)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(true.a / (true.a + true.b), rel=0.05)
    assert fitted.log_likelihood >= bg_nbd_log_likelihood(true.r, true.alpha, true.a, true.b, *history).sum()


def test_order_and_grouping_of_customers_do_not_change_the_fit() -> None:
    rng = np.random.default_rng(3)
    (x, t_x, T), _ = simulated_purchase_days(PUBLISHED, np.full(2000, 30.0), np.full(2000, 30.0), rng)
    t_x = np.round(t_x)
    shuffled = rng.permutation(len(x))
    rows, counts = np.unique(np.column_stack([x, t_x, T]), axis=0, return_counts=True)
    one_by_one = fit_bg_nbd(x, t_x, T)
    assert fit_bg_nbd(x[shuffled], t_x[shuffled], T[shuffled]) == one_by_one
    assert fit_bg_nbd(rows[:, 0], rows[:, 1], rows[:, 2], counts) == one_by_one


def test_buyers_who_never_lapse_are_fitted_at_the_bound_and_forecast_their_rate() -> None:
    rng = np.random.default_rng(4)
    age = np.full(3000, 100.0)
    rates = rng.gamma(5.0, 0.1, 3000)
    x = rng.poisson(rates * age).astype(float)
    t_x = np.where(x > 0, age * rng.beta(np.maximum(x, 1), 1), 0)
    fitted = fit_bg_nbd(x, t_x, age)
    assert fitted.is_at_bound
    forecast = expected_purchases(fitted, x, t_x, age, 50)
    assert forecast.mean() == pytest.approx(50 * rates.mean(), rel=0.02)
    assert np.corrcoef(forecast, rates)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("frequency", "recency", "age", "message"),
    [
        ([1.0] * 20, [1.0] * 20, [2.0] * 20, "20 customers with a past"),
        ([], [], [], "0 customers with a past"),
        ([0.0] * 500, [0.0] * 500, [9.0] * 500, "0 of 500 customers bought on a second day"),
        ([0.0] * 500, [0.0] * 500, [0.0] * 500, "0 customers with a past"),
    ],
)
def test_too_little_history_is_named(
    frequency: list[float], recency: list[float], age: list[float], message: str
) -> None:
    with pytest.raises(TooLittleHistoryError, match=message):
        fit_bg_nbd(frequency, recency, age)


@pytest.mark.parametrize(
    "history", [([1], [5], [4]), ([-1], [0], [4]), ([1], [np.nan], [4]), ([1], [1], [np.inf]), ([1, 2], [1], [4])]
)
def test_impossible_histories_are_refused(history: tuple[list[float], list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match=r"impossible history|one length"):
        fit_bg_nbd(*history)


def test_a_horizon_into_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon"):
        expected_purchases(PUBLISHED, [1], [1], [2], -1)


positive = st.floats(1e-3, 8000.0)
parameters_of_any_size = st.builds(bg_nbd, positive, positive, positive, positive)


@settings(deadline=None, max_examples=60)
@given(
    parameters_of_any_size,
    st.integers(0, 5000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 4000),
    # Shorter ones than a second lose the digits of a float.
    st.floats(1e-5, 4000),
)
def test_forecasts_are_finite_bounded_and_grow_with_recency(
    parameters: BgNbdParameters, x: int, one: float, other: float, age: float, horizon: float
) -> None:
    recency = np.sort(np.array([one, other])) * age
    history = (np.full(2, float(x)), recency, np.full(2, age))
    active = probability_active(parameters, *history)
    expected = expected_purchases(parameters, *history, horizon)
    assert ((active >= 0) & (active <= 1)).all()
    assert np.isfinite(expected).all()
    assert (expected >= 0).all()
    assert (expected <= (parameters.r + x) / (parameters.alpha + age) * horizon * (1 + 1e-12)).all()
    assert active[0] <= active[1]
    assert expected[0] <= expected[1]
    assert (expected_purchases(parameters, *history, 0.0) == 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 300), st.floats(0, 400), st.floats(0.1, 200), st.floats(0.1, 200))
def test_a_longer_horizon_never_brings_fewer_purchases(x: int, recency: float, one: float, other: float) -> None:
    near, far = sorted([one, other])
    history = ([x], [recency], [400.0])
    expected = [expected_purchases(PUBLISHED, *history, horizon)[0] for horizon in (near, far)]
    assert expected[0] <= expected[1] + 1e-9


def test_gamma_gamma_parameters_of_simulated_spenders_are_found_again() -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(1, 12, 20_000)
    scale = rng.gamma(4.0, 1 / 20.0, 20_000)
    mean = rng.gamma(6.0 * x, 1 / (x * scale))
    fitted = fit_gamma_gamma(x, mean)
    # p and gamma trade places within their sampling error; their product is what the values pin down.
    assert [fitted.p * fitted.gamma, fitted.q] == pytest.approx([120.0, 4.0], rel=0.03)
    assert fitted.p == pytest.approx(6.0, rel=0.15)
    assert fitted.population_mean == pytest.approx(40.0, rel=0.02)
    # The forecast is nearer to what a purchase is truly worth than the mean that was seen.
    true = 6.0 / scale
    assert np.abs(expected_value(fitted, x, mean) - true).mean() < 0.95 * np.abs(mean - true).mean()
    in_cents = fit_gamma_gamma(x, mean * 100)
    assert [in_cents.p, in_cents.q, in_cents.gamma / 100] == pytest.approx([fitted.p, fitted.q, fitted.gamma], rel=1e-4)


def test_the_gamma_gamma_likelihood_is_the_integral_over_scales() -> None:
    # Equal customers: fifty of them have fifty times the logarithm of one.
    rng = np.random.default_rng(6)
    x, m = rng.integers(1, 6, 60).astype(float), rng.gamma(3.0, 10.0, 60)
    fitted = fit_gamma_gamma(x, m)

    def likelihood(n: float, mean: float) -> float:
        def density(scale: float) -> float:
            mean_of_n = gamma.pdf(mean, fitted.p * n, scale=1 / (n * scale))
            return float(mean_of_n * gamma.pdf(scale, fitted.q, scale=1 / fitted.gamma))

        typical = fitted.q / fitted.gamma
        return float(sum(quad(density, *ends)[0] for ends in [(0, typical), (typical, 20 * typical)]))

    log_likelihood = sum(np.log(likelihood(n, mean)) for n, mean in zip(x, m, strict=True))
    assert fitted.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)


@pytest.mark.parametrize(
    ("frequency", "mean_value", "message"),
    [
        (np.full(200, 3.0), np.full(200, 12.5), "all 200 customers spend 12.50"),
        (np.full(200, 3.0), np.zeros(200), "0 customers with purchases of positive value"),
        (np.zeros(200), np.full(200, np.nan), "0 customers with purchases of positive value"),
    ],
    ids=["constant values", "zero spend", "no purchase"],
)
def test_values_without_a_distribution_are_named(frequency: FloatArray, mean_value: FloatArray, message: str) -> None:
    with pytest.raises(TooLittleHistoryError, match=message):
        fit_gamma_gamma(frequency, mean_value)


@given(
    st.floats(1e-3, 8000),
    st.floats(1.0002, 8000),
    st.floats(1e-3, 1e6),
    st.integers(0, 5000),
    st.floats(-100, 1e6),
)
def test_an_expected_value_lies_between_the_customer_s_and_the_population_s(
    p: float, q: float, gamma_scale: float, x: int, mean: float
) -> None:
    parameters = GammaGammaParameters(p, q, gamma_scale, 0.0, converged=True, is_at_bound=False, customers=1)
    (value,) = expected_value(parameters, [x], [mean])
    ends = sorted([max(mean, 0.0) if x else parameters.population_mean, parameters.population_mean])
    assert ends[0] * (1 - 1e-9) <= value <= ends[1] * (1 + 1e-9)
