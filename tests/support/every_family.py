"""A night on a simulated shop of 900 customers that has all six families."""

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
    """Return the data folder after that night, built once for all tests; copy it before anything writes to it."""

    def build(place: Path) -> None:
        write_small_shop(place, customers=900)
        Nights(place, SETTINGS).run(AS_OF)

    return Nights(built_once(factory, "every_family", build), SETTINGS)
