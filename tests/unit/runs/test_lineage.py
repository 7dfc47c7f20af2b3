"""Which model is in effect, and which dates a lineage leans on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from segmentation_job.runs.calendar import fit_dates, label_dates, refit_dates_between
from segmentation_job.runs.decisions import Decision, DecisionKind
from segmentation_job.runs.feature_matrix import DatedFeatures
from segmentation_job.runs.lineage import (
    LineageEntry,
    RefitContext,
    dates_needed,
    entry_in_effect,
    models_in_effect,
    refits_that_hold,
)
from segmentation_job.segments.lenses import Lens

JANUARY, FEBRUARY, MARCH, APRIL = (date(2024, month, 1) for month in range(1, 5))
NOON = datetime.fromisoformat("2024-03-05T12:00:00")
ARRIVALS = (date(2023, 12, 20), date(2024, 1, 10), date(2024, 2, 20))
# Too young for a refit to look back.
FIRST_CUSTOMER = ARRIVALS[0]
LENS = cast(Lens, SimpleNamespace(name="overall", version="v1"))


def entry(refit_date: date, parent: str | None = None, **changes: object) -> LineageEntry:
    name = f"model-{refit_date:%m}"
    made = LineageEntry(refit_date, name, parent, "v1", 10, is_stable=True, reason="", leans_on={})
    return replace(made, **changes)  # type: ignore[arg-type]


def decide(kind: DecisionKind, refit_date: date, effective_from: date) -> Decision:
    return Decision(NOON, kind, "overall", refit_date=refit_date, effective_from=effective_from)


def in_effect(entries: Sequence[LineageEntry], as_of: date, *decisions: Decision) -> str | None:
    found = entry_in_effect("overall", entries, as_of, decisions)
    return found.model_version if found is not None else None


THREE = (entry(JANUARY), entry(FEBRUARY), entry(MARCH))


def test_the_newest_model_up_to_a_date_is_in_effect() -> None:
    days = [date(2023, 12, 31), JANUARY, date(2024, 1, 31), FEBRUARY, date(2024, 3, 9)]
    assert [in_effect(THREE, day) for day in days] == [None, "model-01", "model-01", "model-02", "model-03"]


def test_a_model_that_is_not_stable_waits_until_it_is_approved() -> None:
    entries = (entry(JANUARY), entry(FEBRUARY, is_stable=False))
    approve = decide(DecisionKind.APPROVE, FEBRUARY, date(2024, 2, 10))
    assert in_effect(entries, date(2024, 2, 20)) == "model-01"
    assert in_effect(entries, date(2024, 2, 9), approve) == "model-01"
    assert in_effect(entries, date(2024, 2, 10), approve) == "model-02"


@pytest.mark.parametrize("kind", [DecisionKind.HOLD, DecisionKind.REJECT])
def test_a_model_gives_way_to_the_one_before_it_from_the_day_of_the_decision(kind: DecisionKind) -> None:
    decision = decide(kind, MARCH, date(2024, 3, 10))
    assert in_effect(THREE, date(2024, 3, 9), decision) == "model-03"
    assert in_effect(THREE, date(2024, 3, 10), decision) == "model-02"


def test_the_first_model_cannot_give_way() -> None:
    entries = (entry(JANUARY, is_stable=False), entry(FEBRUARY))
    rejected = [decide(DecisionKind.REJECT, refit_date, FEBRUARY) for refit_date in (JANUARY, FEBRUARY)]
    assert in_effect(entries, date(2024, 1, 20)) == "model-01"
    assert in_effect(entries, date(2024, 2, 20), *rejected) == "model-01"


def test_the_first_model_is_the_first_that_could_be_fitted() -> None:
    entries = (entry(JANUARY, model_version=None), entry(FEBRUARY, is_stable=False), entry(MARCH, is_stable=False))
    assert in_effect(entries, date(2024, 1, 20)) is None
    assert in_effect(entries, date(2024, 3, 20)) == "model-02"


def test_where_no_model_could_be_fitted_the_one_before_stays() -> None:
    assert in_effect((entry(JANUARY), entry(FEBRUARY, model_version=None)), date(2024, 2, 20)) == "model-01"


def test_models_are_in_effect_by_interval_the_last_one_open() -> None:
    assert models_in_effect("overall", THREE, ()) == [
        ("model-01", JANUARY, FEBRUARY),
        ("model-02", FEBRUARY, MARCH),
        ("model-03", MARCH, None),
    ]


def test_a_model_may_give_way_and_come_back() -> None:
    hold = decide(DecisionKind.HOLD, MARCH, date(2024, 3, 10))
    approve = decide(DecisionKind.APPROVE, MARCH, date(2024, 3, 20))
    assert models_in_effect("overall", THREE, (hold, approve)) == [
        ("model-01", JANUARY, FEBRUARY),
        ("model-02", FEBRUARY, MARCH),
        ("model-03", MARCH, date(2024, 3, 10)),
        ("model-02", date(2024, 3, 10), date(2024, 3, 20)),
        ("model-03", date(2024, 3, 20), None),
    ]


def test_a_model_that_was_held_before_it_came_has_no_interval() -> None:
    hold = decide(DecisionKind.HOLD, FEBRUARY, date(2024, 1, 15))
    assert models_in_effect("overall", THREE, (hold,)) == [("model-01", JANUARY, MARCH), ("model-03", MARCH, None)]


def test_intervals_say_for_every_day_what_is_in_effect() -> None:
    decisions = (
        decide(DecisionKind.REJECT, MARCH, date(2024, 3, 10)),
        decide(DecisionKind.HOLD, FEBRUARY, date(2024, 3, 15)),
        decide(DecisionKind.APPROVE, APRIL, date(2024, 4, 7)),
        decide(DecisionKind.APPROVE, FEBRUARY, date(2024, 4, 3)),
    )
    entries = (*THREE, entry(APRIL, is_stable=False))
    intervals = models_in_effect("overall", entries, decisions)
    for number in range(1, 110):
        day = date.fromordinal(JANUARY.toordinal() + number)
        found = [version for version, start, end in intervals if start <= day and (end is None or day < end)]
        assert found == [in_effect(entries, day, *decisions)], day


def test_a_refit_is_another_where_anything_that_it_rests_on_is() -> None:
    made = entry(FEBRUARY, "model-01", leans_on={JANUARY: "10:a", FEBRUARY: "10:b"})
    same = replace(
        made, model_version=None, is_stable=False, reason="other", leans_on={FEBRUARY: "10:b", JANUARY: "10:a"}
    )
    assert made.was_fitted_from(same)
    for change in (
        {"parent_version": "other"},
        {"lens_version": "v2"},
        {"sample_size": 9},
        {"leans_on": {JANUARY: "10:a"}},
        {"leans_on": {JANUARY: "10:a", FEBRUARY: "10:c"}},
        {"refit_date": MARCH},
    ):
        assert not made.was_fitted_from(replace(made, **change))


def context(*decisions: Decision) -> RefitContext:
    features = cast(DatedFeatures, SimpleNamespace(arrivals=ARRIVALS))
    return RefitContext(features, FIRST_CUSTOMER, decisions, sample_size=100)


def lineage(*refit_dates: date, unstable: Sequence[date] = ()) -> dict[date, LineageEntry]:
    """A lineage in which every refit follows the one before it; contents are 10:a everywhere."""
    entries: dict[date, LineageEntry] = {}
    before: date | None = None
    for refit_date in refit_dates:
        days = fit_dates(refit_date, before, FIRST_CUSTOMER, ARRIVALS)
        parent = entries[before].model_version if before is not None else None
        entries[refit_date] = entry(
            refit_date, parent, is_stable=refit_date not in unstable, leans_on=dict.fromkeys(days, "10:a")
        )
        if before is None or refit_date not in unstable:
            before = refit_date
    return entries


def needed(
    as_of: date, entries: Mapping[date, LineageEntry], contents: Mapping[date, str], *decisions: Decision
) -> frozenset[date]:
    refits = refit_dates_between(JANUARY, as_of)
    return dates_needed(LENS, as_of, refits, entries, contents, context(*decisions))


AS_OF = date(2024, 3, 20)
WHOLE = lineage(JANUARY, FEBRUARY, MARCH)


def test_a_lineage_that_holds_needs_no_more_than_the_labels_of_its_model_in_effect() -> None:
    assert needed(AS_OF, WHOLE, {}) == label_dates(MARCH, AS_OF, ARRIVALS)
    kept = dict.fromkeys([JANUARY, FEBRUARY, MARCH], "10:a")
    assert needed(AS_OF, WHOLE, kept) == label_dates(MARCH, AS_OF, ARRIVALS)
    hold = decide(DecisionKind.HOLD, MARCH, date(2024, 3, 10))
    assert needed(AS_OF, WHOLE, kept, hold) == label_dates(FEBRUARY, AS_OF, ARRIVALS)


def test_a_first_run_needs_its_refit_date_and_the_dates_of_the_label() -> None:
    as_of = date(2024, 1, 20)
    assert needed(as_of, {}, {}) == {JANUARY} | label_dates(JANUARY, as_of, ARRIVALS)


def test_a_refit_that_is_missing_needs_its_own_dates_and_those_of_its_predecessor_s_labels() -> None:
    entries = {day: WHOLE[day] for day in (JANUARY, FEBRUARY)}
    expected = fit_dates(MARCH, FEBRUARY, FIRST_CUSTOMER, ARRIVALS) | label_dates(FEBRUARY, AS_OF, ARRIVALS)
    assert needed(AS_OF, entries, {}) == expected


@pytest.mark.parametrize("content", ["10:changed", ""])
def test_a_refit_whose_date_changed_is_done_again_and_all_later_ones_are(content: str) -> None:
    found = needed(AS_OF, WHOLE, {FEBRUARY: content})
    assert found >= fit_dates(FEBRUARY, JANUARY, FIRST_CUSTOMER, ARRIVALS)
    assert found >= fit_dates(MARCH, FEBRUARY, FIRST_CUSTOMER, ARRIVALS)
    assert found >= fit_dates(MARCH, JANUARY, FIRST_CUSTOMER, ARRIVALS)
    assert found >= label_dates(JANUARY, AS_OF, ARRIVALS)


def test_a_change_in_a_date_that_no_refit_leans_on_needs_nothing_more() -> None:
    assert needed(AS_OF, WHOLE, {date(2024, 2, 10): ""}) == label_dates(MARCH, AS_OF, ARRIVALS)


def test_a_decision_that_changes_a_predecessor_has_the_refit_done_again() -> None:
    hold = decide(DecisionKind.HOLD, FEBRUARY, date(2024, 2, 10))
    assert needed(AS_OF, WHOLE, {}, hold) >= fit_dates(MARCH, JANUARY, FIRST_CUSTOMER, ARRIVALS)


def test_a_refit_to_come_may_follow_a_model_older_than_the_one_that_gives_way() -> None:
    # At the refit of March the model of February is in effect; from the 10th on it is rejected. Where March comes out
    # unstable, labels and the refit of April stand on January's.
    reject = decide(DecisionKind.REJECT, FEBRUARY, date(2024, 3, 10))
    entries = {day: WHOLE[day] for day in (JANUARY, FEBRUARY)}
    as_of = date(2024, 4, 20)
    found = needed(as_of, entries, {}, reject)
    assert found >= fit_dates(MARCH, FEBRUARY, FIRST_CUSTOMER, ARRIVALS)
    assert found >= fit_dates(APRIL, JANUARY, FIRST_CUSTOMER, ARRIVALS)
    assert found >= label_dates(JANUARY, as_of, ARRIVALS)


@pytest.mark.parametrize("unstable", [(), (MARCH,), (FEBRUARY, MARCH), (FEBRUARY,)])
@pytest.mark.parametrize("known", [0, 1, 2])
@pytest.mark.parametrize("day", [date(2024, 2, 10), date(2024, 3, 10), date(2024, 4, 10)])
@pytest.mark.parametrize("about", [FEBRUARY, MARCH])
def test_whatever_the_refits_come_to_their_dates_were_planned(
    unstable: tuple[date, ...], known: int, day: date, about: date
) -> None:
    as_of = date(2024, 4, 20)
    decision = decide(DecisionKind.REJECT, about, day)
    done: list[LineageEntry] = []
    rests_on: set[date] = set()
    refits = (JANUARY, FEBRUARY, MARCH, APRIL)
    for number, refit_date in enumerate(refits):
        parent = entry_in_effect("overall", done, refit_date, [decision])
        days = fit_dates(refit_date, parent.refit_date if parent else None, FIRST_CUSTOMER, ARRIVALS)
        if number >= known:
            rests_on |= days
        version = parent.model_version if parent else None
        leans_on = dict.fromkeys(days, "10:a")
        done.append(entry(refit_date, version, is_stable=refit_date not in unstable, leans_on=leans_on))
    labels = entry_in_effect("overall", done, as_of, [decision])
    assert labels is not None
    rests_on |= label_dates(labels.refit_date, as_of, ARRIVALS)
    entries = {made.refit_date: made for made in done[:known]}
    assert needed(as_of, entries, {}, decision) >= rests_on


def test_a_lineage_holds_until_something_that_it_rests_on_changes() -> None:
    refits = (JANUARY, FEBRUARY, MARCH)

    def holds(entries: Mapping[date, LineageEntry], contents: Mapping[date, str], *decisions: Decision) -> bool:
        return len(refits_that_hold(LENS, refits, entries, contents, context(*decisions))) == len(refits)

    assert holds(WHOLE, {})
    assert holds(WHOLE, {JANUARY: "10:a", date(2024, 2, 10): "10:changed"})
    assert not holds(WHOLE, {JANUARY: "10:changed"})
    assert not holds(WHOLE, {FEBRUARY: ""})
    assert not holds({day: WHOLE[day] for day in (JANUARY, MARCH)}, {})
    assert not holds(WHOLE, {}, decide(DecisionKind.HOLD, FEBRUARY, date(2024, 2, 10)))
    assert holds(WHOLE, {}, decide(DecisionKind.HOLD, FEBRUARY, date(2024, 3, 10)))
    assert not holds(lineage(JANUARY, FEBRUARY, MARCH, unstable=[FEBRUARY]) | {FEBRUARY: WHOLE[FEBRUARY]}, {})
