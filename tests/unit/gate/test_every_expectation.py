"""Tests of the tests: each expectation fails, alone in its suite, on the damage it is there for."""

from collections import Counter
from pathlib import Path

import pytest

from segmentation_job.gate import evaluate_gate, load_suites
from segmentation_job.gate.outcomes import ExpectationOutcome, Subject
from segmentation_job.gate.suites import SUITES_BY_SUBJECT
from tests.unit.gate.conftest import Warehouse
from tests.unit.gate.corruptions import CORRUPTIONS, PACKS, Corruption
from tests.unit.gate.gate_warehouse import AS_OF

EXPECTATIONS = Path(__file__).parents[3] / "expectations"


def evaluate(path: Path, subject: Subject) -> list[ExpectationOutcome]:
    return evaluate_gate(path, EXPECTATIONS, subject, AS_OF, [AS_OF], threads=2, memory_limit="1GB")


def test_every_expectation_of_every_suite_has_exactly_one_corruption() -> None:
    written = Counter(
        (suite.name, expectation.description)
        for suite in load_suites(EXPECTATIONS)
        for expectation in suite.expectations
    )
    assert Counter((corruption.suite, corruption.description) for corruption in CORRUPTIONS) == written


@pytest.mark.parametrize("subject", ["features", "forecasts", "labels"])
@pytest.mark.parametrize("customer_count", [60, 240])
def test_a_clean_warehouse_passes_every_expectation(
    warehouse: Warehouse, subject: Subject, customer_count: int
) -> None:
    outcomes = evaluate(warehouse(customer_count=customer_count), subject)
    assert [(o.suite, o.description, o.observed) for o in outcomes if o.outcome != "passed"] == []
    assert len(outcomes) == sum(len(suite.expectations) for suite in load_suites(EXPECTATIONS, subject))


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: " + ".join(corruption.id for corruption in pack))
def test_corruptions_are_caught_by_their_expectations_and_no_other(
    warehouse: Warehouse, pack: tuple[Corruption, ...]
) -> None:
    statements = [statement for corruption in pack for statement in corruption.statements]
    path = warehouse(*statements, customer_count=pack[0].customer_count)
    outcomes = evaluate(path, next(subject for subject, suites in SUITES_BY_SUBJECT.items() if pack[0].suite in suites))
    caught = [o for o in outcomes if o.outcome not in ("passed", "not_applicable")]
    assert {(o.suite, o.description) for o in caught} == {(c.suite, c.description) for c in pack}, caught
    assert {o.outcome == ("failed" if o.severity == "critical" else "warned") for o in caught} == {True}
