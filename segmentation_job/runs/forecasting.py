"""The forecast step: what each customer will buy in the next 90 days, what each category will sell in three months."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute
from threadpoolctl import threadpool_limits

from segmentation_job.forecasts.buying import (
    BgNbdParameters,
    GammaGammaParameters,
    expected_purchases,
    expected_value,
    fit_bg_nbd,
    fit_gamma_gamma,
    probability_active,
)
from segmentation_job.forecasts.demand import DemandHistory, forecast_demand
from segmentation_job.forecasts.errors import TooLittleHistoryError
from segmentation_job.forecasts.next_category import (
    CategoryFacts,
    NextCategoryModel,
    fit_next_category,
    next_categories,
    seasonal_lift,
)
from segmentation_job.runs.calendar import RunPlan
from segmentation_job.runs.feature_matrix import features_hash
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FORECAST_TABLES

HORIZON_DAYS = 90
MONTHS_AHEAD = 3
TOO_LITTLE_HISTORY = "too_little_history"

Fitted = TypeVar("Fitted")

# The customers whose hashed id is smallest, as for the models of segments.
SAMPLE = """
    select customer_id from candidate.buying_summary where as_of_date = ?
    order by md5(customer_id), customer_id limit ?
"""
RHYTHM_COLUMNS = (
    "known_before_date, customer_id, category, purchase_day_count, days_since_last, gap_mean_days, order_day_count,"
    " order_gap_mean_days, was_bought_next"
)


@dataclass(frozen=True)
class ForecastOutcome:
    """What one of the forecast's models came to.

    model: purchases, spend, next_category or demand · method: what it was done with, or too_little_history ·
    customers_fitted: None for demand · parameters: JSON · note: what a reader must know, None where nothing.
    """

    model: str
    method: str
    customers_fitted: int | None
    parameters: str
    note: str | None


def forecast_date(
    warehouse: Warehouse, plan: RunPlan, *, sample_size: int, batch_size: int
) -> tuple[ForecastOutcome, ...]:
    """Write the candidate forecasts of a date in place of what an earlier attempt left.

    sample_size: customers the models are fitted on. batch_size: customers scored at a time. A model for which the
    history is too short leaves its columns null and says so in its outcome; nothing promoted is touched.
    """
    # Loaded before the limit, which holds for what is loaded by then; at the top, every step would load them.
    import sklearn.linear_model  # noqa: F401
    import statsmodels.regression.linear_model  # noqa: F401

    as_of = plan.as_of
    with threadpool_limits(limits=1), warehouse.transaction():
        for table in FORECAST_TABLES:
            warehouse.delete(f"candidate.{table}", {"as_of_date": as_of})
        purchases, spend, buying_outcomes = _fit_buying(warehouse, as_of, sample_size)
        codes = _category_codes(warehouse, as_of)
        next_model, next_outcome = _fit_next_category(warehouse, as_of, codes, sample_size)
        predicted = _next_categories(warehouse, as_of, codes, next_model, batch_size)
        for batch in warehouse.batches(
            "select scope.customer_id, repeat_day_count, first_to_last_days, age_days,"
            " cast(repeat_day_spend_mean_amount as double) as repeat_day_spend_mean_amount"
            " from candidate.purchase_features as scope left join candidate.buying_summary as summary"
            " on scope.as_of_date = summary.as_of_date and scope.customer_id = summary.customer_id"
            " where scope.as_of_date = ? order by scope.customer_id",
            (as_of,),
            batch_size,
        ):
            warehouse.append("candidate.customer_forecasts", _customer_rows(as_of, batch, purchases, spend, predicted))
        demand_outcome = _forecast_demand(warehouse, as_of, codes)
        outcomes = (*buying_outcomes, next_outcome, demand_outcome)
        content = forecast_inputs_hash(warehouse, as_of)
        warehouse.append(
            "candidate.forecast_models",
            pa.Table.from_pylist(
                [{"as_of_date": as_of, **asdict(outcome), "inputs_hash": content} for outcome in outcomes],
                schema=pa.schema(
                    {
                        "as_of_date": pa.date32(),
                        "model": pa.string(),
                        "method": pa.string(),
                        "customers_fitted": pa.int64(),
                        "parameters": pa.string(),
                        "note": pa.string(),
                        "inputs_hash": pa.string(),
                    }
                ),
            ),
        )
        return outcomes


def forecast_inputs_hash(warehouse: Warehouse, as_of: date) -> str:
    """Return a hash of the candidate features of a date and of what its forecasts are made from.

    The rhythms, a row for each customer and category, are told by the two others: they come from the same days.
    """
    key = {"as_of_date": as_of}
    inputs = [
        warehouse.content_hash(f"candidate.{table}", key) for table in ("buying_summary", "category_month_demand")
    ]
    return "/".join((features_hash(warehouse, "candidate", as_of), *inputs))


def _fit_buying(
    warehouse: Warehouse, as_of: date, sample_size: int
) -> tuple[BgNbdParameters | None, GammaGammaParameters | None, tuple[ForecastOutcome, ...]]:
    found = warehouse.rows(
        "select repeat_day_count, first_to_last_days, age_days,"
        " coalesce(cast(repeat_day_spend_mean_amount as double), 0) from candidate.buying_summary"
        f" where as_of_date = ? and customer_id in ({SAMPLE}) order by customer_id",
        (as_of, as_of, sample_size),
    )
    frequency, recency, age, value = np.array(found, dtype=np.float64).reshape(-1, 4).T
    purchases, bought = _fitted("purchases", "bg_nbd", len(found), lambda: fit_bg_nbd(frequency, recency, age))
    spend, spent = _fitted("spend", "gamma_gamma", len(found), lambda: fit_gamma_gamma(frequency, value))
    return purchases, spend, (bought, spent)


def _fitted(
    model: str, method: str, customers: int, fit: Callable[[], Fitted]
) -> tuple[Fitted | None, ForecastOutcome]:
    """What a fit gave with its outcome; nothing, and why, where the history is too short for it."""
    try:
        parameters = fit()
    except TooLittleHistoryError as error:
        return None, ForecastOutcome(model, TOO_LITTLE_HISTORY, customers, "{}", str(error))
    content = asdict(parameters)  # type: ignore[call-overload]
    note = None
    if content.get("converged") is False:
        note = "the fit has not converged"
    elif content.get("is_at_bound"):
        note = "a parameter stands at the edge of what was searched: the data do not pin it down"
    return parameters, ForecastOutcome(model, method, customers, json.dumps(content, sort_keys=True), note)


def _fit_next_category(
    warehouse: Warehouse, as_of: date, codes: list[str], sample_size: int
) -> tuple[NextCategoryModel | None, ForecastOutcome]:
    """Learn from the customers who have ordered since the learning date which category came next."""
    batches = list(
        warehouse.batches(
            f"select {RHYTHM_COLUMNS} from candidate.customer_category_rhythm"
            f" where as_of_date = ? and was_bought_next is not null and customer_id in ({SAMPLE})"
            " order by customer_id, category",
            (as_of, as_of, sample_size),
            sample_size,
        )
    )
    learned = pa.Table.from_batches(batches) if batches else None
    customers = 0 if learned is None else len(pa.compute.unique(learned.column("customer_id")))

    def fit() -> NextCategoryModel:
        if learned is None:
            raise TooLittleHistoryError("nobody has ordered again since the learning date")
        bought = learned.column("was_bought_next").to_numpy(zero_copy_only=False).astype(bool)
        season = _season(warehouse, as_of, learned.column("known_before_date")[0].as_py(), codes)
        return fit_next_category(_facts(learned, codes, season)[1], bought)

    return _fitted("next_category", "logistic_regression", customers, fit)


def _next_categories(
    warehouse: Warehouse, as_of: date, codes: list[str], model: NextCategoryModel | None, batch_size: int
) -> pa.Table:
    """The next category of every customer who has bought: customer_id, category, probability."""
    parts = []
    if model is not None:
        names = pa.array(codes, pa.string())
        season = _season(warehouse, as_of, as_of, codes)
        for rows in _whole_customers(warehouse, as_of, batch_size):
            ids, facts = _facts(rows, codes, season)
            found = next_categories(model, facts)
            parts.append(
                pa.table(
                    {
                        "customer_id": ids.take(pa.array(found.customer)),
                        "category": names.take(pa.array(found.category)),
                        "probability": pa.array(found.probability.round(6)),
                    }
                )
            )
    empty = pa.schema({"customer_id": pa.string(), "category": pa.string(), "probability": pa.float64()}).empty_table()
    return pa.concat_tables([empty, *parts]).combine_chunks()


def _whole_customers(warehouse: Warehouse, as_of: date, batch_size: int) -> Iterator[pa.Table]:
    """Yield the rhythms at the as-of date, about `batch_size` rows at a time, no customer in two of them."""
    rest: pa.Table | None = None
    for batch in warehouse.batches(
        f"select {RHYTHM_COLUMNS} from candidate.customer_category_rhythm"
        " where as_of_date = ? and known_before_date = as_of_date order by customer_id, category",
        (as_of,),
        batch_size,
    ):
        rows = pa.Table.from_batches([batch])
        if rest is not None:
            rows = pa.concat_tables([rest, rows])
        last = rows.column("customer_id")[-1]
        begun = int(pa.compute.index(rows.column("customer_id"), last).as_py())
        if begun > 0:
            yield rows.slice(0, begun)
        rest = rows.slice(begun)
    if rest is not None and len(rest):
        yield rest


def _category_codes(warehouse: Warehouse, as_of: date) -> list[str]:
    """The names of the categories, sorted; a category's code is its place."""
    found = warehouse.rows(
        "select distinct category from candidate.customer_category_rhythm where as_of_date = ? order by category",
        (as_of,),
    )
    return [str(category) for (category,) in found]


