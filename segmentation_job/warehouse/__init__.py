"""The one door to the warehouse engine."""

from segmentation_job.prepared_change import finish_change
from segmentation_job.settings import Settings
from segmentation_job.warehouse.interface import Warehouse


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the source's warehouse for writing; raise WarehouseLockedError where another process holds it."""
    from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

    # A `forget` that was killed while it put its new files in place: no step may write into a file about to go.
    finish_change(settings.forgetting_dir)
    return DuckDBWarehouse(settings.warehouse_path, threads=settings.threads, memory_limit=settings.memory_limit)
