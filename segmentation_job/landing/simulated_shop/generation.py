"""Writes a simulated shop: chunk by chunk as Parquet parts, whole or not at all."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.simulated_shop.calendar import ShopCalendar
from segmentation_job.landing.simulated_shop.campaigns import contact_rows
from segmentation_job.landing.simulated_shop.columns import ENTITIES
from segmentation_job.landing.simulated_shop.customers import Customers, customer_rows, draw_customers, segment_rows
from segmentation_job.landing.simulated_shop.dirt import plant
from segmentation_job.landing.simulated_shop.feedback import feedback_rows
from segmentation_job.landing.simulated_shop.finances import credit_rows, payment_rows
from segmentation_job.landing.simulated_shop.lives import draw_lives
from segmentation_job.landing.simulated_shop.loyalty import loyalty_rows
from segmentation_job.landing.simulated_shop.market import market_rows
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.landing.simulated_shop.orders import draw_orders, order_tables
from segmentation_job.landing.simulated_shop.products import Shelf, product_rows, stock_shelf
from segmentation_job.landing.simulated_shop.randomness import Subject, random_stream
from segmentation_job.landing.simulated_shop.web import web_rows

LANDING: Final = "landing"
TRUTH: Final = "truth"
_UNFINISHED: Final = ".shop.unfinished"

Progress = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


def write_shop(options: ShopOptions, target: Path, progress: Progress = no_progress) -> list[Path]:
    """Write `landing/<entity>/part-*.parquet` and `truth/<what>/part-*.parquet` into a folder; return the files.

    progress: told after each chunk how many customers are done, and of how many. Both folders take their names when
    all of them is written, the landing last. Raises SourceNotReadyError where a landing with files is there already.
    """
    for name in (LANDING, TRUTH):
        folder = target / name
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if (target / LANDING).exists():
        raise SourceNotReadyError(f"{target / LANDING} is there already: move it away, or choose another folder.")
    sweep_unfinished(target)
    unfinished = target / _UNFINISHED
    for chunk, parts in enumerate(shop_parts(options)):
        for name, table in parts.items():
            path = unfinished / name / f"part-{chunk:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
        progress(min((chunk + 1) * options.chunk_customers, options.customers), options.customers)
    # A truth without a landing is that of a run which was cut off between the two.
    shutil.rmtree(target / TRUTH, ignore_errors=True)
    for name in (TRUTH, LANDING):
        (unfinished / name).rename(target / name)
    unfinished.rmdir()
    return sorted((target / LANDING).rglob("*.parquet"))


def sweep_unfinished(target: Path) -> None:
    """Remove what a run that was killed has left of a shop in a folder."""
    shutil.rmtree(target / _UNFINISHED, ignore_errors=True)


def shop_parts(options: ShopOptions) -> Iterator[dict[str, pa.Table]]:
    """Yield the tables of one chunk of customers after another, named by folder such as `landing/orders`.

    What is no customer's (products, market indicators) comes with the first chunk.
    """
    calendar = ShopCalendar(options)
    shelf = stock_shelf(calendar)
    for chunk in range(options.chunk_count):
        first = chunk * options.chunk_customers
        count = min(options.chunk_customers, options.customers - first)
        customers = draw_customers(calendar, chunk, first, count)
        tables = _clean_tables(calendar, customers, shelf, chunk)
        signup_dates = _signup_dates(calendar, customers)
        planted, landing = [], {}
        for entity in ENTITIES:
            if entity not in tables:
                continue
            rng = random_stream(options.seed, Subject.DIRT, chunk, ENTITIES.index(entity))
            dirt, truth = plant(entity, tables[entity], options.dirt_rate, rng, chunk, signup_dates)
            landing[f"{LANDING}/{entity}"] = pa.concat_tables([tables[entity], dirt])
            planted.append(truth)
        final, intervals = segment_rows(calendar, customers)
        yield {
            **landing,
            f"{TRUTH}/planted_dirt": pa.concat_tables(planted),
            f"{TRUTH}/segments": final,
            f"{TRUTH}/segment_intervals": intervals,
        }


def _clean_tables(calendar: ShopCalendar, customers: Customers, shelf: Shelf, chunk: int) -> Mapping[str, pa.Table]:
    lives = draw_lives(calendar, customers, shelf, chunk)
    orders = draw_orders(calendar, customers, lives, shelf, chunk)
    tables = {
        "customers": customer_rows(calendar, customers, chunk),
        **order_tables(calendar, customers, orders, chunk),
        "payments": payment_rows(calendar, customers, orders, chunk),
        "credit": credit_rows(calendar, customers, chunk),
        "loyalty_events": loyalty_rows(calendar, customers, orders, chunk),
        "web_events": web_rows(calendar, customers, lives, orders, shelf, chunk),
        "feedback": feedback_rows(calendar, customers, orders, chunk),
        "campaign_contacts": contact_rows(calendar, customers, chunk),
    }
    if chunk == 0:
        tables |= {"products": product_rows(shelf), "market_indicators": market_rows(calendar)}
    return tables


def _signup_dates(calendar: ShopCalendar, customers: Customers) -> dict[str, date]:
    who = np.arange(len(customers))
    signup = (calendar.dates[0] + customers.signup_day).tolist()
    return dict(zip(customers.ids(who).to_pylist(), signup, strict=True))
