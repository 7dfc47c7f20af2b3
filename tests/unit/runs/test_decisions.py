"""What people decide comes back from its file as it was, and a killed command breaks nothing."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.decisions import (
    Decision,
    DecisionKind,
    ModelStatus,
    append_decision,
    decision_dates,
    model_status,
    parse_decision,
    read_decisions,
    write_decision,
)

NOON = datetime.fromisoformat("2024-03-05T12:00:00.001234")
RENAME = Decision(
    NOON,
    DecisionKind.RENAME,
    "overall",
    segment_key="abc",
    segment_id="overall-1",
    name="Köln's “best”",
    decided_by="Zoë",
    reason="two\nlines, one\u2028separator, one\x85next line",
)
FEBRUARY = date(2024, 2, 1)
HOLD = Decision(NOON, DecisionKind.HOLD, "overall", refit_date=FEBRUARY, effective_from=date(2024, 2, 10))


def later(decision: Decision, minutes: int, **changes: object) -> Decision:
    return replace(decision, decided_at=NOON + timedelta(minutes=minutes), **changes)  # type: ignore[arg-type]


def test_decisions_come_back_from_the_file_as_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "source" / "decisions.jsonl"
    made = (RENAME, later(HOLD, 1), later(HOLD, 2, kind=DecisionKind.APPROVE, reason="it is well"))
    for decision in made:
        append_decision(path, decision)
    assert read_decisions(path) == made
    assert len(path.read_bytes().splitlines()) == 3
    assert [decision.decision_id for decision in read_decisions(path)] == [decision.decision_id for decision in made]


@given(text=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_text_comes_back_from_a_line(text: str) -> None:
    decision = replace(RENAME, name=text or "x", reason=text)
    assert "\n" not in write_decision(decision)
    assert parse_decision(write_decision(decision)) == decision


def test_decisions_stand_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for minutes in (5, 1, 3):
        append_decision(path, later(RENAME, minutes))
    assert [decision.decided_at.minute for decision in read_decisions(path)] == [1, 3, 5]


def test_a_line_that_stands_twice_is_one_decision(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for _ in range(2):
        append_decision(path, RENAME)
    assert read_decisions(path) == (RENAME,)


def test_decisions_of_one_instant_stand_in_the_order_of_their_ids_whatever_the_file(tmp_path: Path) -> None:
    made = [replace(RENAME, name=name) for name in "abcd"]
    for number, order in enumerate((made, made[::-1])):
        for decision in order:
            append_decision(tmp_path / f"{number}.jsonl", decision)
    found = read_decisions(tmp_path / "0.jsonl")
    assert found == read_decisions(tmp_path / "1.jsonl")
    ids = [decision.decision_id for decision in found]
    assert ids == sorted(ids)


def test_equal_decisions_have_equal_ids_and_others_have_others() -> None:
    others = [RENAME, later(RENAME, 1), replace(RENAME, name="other"), replace(RENAME, reason=""), HOLD]
    assert len({decision.decision_id for decision in others}) == len(others)
    assert replace(RENAME).decision_id == RENAME.decision_id
    assert len(RENAME.decision_id) == 16


def test_without_a_file_nothing_is_decided(tmp_path: Path) -> None:
    assert read_decisions(tmp_path / "none.jsonl") == ()


@pytest.mark.parametrize("cut", [1, 20, 60, "in a letter"])
@pytest.mark.parametrize("before", [0, 1])
def test_half_a_line_of_a_killed_command_is_no_decision_now_or_after_the_next_one(
    tmp_path: Path, cut: int | str, before: int
) -> None:
    path = tmp_path / "decisions.jsonl"
    for _ in range(before):
        append_decision(path, HOLD)
    line = write_decision(RENAME).encode()
    half = line[: line.index("ö".encode()) + 1 if isinstance(cut, str) else cut]
    path.write_bytes((path.read_bytes() if before else b"") + half)
    assert read_decisions(path) == (HOLD,) * before
    append_decision(path, later(RENAME, 2))
    append_decision(path, later(RENAME, 3))
    assert read_decisions(path) == (*(HOLD,) * before, later(RENAME, 2), later(RENAME, 3))


def test_a_whole_line_that_lacks_its_line_break_is_a_decision_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(write_decision(HOLD))
    assert read_decisions(path) == (HOLD,)
    append_decision(path, later(RENAME, 2))
    assert read_decisions(path) == (HOLD, later(RENAME, 2))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 3"),
        ("[]", "no JSON object"),
        ("7", "no JSON object"),
        ('{"decided_at": "2024-03-05T12:00:00", "lens": "overall"}', "kind"),
        ('{"kind": "applaud", "decided_at": "2024-03-05T12:00:00", "lens": "overall"}', "applaud"),
        ('{"kind": "rename", "decided_at": "noon", "lens": "overall"}', "noon"),
        (
            '{"kind": "rename", "decided_at": "2024-03-05T12:00:00", "lens": "o", "name": "x"}',
            "rename needs segment_key",
        ),
        ('{"kind": "hold", "decided_at": "2024-03-05T12:00:00", "lens": "o"}', "hold needs refit_date"),
        ('{"kind": "hold", "decided_at": "2024-03-05T12:00:00+01:00", "lens": "o"}', "without a zone"),
        ('{"kind": "hold", "decided_at": "2024-03-05T12:00:00", "lens": "o", "colour": "red"}', "colour"),
    ],
)
def test_a_broken_line_is_refused_by_file_and_number(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(f"{write_decision(RENAME)}\n\n{line}\n{write_decision(HOLD)}\n")
    with pytest.raises(MisconfiguredError) as refused:
        read_decisions(path)
    assert f"{path}, line 3" in str(refused.value)
    assert why in str(refused.value)


def status(as_of: date, *decisions: Decision, is_stable: bool = True) -> ModelStatus:
    return model_status("overall", FEBRUARY, as_of, model_version="m", is_stable=is_stable, decisions=decisions)


def test_without_a_decision_a_model_takes_effect_where_it_is_stable() -> None:
    assert status(FEBRUARY) is ModelStatus.PROMOTED
    assert status(FEBRUARY, is_stable=False) is ModelStatus.HELD


def test_a_decision_counts_from_its_date_and_leaves_earlier_dates_as_they_are() -> None:
    reject = replace(HOLD, kind=DecisionKind.REJECT, effective_from=date(2024, 2, 20))
    assert [status(date(2024, 2, day), HOLD, reject) for day in (9, 10, 19, 20)] == [
        ModelStatus.PROMOTED,
        ModelStatus.HELD,
        ModelStatus.HELD,
        ModelStatus.REJECTED,
    ]


def test_the_decision_made_last_counts() -> None:
    approve = later(HOLD, 1, kind=DecisionKind.APPROVE)
    assert status(date(2024, 2, 10), HOLD, approve) is ModelStatus.PROMOTED
    assert status(date(2024, 2, 10), approve, HOLD, is_stable=False) is ModelStatus.HELD


@pytest.mark.parametrize("changes", [{"lens": "other"}, {"refit_date": date(2024, 3, 1)}])
def test_decisions_about_other_models_do_not_count(changes: dict[str, object]) -> None:
    assert status(date(2024, 2, 10), later(HOLD, 0, **changes), RENAME) is ModelStatus.PROMOTED


def test_the_dates_of_decisions_are_those_about_a_lens_s_models_once_each() -> None:
    others = [later(HOLD, 1, effective_from=date(2024, 2, 3)), later(HOLD, 2), later(HOLD, 3, lens="other"), RENAME]
    assert decision_dates("overall", [HOLD, *others]) == [date(2024, 2, 3), date(2024, 2, 10)]
