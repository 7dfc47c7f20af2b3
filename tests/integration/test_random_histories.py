"""Random histories, each held against one run in order: a few, the same in every run; `make histories` plays many."""

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from segmentation_job.runs.decisions import DecisionKind
from tests.support.histories import (
    Action,
    Decide,
    Deliveries,
    FailedGate,
    Figures,
    KilledNight,
    LateRows,
    Night,
    OverlappingNights,
    Player,
    References,
    histories,
    remembered_fits,
    write_deliveries,
)
from tests.support.summer_shop import LATE_ORDERS, QUARANTINED_ON, built_summer

HISTORIES = 3
EARLY, MIDDLE, LATE = date(2025, 6, 20), date(2025, 7, 2), date(2025, 8, 6)
# Every kind of action; what is drawn may lack some.
A_LITTLE_OF_ALL: tuple[Action, ...] = (
    Night(MIDDLE),
    Decide(DecisionKind.HOLD, 0),
    KilledNight(LATE, "promote", 150, "step"),
    Decide(DecisionKind.RENAME, 1),
    LateRows(),
    OverlappingNights(EARLY, "segment", MIDDLE),
    FailedGate(LATE, "labels"),
)
# The refit of July is held, approved as it was seen, and comes out otherwise when rows of June arrive.
AN_APPROVAL_OUTLIVED: tuple[Action, ...] = (
    Night(EARLY),
    Decide(DecisionKind.HOLD, 0),
    Night(MIDDLE),
    Decide(DecisionKind.APPROVE, 0),
    Night(LATE),
    LateRows(),
)


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Deliveries:
    built = [built_summer(tmp_path_factory, held_back) for held_back in (range(len(LATE_ORDERS)), ())]
    return write_deliveries(tmp_path_factory.mktemp("deliveries") / "deliveries.duckdb", built, QUARANTINED_ON)


@pytest.fixture(scope="module")
def references(deliveries: Deliveries, tmp_path_factory: pytest.TempPathFactory) -> References:
    return References(deliveries, tmp_path_factory.mktemp("references"))


@pytest.fixture(scope="module", autouse=True)
def _remembered_fits() -> Iterator[None]:
    with remembered_fits():
        yield


@pytest.mark.timeout(1800)
@settings(
    max_examples=HISTORIES,
    derandomize=True,
    deadline=None,
    database=None,
    # Why a history fails is told by the history itself.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@example(A_LITTLE_OF_ALL)
@example(AN_APPROVAL_OUTLIVED)
@given(histories(most_dates=3, fewest_actions=5, most_actions=6))
def test_whatever_happened_all_that_is_promoted_equals_one_run_in_order_once_nothing_is_stale(
    deliveries: Deliveries, references: References, history: tuple[Action, ...]
) -> None:
    figures = Figures()
    with tempfile.TemporaryDirectory(dir=references.folder) as folder:
        Player(deliveries, Path(folder), references, figures).play(history)
    assert figures.counts["rows compared"] > 100
    assert figures.counts["rows different"] == 0
