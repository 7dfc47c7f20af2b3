"""Nothing that is computed for a date knows what came later: the same rows from data that ends before the date.

One date in `make test`; `make point-in-time` takes twenty, others for each POINT_IN_TIME_SEED.
"""

import os
import random
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.nights import Nights
from tests.support.rows import differences, published_rows, schema_rows
from tests.support.shared_builds import built_once
from tests.support.simulated_shop import SOURCE, cut_shop, write_small_shop

DATES = int(os.environ.get("POINT_IN_TIME_DATES", "1"))
SEED = int(os.environ.get("POINT_IN_TIME_SEED", "1"))
FIRST, LAST = date(2024, 9, 1), date(2025, 12, 31)


def drawn_dates() -> list[date]:
    """Dates drawn at random; none is a first of the month, so that model and date are two dates."""
    chance = random.Random(SEED)
    days = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
    return sorted(chance.sample([day for day in days if day.day > 1], DATES))


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 300 customers, its last days still to come at every date drawn."""
    return built_once(tmp_path_factory, "point_in_time", lambda place: write_small_shop(place, customers=300, seed=11))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("day", drawn_dates(), ids=str)
def test_a_date_computed_from_data_cut_before_it_equals_the_same_date_computed_from_all_data(
    landed: Path, tmp_path: Path, day: date
) -> None:
    settings = {"SOURCE": SOURCE, "SEGMENTATION_MAX_SOURCE_LAG_DAYS": "5"}
    nights = {name: Nights(tmp_path / name, settings) for name in ("all", "cut")}
    for night in nights.values():
        shutil.copytree(landed, night.data_dir)
    cut_shop(nights["cut"].data_dir, day)
    for night in nights.values():
        night.run(day)
    # Hashes and counts of what came in say how much there is beyond the date, too; the rows themselves must not.
    assert differences(published_rows(nights["all"].serving_link), published_rows(nights["cut"].serving_link)) == {}
    promoted = [schema_rows(night.warehouse, "promoted") for night in nights.values()]
    assert differences(*promoted) == {}
