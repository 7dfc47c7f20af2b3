"""The gate: Great Expectations suites run by SQL on the candidate tables, read-only."""

from segmentation_job.gate.evaluation import evaluate_gate
from segmentation_job.gate.outcomes import ExpectationOutcome, describe_outcomes, gate_failed
from segmentation_job.gate.suites import SuiteError, load_suites

__all__ = [
    "ExpectationOutcome",
    "SuiteError",
    "describe_outcomes",
    "evaluate_gate",
    "gate_failed",
    "load_suites",
]
