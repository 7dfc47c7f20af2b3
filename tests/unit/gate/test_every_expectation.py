"""Tests of the tests: each expectation fails, alone in its suite, on the damage it is there for."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from segmentation_job.gate import evaluate_gate, load_suites
from segmentation_job.gate.duckdb_store import DuckDBStore
from segmentation_job.gate.outcomes import ExpectationOutcome, Subject
from segmentation_job.gate.suites import SUITES_BY_SUBJECT
from tests.unit.gate.conftest import Warehouse
from tests.unit.gate.corruptions import CORRUPTIONS, PACKS, Corruption
from tests.unit.gate.gate_warehouse import AS_OF
from tests.unit.gate.what_sees_a_change import changes_between, write_abridged_suites

EXPECTATIONS = Path(__file__).parents[3] / "expectations"


def evaluate(path: Path, subject: Subject, expectations: Path = EXPECTATIONS) -> list[ExpectationOutcome]:
    return evaluate_gate(DuckDBStore(path, threads=2, memory_limit="1GB"), expectations, subject, AS_OF, [AS_OF])


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


def damaged(warehouse: Warehouse, pack: tuple[Corruption, ...]) -> tuple[Path, Subject]:
    statements = [statement for corruption in pack for statement in corruption.statements]
    path = warehouse(*statements, customer_count=pack[0].customer_count)
    return path, next(subject for subject, suites in SUITES_BY_SUBJECT.items() if pack[0].suite in suites)


def caught(outcomes: list[ExpectationOutcome]) -> list[ExpectationOutcome]:
    return [o for o in outcomes if o.outcome not in ("passed", "not_applicable")]


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: " + ".join(corruption.id for corruption in pack))
def test_corruptions_are_caught_by_their_expectations_and_no_other(
    warehouse: Warehouse, templates: Callable[[int], Path], tmp_path: Path, pack: tuple[Corruption, ...]
) -> None:
    path, subject = damaged(warehouse, pack)
    # What reads none of the damage says what it says of the clean warehouse: that it passes.
    suites = tmp_path / "expectations"
    write_abridged_suites(EXPECTATIONS, suites, changes_between(templates(pack[0].customer_count), path))
    found = caught(evaluate(path, subject, suites))
    assert {(o.suite, o.description) for o in found} == {(c.suite, c.description) for c in pack}, found
    assert {o.outcome == ("failed" if o.severity == "critical" else "warned") for o in found} == {True}


@pytest.mark.parametrize("pack", PACKS[::9], ids=lambda pack: " + ".join(corruption.id for corruption in pack))
def test_no_expectation_that_is_left_out_would_have_noticed(warehouse: Warehouse, pack: tuple[Corruption, ...]) -> None:
    found = caught(evaluate(*damaged(warehouse, pack)))
    assert {(o.suite, o.description) for o in found} == {(c.suite, c.description) for c in pack}, found
