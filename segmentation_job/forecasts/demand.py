"""What a category will sell in the coming months, with 80% intervals.

Two simple views of the same months are combined, both on the logarithm of sales per calendar day, so that growth
and seasons are shares and February is not a slump:
- year over year: the same month a year earlier, times the growth from year to year. That is the growth of all
  categories together, which forgets older months as fast as would have forecast the known ones best, and the
  category's own lead over it, pulled towards none by as much as it is uncertain. Follows any shape of season,
  repeats last year's noise.
- regression: a straight trend and up to two yearly waves (ordinary least squares, the number of waves by AICc).
  Averages noise out, misses a peak of a single month.
Each weighs by how well it foresaw months that it was not fitted on, over all categories together, the regression
less in a calendar month that it missed a year ago. The interval is as wide as the year-over-year view's past errors
ask for, which do not rest on a shape of season being right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation_job.forecasts.quantising import quantised

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

SEASONAL = "growth_and_season"
RECENT = "recent_mean"

COVERAGE = 0.8
YEAR = 12
MINIMUM_MONTHS = 4
MINIMUM_SEASONAL_MONTHS = 15
MINIMUM_YEARLY_PAIRS = 3
RECENT_MONTHS = 3
MOST_WAVES = 2
# What the growth of all in one month counts, relative to that of a month later: the candidates.
MEMORIES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.35, 0.2)
# So many months' worth of belief that a category is as hard to foresee as the others.
POOLED_DEGREES = 4.0
SMALLEST_VARIANCE = 1e-10
LARGEST_LOG = 690.0


@dataclass(frozen=True)
class DemandHistory:
    """Monthly sales by category, whole months only.

    categories: (c,) names · first_month: datetime64[M] of the first column · totals: (c, m) sales of a month in
    any unit, NaN where unknown or where the category did not exist yet. Raises ValueError where the shapes
    disagree, a name comes twice, and on infinite totals.
    """

    categories: tuple[str, ...]
    first_month: np.datetime64
    totals: FloatArray

    def __post_init__(self) -> None:
        if self.totals.ndim != 2 or len(self.totals) != len(self.categories):
            raise ValueError(f"expected totals of {len(self.categories)} categories, got shape {self.totals.shape}")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("a category comes twice: add its totals up first")
        if np.isinf(self.totals).any():
            raise ValueError(f"{int(np.isinf(self.totals).sum())} monthly totals are infinite")

    @property
    def months(self) -> int:
        """Number of months, known or not."""
        return int(self.totals.shape[1])

    def until(self, months: int) -> DemandHistory:
        """The first months only, as it was known then."""
        return DemandHistory(self.categories, self.first_month, self.totals[:, :months])


@dataclass(frozen=True)
class DemandForecast:
    """One category's sales in one coming month.

    month: datetime64[M] · expected: as likely exceeded as not · lower, upper: of the 80% interval, not negative ·
    method: `growth_and_season` or, for short, interrupted or partly zero histories, `recent_mean`.
    """

    category: str
    month: np.datetime64
    expected: float
    lower: float
    upper: float
    method: str


@dataclass(frozen=True)
class DemandOutlook:
    """All forecasts, by category and month, and why each category without one has none."""

    forecasts: tuple[DemandForecast, ...]
    reasons: dict[str, str]


@dataclass(frozen=True)
class DemandError:
    """How far the forecasts of one category were off at past origins.

    forecasts: held-out months that were forecast · mase: mean absolute error over the naive forecast's in the
    months that each origin knew (Hyndman & Koehler 2006); naive_lag: 12 is the seasonal naive forecast, 1 the last
    month where no origin knew a year and a month · against_naive: the same error over the naive forecast's in the
    same held-out months · coverage: share of them within the interval · method: the latest origin's.
    mase and against_naive are None where the naive forecast made no error.
    """

    category: str
    forecasts: int
    mase: float | None
    against_naive: float | None
    naive_lag: int
    coverage: float
    method: str


@dataclass(frozen=True)
class _Bands:
    """Centre and half-width of the interval, (c, h) each, on the logarithmic or the plain scale."""

    centre: FloatArray
    half_width: FloatArray


def forecast_demand(history: DemandHistory, horizon: int = 3) -> DemandOutlook:
    """Forecast each category's sales in the months that follow the history.

    horizon: months ahead, 1 to 12. A category needs 4 known months; 15 of them since its first, all of positive
    sales and three of them a year apart from another, for `growth_and_season`. With less the mean of its last
    three known months stands for every month ahead, the interval coming from how wrong that was before. Raises
    ValueError on another horizon.
    """
    if not 1 <= horizon <= YEAR:
        raise ValueError(f"horizon must be 1 to {YEAR} months, got {horizon}")
    known = ~np.isnan(history.totals)
    enough = known.sum(axis=1) >= MINIMUM_MONTHS
    reasons = {
        category: f"{int(known[row].sum())} months known, a forecast needs {MINIMUM_MONTHS}"
        for row, category in enumerate(history.categories)
        if not enough[row]
    }
    days = _days(history.first_month, history.months + horizon)
    daily = history.totals / days[: history.months]
    is_seasonal = enough & _has_seasons(daily)
    is_positive = ~(daily <= 0).any(axis=1)
    first_ahead = history.first_month.astype("datetime64[M]") + np.timedelta64(history.months, "M")

    forecasts: dict[int, list[DemandForecast]] = {}
    for rows, bands_of, is_logarithmic, method in (
        (is_seasonal, _seasonal_bands, True, SEASONAL),
        (enough & ~is_seasonal & is_positive, _recent_bands, True, RECENT),
        (enough & ~is_seasonal & ~is_positive, _recent_bands, False, RECENT),
    ):
        if not rows.any():
            continue
        bands = bands_of(np.log(daily[rows]) if is_logarithmic else daily[rows], horizon)
        edges = np.stack([bands.centre, bands.centre - bands.half_width, bands.centre + bands.half_width])
        # Within what a float can hold, whatever a steep trend makes of extreme totals.
        per_day = np.exp(np.clip(edges, -LARGEST_LOG, LARGEST_LOG)) if is_logarithmic else np.maximum(edges, 0.0)
        values = per_day * days[history.months :]
        for position, row in enumerate(np.flatnonzero(rows).tolist()):
            forecasts[row] = [
                DemandForecast(
                    category=history.categories[row],
                    month=first_ahead + np.timedelta64(step, "M"),
                    expected=quantised(float(values[0, position, step])),
                    lower=quantised(float(values[1, position, step])),
                    upper=quantised(float(values[2, position, step])),
                    method=method,
                )
                for step in range(horizon)
            ]
    return DemandOutlook(tuple(forecast for row in sorted(forecasts) for forecast in forecasts[row]), reasons)


def evaluate_demand(history: DemandHistory, horizon: int, origins: Sequence[int]) -> tuple[DemandError, ...]:
    """Forecast from past origins, each knowing earlier months only, and compare with what came; by category.

    horizon: months ahead · origins: numbers of months known, each less than the history's. Categories without a
    single held-out forecast are left out. Raises ValueError on an origin without a month to hold out.
    """
    if not origins or not all(0 < origin < history.months for origin in origins):
        raise ValueError(f"origins must lie between 1 and {history.months - 1} months, got {list(origins)}")
    misses: dict[str, list[tuple[float, float, float, float, bool]]] = {}
    methods: dict[str, str] = {}
    lags = {
        category: YEAR if (_naive_scale(history.totals[row, : min(origins)], YEAR) is not None) else 1
        for row, category in enumerate(history.categories)
    }
    rows = {category: row for row, category in enumerate(history.categories)}
    for origin in sorted(origins):
        for forecast in forecast_demand(history.until(origin), horizon).forecasts:
            category = forecast.category
            column = int((forecast.month - history.first_month.astype("datetime64[M]")).astype(int))
            series, lag = history.totals[rows[category]], lags[category]
            scale = _naive_scale(series[:origin], lag)
            naive = series[column - YEAR] if lag == YEAR else series[origin - 1]
            if column >= history.months or np.isnan(series[column]) or scale is None or np.isnan(naive):
                continue
            methods[category] = forecast.method
            actual = float(series[column])
            misses.setdefault(category, []).append(
                (
                    abs(forecast.expected - actual),
                    abs(forecast.expected - actual) / scale if scale > 0 else np.inf,
                    scale,
                    abs(float(naive) - actual),
                    forecast.lower <= actual <= forecast.upper,
                )
            )
    return tuple(_error(category, misses[category], lags[category], methods[category]) for category in misses)


def _error(
    category: str, misses: list[tuple[float, float, float, float, bool]], naive_lag: int, method: str
) -> DemandError:
    absolute, scaled, scales, naive, covered = (np.array(column) for column in zip(*misses, strict=True))
    return DemandError(
        category=category,
        forecasts=len(misses),
        mase=float(scaled.mean()) if (scales > 0).all() else None,
        against_naive=float(absolute.sum() / naive.sum()) if naive.sum() > 0 else None,
        naive_lag=naive_lag,
        coverage=float(covered.mean()),
        method=method,
    )


def _naive_scale(series: FloatArray, lag: int) -> float | None:
    differences = np.abs(series[lag:] - series[:-lag])
    differences = differences[~np.isnan(differences)]
    return float(differences.mean()) if len(differences) else None


def _days(first_month: np.datetime64, months: int) -> FloatArray:
    starts = first_month.astype("datetime64[M]") + np.arange(months + 1)
    days: FloatArray = np.diff(starts.astype("datetime64[D]")).astype(np.float64)
    return days


def _has_seasons(daily: FloatArray) -> BoolArray:
    known = ~np.isnan(daily)
    pairs = (known[:, YEAR:] & known[:, :-YEAR]).sum(axis=1) if daily.shape[1] > YEAR else np.zeros(len(daily))
    seasons: BoolArray = (
        (known.sum(axis=1) >= MINIMUM_SEASONAL_MONTHS) & (pairs >= MINIMUM_YEARLY_PAIRS) & ~(daily <= 0).any(axis=1)
    )
    return seasons


def _seasonal_bands(logs: FloatArray, horizon: int) -> _Bands:
    from scipy.stats import t as student_t

    yearly, yearly_error = _year_over_year(logs, horizon)
    fitted, fitted_error, missed_last_year = _regression(logs, horizon)
    # Over all categories: of one alone, some twenty months tell the better view by chance as often as not.
    log_ratio = float(np.mean(np.log(yearly_error) - np.log(fitted_error)))
    log_excess = np.log(np.maximum(missed_last_year**2 / fitted_error[:, None], 1.0))
    weight = 1 / (1 + np.exp(-np.clip(2 * (log_ratio - log_excess), -30.0, 30.0)))
    # A month that was unknown a year earlier has the regression alone.
    centre = np.where(np.isnan(yearly), fitted, weight * fitted + (1 - weight) * yearly)
    pairs = (~np.isnan(_yearly_changes(logs))).sum(axis=1)
    variance, degrees = _pooled(yearly_error, pairs - 2.0)
    half_width = student_t.ppf((1 + COVERAGE) / 2, degrees) * np.sqrt(variance)
    return _Bands(centre, np.repeat(half_width[:, None], horizon, axis=1))


def _yearly_changes(logs: FloatArray) -> FloatArray:
    return logs[:, YEAR:] - logs[:, :-YEAR]


def _year_over_year(logs: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Centres (c, h), NaN where the month was unknown a year earlier, and the mean squared past error (c,)."""
    changes = _yearly_changes(logs)
    spread = np.nanvar(changes, axis=1, ddof=1)
    # So that no category counts more for being noisier.
    scale = np.maximum(spread + np.median(spread), SMALLEST_VARIANCE)
    best_loss, best_memory, best_squares = np.inf, MEMORIES[0], np.empty((len(logs), 0))
    for memory in MEMORIES:
        squares = _past_squares(changes, memory, horizon)
        # Where no past forecast can be made, memory is complete.
        loss = float(np.nanmean(squares / scale[:, None])) if np.isfinite(squares).any() else np.inf
        if loss < best_loss - 1e-12 or memory == MEMORIES[0]:
            best_loss, best_memory, best_squares = loss, memory, squares
    tried = np.isfinite(best_squares).sum(axis=1)
    errors = np.where(tried > 0, np.nansum(best_squares, axis=1) / np.maximum(tried, 1), 2 * spread)
    centre = logs[:, logs.shape[1] - YEAR :][:, :horizon] + _growth(changes, best_memory)[:, None]
    return centre, np.maximum(errors, SMALLEST_VARIANCE)


