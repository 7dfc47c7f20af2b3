"""How good the promoted forecasts of a date were, now that what they foresaw has come."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from segmentation_job.errors import SegmentationError
from segmentation_job.forecasts.demand import MINIMUM_MONTHS, DemandError, evaluate_demand
from segmentation_job.forecasts.evaluation import PurchaseForecastError, compare_purchase_forecasts
from segmentation_job.runs.forecasting import HORIZON_DAYS, MONTHS_AHEAD, read_demand_history
from segmentation_job.warehouse.interface import Warehouse

# Of the months that a date knows, so many are held out, origin by origin.
HELD_OUT_MONTHS = 6

PURCHASES_SQL = """
select
    forecasts.expected_purchases_90d,
    features.order_day_count,
    forecasts.as_of_date - features.first_order_date as age_days,
    coalesce(came.order_days, 0) as order_days
from promoted.customer_forecasts as forecasts
inner join promoted.purchase_features as features
    on forecasts.as_of_date = features.as_of_date and forecasts.customer_id = features.customer_id
left join (
    select customer_id, count(*) as order_days
    from intermediate.int_customer_days
    where order_date >= ? and order_date < ?
    group by customer_id
) as came on forecasts.customer_id = came.customer_id
where forecasts.as_of_date = ? and forecasts.expected_purchases_90d is not null
order by forecasts.customer_id
"""

# Of the customers who have ordered since: is the category among those of the first day on which they did?
NEXT_CATEGORY_SQL = """
with next_days as (
    select customer_id, min(order_date) as next_date
    from intermediate.int_customer_product_days
    where order_date >= ?
    group by customer_id
),
bought_next as (
    select distinct facts.customer_id, facts.category
    from intermediate.int_customer_product_days as facts
    inner join next_days on facts.customer_id = next_days.customer_id and facts.order_date = next_days.next_date
),
ranked as (
    select
        customer_id,
        category,
        row_number() over (partition by customer_id order by count(distinct order_date) desc, category asc) as place
    from intermediate.int_customer_product_days
    where order_date < ?
    group by customer_id, category
)
select
    count(*) as customers,
    count(foreseen.customer_id) as foreseen_count,
    count(usual.customer_id) as usual_count
from promoted.customer_forecasts as forecasts
inner join next_days on forecasts.customer_id = next_days.customer_id
inner join ranked on forecasts.customer_id = ranked.customer_id and ranked.place = 1
left join bought_next as foreseen
    on forecasts.customer_id = foreseen.customer_id and forecasts.next_category = foreseen.category
left join bought_next as usual on forecasts.customer_id = usual.customer_id and ranked.category = usual.category
where forecasts.as_of_date = ? and forecasts.next_category is not null
"""


@dataclass(frozen=True)
class NextCategoryHits:
    """How often the next order day held the category foreseen, and the one bought on most days before; shares 0–1."""

    customers: int
    foreseen_share: float
    most_frequent_share: float


@dataclass(frozen=True)
class ForecastEvaluation:
    """purchases: the errors of the forecast and of two plain rules. demand: by category, from past origins."""

    as_of: date
    purchases: tuple[PurchaseForecastError, ...]
    next_category: NextCategoryHits
    demand_as_of: date
    demand: tuple[DemandError, ...]


def evaluate_forecasts(warehouse: Warehouse, as_of: date) -> ForecastEvaluation:
    """Compare the promoted forecasts of a date with the 90 days that followed it.

    Demand is judged by the months that the newest promoted date knows, each forecast from the months before it.
    Raises SegmentationError where the date has no forecasts or the 90 days have not passed in the facts.
    """
    end = as_of + timedelta(days=HORIZON_DAYS)
    newest = warehouse.rows("select max(order_date) from intermediate.int_customer_days")[0][0]
    if newest is None or newest < end - timedelta(days=1):
        raise SegmentationError(
            f"The forecasts of {as_of} look {HORIZON_DAYS} days ahead, and the newest order is of {newest}: "
            f"choose {'an earlier date' if newest is None else newest + timedelta(days=1 - HORIZON_DAYS)} or before."
        )
    found = warehouse.rows(PURCHASES_SQL, (as_of, end, as_of))
    if not found:
        raise SegmentationError(f"{as_of} has no promoted forecasts of purchases: run `make run AS_OF={as_of}` first.")
    predicted, order_days, age_days, came = np.array(found, dtype=np.float64).T
    own_forecast = order_days / age_days * HORIZON_DAYS
    # All customers' days together, or the rates of those who came last week would count as much as a year's.
    population_mean = float(order_days.sum() / age_days.sum()) * HORIZON_DAYS
    purchases = compare_purchase_forecasts(predicted, own_forecast, population_mean, came)
    customers, foreseen, usual = warehouse.rows(NEXT_CATEGORY_SQL, (as_of, as_of, as_of))[0]
    hits = NextCategoryHits(int(customers), foreseen / max(customers, 1), usual / max(customers, 1))
    demand_as_of = warehouse.rows("select max(as_of_date) from promoted.category_month_demand")[0][0]
    return ForecastEvaluation(as_of, purchases, hits, demand_as_of, _demand_errors(warehouse, demand_as_of))


def _demand_errors(warehouse: Warehouse, as_of: date) -> tuple[DemandError, ...]:
    history = read_demand_history(warehouse, "promoted", as_of)
    if history is None or history.months <= MINIMUM_MONTHS:
        return ()
    first = max(MINIMUM_MONTHS, history.months - HELD_OUT_MONTHS)
    return evaluate_demand(history, MONTHS_AHEAD, range(first, history.months))
