"""Twenty dates over three refits: in order, reversed and shuffled, with 1, 2 and 4 threads, compared row by row.

    python -m tests.measurements.any_order [--customers 1000] [--seed 61]

On the features of a simulated shop, built beforehand, through the real plan, models, labels and promotion; the other
orders are repaired until nothing is stale.
"""

import argparse
import random
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.calendar import LOOKBACK_DAYS
from segmentation_job.runs.versions import read_logic_versions
from tests.measurements.shops import DEFAULT_CACHE, shipped_lens, shop_features
from tests.support.prebuilt import prebuilt_nights

REFITS = (date(2025, 6, 1), date(2025, 7, 1), date(2025, 8, 1))
LAST_DAY = date(2025, 8, 20)
DATES = 20
LENSES = ("overall", "purchase")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=61)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    options = parser.parse_args()
    days = [REFITS[0] + timedelta(days=night) for night in range((LAST_DAY - REFITS[0]).days + 1)]
    lookbacks = [refit - timedelta(days=LOOKBACK_DAYS) for refit in REFITS]
    shop = ShopOptions(customers=options.customers, seed=options.seed, drift=0.3)
    built = shop_features(options.cache, shop, [*days, *lookbacks])
    draw = random.Random(options.seed)
    dates = sorted({*REFITS, *draw.sample([day for day in days if day not in REFITS], DATES - len(REFITS))})
    shuffled = draw.sample(dates, len(dates))
    table = Table(
        title=f"{len(dates)} dates over {len(REFITS)} refits, lenses {' and '.join(LENSES)},"
        f" {options.customers:,} customers",
        title_justify="left",
    )
    for column in ("order", "threads", "stale before repair", "repaired", "rows compared", "rows that differ", "s"):
        table.add_column(column, justify="right")
    lenses = [shipped_lens(name) for name in LENSES]
    with tempfile.TemporaryDirectory() as folder:
        reference = None
        for name, order, threads in (
            ("in order", dates, 2),
            ("in order", dates, 1),
            ("reversed", dates[::-1], 2),
            ("shuffled", shuffled, 4),
        ):
            path = Path(folder) / f"{name}-{threads}.duckdb"
            nights = prebuilt_nights(
                built.settings.warehouse_path, path, lenses, read_logic_versions(built.settings), threads=threads
            )
            started = time.monotonic()
            nights.run_all(order)
            stale = nights.stale()
            repaired = nights.repair()
            rows = {(name, *row) for name, found in nights.converging_rows().items() for row in found}
            reference = rows if reference is None else reference
            table.add_row(
                name,
                str(threads),
                str(len(stale)),
                str(len(repaired)),
                f"{len(rows):,}",
                str(len(rows ^ reference)),
                f"{time.monotonic() - started:.0f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
