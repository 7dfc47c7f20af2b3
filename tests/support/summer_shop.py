"""The summer of a small simulated shop: the features of every day from June to August 2025, built once by dbt.

The same summer as it was known before some rows arrived: rows of old dates that came late.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pytest

from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.calendar import LOOKBACK_DAYS
from segmentation_job.segments.lenses import Lens
from tests.measurements.shops import BuiltFeatures, shipped_lens, shop_features
from tests.support.shared_builds import built_once

FIRST_REFIT, SECOND_REFIT, THIRD_REFIT = date(2025, 6, 1), date(2025, 7, 1), date(2025, 8, 1)
LAST_DAY = date(2025, 8, 12)
OPTIONS: Final = ShopOptions(customers=400, seed=41, drift=0.3)
DAYS: Final = (
    *(FIRST_REFIT + timedelta(days=night) for night in range((LAST_DAY - FIRST_REFIT).days + 1)),
    *(refit - timedelta(days=LOOKBACK_DAYS) for refit in (FIRST_REFIT, SECOND_REFIT, THIRD_REFIT)),
)

# MD5 is the same in every version of every engine.
_PART_OF_CUSTOMERS = "cast('0x' || substr(md5(customer_id), 1, 8) as bigint) % {parts} = {part}"
_LATE_CUSTOMERS = f"signup_date between '2025-05-10' and '2025-06-20' and {_PART_OF_CUSTOMERS.format(parts=2, part=0)}"
# Of some customers the till of ten days in June, and of others everything since they registered, came late; of others
# again that of a week in July.
LATE_ORDERS: Final = (
    f"(left(ordered_at, 10) between '2025-06-08' and '2025-06-18' and {_PART_OF_CUSTOMERS.format(parts=3, part=0)})"
    f" or customer_id in (select customer_id from '{{landing}}/customers/*.parquet' where {_LATE_CUSTOMERS})",
    f"(left(ordered_at, 10) between '2025-07-05' and '2025-07-12' and {_PART_OF_CUSTOMERS.format(parts=3, part=1)})",
)

QUARANTINED_ON: Final = date(2025, 6, 25)
"""Whose rows of a last delivery are counted and left out: hashes change from that day on, and no feature does."""


def built_summer(factory: pytest.TempPathFactory, held_back: Sequence[int] = ()) -> BuiltFeatures:
    """Return the features of the summer, built once per test session.

    held_back: places in LATE_ORDERS of those that have not come yet.
    """

    def build(place: Path) -> None:
        summer_features(place, held_back)

    name = "-".join(("summer", *map(str, held_back)))
    return summer_features(built_once(factory, name, build), held_back)


def summer_features(cache: Path, held_back: Sequence[int] = ()) -> BuiltFeatures:
    """Return the features of the summer from a cache, as `shop_features` does; held_back: as in `built_summer`."""
    conditions: dict[str, str] = {}
    if held_back:
        orders = " or ".join(f"({LATE_ORDERS[place]})" for place in held_back)
        of_orders = f"order_id in (select order_id from '{{landing}}/orders/*.parquet' where {orders})"
        conditions = {
            "order_lines": of_orders,
            "order_events": of_orders,
            "payments": of_orders,
            "orders": orders,
            "customers": _LATE_CUSTOMERS if 0 in held_back else "false",
        }
    return shop_features(cache, OPTIONS, DAYS, conditions)


def summer_lens() -> Lens:
    """Return the lens `overall` with so few segments as the shop's customers bear."""
    return replace(shipped_lens("overall"), k_min=4, k_max=5, smallest_share=0.01)
