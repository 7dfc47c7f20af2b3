"""The forecast of demand on shops that nothing was chosen by: better than last year's month, honest intervals."""

from datetime import date

import duckdb
import numpy as np
import pytest

from segmentation_job.forecasts.demand import DemandError, DemandHistory, evaluate_demand
from segmentation_job.landing.simulated_shop.generation import shop_parts
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.forecasting import MONTHS_AHEAD

SEEDS = (21, 22, 23)
CUSTOMERS = 4_000
# Months known at each origin: at least eighteen, and three more to hold out.
ORIGINS = range(18, 22)

MONTH_TOTALS = """
select products.category, date_trunc('month', try_cast(orders.ordered_at as timestamp)) as month,
    cast(sum(lines.net_amount) as double) as amount
from lines
inner join orders using (order_id)
inner join (select distinct product_id, category from products) as products using (product_id)
where try_cast(orders.ordered_at as timestamp) >= '2024-01-01'
    and try_cast(orders.ordered_at as timestamp) < '2026-01-01'
group by all
order by all
"""


def history_of(seed: int) -> DemandHistory:
    """Return the monthly sales of two years of a shop without dirt, by category."""
    (tables,) = shop_parts(ShopOptions(customers=CUSTOMERS, seed=seed, dirt_rate=0.0))
    with duckdb.connect() as connection:
        for name, table in (("orders", "orders"), ("lines", "order_lines"), ("products", "products")):
            connection.register(name, tables[f"landing/{table}"])
        found = connection.execute(MONTH_TOTALS).fetchall()
    categories = sorted({category for category, _, _ in found if category})
    totals = np.zeros((len(categories), 24))
    for category, month, amount in found:
        if category:
            totals[categories.index(category), (month.year - 2024) * 12 + month.month - 1] = amount
    return DemandHistory(tuple(categories), np.datetime64(date(2024, 1, 1), "M"), totals)


@pytest.fixture(scope="module")
def errors() -> dict[int, tuple[DemandError, ...]]:
    return {seed: evaluate_demand(history_of(seed), MONTHS_AHEAD, ORIGINS) for seed in SEEDS}


def test_the_forecast_beats_the_seasonal_naive_one_on_average_over_categories(
    errors: dict[int, tuple[DemandError, ...]],
) -> None:
    for seed, by_category in errors.items():
        assert len(by_category) >= 10
        assert {error.naive_lag for error in by_category} == {12}
        assert np.mean([error.mase for error in by_category]) < 1, seed


def test_the_80_percent_intervals_cover_70_to_90_percent_of_the_months_held_out(
    errors: dict[int, tuple[DemandError, ...]],
) -> None:
    counted = [(error.coverage, error.forecasts) for by_category in errors.values() for error in by_category]
    coverage, forecasts = np.array(counted).T
    assert forecasts.sum() >= 300
    assert 0.7 <= np.average(coverage, weights=forecasts) <= 0.9
