"""What cannot be decided is refused with what can be."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from segmentation_job.deciding import decide_about_model, decide_rename
from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.runs.decisions import Decision, DecisionKind

NOON = datetime.fromisoformat("2024-03-21T12:00:00")
JANUARY, FEBRUARY, MARCH, APRIL = (date(2024, month, 1) for month in range(1, 5))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lenses published up to 20 March: overall waits for approval, purchase does not."""
    path: Path = tmp_path_factory.mktemp("published") / "segmentation.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table segments as select * from (values"
            " ('overall', 'overall-1', 'key1', 'Frequent shoppers', null),"
            " ('overall', 'overall-2', 'key2', 'Rare shoppers', null),"
            " ('overall', 'overall-3', 'key3', 'Bygone shoppers', 'overall-2'),"
            " ('purchase', 'purchase-1', 'key4', 'Deal seekers', null)"
            ") as rows (lens, segment_id, segment_key, name, superseded_by)"
        )
        connection.execute(
            "create table segmentation_runs as select * from (values ('overall', date '2024-02-20'),"
            " ('overall', date '2024-03-20'), ('purchase', date '2024-03-20'),"
            " ('financial', date '2024-03-20')) as rows (lens, as_of_date)"
        )
        connection.execute(
            "create table models as select *, lens || ' of ' || fitted_as_of as model_version from (values"
            " ('overall', date '2024-01-01', 'replaced'), ('overall', date '2024-02-01', 'in_effect'),"
            " ('overall', date '2024-03-01', 'held'),"
            " ('purchase', date '2024-01-01', 'replaced'), ('purchase', date '2024-02-01', 'rejected'),"
            " ('purchase', date '2024-03-01', 'in_effect'),"
            " ('financial', date '2024-02-01', 'in_effect'), ('financial', date '2024-03-01', 'rejected')"
            ") as rows (lens, fitted_as_of, status)"
        )
    return path


def rename(published: Path, segment_id: str, name: str, *earlier: Decision) -> Decision:
    return decide_rename(published, segment_id, name, now=NOON, decided_by="Zoë", reason="clearer", earlier=earlier)


def about(
    published: Path, kind: DecisionKind, lens: str, refit_date: date | None = None, refit_months: int = 1
) -> Decision:
    return decide_about_model(
        published, kind, lens, refit_date, now=NOON, decided_by="Zoë", reason="seen", refit_months=refit_months
    )


def test_a_rename_is_about_the_segment_s_key_and_its_name_loses_stray_spaces(published: Path) -> None:
    assert rename(published, "overall-1", "  Loyal \n shoppers ") == Decision(
        NOON,
        DecisionKind.RENAME,
        "overall",
        segment_key="key1",
        segment_id="overall-1",
        name="Loyal shoppers",
        decided_by="Zoë",
        reason="clearer",
    )


@pytest.mark.parametrize("name", ["", " \t", "x" * 81])
def test_a_name_has_one_to_eighty_characters(published: Path, name: str) -> None:
    with pytest.raises(MisconfiguredError, match="one to 80 characters"):
        rename(published, "overall-1", name)
    assert rename(published, "overall-1", "x" * 80).name == "x" * 80


def test_an_unknown_segment_is_refused_with_those_there_are(published: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"There are: overall-1, overall-2, purchase-1\."):
        rename(published, "overall-9", "Anything")


def test_a_superseded_segment_is_refused_with_its_successor(published: Path) -> None:
    with pytest.raises(MisconfiguredError, match="overall-3 is superseded by overall-2"):
        rename(published, "overall-3", "Anything")


def test_two_segments_of_a_lens_never_have_one_name(published: Path) -> None:
    with pytest.raises(MisconfiguredError, match="overall-2 is called 'rare SHOPPERS' already"):
        rename(published, "overall-1", "rare SHOPPERS")
    assert rename(published, "purchase-1", "Rare shoppers").lens == "purchase"
    assert rename(published, "overall-2", "rare shoppers").name == "rare shoppers"


