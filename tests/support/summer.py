"""The features of a small simulated shop for every day of a summer with three refits, built once by dbt."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.calendar import LOOKBACK_DAYS
from segmentation_job.segments.lenses import Lens
from tests.measurements.shops import BuiltFeatures, shipped_lens, shop_features
from tests.support.shared_builds import built_once

FIRST_REFIT, SECOND_REFIT, THIRD_REFIT = date(2025, 6, 1), date(2025, 7, 1), date(2025, 8, 1)
LAST_DAY = date(2025, 8, 12)
CUSTOMERS = 400


def summer_features(factory: pytest.TempPathFactory) -> BuiltFeatures:
    """Return the features of all days from the first refit on, and of those that the refits look back to."""
    days = [FIRST_REFIT + timedelta(days=night) for night in range((LAST_DAY - FIRST_REFIT).days + 1)]
    lookbacks = [refit - timedelta(days=LOOKBACK_DAYS) for refit in (FIRST_REFIT, SECOND_REFIT, THIRD_REFIT)]
    options = ShopOptions(customers=CUSTOMERS, seed=41, drift=0.3)
    folder = built_once(factory, "summer", lambda place: (shop_features(place, options, [*days, *lookbacks]), None)[1])
    return shop_features(folder, options, [*days, *lookbacks])


def summer_lens() -> Lens:
    """Return the lens `overall` with so few segments as the shop's customers bear."""
    return replace(shipped_lens("overall"), k_min=4, k_max=5, smallest_share=0.01)