def _past_squares(changes: FloatArray, memory: float, horizon: int) -> FloatArray:
    """Squared errors of growth forecast from each past month for the months after it; (c, forecasts)."""
    months = changes.shape[1]
    squares = [
        (changes[:, origin : origin + horizon] - _growth(changes[:, :origin], memory)[:, None]) ** 2
        for origin in range(2, months)
    ]
    return np.concatenate(squares, axis=1) if squares else np.empty((len(changes), 0))


def _growth(changes: FloatArray, memory: float) -> FloatArray:
    """Each category's growth: that of all as of late, and its own lead over it, as far as it is certain; (c,).

    changes: (c, m) · memory: what a change of all counts, relative to that of a month later. The growth of all
    where a category has no change yet, NaN where none has.
    """
    known = ~np.isnan(changes)
    is_dated = known.any(axis=0)
    if not is_dated.any():
        return np.full(len(changes), np.nan)
    shared = np.nanmean(changes[:, is_dated], axis=0)
    weights = memory ** (changes.shape[1] - 1.0 - np.flatnonzero(is_dated))
    growth = np.full(len(changes), float((weights * shared).sum() / weights.sum()))
    has_spread = known.sum(axis=1) > 1
    if has_spread.sum() < 2:
        return growth
    # Shops grow and shrink as a whole; what a category gains on the others is steadier and is measured over all.
    leads = changes[np.ix_(has_spread, is_dated)] - shared
    lead, spread = np.nanmean(leads, axis=1), np.nanvar(leads, axis=1, ddof=1)
    uncertainty = (spread + np.median(spread)) / 2 / known[has_spread].sum(axis=1)
    between = max(float(lead.var(ddof=1) - uncertainty.mean()), 0.0)
    growth[has_spread] += between / np.maximum(between + uncertainty, SMALLEST_VARIANCE) * lead
    return growth


