"""Watching between refits: what emerges, what empties, what drifts; in small worlds where it is known what happens."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from segmentation_job.segments.encoding import FeatureValues, FloatArray
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.segments.watching import (
    Emergence,
    Sample,
    contrasts_of,
    drift,
    drifting_alarms,
    emergence,
    emerging_alarm,
    retiring_alarms,
    sample_of,
    start_with_emerging,
    strongest_emergence,
)

FITTED = date(2026, 1, 1)
CUSTOMERS = 1_500
# Orders, order amount, share of deals of the three segments that there are, and of one that emerges.
GROUPS = ((40.0, 10.0, 0.1), (4.0, 90.0, 0.1), (12.0, 30.0, 0.8))
NEWCOMERS = (40.0, 90.0, 0.9)


def people(group: tuple[float, float, float], count: int, random: np.random.Generator) -> FloatArray:
    orders, amount, deals = group
    return np.column_stack(
        [
            random.poisson(orders, count).astype(float),
            np.round(amount * np.exp(random.normal(0, 0.3, count)), 2),
            np.clip(random.normal(deals, 0.05, count), 0, 1),
        ]
    )


def week(number: int, seed: int = 0, sizes: tuple[int, int, int] = (500, 500, 500), newcomers: int = 0) -> FloatArray:
    """The customers of a week, in which everybody does a little differently from the week before."""
    random = np.random.default_rng([seed, number + 100])
    groups = [people(group, size, random) for group, size in zip(GROUPS, sizes, strict=True)]
    return np.vstack([*groups, people(NEWCOMERS, newcomers, random)])


@pytest.fixture
def model(lens: Lens) -> Model:
    return fit_model(week(-20), lens, "kmeans", 3, FITTED)


def seen(model: Model, values: FloatArray) -> Sample:
    return sample_of(model, values)


def check(model: Model, weeks: dict[int, FloatArray], at: int) -> Emergence:
    earlier = {28: seen(model, weeks[at - 4]), 56: seen(model, weeks[at - 8])}
    return strongest_emergence(seen(model, weeks[at]), earlier, model.k)


def hot_weeks(model: Model, weeks: dict[int, FloatArray], until: int) -> list[int]:
    return [at for at in range(until + 1) if check(model, weeks, at).is_hot]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_segment_that_emerges_is_hot_twice_running_within_35_nights_of_its_first_member(
    model: Model, seed: int
) -> None:
    weeks = {at: week(at, seed, newcomers=max(0, min(130, 33 * at))) for at in range(-8, 6)}

    hot = hot_weeks(model, weeks, 5)

    assert any(at in hot and at + 1 in hot and at + 1 <= 5 for at in range(5))


@pytest.mark.parametrize("seed", [4, 5])
def test_nothing_is_hot_where_everybody_only_does_a_little_differently(model: Model, seed: int) -> None:
    weeks = {at: week(at, seed) for at in range(-8, 5)}

    assert hot_weeks(model, weeks, 4) == []


def test_a_segment_that_grows_as_a_whole_is_no_new_one(model: Model) -> None:
    then, now = week(0), week(4, sizes=(500, 500, 1500))

    grown = emergence(seen(model, now), seen(model, then), model.k, 28)

    assert not grown.is_hot


def test_a_season_that_moves_everybody_is_nobodys_growth(model: Model) -> None:
    then, now = week(0), week(4)
    now[:, 1] *= 2.0

    assert not emergence(seen(model, now), seen(model, then), model.k, 28).is_hot


def test_a_count_that_goes_up_by_one_for_some_is_nobodys_growth(model: Model) -> None:
    """The median of a count jumps by a whole step, and with it would all customers of then."""
    random = np.random.default_rng(3)
    then = seen(model, week(0))
    counts = np.log1p(random.choice([1.0, 2.0], CUSTOMERS, p=[0.55, 0.45]))
    later = np.log1p(random.choice([1.0, 2.0], CUSTOMERS, p=[0.45, 0.55]))
    assert np.median(later) != np.median(counts)
    noise = random.normal(0, 0.5, (CUSTOMERS, 3))

    grown = emergence(
        Sample(np.column_stack([3 * later, noise]), then.clusters),
        Sample(np.column_stack([3 * counts, noise[::-1]]), then.clusters),
        model.k,
        28,
    )

    assert not grown.is_hot


def test_an_alarm_says_how_many_came_where_they_stand_and_what_sets_them_apart(model: Model, lens: Lens) -> None:
    values = week(4, newcomers=130)
    now = seen(model, values)
    today = emergence(now, seen(model, week(0)), model.k, 28)

    alarm = emerging_alarm(today, today, model, lens, values, now)

    assert alarm is not None
    assert (alarm.kind, alarm.feature) == ("emerging", None)
    assert alarm.segment_key in model.segment_keys
    members = alarm.figures["members"]
    assert int(str(members)) == pytest.approx(130, abs=15)
    assert f"to {members} customers in 28 nights" in alarm.evidence
    assert "“{segment}”" in alarm.evidence
    assert "(median) against" in alarm.evidence
    assert "Refit with 4 segments" in alarm.proposal
    assert json.loads(json.dumps(alarm.figures, allow_nan=False)) == alarm.figures


def test_one_hot_week_alone_raises_no_alarm(model: Model, lens: Lens) -> None:
    values = week(4, newcomers=130)
    now = seen(model, values)
    hot = emergence(now, seen(model, week(0)), model.k, 28)
    cold = emergence(seen(model, week(3)), seen(model, week(-1)), model.k, 28)

    assert hot.is_hot
    assert emerging_alarm(hot, cold, model, lens, values, now) is None
    assert emerging_alarm(cold, hot, model, lens, values, now) is None


def test_hot_cells_hold_those_who_came_and_a_refit_starts_from_them(model: Model) -> None:
    now = seen(model, week(4, newcomers=130))

    members = emergence(now, seen(model, week(0)), model.k, 28).members
    start = start_with_emerging(now.clusters, members, model.k)

    came = np.arange(len(now)) >= CUSTOMERS
    assert (members & came).sum() >= 0.9 * 130
    assert (members & ~came).sum() <= 15
    assert set(np.flatnonzero(start == 3)) == set(np.flatnonzero(members))
    assert np.array_equal(start[~members], now.clusters[~members])


def test_what_is_found_has_the_same_bits_with_any_number_of_threads(model: Model) -> None:
    now, then = seen(model, week(4, newcomers=130)), seen(model, week(0))
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(limits=threads):
            found.append(emergence(now, then, model.k, 28))

    assert found[0].cells == found[1].cells == found[2].cells
    assert all(np.array_equal(one.members, found[0].members) for one in found)


@pytest.mark.parametrize(("now", "then"), [(0, 50), (50, 0), (1, 1), (3, 50)])
def test_a_handful_of_customers_or_none_is_no_emergence(model: Model, now: int, then: int) -> None:
    values = week(0)

    found = emergence(seen(model, values[:now]), seen(model, values[:then]), model.k, 28)

    assert not found.cells
    assert len(found.members) == now


def test_a_segment_that_empties_is_proposed_for_retirement_and_those_that_stay_are_not(
    model: Model, lens: Lens
) -> None:
    at_fit = week(0)
    leaving = int(seen(model, at_fit[-1:]).clusters[0])

    alarms = retiring_alarms(model.cost(at_fit), model.cost(week(9, sizes=(500, 500, 100))), model, lens)

    (alarm,) = alarms
    assert (alarm.kind, alarm.segment_key) == ("retiring", model.segment_keys[leaving])
    assert float(str(alarm.figures["remaining"])) == pytest.approx(100 / 1100 / (500 / 1500), abs=0.05)
    assert "“{segment}”" in alarm.evidence
    assert "under 0.3" in alarm.evidence


def test_a_shop_that_shrinks_alike_retires_nothing(model: Model, lens: Lens) -> None:
    assert retiring_alarms(model.cost(week(0)), model.cost(week(9)[::10]), model, lens) == []


def test_the_stability_index_is_the_sum_over_the_deciles_of_then() -> None:
    then = np.arange(10_000.0)[:, None]
    now = np.concatenate([np.arange(0.0, 5_000, 2), np.arange(5_000.0, 10_000), np.arange(5_000.0, 10_000, 2)])[:, None]

    found = drift(FeatureValues(then), FeatureValues(now), 0)

    assert found.index == pytest.approx(5 * ((0.05 - 0.1) * np.log(0.5) + (0.15 - 0.1) * np.log(1.5)), abs=0.001)
    assert found.is_large


def test_values_that_appear_and_values_that_go_missing_are_drift() -> None:
    cities = FeatureValues(np.repeat([0.0, 1.0], 500)[:, None], {0: ("Holm", "Farrow")})
    moved = FeatureValues(np.repeat([0.0, 1.0, 2.0], [300, 300, 400])[:, None], {0: ("Farrow", "Holm", "Skerry")})
    renumbered = FeatureValues(np.repeat([1.0, 0.0], 500)[:, None], {0: ("Farrow", "Holm")})
    unknown = FeatureValues(np.repeat([0.0, np.nan], 500)[:, None], {0: ("Holm",)})

    assert drift(cities, moved, 0).is_large
    assert drift(cities, unknown, 0).is_large
    assert drift(cities, renumbered, 0).index == 0


def test_in_a_small_shop_chance_is_no_drift() -> None:
    random = np.random.default_rng(5)
    found = [drift(FeatureValues(random.random((40, 1))), FeatureValues(random.random((40, 1))), 0) for _ in range(50)]

    assert sum(one.index > 0.1 for one in found) > 25
    assert not any(one.is_moderate for one in found)


def test_a_feature_that_drifts_is_named_with_its_medians_and_its_index(model: Model, lens: Lens) -> None:
    now = week(9)
    now[:, 1] *= 3
    now[:75, 2] = np.nan

    alarms = drifting_alarms(week(0), now, model, lens)

    (alarm,) = (one for one in alarms if one.feature == "purchases.basket_amount")
    assert (alarm.kind, alarm.segment_key, alarm.feature) == ("drifting", None, "purchases.basket_amount")
    assert "Order amount moved since the fit of 2026-01-01, its median from 30" in alarm.evidence
    assert "(large)" in alarm.evidence
    assert alarm.figures["level"] == "large"
    json.dumps(alarm.figures, allow_nan=False)


def test_customers_who_differ_in_nothing_have_no_contrast(model: Model) -> None:
    values = week(0)
    now = seen(model, values)
    every_other = np.arange(CUSTOMERS) % 2 == 0

    assert contrasts_of(model, values, now, every_other, ~every_other) == ()
