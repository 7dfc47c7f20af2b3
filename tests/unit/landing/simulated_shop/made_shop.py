"""A simulated shop on disk, read by SQL."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from segmentation_job.landing.simulated_shop.columns import ENTITIES
from segmentation_job.landing.simulated_shop.generation import write_shop
from segmentation_job.landing.simulated_shop.options import ShopOptions


@dataclass(frozen=True)
class MadeShop:
    """A shop as it was written. Every entity is a view; so are planted_dirt, segments and segment_intervals."""

    options: ShopOptions
    folder: Path
    connection: duckdb.DuckDBPyConnection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.connection.execute(query).fetchall()

    def value(self, query: str) -> Any:
        """Return the one value of a query."""
        ((value,),) = self.rows(query)
        return value


def make_shop(folder: Path, options: ShopOptions) -> MadeShop:
    """Write a shop into a folder and open it."""
    write_shop(options, folder)
    connection = duckdb.connect()
    connection.execute("set threads = 1; set TimeZone = 'UTC'")
    tables = [f"landing/{entity}" for entity in ENTITIES]
    for table in (*tables, "truth/planted_dirt", "truth/segments", "truth/segment_intervals"):
        name = table.split("/")[1]
        connection.execute(f"create table {name} as select * from read_parquet('{folder}/{table}/*.parquet')")
    return MadeShop(options, folder, connection)