def _season(warehouse: Warehouse, as_of: date, known_before: date, codes: list[str]) -> FloatArray | None:
    """Which categories are about to have their season, from the whole months before a date."""
    found = warehouse.rows(
        "select category, month, purchase_day_count, all_order_day_count from candidate.category_month_demand"
        " where as_of_date = ? and month < ? order by month, category",
        (as_of, known_before.replace(day=1)),
    )
    if not found:
        return None
    first = found[0][1]
    months = _months_between(first, found[-1][1]) + 1
    purchase_days, order_days = np.zeros((len(codes), months)), np.zeros(months)
    rows = {category: row for row, category in enumerate(codes)}
    for category, month, purchases, orders in found:
        place = _months_between(first, month)
        purchase_days[rows[str(category)], place] = purchases
        order_days[place] = orders
    return seasonal_lift(purchase_days, order_days)


def _facts(rows: pa.Table, codes: list[str], season: FloatArray | None) -> tuple[pa.Array, CategoryFacts]:
    """The distinct customers of some rows, in their order, and the rows' facts with customers numbered by it."""
    ids = rows.column("customer_id").combine_chunks().dictionary_encode()
    category = pa.compute.index_in(rows.column("category"), value_set=pa.array(codes, pa.string()))

    def numbers(name: str) -> FloatArray:
        column: FloatArray = rows.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        return column

    return ids.dictionary, CategoryFacts(
        customer=ids.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        category=category.to_numpy(zero_copy_only=False).astype(np.int64),
        purchase_days=numbers("purchase_day_count").astype(np.int64),
        days_since_last=numbers("days_since_last"),
        mean_gap_days=numbers("gap_mean_days"),
        order_days=numbers("order_day_count").astype(np.int64),
        order_gap_days=numbers("order_gap_mean_days"),
        season=season,
    )


