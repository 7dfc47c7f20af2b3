"""What a gate said, kept in the warehouse."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import pyarrow as pa

from segmentation_job.gate.outcomes import ExpectationOutcome
from segmentation_job.warehouse.interface import Warehouse


def store_outcomes(
    warehouse: Warehouse, outcomes: Sequence[ExpectationOutcome], *, run_id: str, evaluated_at: datetime
) -> None:
    """Append the outcomes of one gate to `pipeline.gate_results`."""
    rows = [{"run_id": run_id, **asdict(outcome), "evaluated_at": evaluated_at} for outcome in outcomes]
    if rows:
        warehouse.append("pipeline.gate_results", pa.Table.from_pylist(rows))
