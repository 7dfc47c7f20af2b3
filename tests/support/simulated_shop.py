"""A small simulated shop in a data folder, and the same shop as it was known on an earlier day."""

from datetime import date
from pathlib import Path

import duckdb

from segmentation_job.landing.simulated_shop.generation import write_shop
from segmentation_job.landing.simulated_shop.options import ShopOptions

SOURCE = "simulated_shop"

# What had happened before a day, by table: rows that had not are left out, and what came later of those that had is
# taken back.
KNOWN_BEFORE = {
    "customers": "select * from landed where coalesce(valid_from, signup_date) < '{day}'",
    "products": "select * from landed where valid_from is null or valid_from < '{day}'",
    "orders": "select * from landed where try_cast(ordered_at as timestamp) < '{day}'",
    "order_lines": "select * from landed where order_id in"
    " (select order_id from '{landing}/orders/*.parquet' where try_cast(ordered_at as timestamp) < '{day}')",
    "order_events": "select * from landed where occurred_at < '{day}'",
    "payments": "select * replace (case when paid_at < '{day}' then paid_at end as paid_at,"
    " case when failed_at < '{day}' then failed_at end as failed_at) from landed where order_id in"
    " (select order_id from '{landing}/orders/*.parquet' where try_cast(ordered_at as timestamp) < '{day}')",
    "credit": "select * from landed where credit_date < '{day}'",
    "loyalty_events": "select * from landed where occurred_at < '{day}'",
    "web_events": "select * from landed where occurred_at < '{day}'",
    "feedback": "select * from landed where occurred_at < '{day}'",
    "campaign_contacts": "select * replace (case when responded_at < '{day}' then response end as response,"
    " case when responded_at < '{day}' then responded_at end as responded_at) from landed"
    " where contacted_at < '{day}'",
    "market_indicators": "select * from landed where published_at < '{day}'",
}


def landing_of_shop(data_dir: Path) -> Path:
    """Return where the shop's files lie in a data folder."""
    return data_dir / SOURCE / "landing"


def truth_of_shop(data_dir: Path, table: str) -> str:
    """Return the pattern of the files that hold a table of the shop's truth."""
    return f"{data_dir / SOURCE / 'truth' / table}/*.parquet"


def write_small_shop(data_dir: Path, customers: int, seed: int = 7, dirt_rate: float = 0.005) -> None:
    """Land a shop of so many customers, two years of it up to the end of 2025."""
    write_shop(ShopOptions(customers=customers, seed=seed, dirt_rate=dirt_rate), data_dir / SOURCE)


def cut_shop(data_dir: Path, day: date) -> None:
    """Leave in the landing what was known before a day."""
    landing = landing_of_shop(data_dir)
    # Orders last: lines and payments are cut by them.
    for table in sorted(KNOWN_BEFORE, key=lambda name: name == "orders"):
        query = KNOWN_BEFORE[table].format(day=day, landing=landing)
        cut = landing / table / "cut.unfinished"
        with duckdb.connect() as connection:
            connection.execute(f"create view landed as select * from '{landing / table}/*.parquet'")
            connection.execute(f"copy ({query}) to '{cut}' (format parquet)")
        for part in (landing / table).glob("*.parquet"):
            part.unlink()
        cut.rename(landing / table / "part-00000.parquet")
