"""The one door to the warehouse engine."""

from contextlib import AbstractContextManager, nullcontext

from segmentation_job.errors import MisconfiguredError
from segmentation_job.lock_holder import holding
from segmentation_job.prepared_change import finish_change
from segmentation_job.settings import Settings
from segmentation_job.warehouse.interface import Warehouse


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the source's warehouse for writing; raise WarehouseLockedError where another process holds it."""
    # A `forget` that was killed while it put its new files in place: no step may write into a file about to go.
    finish_change(settings.forgetting_dir)
    if settings.target == "spark":
        from segmentation_job.warehouse.spark_engine import SparkWarehouse

        return SparkWarehouse(settings)
    from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

    return DuckDBWarehouse(settings.warehouse_path, threads=settings.threads, memory_limit=settings.memory_limit)


def has_warehouse(settings: Settings) -> bool:
    """Say whether a run has ever opened the source's warehouse."""
    if settings.target == "spark":
        return (settings.spark_warehouse / f"{settings.source}_pipeline.db").is_dir()
    return settings.warehouse_path.exists()


def require_rows_can_go(settings: Settings, command: str) -> None:
    """Raise MisconfiguredError where the engine cannot take away single rows of large tables, as a command has to."""
    if settings.target == "spark":
        raise MisconfiguredError(
            f"`segmentation {command}` works on DuckDB alone as yet: with TARGET=spark rows of large tables go by "
            "partition only (docs/scaling.md). Nothing was changed."
        )


def held_for_dbt(settings: Settings) -> AbstractContextManager[None]:
    """Keep other processes from writing while dbt does, where the engine does not do it for dbt."""
    return holding(settings.spark_lock_path) if settings.target == "spark" else nullcontext()
