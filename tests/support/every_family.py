"""A night on a simulated shop that has all six families, built once for the tests that look at what is published."""

from datetime import date
from pathlib import Path
from typing import Final

import pytest

from tests.support.nights import Nights
from tests.support.shared_builds import built_once
from tests.support.simulated_shop import SOURCE, write_small_shop

AS_OF: Final = date(2026, 1, 1)
# Without the choice of one lens that other tests make to save time.
SETTINGS: Final = {"SOURCE": SOURCE, "SEGMENTATION_LENSES": ""}


def night_of_every_family(factory: pytest.TempPathFactory) -> Nights:
    """Return a night on 900 customers, all lenses; copy it before anything writes to it."""

    def build(place: Path) -> None:
        write_small_shop(place, customers=900)
        Nights(place, SETTINGS).run(AS_OF)

    return Nights(built_once(factory, "every_family", build), SETTINGS)