def _customer_rows(
    as_of: date,
    batch: pa.RecordBatch,
    purchases: BgNbdParameters | None,
    spend: GammaGammaParameters | None,
    predicted: pa.Table,
) -> pa.Table:
    """The forecasts of some customers; who has never bought has none."""
    ids = batch.column(0)
    frequency, recency, age, value = (
        batch.column(index).to_numpy(zero_copy_only=False).astype(np.float64) for index in range(1, 5)
    )
    bought = ~np.isnan(frequency)
    expected, amount, active = (np.full(len(ids), np.nan) for _ in range(3))
    if purchases is not None:
        history = frequency[bought], recency[bought], age[bought]
        expected[bought] = expected_purchases(purchases, *history, HORIZON_DAYS).round(6)
        active[bought] = probability_active(purchases, *history).round(6)
        if spend is not None:
            worth = expected_value(spend, frequency[bought], np.nan_to_num(value[bought]))
            amount[bought] = (expected[bought] * worth).round(2)
    places = pa.compute.index_in(ids, value_set=predicted.column("customer_id").combine_chunks())
    return pa.table(
        {
            "as_of_date": pa.array([as_of] * len(ids), pa.date32()),
            "customer_id": ids,
            "expected_purchases_90d": pa.array(expected, from_pandas=True),
            "expected_spend_amount_90d": pa.array(amount, from_pandas=True),
            "active_probability": pa.array(active, from_pandas=True),
            "next_category": predicted.column("category").combine_chunks().take(places),
            "next_category_probability": predicted.column("probability").combine_chunks().take(places),
        }
    )