def test_names_that_are_decided_and_not_published_yet_count_already(published: Path) -> None:
    earlier = rename(published, "overall-2", "Loyal shoppers")
    with pytest.raises(MisconfiguredError, match="overall-2 is called 'Loyal shoppers' already"):
        rename(published, "overall-1", "Loyal shoppers", earlier)
    # And the name that it gave up is free.
    assert rename(published, "overall-1", "Rare shoppers", earlier).name == "Rare shoppers"


def test_the_name_of_a_superseded_segment_is_free_to_its_successor_alone(published: Path) -> None:
    assert rename(published, "overall-2", "Bygone shoppers").name == "Bygone shoppers"
    with pytest.raises(MisconfiguredError, match="overall-3 is called 'Bygone shoppers' already"):
        rename(published, "overall-1", "Bygone shoppers")


@pytest.mark.parametrize("kind", [DecisionKind.APPROVE, DecisionKind.REJECT])
def test_by_default_it_is_about_the_model_that_waits_and_counts_from_the_next_date(
    published: Path, kind: DecisionKind
) -> None:
    assert about(published, kind, "overall") == Decision(
        NOON,
        kind,
        "overall",
        refit_date=MARCH,
        effective_from=date(2024, 3, 21),
        # An approval is of the model that was seen, a rejection of whatever the date has.
        model_version="overall of 2024-03-01" if kind is DecisionKind.APPROVE else None,
        decided_by="Zoë",
        reason="seen",
    )


@pytest.mark.parametrize("kind", [DecisionKind.HOLD, DecisionKind.REJECT])
def test_where_none_waits_a_hold_or_a_rejection_is_about_the_next_refit(published: Path, kind: DecisionKind) -> None:
    assert about(published, kind, "purchase").refit_date == APRIL
    assert about(published, kind, "purchase", refit_months=12).refit_date == date(2025, 1, 1)


def test_a_model_in_effect_may_be_held_or_rejected_and_a_rejected_one_approved(published: Path) -> None:
    for kind in (DecisionKind.HOLD, DecisionKind.REJECT):
        assert about(published, kind, "purchase", MARCH).refit_date == MARCH
    assert about(published, DecisionKind.APPROVE, "financial", MARCH).refit_date == MARCH


@pytest.mark.parametrize(
    ("kind", "lens", "refit_date", "why"),
    [
        (DecisionKind.APPROVE, "purchase", None, "No model of lens purchase waits for approval"),
        (
            DecisionKind.HOLD,
            "cultural",
            None,
            "'cultural' has no published date. There are: financial, overall, purchase",
        ),
        (DecisionKind.HOLD, "overall", date(2024, 3, 2), "2024-03-02 is no refit date: the next one .* is 2024-04-01"),
        (
            DecisionKind.HOLD,
            "overall",
            date(2023, 12, 1),
            "no model of 2023-12-01. It has those of 2024-01-01, 2024-02",
        ),
        (DecisionKind.APPROVE, "overall", APRIL, "still to come: nothing is to be approved"),
        (DecisionKind.APPROVE, "overall", FEBRUARY, "of 2024-02-01 of lens overall is in effect already"),
        (DecisionKind.APPROVE, "overall", JANUARY, "2024-02-01 is in effect, and newer than that of 2024-01-01"),
        (
            DecisionKind.APPROVE,
            "purchase",
            FEBRUARY,
            "2024-03-01 is in effect, and newer .* Reject the newer one first",
        ),
        (DecisionKind.HOLD, "overall", MARCH, "is held already"),
        (DecisionKind.REJECT, "purchase", FEBRUARY, "is rejected already"),
        (DecisionKind.HOLD, "overall", JANUARY, "first of lens overall: no other could take its place"),
        (DecisionKind.REJECT, "purchase", JANUARY, "first of lens purchase"),
    ],
)
def test_what_cannot_be_decided_says_why(
    published: Path, kind: DecisionKind, lens: str, refit_date: date | None, why: str
) -> None:
    with pytest.raises(MisconfiguredError, match=why):
        about(published, kind, lens, refit_date)


def test_before_anything_is_published_nothing_can_be_decided(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="nothing is published yet"):
        rename(tmp_path / "none.duckdb", "overall-1", "Anything")
