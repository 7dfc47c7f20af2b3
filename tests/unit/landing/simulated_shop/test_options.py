"""Options that make no shop are named."""

from datetime import date
from typing import Any

import pytest

from segmentation_job.errors import MisconfiguredError
from segmentation_job.landing.simulated_shop.latent_segments import SEGMENTS
from segmentation_job.landing.simulated_shop.options import ShopOptions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"customers": 0}, "customers=0"),
        ({"customers": 10_000_001}, "customers=10000001"),
        ({"seed": -1}, "seed=-1"),
        ({"days": 10}, "days=10"),
        ({"start": date(1960, 1, 1)}, "start=1960-01-01"),
        ({"dirt_rate": -0.1}, "dirt_rate=-0.1"),
        ({"late_rate": 1.5}, "late_rate=1.5"),
        ({"drift": 2.0}, "drift=2.0"),
        ({"dirt_rate": float("nan")}, "dirt_rate=nan"),
        ({"chunk_customers": 0}, "chunk_customers=0"),
        ({"appears": ("gnomes", date(2025, 1, 1))}, "'gnomes' is no latent segment. There are: affluent_loyalists"),
        ({"appears": ("seasonal_gift_buyers", date(2024, 1, 1))}, "must lie after 2024-01-01"),
        ({"vanishes": ("seasonal_gift_buyers", date(2026, 1, 1))}, "before 2026-01-01"),
        (
            {
                "appears": ("seasonal_gift_buyers", date(2025, 6, 1)),
                "vanishes": ("seasonal_gift_buyers", date(2025, 5, 1)),
            },
            "cannot vanish before it appears",
        ),
    ],
)
def test_an_option_that_makes_no_shop_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(MisconfiguredError, match=said):
        ShopOptions(**given)


def test_two_years_end_with_the_last_day_of_2025() -> None:
    assert ShopOptions().end == date(2026, 1, 1)


def test_the_last_chunk_holds_what_is_left() -> None:
    assert [ShopOptions(customers=n).chunk_count for n in (1, 5_000, 5_001, 20_000)] == [1, 1, 2, 4]


def test_the_latent_segments_share_all_customers_among_them() -> None:
    assert sum(segment.share for segment in SEGMENTS) == pytest.approx(1.0)