def read_demand_history(warehouse: Warehouse, schema: str, as_of: date) -> DemandHistory | None:
    """Return the months that a date knows of every category, by name; None where it knows no whole month."""
    found = warehouse.rows(
        f"select category, month, cast(net_amount as double) from {schema}.category_month_demand"
        " where as_of_date = ? order by category, month",
        (as_of,),
    )
    if not found:
        return None
    categories = sorted({str(category) for category, _, _ in found})
    first, last = min(row[1] for row in found), max(row[1] for row in found)
    totals = np.full((len(categories), _months_between(first, last) + 1), np.nan)
    rows = {category: row for row, category in enumerate(categories)}
    for category, month, amount in found:
        totals[rows[str(category)], _months_between(first, month)] = amount
    return DemandHistory(tuple(categories), np.datetime64(first, "M"), totals)


def _months_between(first: date, month: date) -> int:
    return (month.year - first.year) * 12 + month.month - first.month


def _forecast_demand(warehouse: Warehouse, as_of: date, categories: list[str]) -> ForecastOutcome:
    history = read_demand_history(warehouse, "candidate", as_of)
    outlook = None if history is None else forecast_demand(history, MONTHS_AHEAD)
    forecasts = () if outlook is None else outlook.forecasts
    # Months count from the last whole one, which is the month before the as-of date's own.
    this_month = np.datetime64(as_of, "M")
    rows: list[dict[str, object]] = [
        {
            "category": forecast.category,
            "month": forecast.month.astype("datetime64[D]").item(),
            "months_ahead": int((forecast.month - this_month).astype(int)) + 1,
            "expected_amount": round(forecast.expected, 2),
            "lower_amount": round(forecast.lower, 2),
            "upper_amount": round(forecast.upper, 2),
            "method": forecast.method,
        }
        for forecast in forecasts
    ]
    told = {forecast.category for forecast in forecasts}
    silent = [category for category in categories if category not in told]
    rows += [
        {
            "category": category,
            "month": (this_month + ahead).astype("datetime64[D]").item(),
            "months_ahead": ahead + 1,
            "expected_amount": None,
            "lower_amount": None,
            "upper_amount": None,
            "method": TOO_LITTLE_HISTORY,
        }
        for category in silent
        for ahead in range(MONTHS_AHEAD)
    ]
    if rows:
        warehouse.append(
            "candidate.category_demand_forecast",
            pa.Table.from_pylist(
                [{"as_of_date": as_of, **row} for row in rows],
                schema=pa.schema(
                    {
                        "as_of_date": pa.date32(),
                        "category": pa.string(),
                        "month": pa.date32(),
                        "months_ahead": pa.int32(),
                        "expected_amount": pa.float64(),
                        "lower_amount": pa.float64(),
                        "upper_amount": pa.float64(),
                        "method": pa.string(),
                    }
                ),
            ),
        )
    methods = sorted({forecast.method for forecast in forecasts}) or [TOO_LITTLE_HISTORY]
    note = f"{len(silent)} of {len(silent) + len(told)} categories have too short a history" if silent else None
    months = 0 if history is None else history.months
    return ForecastOutcome(
        "demand", " + ".join(methods), None, json.dumps({"categories": len(told), "months": months}), note
    )
