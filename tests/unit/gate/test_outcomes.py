import json
from dataclasses import replace
from datetime import date

import pytest

from segmentation_job.gate import ExpectationOutcome, describe_outcomes, gate_failed
from segmentation_job.gate.outcomes import OutcomeName

PASSED = ExpectationOutcome(
    as_of_date=date(2018, 1, 1),
    subject="features",
    suite="financial_features",
    batch_date=date(2017, 12, 31),
    expectation="unexpected_rows_expectation",
    column_name="spend_amount",
    severity="critical",
    outcome="passed",
    unexpected_count=0,
    observed=None,
    first_keys=None,
    description="Spend equals gross minus discount",
)
FAILED = replace(
    PASSED,
    outcome="failed",
    unexpected_count=3,
    observed="customer_id = c1, spend_amount = 7",
    first_keys=json.dumps(["c1", "c2", "c3"]),
)


@pytest.mark.parametrize(
    ("outcome", "stops"), [("failed", True), ("error", True), ("warned", False), ("not_applicable", False)]
)
def test_critical_failures_and_errors_stop_the_run_and_warnings_do_not(outcome: OutcomeName, stops: bool) -> None:
    assert gate_failed([PASSED, replace(PASSED, outcome=outcome)]) is stops


def test_a_gate_in_which_nothing_passed_has_failed() -> None:
    assert gate_failed([])
    assert gate_failed([replace(PASSED, outcome="not_applicable"), replace(PASSED, outcome="warned")])


def test_a_failure_is_told_with_its_suite_date_column_words_and_rows_but_without_a_customer() -> None:
    first, line = describe_outcomes([PASSED, FAILED]).splitlines()
    assert first == (
        "Gate on features as of 2018-01-01 FAILED: 2 expectations on 1 date: 1 passed, 1 failed, 0 warned, "
        "0 errors, 0 not applicable."
    )
    assert line == (
        "FAILED  financial_features (2017-12-31) spend_amount: Spend equals gross minus discount · 3 rows"
        " · which customers: first_keys and observed in pipeline.gate_results"
    )


def test_errors_of_one_cause_are_one_line_and_come_first() -> None:
    error = replace(PASSED, outcome="error", observed="table candidate.x does not exist", unexpected_count=None)
    lines = describe_outcomes([FAILED, error, replace(error, description="Another")]).splitlines()
    assert lines[1] == (
        "ERROR   financial_features (2017-12-31): 2 expectations could not be evaluated: "
        "table candidate.x does not exist"
    )
    assert lines[2].startswith("FAILED")


def test_what_was_not_compared_is_told_with_its_reason() -> None:
    skipped = replace(PASSED, outcome="not_applicable", observed="all values are null")
    text = describe_outcomes([PASSED, skipped, replace(skipped, description="Another")])
    assert text.splitlines()[-1] == ("not applicable  financial_features (2017-12-31): 2 × all values are null")