def _regression(logs: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres (c, h), the mean squared error (c,) on months left out one at a time, and the error so made a year ago.

    The last is (c, h), for the calendar months ahead, 0 where such a month was unknown.
    """
    from statsmodels.regression.linear_model import OLS

    months = logs.shape[1]
    centres, missed_last_year = np.empty((len(logs), horizon)), np.empty((len(logs), horizon))
    errors = np.empty(len(logs))
    for row, series in enumerate(logs):
        known = np.flatnonzero(~np.isnan(series))
        candidates = [(waves, OLS(series[known], _design(known, waves)).fit()) for waves in range(MOST_WAVES + 1)]
        waves, best = min(candidates, key=lambda candidate: _aicc(candidate[1]))
        leverage = np.minimum(best.get_influence().hat_matrix_diag, 1 - 1e-6)
        left_out = np.zeros(months)
        left_out[known] = best.resid / (1 - leverage)
        errors[row] = max(float(np.mean(left_out[known] ** 2)), SMALLEST_VARIANCE)
        missed_last_year[row] = left_out[months - YEAR :][:horizon]
        centres[row] = best.predict(_design(np.arange(months, months + horizon), waves))
    return centres, errors, missed_last_year


def _design(months: IntArray, waves: int) -> FloatArray:
    columns = [np.ones(len(months)), months / YEAR]
    for wave in range(1, waves + 1):
        angle = 2 * np.pi * wave * months / YEAR
        columns += [np.cos(angle), np.sin(angle)]
    return np.column_stack(columns)


def _aicc(fit: Any) -> float:
    """Akaike's criterion for few observations (Hurvich & Tsai 1989), of a fit by statsmodels' OLS."""
    observations, parameters = fit.nobs, fit.df_model + 2
    spare = observations - parameters - 1
    if spare <= 0:
        return np.inf
    variance = max(fit.ssr / observations, SMALLEST_VARIANCE)
    return float(observations * np.log(variance) + 2 * parameters + 2 * parameters * (parameters + 1) / spare)


def _recent_bands(series: FloatArray, horizon: int) -> _Bands:
    """The mean of the last known months for every month ahead; series: (c, m) on either scale."""
    from scipy.stats import t as student_t

    centre = np.empty((len(series), horizon))
    variances, degrees = np.empty((len(series), horizon)), np.empty(len(series))
    for row, months in enumerate(series):
        known = months[~np.isnan(months)]
        centre[row] = known[-RECENT_MONTHS:].mean()
        misses = [_recent_misses(known, step) for step in range(1, horizon + 1)]
        # A step that the history is too short to have seen is no surer than the steps before it.
        squares = [float(np.mean(miss**2)) if len(miss) else 0.0 for miss in misses]
        variances[row] = np.maximum.accumulate(squares)
        degrees[row] = len(misses[0])
    variance, all_degrees = _pooled(variances[:, 0], degrees)
    # Pooled at one step ahead; further ahead the category's own loss of certainty.
    growth = variances / np.maximum(variances[:, :1], SMALLEST_VARIANCE)
    variance = np.where(variances[:, :1] > 0, variance[:, None] * np.maximum(growth, 1.0), variance[:, None])
    half_width = student_t.ppf((1 + COVERAGE) / 2, all_degrees)[:, None] * np.sqrt(variance)
    return _Bands(centre, half_width)


def _recent_misses(known: FloatArray, step: int) -> FloatArray:
    """Errors of the mean of up to three months, step months later, at every past origin."""
    origins = range(2, len(known) - step + 1)
    return np.array(
        [known[origin + step - 1] - known[max(0, origin - RECENT_MONTHS) : origin].mean() for origin in origins]
    )


def _pooled(variance: FloatArray, degrees: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variances pulled towards the categories' typical one, and the degrees of freedom they are then worth."""
    if len(variance) == 1:
        return np.maximum(variance, SMALLEST_VARIANCE), np.maximum(degrees, 1.0)
    typical = float(np.median(variance))
    pulled = (degrees * variance + POOLED_DEGREES * typical) / (degrees + POOLED_DEGREES)
    return np.maximum(pulled, SMALLEST_VARIANCE), degrees + POOLED_DEGREES
