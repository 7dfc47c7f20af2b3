"""What tests of several folders share: a landing with a slice of real data, and nights that ran on it."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.support.landing_slice import write_slice
from tests.support.nights import Nights
from tests.support.parsed_projects import share_parses_in
from tests.support.shared_builds import built_once, session_folder

FIRST_NIGHT = date(2017, 11, 15)
SECOND_NIGHT = date(2017, 12, 5)
"""The refit of the first of December lies between the two."""

CopyNights = Callable[..., Nights]


@pytest.fixture(scope="session", autouse=True)
def _shared_parses(tmp_path_factory: pytest.TempPathFactory) -> None:
    share_parses_in(session_folder(tmp_path_factory) / "parsed")


@pytest.fixture(scope="session")
def sliced_landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a slice of the real data has landed; copy it before anything writes to it."""
    return built_once(tmp_path_factory, "sliced_landing", write_slice)


@pytest.fixture(scope="session")
def first_night(sliced_landing: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The data folder after one night with one thread; copy it before anything writes to it.

    What each step printed lies beside it, in `<step>.txt` of the folder `printed`.
    """

    def build(place: Path) -> None:
        nights = Nights(place, {"SEGMENTATION_THREADS": "1"})
        shutil.copytree(sliced_landing, place)
        (place / "printed").mkdir()
        for name, finished in nights.run(FIRST_NIGHT, reports=True).items():
            (place / "printed" / f"{name}.txt").write_text(finished.output)

    return Nights(built_once(tmp_path_factory, "first_night", build))


@pytest.fixture(scope="module")
def copy_nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopyNights]:
    """Return a function that copies the data folder of other nights; the copies go with the module's last test."""
    copies: list[Path] = []

    def copy(nights: Nights, name: str, **settings: str) -> Nights:
        place = tmp_path_factory.mktemp(name) / "data"
        copies.append(place)
        return nights.copy(place, **settings)

    yield copy
    for place in copies:
        shutil.rmtree(place, ignore_errors=True)
