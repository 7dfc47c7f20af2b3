"""What the facts were last built from: withdrawn before they are built, recorded when they are."""

from collections.abc import Collection

import pyarrow as pa

from segmentation_job.landing.landed_files import LandedFile
from segmentation_job.warehouse.interface import Warehouse


def read_landed_files(warehouse: Warehouse) -> frozenset[LandedFile]:
    """Return the landing files that the facts are built from; none where that was not recorded."""
    found = warehouse.rows("select table_name, file, bytes, changed_at_ns from pipeline.landed_files")
    return frozenset(LandedFile(*row) for row in found)


def forget_facts_state(warehouse: Warehouse) -> None:
    """Withdraw the record: from now on the facts count as not built."""
    with warehouse.transaction():
        for table in ("facts_state", "landed_files", "touched_days", "touched_keys"):
            warehouse.rows(f"delete from pipeline.{table}")


def record_facts_state(
    warehouse: Warehouse, fingerprint: str, facts_version: str, landed: Collection[LandedFile]
) -> None:
    """Record what the facts were built from.

    fingerprint: of the landing. landed: its files as they were before they were read.
    """
    files = sorted(landed)
    with warehouse.transaction():
        # Ids of customers are among them, which nobody looks for there.
        for table in ("touched_days", "touched_keys"):
            warehouse.rows(f"delete from pipeline.{table}")
        warehouse.rows("insert into pipeline.facts_state values (?, ?)", (fingerprint, facts_version))
        warehouse.append(
            "pipeline.landed_files",
            pa.table(
                {
                    "table_name": [file.table for file in files],
                    "file": [file.path for file in files],
                    "bytes": pa.array([file.bytes for file in files], pa.int64()),
                    "changed_at_ns": pa.array([file.changed_at_ns for file in files], pa.int64()),
                }
            ),
        )
