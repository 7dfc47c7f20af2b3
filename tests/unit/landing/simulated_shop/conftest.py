"""Shops that several tests look at; nobody writes to them."""

from datetime import date

import pytest

from segmentation_job.landing.simulated_shop.options import ShopOptions
from tests.unit.landing.simulated_shop.made_shop import MadeShop, make_shop

CLEAN = ShopOptions(customers=1_000, seed=7, dirt_rate=0.0, late_rate=0.02, chunk_customers=400)
DIRTY = ShopOptions(customers=400, seed=11, dirt_rate=0.02, chunk_customers=150)
CHANGING = ShopOptions(
    customers=800,
    seed=3,
    dirt_rate=0.0,
    drift=0.3,
    appears=("young_digital_browsers", date(2025, 3, 1)),
    vanishes=("seasonal_gift_buyers", date(2025, 6, 15)),
)


@pytest.fixture(scope="session")
def clean_shop(tmp_path_factory: pytest.TempPathFactory) -> MadeShop:
    """A shop without dirt, in which two rows of a hundred are late."""
    return make_shop(tmp_path_factory.mktemp("clean_shop"), CLEAN)


@pytest.fixture(scope="session")
def dirty_shop(tmp_path_factory: pytest.TempPathFactory) -> MadeShop:
    """A shop with two planted rows per hundred clean ones, in three chunks."""
    return make_shop(tmp_path_factory.mktemp("dirty_shop"), DIRTY)


@pytest.fixture(scope="session")
def changing_shop(tmp_path_factory: pytest.TempPathFactory) -> MadeShop:
    """A shop in which people drift, one segment appears and another vanishes."""
    return make_shop(tmp_path_factory.mktemp("changing_shop"), CHANGING)
