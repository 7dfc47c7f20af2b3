"""A repair runs stale dates ascending, asks anew after each, and leaves none out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pytest

from segmentation_job.errors import SegmentationError, WarehouseLockedError
from segmentation_job.repairing import repair_dates, when_free
from segmentation_job.runs.repairs import DateToRepair

DAYS = tuple(date(2018, 1, day) for day in (2, 3, 4, 9))


@dataclass
class Shop:
    """Dates that are stale, and what a run of one does to the others."""

    stale: set[date]
    refreshes: Mapping[date, Sequence[date]] = field(default_factory=dict)
    failing: frozenset[date] = frozenset()
    ran: list[tuple[date, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def find(self) -> list[DateToRepair]:
        return [DateToRepair(day, ("overall",), "source rows changed") for day in sorted(self.stale)]

    def run(self, days: Sequence[date]) -> dict[date, str]:
        self.ran.append(tuple(days))
        for day in days:
            if day not in self.failing:
                self.stale -= {day, *self.refreshes.get(day, ())}
        return {day: "the gate failed" for day in days if day in self.failing}


def test_dates_are_run_in_ascending_order_one_by_one() -> None:
    shop = Shop(set(DAYS))
    assert repair_dates(shop.find, shop.run, shop.told.append).run == DAYS
    assert shop.ran == [(day,) for day in DAYS]


def test_dates_that_follow_each_other_go_into_one_backfill() -> None:
    shop = Shop(set(DAYS))
    repair_dates(shop.find, shop.run, shop.told.append, at_a_time=31)
    assert shop.ran == [DAYS[:3], DAYS[3:]]


def test_a_backfill_is_no_longer_than_allowed() -> None:
    shop = Shop(set(DAYS))
    repair_dates(shop.find, shop.run, shop.told.append, at_a_time=2)
    assert shop.ran == [DAYS[:2], DAYS[2:3], DAYS[3:]]


def test_where_a_date_comes_out_equal_those_that_lean_on_it_are_not_run() -> None:
    shop = Shop(set(DAYS), refreshes={DAYS[0]: DAYS[1:]})
    assert repair_dates(shop.find, shop.run, shop.told.append).run == DAYS[:1]


def test_a_date_that_fails_leaves_the_others_to_be_run() -> None:
    shop = Shop(set(DAYS), failing=frozenset(DAYS[:1]))
    repair = repair_dates(shop.find, shop.run, shop.told.append)
    assert repair.run == DAYS[1:]
    assert repair.failed == {DAYS[0]: "the gate failed"}
    assert shop.ran.count(DAYS[:1]) == 1
    assert f"{DAYS[0]} failed: the gate failed" in shop.told


def test_a_date_that_an_earlier_one_makes_stale_afterwards_is_run_again() -> None:
    shop = Shop({DAYS[1]})

    def run(days: Sequence[date]) -> dict[date, str]:
        failed = shop.run(days)
        if shop.ran == [(DAYS[1],)]:
            # Its run took in a landing that touches the date before it.
            shop.stale.add(DAYS[0])
        elif shop.ran[-1] == (DAYS[0],):
            shop.stale.add(DAYS[1])
        return failed

    assert repair_dates(shop.find, run, shop.told.append).run == DAYS[:2]
    assert shop.ran == [(DAYS[1],), (DAYS[0],), (DAYS[1],)]


def test_a_date_that_is_stale_after_its_own_run_is_no_silent_success() -> None:
    shop = Shop(set(DAYS))

    def run(days: Sequence[date]) -> dict[date, str]:
        shop.ran.append(tuple(days))
        return {}

    with pytest.raises(SegmentationError, match="came out stale after having been run again"):
        repair_dates(shop.find, run, shop.told.append)
    assert shop.ran == [(day,) for day in DAYS[:1] * 2 + DAYS[1:2] * 2 + DAYS[2:3] * 2 + DAYS[3:] * 2]


def test_a_date_that_leans_on_stale_ones_that_are_not_looked_at_is_run_once_and_stays_stale() -> None:
    shop = Shop(set(DAYS[:2]))
    asked = []

    def run(days: Sequence[date]) -> dict[date, str]:
        shop.ran.append(tuple(days))
        return {}

    def others_are_stale() -> bool:
        asked.append(len(shop.ran))
        return True

    assert repair_dates(shop.find, run, shop.told.append, others_are_stale=others_are_stale).run == DAYS[:2]
    assert (shop.ran, asked) == ([DAYS[:1], DAYS[1:2]], [0])


def test_a_locked_warehouse_is_asked_again_until_it_is_free() -> None:
    answers: Iterator[WarehouseLockedError | int] = iter(
        [WarehouseLockedError("held"), WarehouseLockedError("held"), 7]
    )

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, WarehouseLockedError):
            raise answer
        return answer

    assert when_free(ask) == 7


def test_a_warehouse_that_stays_locked_is_told() -> None:
    def ask() -> int:
        raise WarehouseLockedError("held by 7")

    with pytest.raises(WarehouseLockedError, match="held by 7"):
        when_free(ask, patience=0)
