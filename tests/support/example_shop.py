"""A night of the source example_csv on its demonstration files, shared by those who hold something against it."""

from datetime import date
from pathlib import Path
from typing import Final

import pytest

from tests.support.nights import Nights
from tests.support.shared_builds import built_once

AS_OF: Final = date(2024, 7, 1)
SETTINGS: Final = {"SOURCE": "example_csv"}


def example_night(factory: pytest.TempPathFactory) -> Nights:
    """Return the data folder after the night, built once; copy it before anything writes to it."""

    def build(place: Path) -> None:
        nights = Nights(place, SETTINGS)
        assert nights.command("land").exit_code == 0
        nights.run(AS_OF)

    return Nights(built_once(factory, "example_csv", build), SETTINGS)
