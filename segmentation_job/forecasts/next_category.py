"""Which category a customer will need next, and when.

A category is right where it is among the categories of the customer's next order day. Each category that a
customer has bought before gets the probability of that by logistic regression on how large its share of the
customer's order days is, how far it is into its own rhythm by the time of the next order, how regular that rhythm
is, how popular the category is with all, and whether its season is near. The regression is learned at an earlier
date, from the order days that followed it: facts strictly before that date, outcomes from it on and before the
as-of date.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from segmentation_job.forecasts.errors import TooLittleHistoryError
from segmentation_job.forecasts.quantising import quantised

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MINIMUM_CUSTOMERS = 50
MINIMUM_OUTCOMES = 10
# A customer's few order days are taken together with so many of an average customer's.
POOLED_ORDER_DAYS = 4.0
YEAR = 12
# Months ahead in which most next orders fall, and how many purchase days of evidence against a season it begins with.
SEASON_MONTHS = 2
POOLED_PURCHASE_DAYS = 20.0
ROWS_AT_ONCE = 1_000_000
FEATURES = (
    "log_share",
    "overdue",
    "overdue_square",
    "early_by_share",
    "regular_overdue",
    "popularity",
    "log_orders",
    "log_orders_by_share",
)


@dataclass(frozen=True)
class CategoryFacts:
    """What is known of customers and the categories that they have bought, strictly before one date.

    One row per customer × category, sorted by both. customer, category: (n,) whole numbers, categories from 0 ·
    purchase_days: (n,) days with the category, at least 1 · days_since_last: (n,) from the last of them to the
    date · mean_gap_days: (n,) between them, NaN where there is one · order_days: (n,) the customer's days with any
    purchase · order_gap_days: (n,) mean between these, NaN where there is one · gap_variation: (n,) standard
    deviation over mean of the category's gaps, NaN where unknown, None where nobody computes it · season: by
    category, from `seasonal_lift` at the same date, None where the past is too short to know. Raises ValueError
    on another order, on lengths that differ and on counts that cannot be.
    """

    customer: IntArray
    category: IntArray
    purchase_days: IntArray
    days_since_last: FloatArray
    mean_gap_days: FloatArray
    order_days: IntArray
    order_gap_days: FloatArray
    gap_variation: FloatArray | None = None
    season: FloatArray | None = None

    def __post_init__(self) -> None:
        columns = [field.name for field in fields(self) if field.name != "season"]
        lengths = {name: len(getattr(self, name)) for name in columns if getattr(self, name) is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        step = np.diff(self.customer)
        if ((step < 0) | ((step == 0) & (np.diff(self.category) <= 0))).any():
            raise ValueError("facts must be sorted by customer and category, one row for each pair")
        impossible = (
            (self.purchase_days < 1)
            | (self.order_days < self.purchase_days)
            | (self.category < 0)
            | ~np.isfinite(self.days_since_last)
            | (self.days_since_last < 0)
        )
        if impossible.any():
            row = int(impossible.argmax())
            raise ValueError(
                f"{int(impossible.sum())} of {len(self)} rows cannot be, the first is row {row}: "
                f"{self.purchase_days[row]} purchase days of {self.order_days[row]} order days, the last "
                f"{self.days_since_last[row]} days ago"
            )

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True)
class NextCategoryModel:
    """A fitted regression: intercept and a coefficient per feature of FEATURES, on standardised features.

    mean, scale: (8,) of the features when fitted · log_popularity: by category, ln share of all order days; a
    category that came later counts as the least popular · rows: fitted on.
    """

    intercept: float
    coefficients: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    log_popularity: tuple[float, ...]
    rows: int


@dataclass(frozen=True)
class NextCategories:
    """One row per customer of the facts, in their order.

    customer, category: (m,) · probability: (m,) that the category is among those of the next order day, 0 to 1 ·
    expected_days: (m,) until the category is due by its own rhythm, 0 where it is due already.
    """

    customer: IntArray
    category: IntArray
    probability: FloatArray
    expected_days: FloatArray


def seasonal_lift(purchase_days: FloatArray, order_days: FloatArray) -> FloatArray | None:
    """How much more often than over the year orders hold each category in the season ahead; (c,) logarithms.

    purchase_days: (c, m) of all customers by category and whole month before the date, the last month last ·
    order_days: (m,) of all customers by month. The season ahead is the two calendar months from the next on, as
    they were a year ago. None with less than twelve months. Raises ValueError where the months disagree.
    """
    if purchase_days.ndim != 2 or order_days.shape != purchase_days.shape[1:]:
        raise ValueError(f"purchase days of shape {purchase_days.shape}, order days of shape {order_days.shape}")
    if len(order_days) < YEAR or order_days[-YEAR:].sum() == 0:
        return None
    year, orders = purchase_days[:, -YEAR:], order_days[-YEAR:]
    expected = year.sum(axis=1) * orders[:SEASON_MONTHS].sum() / orders.sum()
    came = year[:, :SEASON_MONTHS].sum(axis=1)
    lift: FloatArray = np.log(came + POOLED_PURCHASE_DAYS) - np.log(expected + POOLED_PURCHASE_DAYS)
    return lift


def fit_next_category(facts: CategoryFacts, bought_next: BoolArray) -> NextCategoryModel:
    """Learn the regression from customers who have ordered since the facts' date.

    facts: of these customers, before an earlier date · bought_next: (n,) whether the category was among those of
    the customer's first order day from that date on. Raises TooLittleHistoryError below 50 customers, 10 rows that
    were bought or 10 that were not; ValueError on another number of outcomes.
    """
    # Loaded before the limit below, which holds for what is loaded by then.
    from sklearn.linear_model import LogisticRegression

    if bought_next.shape != (len(facts),):
        raise ValueError(f"{len(facts)} rows of facts, outcomes of shape {bought_next.shape}")
    customers, positive = len(_starts(facts)), int(bought_next.sum())
    if customers < MINIMUM_CUSTOMERS or min(positive, len(facts) - positive) < MINIMUM_OUTCOMES:
        raise TooLittleHistoryError(
            f"{customers} customers have ordered again, {positive} of their {len(facts)} categories came next: "
            f"{MINIMUM_CUSTOMERS} customers and {MINIMUM_OUTCOMES} categories of each outcome are needed"
        )
    log_popularity = _log_popularity(facts)
    columns = _features(facts, slice(None), log_popularity)
    mean = tuple(quantised(float(column.mean())) for column in columns)
    spread = [quantised(float(column.std())) for column in columns]
    # A feature that does not vary gets the coefficient 0 and says nothing where it varies later.
    scale = tuple(value if value > 1e-9 else 1.0 for value in spread)
    X = np.column_stack([(column - m) / s for column, m, s in zip(columns, mean, scale, strict=True)])
    with threadpool_limits(limits=1):
        regression = LogisticRegression(C=1.0, max_iter=1000).fit(X, bought_next)
    return NextCategoryModel(
        intercept=quantised(float(regression.intercept_[0])),
        coefficients=tuple(quantised(float(value)) for value in regression.coef_[0]),
        mean=mean,
        scale=scale,
        log_popularity=log_popularity,
        rows=len(facts),
    )


def category_probabilities(model: NextCategoryModel, facts: CategoryFacts) -> FloatArray:
    """Probability of each row's category to be among those of the customer's next order day; (n,).

    Each row depends on itself and the model alone. A million rows are worked on at a time.
    """
    from scipy.special import expit

    probabilities = np.empty(len(facts))
    for start in range(0, len(facts), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        score = np.full(len(facts.customer[rows]), model.intercept)
        terms = zip(
            _features(facts, rows, model.log_popularity), model.coefficients, model.mean, model.scale, strict=True
        )
        # One feature after another and not as a product of matrices, whose last bits depend on the machine.
        for column, coefficient, mean, scale in terms:
            score += coefficient * (column - mean) / scale
        probabilities[rows] = expit(score)
    return probabilities


def next_categories(model: NextCategoryModel, facts: CategoryFacts) -> NextCategories:
    """The most probable category of each customer; of equals the one that comes first.

    A customer who has bought nothing is not in the facts and gets no row.
    """
    if len(facts) == 0:
        return NextCategories(facts.customer, facts.category, np.empty(0), np.empty(0))
    # Nine digits decide, so that noise in the last ones does not choose between equals.
    probabilities = np.round(category_probabilities(model, facts), 9)
    rows = _first_greatest(facts, probabilities)
    gap = _gap_days(facts, slice(None))[rows]
    return NextCategories(
        customer=facts.customer[rows],
        category=facts.category[rows],
        probability=probabilities[rows],
        expected_days=np.maximum(gap - facts.days_since_last[rows], 0.0),
    )


def most_frequent_categories(facts: CategoryFacts) -> IntArray:
    """The category that each customer has bought on most days, of equals the first; (m,), what to beat."""
    return facts.category[_first_greatest(facts, facts.purchase_days.astype(np.float64))]


def hit_rate(facts: CategoryFacts, bought_next: BoolArray, predicted: IntArray) -> float:
    """Share of customers whose predicted category is among those of their next order day.

    facts, bought_next: as for fitting, of later dates · predicted: (m,) a category for each customer, in order.
    """
    customers = facts.customer[_starts(facts)]
    if predicted.shape != customers.shape:
        raise ValueError(f"{len(customers)} customers, predictions of shape {predicted.shape}")
    is_hit = bought_next & (facts.category == predicted[np.searchsorted(customers, facts.customer)])
    return float(is_hit.sum() / len(customers))


def _features(facts: CategoryFacts, rows: slice, log_popularity: tuple[float, ...]) -> tuple[FloatArray, ...]:
    """The features of FEATURES for some rows, (n,) each."""
    popularity = np.append(np.array(log_popularity), min(log_popularity))
    log_popular: FloatArray = popularity[np.minimum(facts.category[rows], len(log_popularity))]
    share = np.exp(log_popular)
    bought, orders = facts.purchase_days[rows].astype(np.float64), facts.order_days[rows].astype(np.float64)
    log_share = np.log(bought + POOLED_ORDER_DAYS * share) - np.log(orders - bought + POOLED_ORDER_DAYS * (1 - share))
    if facts.season is not None:
        # A category that came since the seasons were measured has none.
        lifts = np.append(facts.season, 0.0)
        log_share = log_share + lifts[np.minimum(facts.category[rows], len(facts.season))]
    # By the next order the customer will have waited for one more order's gap.
    order_gap = _known_or(facts.order_gap_days[rows], facts.days_since_last[rows])
    overdue = np.log(facts.days_since_last[rows] + order_gap + 1) - np.log(_gap_days(facts, rows) + 1)
    if facts.gap_variation is None:
        regularity = np.zeros(len(bought))
    else:
        regularity = 1 / (1 + _known_or(facts.gap_variation[rows], np.full(len(bought), np.inf)))
    log_orders = np.log(orders)
    return (
        log_share,
        overdue,
        overdue**2,
        np.minimum(overdue, 0.0) * log_share,
        regularity * overdue,
        log_popular,
        log_orders,
        log_orders * log_share,
    )


def _gap_days(facts: CategoryFacts, rows: slice) -> FloatArray:
    """The category's mean gap, from its share of the customer's orders where it was bought once."""
    orders, bought = facts.order_days[rows], facts.purchase_days[rows]
    order_gap = _known_or(facts.order_gap_days[rows], facts.days_since_last[rows])
    return np.maximum(_known_or(facts.mean_gap_days[rows], order_gap * orders / bought), 1.0)


def _known_or(values: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.where(np.isnan(values), otherwise, values).astype(np.float64)


def _log_popularity(facts: CategoryFacts) -> tuple[float, ...]:
    orders = float(facts.order_days[_starts(facts)].sum())
    days = np.bincount(facts.category, weights=facts.purchase_days)
    # Less than all, or the pooled share would leave no room for doubt; half a day for one never bought.
    shares = np.minimum(np.maximum(days, 0.5) / orders, 0.999)
    return tuple(quantised(float(value)) for value in np.log(shares))


def _starts(facts: CategoryFacts) -> IntArray:
    """The first row of each customer."""
    if len(facts) == 0:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.append(True, np.diff(facts.customer) > 0))


def _first_greatest(facts: CategoryFacts, score: FloatArray) -> IntArray:
    """The row of each customer's greatest score."""
    starts = _starts(facts)
    if len(starts) == 0:
        return starts
    greatest = np.repeat(np.maximum.reduceat(score, starts), np.diff(np.append(starts, len(score))))
    rows = np.flatnonzero(score == greatest)
    _, first = np.unique(facts.customer[rows], return_index=True)
    return rows[first]
