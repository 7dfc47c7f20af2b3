"""The simulated shop that the benchmark runs on: what was known before the first date, and what came on each day after.

A source delivers what is new, so the days after the first date land as further files. What becomes of a payment or of a
campaign later stands in its row from the start: the features of a date look at what was known before it alone.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from segmentation_job.landing.simulated_shop.generation import LANDING, shop_parts
from segmentation_job.landing.simulated_shop.options import ShopOptions

FIRST_DATE: Final = date(2025, 12, 29)
NIGHTS: Final = (FIRST_DATE + timedelta(days=1), FIRST_DATE + timedelta(days=2))
# Between the refit of its month and the first date, so that a backfill needs no model that is not there.
BACKFILLED_DATE: Final = date(2025, 12, 16)
END: Final = date(2026, 1, 1)
DAYS: Final = 731

HAPPENED_AT: Final = {
    "customers": "coalesce(valid_from, signup_date)",
    "products": "valid_from",
    "orders": "try_cast(ordered_at as timestamp)",
    "order_events": "occurred_at",
    "credit": "credit_date",
    "loyalty_events": "occurred_at",
    "web_events": "occurred_at",
    "feedback": "occurred_at",
    "campaign_contacts": "contacted_at",
    "market_indicators": "published_at",
}
# What lands with its order.
OF_ORDERS: Final = ("order_lines", "payments")


@dataclass(frozen=True)
class BenchShop:
    """A shop on disk. folder: holds `base/<entity>/part-*.parquet` and `nights/<day>/<entity>.parquet`."""

    customers: int
    days: int
    folder: Path

    def land_base(self, landing: Path) -> None:
        """Put what was known before FIRST_DATE into a landing: hard links, which cost no room."""
        for part in sorted((self.folder / "base").glob("*/*.parquet")):
            _link(part, landing / part.parent.name / part.name)

    def land_day(self, landing: Path, day: date) -> int:
        """Put what came on a day into a landing beside what is there; return the bytes."""
        size = 0
        for part in sorted((self.folder / "nights" / day.isoformat()).glob("*.parquet")):
            _link(part, landing / part.stem / f"part-{day}.parquet")
            size += part.stat().st_size
        return size


def _link(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(origin, target)


def bench_shop(cache: Path, customers: int, days: int = DAYS) -> BenchShop:
    """Return the shop of so many customers and days of orders up to END, made where the cache does not have it.

    Without planted dirt and late rows, so that the alternatives need no cleaning to compute the same features.
    """
    options = ShopOptions(
        customers=customers, seed=1, start=END - timedelta(days=days), days=days, dirt_rate=0, late_rate=0
    )
    folder = cache / f"shop-{customers}-{days}"
    with _one_at_a_time(folder):
        if not folder.exists():
            unfinished = folder.with_name(f".{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _write_parts(options, unfinished)
            unfinished.rename(folder)
    return BenchShop(customers, days, folder)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_parts(options: ShopOptions, folder: Path) -> None:
    chunk_folder = folder / "chunk"
    days = [day - timedelta(days=1) for day in NIGHTS]
    for chunk, tables in enumerate(shop_parts(options)):
        for name, table in tables.items():
            kind, _, entity = name.partition("/")
            if kind == LANDING:
                path = chunk_folder / entity / "part.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path)
        with duckdb.connect(config={"threads": "1"}) as connection:
            for entity_folder in sorted(chunk_folder.iterdir()):
                entity = entity_folder.name
                connection.execute(f"create or replace view landed as select * from '{entity_folder}/part.parquet'")
                _copy(connection, _rows(entity, None, FIRST_DATE, chunk_folder), folder / "base" / entity, chunk)
                for day in days:
                    query = _rows(entity, day, day + timedelta(days=1), chunk_folder)
                    _copy(connection, query, folder / "nights" / day.isoformat() / entity, chunk)
        shutil.rmtree(chunk_folder)
        if chunk % 20 == 19 or chunk + 1 == options.chunk_count:
            print(f"  {min((chunk + 1) * options.chunk_customers, options.customers):,} customers", flush=True)
    with duckdb.connect() as connection:
        for day in days:
            for parts in sorted((folder / "nights" / day.isoformat()).iterdir()):
                connection.execute(f"copy (select * from '{parts}/*.parquet') to '{parts}.parquet' (format parquet)")
                shutil.rmtree(parts)


def _copy(connection: duckdb.DuckDBPyConnection, query: str, folder: Path, chunk: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    connection.execute(f"copy ({query}) to '{folder}/part-{chunk:05d}.parquet' (format parquet)")


def _rows(entity: str, since: date | None, before: date, landing: Path) -> str:
    """What a table holds of some days: all before a day, or those since another."""
    if entity in OF_ORDERS:
        orders = f"select order_id from '{landing}/orders/*.parquet' where {_happened('orders', since, before)}"
        return f"select * from landed where order_id in ({orders})"
    return f"select * from landed where {_happened(entity, since, before)}"


def _happened(entity: str, since: date | None, before: date) -> str:
    at = HAPPENED_AT[entity]
    if since:
        return f"{at} >= '{since}' and {at} < '{before}'"
    # Rows without a time were always there.
    return f"({at} is null or {at} < '{before}')"
