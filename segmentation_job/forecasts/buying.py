"""How often a customer will buy and what a purchase will be worth: BG/NBD and Gamma-Gamma by maximum likelihood.

Throughout, of one customer at an as-of date:
frequency: days with a purchase after the first such day (repeat purchase days), 0 for a single day
recency: time from the first purchase day to the last, 0 where frequency is 0
age: time from the first purchase day to the as-of date
horizon: time ahead of the as-of date
The three times share one unit, whichever it is (days, weeks); the parameter alpha comes in it too.

BG/NBD: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2).
Gamma-Gamma: Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmentation_job.forecasts.errors import TooLittleHistoryError
from segmentation_job.forecasts.quantising import quantised

FloatArray = NDArray[np.float64]

MINIMUM_CUSTOMERS = 50
MINIMUM_REPEATERS = 10
# Parameters are sought within these powers of e, in units in which the mean age is TYPICAL_AGE. Beyond them the
# likelihood is flat: customers who never lapse, say, push b towards infinity and no forecast changes any more.
LOG_BOUND = 9.0
TYPICAL_AGE = 30.0
# The slope of the mean log-likelihood in the logarithm of a parameter that counts as none.
FLAT = 1e-5
# ln r, ln alpha, ln a, ln b: occasional buyers who lapse, regular ones who lapse, regular ones who hardly do.
BG_NBD_STARTS = ((-1.0, 1.5, 0.0, 1.0), (0.5, 1.0, -1.0, 1.0), (1.0, 0.0, -2.0, 3.0))
# ln p, ln (q − 1), ln gamma, values in units of their mean.
GAMMA_GAMMA_STARTS = ((1.0, 1.0, 0.0), (0.0, 0.0, 0.0), (3.0, 2.0, 1.0))
# Purchases counted one by one within a horizon, and the share of the first one's probability that counts no more.
MOST_TERMS = 5000
SMALLEST_TERM = 1e-12
LAPSE_NODES = 200

Objective = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass(frozen=True)
class BgNbdParameters:
    """A fitted BG/NBD model.

    Purchase rates are gamma distributed with shape r and rate alpha (in the caller's unit of time), the
    probability of lapsing after a purchase is beta distributed with a and b. log_likelihood: at the optimum, of
    all customers, times in the caller's unit · converged: whether the optimizer said so · is_at_bound: whether a
    parameter stands at the edge of what was searched, which means that the data do not pin it down ·
    customers: fitted on.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    converged: bool
    is_at_bound: bool
    customers: int


@dataclass(frozen=True)
class GammaGammaParameters:
    """A fitted Gamma-Gamma model.

    A purchase's value is gamma distributed with shape p, its rate across customers with shape q (more than 1, so
    that the mean exists) and scale gamma, in the currency. Other fields as in BgNbdParameters.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    converged: bool
    is_at_bound: bool
    customers: int

    @property
    def population_mean(self) -> float:
        """Expected value of a purchase of a customer of whom nothing is known."""
        return self.p * self.gamma / (self.q - 1)


@dataclass(frozen=True)
class _Optimum:
    log_parameters: FloatArray
    log_likelihood: float
    converged: bool
    is_at_bound: bool


def bg_nbd_log_likelihood(
    r: float, alpha: float, a: float, b: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Log-likelihood of each customer under BG/NBD; (n,). Fader, Hardie & Lee (2005), equation 6.

    frequency, recency, age: (n,), as the module says.
    """
    x, t_x, T = _histories(frequency, recency, age)
    log_likelihood, _ = _bg_nbd_terms(r, alpha, a, b, x, t_x, T)
    return log_likelihood


def fit_bg_nbd(
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    weight: ArrayLike | None = None,
    minimum_customers: int = MINIMUM_CUSTOMERS,
) -> BgNbdParameters:
    """Fit BG/NBD by maximum likelihood; the same parameters for the same customers in any order.

    frequency, recency, age: (n,), as the module says · weight: (n,) how many customers a row stands for, one each
    unless given. Equal rows are evaluated once. A sample of a hundred thousand customers fits a million as well.
    Raises TooLittleHistoryError below minimum_customers and where fewer than ten customers came back; ValueError
    on impossible histories (a recency beyond the age, negative or infinite values).
    """
    x, t_x, T = _histories(frequency, recency, age)
    counts = _weights(weight, len(x))
    # A customer whose first purchase day is the as-of date has not had time to do anything.
    observed = (T > 0) & (counts > 0)
    x, t_x, T, counts = x[observed], t_x[observed], T[observed], counts[observed]
    customers, repeaters = counts.sum(), counts[x > 0].sum()
    if customers < minimum_customers:
        raise TooLittleHistoryError(
            f"{customers:.0f} customers with a past, BG/NBD needs {minimum_customers}: forecast no purchases yet"
        )
    if repeaters < MINIMUM_REPEATERS:
        raise TooLittleHistoryError(
            f"{repeaters:.0f} of {customers:.0f} customers bought on a second day, BG/NBD needs "
            f"{MINIMUM_REPEATERS}: forecast no purchases yet"
        )
    rows, inverse = np.unique(np.column_stack([x, t_x, T]), axis=0, return_inverse=True)
    counts = _summed(counts, inverse)
    unit = float((rows[:, 2] * counts).sum() / customers / TYPICAL_AGE)
    x, t_x, T = rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit

    def objective(log_parameters: FloatArray) -> tuple[float, FloatArray]:
        r, alpha, a, b = np.exp(log_parameters)
        log_likelihood, gradient = _bg_nbd_terms(r, alpha, a, b, x, t_x, T)
        slopes = (gradient * counts).sum(axis=1) * np.exp(log_parameters)
        return -float((log_likelihood * counts).sum()) / customers, -slopes / customers

    best = _maximum(objective, BG_NBD_STARTS, customers)
    r, alpha, a, b = (quantised(float(value)) for value in np.exp(best.log_parameters) * [1.0, unit, 1.0, 1.0])
    # A density of purchases per unit of time: another unit shifts its logarithm once per purchase.
    shift = float((x * counts).sum()) * np.log(unit)
    return BgNbdParameters(
        r=r,
        alpha=alpha,
        a=a,
        b=b,
        log_likelihood=quantised(best.log_likelihood - shift),
        converged=best.converged,
        is_at_bound=best.is_at_bound,
        customers=int(customers),
    )


def probability_active(
    parameters: BgNbdParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Probability that each customer has not lapsed; (n,), 0 to 1, and 1 for who never came back.

    frequency, recency, age: (n,), as the module says. In BG/NBD customers lapse only after a repeat purchase, so
    that nothing can be said of one who has none. Fader, Hardie & Lee (2005), section 4, in logistic form.
    """
    from scipy.special import expit

    x, t_x, T = _histories(frequency, recency, age)
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    repeats = np.maximum(x, 1.0)
    log_odds_lapsed = np.log(a) - np.log(b + repeats - 1) + (r + repeats) * (np.log(alpha + T) - np.log(alpha + t_x))
    active: FloatArray = np.where(x > 0, expit(-log_odds_lapsed), 1.0)
    return active


def expected_purchases(
    parameters: BgNbdParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, horizon: float
) -> FloatArray:
    """Expected purchase days of each customer within the horizon; (n,), finite, not negative.

    frequency, recency, age: (n,), horizon: as the module says, in the unit that was fitted. Fader, Hardie & Lee
    (2005), equation 10, as a sum of probabilities: its hypergeometric function overflows for frequent buyers, is
    wrong in scipy for long horizons and divides by a − 1. Raises ValueError on a negative or infinite horizon.
    """
    x, t_x, T = _histories(frequency, recency, age)
    if not (np.isfinite(horizon) and horizon >= 0):
        raise ValueError(f"horizon must be finite and not negative, got {horizon}")
    purchases = np.zeros(len(x))
    shape, rest = parameters.r + x, -np.log1p(horizon / (parameters.alpha + T))
    mean = shape * np.expm1(-rest)
    # All but a ten millionth of a negative binomial lies below this: normal in its middle, exponential in its tail.
    is_countable = mean + 5.7 * np.sqrt(mean * np.exp(-rest)) + 16 * np.exp(-rest) < MOST_TERMS
    if horizon > 0:
        purchases[is_countable] = _purchases_by_count(parameters, x[is_countable], rest[is_countable])
        purchases[~is_countable] = _purchases_by_lapse(parameters, x[~is_countable], rest[~is_countable])
    # Nobody buys more than without lapsing; rounding must not say otherwise.
    purchases = np.clip(purchases, 0.0, mean)
    expected: FloatArray = purchases * probability_active(parameters, x, t_x, T)
    return expected


def fit_gamma_gamma(
    frequency: ArrayLike,
    mean_value: ArrayLike,
    weight: ArrayLike | None = None,
    minimum_customers: int = MINIMUM_CUSTOMERS,
) -> GammaGammaParameters:
    """Fit Gamma-Gamma by maximum likelihood; the same parameters for the same customers in any order.

    frequency: (n,) purchases that the mean is taken over · mean_value: (n,) mean value of a purchase in the
    currency · weight: (n,) how many customers a row stands for. Customers without purchases or with a mean of
    zero or less are left out: the model knows positive values only. Raises TooLittleHistoryError where fewer than
    minimum_customers are left and where all means are equal; ValueError on negative frequencies and infinite
    values.
    """
    x, m = _purchase_values(frequency, mean_value)
    counts = _weights(weight, len(x))
    spending = (x > 0) & (m > 0) & (counts > 0)
    x, m, counts = x[spending], m[spending], counts[spending]
    customers = counts.sum()
    if customers < minimum_customers:
        raise TooLittleHistoryError(
            f"{customers:.0f} customers with purchases of positive value, Gamma-Gamma needs {minimum_customers}: "
            f"forecast no spend yet"
        )
    if np.ptp(np.log(m)) < 1e-9:
        raise TooLittleHistoryError(
            f"all {customers:.0f} customers spend {m[0]:.2f} per purchase: there is no distribution to fit, take that"
        )
    rows, inverse = np.unique(np.column_stack([x, m]), axis=0, return_inverse=True)
    counts = _summed(counts, inverse)
    unit = float((rows[:, 1] * counts).sum() / customers)
    x, m = rows[:, 0], rows[:, 1] / unit

    def objective(log_parameters: FloatArray) -> tuple[float, FloatArray]:
        p, q_above_one, gamma = np.exp(log_parameters)
        log_likelihood, gradient = _gamma_gamma_terms(p, 1 + q_above_one, gamma, x, m)
        slopes = (gradient * counts).sum(axis=1) * np.exp(log_parameters)
        return -float((log_likelihood * counts).sum()) / customers, -slopes / customers

    best = _maximum(objective, GAMMA_GAMMA_STARTS, customers)
    p, q_above_one, gamma = np.exp(best.log_parameters)
    return GammaGammaParameters(
        p=quantised(p),
        q=quantised(1 + q_above_one),
        gamma=quantised(gamma * unit),
        log_likelihood=quantised(best.log_likelihood - customers * np.log(unit)),
        converged=best.converged,
        is_at_bound=best.is_at_bound,
        customers=int(customers),
    )


def expected_value(parameters: GammaGammaParameters, frequency: ArrayLike, mean_value: ArrayLike) -> FloatArray:
    """Expected value of each customer's next purchase in the currency; (n,), finite, positive.

    frequency: (n,) purchases that the mean is taken over · mean_value: (n,) their mean, below zero taken as zero.
    Lies between the customer's mean and the population's, which alone counts where there is no purchase.
    Fader & Hardie (2013), equation 5.
    """
    x, m = _purchase_values(frequency, mean_value)
    own_weight = parameters.p * x / (parameters.p * x + parameters.q - 1)
    value: FloatArray = own_weight * np.maximum(m, 0.0) + (1 - own_weight) * parameters.population_mean
    return value


def _bg_nbd_terms(
    r: float, alpha: float, a: float, b: float, x: FloatArray, t_x: FloatArray, T: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Log-likelihoods (n,) and their slopes in r, alpha, a, b (4, n)."""
    from scipy.special import betaln, digamma, gammaln

    log_alpha_T, log_alpha_t_x = np.log(alpha + T), np.log(alpha + t_x)
    repeats = np.maximum(x, 1.0)
    log_active = -(r + x) * log_alpha_T
    log_lapsed = np.where(x > 0, np.log(a) - np.log(b + repeats - 1) - (r + x) * log_alpha_t_x, -np.inf)
    log_either = np.logaddexp(log_active, log_lapsed)
    log_likelihood = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b) + log_either
    lapsed = np.exp(log_lapsed - log_either)
    active = 1 - lapsed
    gradient = np.stack(
        [
            digamma(r + x) - digamma(r) + np.log(alpha) - active * log_alpha_T - lapsed * log_alpha_t_x,
            r / alpha - (r + x) * (active / (alpha + T) + lapsed / (alpha + t_x)),
            digamma(a + b) - digamma(a + b + x) + lapsed / a,
            digamma(b + x) - digamma(b) + digamma(a + b) - digamma(a + b + x) - lapsed / (b + repeats - 1),
        ]
    )
    return log_likelihood, gradient


def _gamma_gamma_terms(p: float, q: float, gamma: float, x: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihoods (n,) and their slopes in p, q, gamma (3, n)."""
    from scipy.special import betaln, digamma

    log_scale = np.log(gamma + m * x)
    log_likelihood = (
        -betaln(p * x, q) + q * np.log(gamma) + (p * x - 1) * np.log(m) + p * x * np.log(x) - (p * x + q) * log_scale
    )
    both = digamma(p * x + q)
    gradient = np.stack(
        [
            x * (both - digamma(p * x) + np.log(m) + np.log(x) - log_scale),
            both - digamma(q) + np.log(gamma) - log_scale,
            q / gamma - (p * x + q) / (gamma + m * x),
        ]
    )
    return log_likelihood, gradient


def _purchases_by_count(parameters: BgNbdParameters, x: FloatArray, log_rest: FloatArray) -> FloatArray:
    """Expected purchases of customers who are active, by adding up the probabilities of the 1st, 2nd, 3rd, …

    log_rest: (n,) ln((alpha + age) / (alpha + age + horizon)). The number of purchases without lapsing is negative
    binomial; the customer makes the one after the j-th if there are more than j and none of j was the last.
    """
    shape = parameters.r + x
    log_step = np.log(-np.expm1(log_rest))
    stays, trials = parameters.b + x, parameters.a + parameters.b + x
    purchases = np.zeros(len(x))
    rows = np.arange(len(x))
    log_probability = shape * log_rest
    more = -np.expm1(log_probability)
    enough = more * SMALLEST_TERM
    not_lapsed = np.ones(len(x))
    for count in range(MOST_TERMS):
        purchases[rows] += more * not_lapsed
        not_lapsed *= (stays + count) / (trials + count)
        # In logarithms, for the probability of no purchase at all may be too small for a float.
        log_probability += np.log((shape + count) / (count + 1)) + log_step
        more = np.maximum(more - np.exp(log_probability), 0.0)
        if count % 8 == 7:
            going = more > enough
            if not going.any():
                break
            rows, shape, log_step, stays, trials = (v[going] for v in (rows, shape, log_step, stays, trials))
            log_probability, more, enough, not_lapsed = (v[going] for v in (log_probability, more, enough, not_lapsed))
    return purchases


def _purchases_by_lapse(parameters: BgNbdParameters, x: FloatArray, log_rest: FloatArray) -> FloatArray:
    """The same to about three digits, by quadrature over the probability of lapsing: for thousands of purchases."""
    from scipy.special import betaincinv

    nodes, weights = np.polynomial.legendre.leggauss(LAPSE_NODES)
    growth = np.expm1(-log_rest)
    purchases = np.zeros(len(x))
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        lapse = np.maximum(betaincinv(parameters.a, parameters.b + x, node), 1e-300)
        purchases += weight * -np.expm1(-(parameters.r + x) * np.log1p(lapse * growth)) / lapse
    return purchases


def _maximum(objective: Objective, starts: Sequence[Sequence[float]], customers: float) -> _Optimum:
    """The best of several descents, the first of equals, so that the result depends on the data alone."""
    from scipy.optimize import minimize

    best: Any = None
    for start in starts:
        found = minimize(
            objective,
            np.array(start),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-LOG_BOUND, LOG_BOUND)] * len(start),
            options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-8},
        )
        if np.isfinite(found.fun) and (best is None or found.fun < best.fun - 1e-10):
            best = found
    if best is None:
        raise TooLittleHistoryError(f"no parameters fit the {customers:.0f} customers: forecast nothing yet")
    return _Optimum(
        log_parameters=best.x,
        log_likelihood=-float(best.fun) * customers,
        # At the last bits of the likelihood the line search gives up, which it reports as a failure: a descent that
        # ends where nothing slopes has arrived all the same.
        converged=bool(best.success or np.abs(best.jac).max() < FLAT),
        is_at_bound=bool((np.abs(best.x) >= LOG_BOUND - 1e-6).any()),
    )


def _histories(frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, t_x, T = (np.asarray(values, dtype=np.float64) for values in (frequency, recency, age))
    if not (x.ndim == 1 and x.shape == t_x.shape == T.shape):
        raise ValueError(f"expected three arrays of one length, got shapes {x.shape}, {t_x.shape} and {T.shape}")
    impossible = ~(np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T) & (x >= 0) & (t_x >= 0) & (t_x <= T))
    if impossible.any():
        row = int(impossible.argmax())
        raise ValueError(
            f"{int(impossible.sum())} of {len(x)} customers have an impossible history, the first at row {row}: "
            f"frequency {x[row]}, recency {t_x[row]}, age {T[row]}; expected 0 ≤ recency ≤ age and frequency ≥ 0"
        )
    # A recency without a repeat purchase says nothing, and must not look as if it did.
    return x, np.where(x > 0, t_x, 0.0), T


def _purchase_values(frequency: ArrayLike, mean_value: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, m = np.asarray(frequency, dtype=np.float64), np.asarray(mean_value, dtype=np.float64)
    if x.ndim != 1 or x.shape != m.shape:
        raise ValueError(f"expected two arrays of one length, got shapes {x.shape} and {m.shape}")
    # What was never bought has no mean value.
    m = np.where(x == 0, 0.0, m)
    if not (np.isfinite(x).all() and np.isfinite(m).all() and (x >= 0).all()):
        raise ValueError("frequencies must be finite and not negative, and mean values finite where there are any")
    return x, m


def _summed(counts: FloatArray, group: NDArray[np.intp]) -> FloatArray:
    return np.bincount(group.ravel(), weights=counts).astype(np.float64)


def _weights(weight: ArrayLike | None, customers: int) -> FloatArray:
    if weight is None:
        return np.ones(customers)
    counts = np.asarray(weight, dtype=np.float64)
    if counts.shape != (customers,) or not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(f"expected {customers} weights, finite and not negative, got shape {counts.shape}")
    return counts
