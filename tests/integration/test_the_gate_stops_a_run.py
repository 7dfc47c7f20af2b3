"""A candidate that is wrong stops at its gate: nothing promoted or served changes, and a clean rerun goes through."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Nights
from tests.support.rows import Rows, differences, published_rows, schema_rows

NEXT_NIGHT = FIRST_NIGHT + timedelta(days=1)


@dataclass(frozen=True)
class Corruption:
    """What is done to the candidate features of the next night, and the expectation that must object.

    words: of the expectation or its column. customer: whose row is wrong, None where every row is.
    """

    statements: tuple[str, ...]
    suite: str
    words: str
    customer: str | None


@dataclass(frozen=True)
class Standing:
    """What a stopped run must leave as it was."""

    served: Path
    content: bytes
    promoted: Rows

    @classmethod
    def of(cls, nights: Nights) -> "Standing":
        served = nights.serving_link.resolve(strict=True)
        return cls(served, served.read_bytes(), schema_rows(nights.warehouse, "promoted"))


def of_next_night(table: str, change: str, customer: str | None) -> str:
    who = f" and customer_id = '{customer}'" if customer else ""
    return f"update candidate.{table} set {change} where as_of_date = '{NEXT_NIGHT}'{who}"


CORRUPTIONS = {
    "a customer twice": Corruption(
        (
            "insert into candidate.purchase_features select * from candidate.purchase_features"
            f" where as_of_date = '{NEXT_NIGHT}' and customer_id = '1000'",
        ),
        "purchase_features",
        "A customer has one row per as-of date",
        "1000",
    ),
    "a negative recency": Corruption(
        (of_next_night("purchase_features", "recency_days = -1", "1000"),),
        "purchase_features",
        "recency_days",
        "1000",
    ),
    "a number that is none": Corruption(
        (of_next_night("financial_features", "spend_volatility = cast('nan' as double)", "1000"),),
        "financial_features",
        "No number is infinite or NaN",
        "1000",
    ),
    "all spend doubled": Corruption(
        (
            of_next_night(
                "financial_features",
                "spend_amount = 2 * spend_amount, spend_amount_30d = 2 * spend_amount_30d,"
                " spend_amount_90d = 2 * spend_amount_90d, spend_amount_365d = 2 * spend_amount_365d,"
                " gross_amount = 2 * gross_amount, discount_amount = 2 * discount_amount,"
                " average_order_amount = 2 * average_order_amount, largest_order_amount = 2 * largest_order_amount",
                None,
            ),
        ),
        "financial_features",
        "spend_amount",
        None,
    ),
}


@pytest.fixture(scope="module")
def features_built(first_night: Nights, copy_nights: CopyNights) -> Nights:
    """The next night as far as its candidate features."""
    nights = copy_nights(first_night, "features_built")
    nights.run(NEXT_NIGHT, last="build_features")
    return nights


@pytest.fixture(scope="module")
def labels_written(features_built: Nights, copy_nights: CopyNights) -> Nights:
    """The next night as far as its candidate labels, which no gate has seen yet."""
    nights = copy_nights(features_built, "labels_written")
    nights.run(NEXT_NIGHT, first="gate_features", last="segment")
    return nights


@pytest.fixture(scope="module")
def gated(labels_written: Nights, copy_nights: CopyNights) -> Nights:
    """The next night as far as promotion, with both gates passed."""
    nights = copy_nights(labels_written, "gated")
    nights.run(NEXT_NIGHT, first="gate_labels", last="gate_labels")
    return nights


@pytest.fixture(scope="module")
def stopped(features_built: Nights, copy_nights: CopyNights) -> Nights:
    """The next night, stopped by its gate on a customer that is there twice."""
    nights = copy_nights(features_built, "stopped")
    nights.change(*CORRUPTIONS["a customer twice"].statements)
    assert nights.step("gate_features", NEXT_NIGHT).exit_code == 4
    return nights


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_corrupted_features_stop_the_run_and_leave_everything_as_it_was(
    corruption: Corruption, features_built: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(features_built, "corrupted")
    nights.change(*corruption.statements)
    before = Standing.of(nights)

    gate = nights.step("gate_features", NEXT_NIGHT)

    assert gate.exit_code == 4
    objections = [line for line in gate.output.splitlines() if line.startswith("FAILED")]
    spoken = [line for line in objections if f"{corruption.suite} ({NEXT_NIGHT})" in line and corruption.words in line]
    assert spoken, gate.output
    stored = nights.query(
        "select unexpected_count, first_keys, description, column_name from pipeline.gate_results where as_of_date = ?"
        " and subject = 'features' and outcome = 'failed' and suite = ? and batch_date = as_of_date",
        [NEXT_NIGHT, corruption.suite],
    )
    meant = [row for row in stored if corruption.words in f"{row[3]}: {row[2]}"]
    assert meant
    if corruption.customer is not None:
        assert not any(corruption.customer in line.partition(" · ")[2] for line in spoken), spoken
        assert any(" row" in line for line in spoken), spoken
        assert all(corruption.customer in json.loads(keys) for _, keys, _, _ in meant), meant
        assert all(1 <= count <= 2 for count, _, _, _ in meant)

    promotion = nights.step("promote", NEXT_NIGHT)

    assert promotion.exit_code == 4
    assert "failed" in promotion.output
    assert Standing.of(nights) == before


def test_without_a_corruption_the_same_gate_passes(labels_written: Nights) -> None:
    outcomes = dict(
        labels_written.query(
            "select outcome, count(*) from pipeline.gate_results where as_of_date = ? and subject = 'features'"
            " group by outcome",
            [NEXT_NIGHT],
        )
    )
    assert outcomes["passed"] > 100
    assert "failed" not in outcomes
    assert "error" not in outcomes


def test_a_clean_rerun_after_a_stopped_run_publishes_the_night(
    stopped: Nights, gated: Nights, copy_nights: CopyNights
) -> None:
    rerun = copy_nights(stopped, "rerun")
    rerun.run(NEXT_NIGHT)
    never_stopped = copy_nights(gated, "never_stopped")
    never_stopped.run(NEXT_NIGHT, first="promote")

    rows = published_rows(rerun.serving_link)
    assert f"datetime.date({NEXT_NIGHT.year}, {NEXT_NIGHT.month}, {NEXT_NIGHT.day})" in rows["customer_segments"][1]
    assert differences(rows, published_rows(never_stopped.serving_link)) == {}


def test_a_label_written_twice_stops_the_run(labels_written: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(labels_written, "label_twice")
    before = Standing.of(nights)
    nights.change(
        "insert into candidate.labels select * from candidate.labels"
        f" where as_of_date = '{NEXT_NIGHT}' and customer_id = '1000'"
    )

    gate = nights.step("gate_labels", NEXT_NIGHT)

    assert gate.exit_code == 4
    assert any(line.startswith("FAILED  customer_segments") and " row" in line for line in gate.output.splitlines()), (
        gate.output
    )
    assert nights.step("promote", NEXT_NIGHT).exit_code == 4
    assert Standing.of(nights) == before


@pytest.mark.parametrize(
    ("subject", "change"),
    [
        ("features", of_next_night("engagement_features", "campaign_response_count = 0", None)),
        ("features", f"delete from candidate.demographic_features where as_of_date = '{NEXT_NIGHT}'"),
        ("labels", f"delete from candidate.labels where as_of_date = '{NEXT_NIGHT}' and customer_id = '1000'"),
    ],
)
def test_a_candidate_that_changed_after_its_gate_is_not_promoted(
    subject: str, change: str, gated: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(gated, "changed_after_gate")
    nights.change(change)
    before = Standing.of(nights)

    promotion = nights.step("promote", NEXT_NIGHT)

    assert promotion.exit_code == 4
    assert f"The {subject} of {NEXT_NIGHT} changed after their gate" in promotion.output
    assert Standing.of(nights) == before


def test_a_candidate_that_no_gate_has_judged_is_not_promoted(gated: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(gated, "not_judged")
    nights.change("delete from pipeline.gate_verdicts where subject = 'labels'")
    promotion = nights.step("promote", NEXT_NIGHT)
    assert promotion.exit_code == 4
    assert "have not been gated" in promotion.output


def test_the_marts_of_an_unpromoted_candidate_are_not_published(gated: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(gated, "unpromoted")
    before = Standing.of(nights)
    nights.run(NEXT_NIGHT, first="promote", last="promote")
    # Promoted, but the marts still hold the night before.
    assert nights.step("publish", NEXT_NIGHT).exit_code != 0
    assert (before.served, before.content) == (nights.serving_link.resolve(), before.served.read_bytes())


def test_a_step_before_its_predecessor_says_what_to_run_first(first_night: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(first_night, "out_of_turn")
    for step in ("gate_features", "segment", "gate_labels", "promote"):
        finished = nights.step(step, date(2017, 11, 20))
        assert finished.exit_code not in (0, 99)
        assert "segmentation build features --as-of 2017-11-20" in finished.output
