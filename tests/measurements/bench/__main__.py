"""Measure what nights cost, step by step, beside floors and alternatives, and write docs/performance.md.

    python -m tests.measurements.bench [--customers 10000 100000 1000000] [--against OTHER_WORKTREE]

Results are kept as JSON in data/measurements/bench, and the page is written from all that belong to the code as it is.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from segmentation_job.durable_files import written_whole
from segmentation_job.settings import PROJECT_DIR
from tests.measurements.bench.page import page_of
from tests.measurements.bench.scenario import Code, Deployment, Say, measure_night, measure_shop
from tests.measurements.bench.shop import bench_shop

SIZES: Final = (10_000, 100_000, 1_000_000)
# With three years of history the cost of a night is held against that with one.
YEARS: Final = {1: 365, 3: 1_096}
MOST_FOR_HISTORY: Final = 100_000
CACHE: Final = PROJECT_DIR / "data" / "measurements"
PAGE: Final = PROJECT_DIR / "docs" / "performance.md"


def say(text: str) -> None:
    print(text, flush=True)


def keep(result: dict[str, Any], folder: Path) -> None:
    """Write a result where those of the same shop and code are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / f"{result['code']}-{result['customers']}-{result['days']}.json") as unfinished:
        unfinished.write_text(json.dumps(result, indent=1))


def kept_results(folder: Path, code: str) -> list[dict[str, Any]]:
    """Return the results of a version of the code."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{code}-*.json"))]


def write_page(results: Sequence[dict[str, Any]], page: Path) -> None:
    """Write the page as a whole."""
    with written_whole(page) as unfinished:
        unfinished.write_text(page_of(results))


def compare_code(cache: Path, other: Path, customers: int, say: Say) -> None:
    """Measure the same night by this code and by another worktree's, one after the other, and print the ratios."""
    shop = bench_shop(cache, customers)
    found = []
    for code in (Code(other), Code()):
        say(f"Code of {code.folder}")
        deployment = Deployment(cache / "bench" / "run", code)
        found.append(measure_night(shop, deployment, say))
        shutil.rmtree(deployment.data_dir)
    before, after = found
    for phase, steps in before["phases"].items():
        for step, taken in steps.items():
            now = after["phases"][phase][step]
            say(
                f"{phase:<16} {step:<16} {taken['cpu_seconds']:8.1f} → {now['cpu_seconds']:8.1f} CPU s"
                f"  {now['cpu_seconds'] / taken['cpu_seconds']:5.2f} ×"
                f"  {taken['peak_megabytes']:6.0f} → {now['peak_megabytes']:6.0f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--history-customers", type=int, help="shop for one year against three; 0 leaves it out")
    parser.add_argument("--against", type=Path, help="another worktree: compare its night with this one's, and end")
    parser.add_argument("--brief", action="store_true", help="stop after one more night and the floors beside it")
    parser.add_argument("--only-page", action="store_true", help="write the page from what is kept")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    results = options.cache / "bench" / "results"
    code = Code().content_hash()
    if options.against:
        for customers in options.customers:
            compare_code(options.cache, options.against, customers, say)
        return
    if not options.only_page:
        for customers in options.customers:
            say(f"A shop of {customers:,} customers")
            shop = bench_shop(options.cache, customers)
            deployment = Deployment(options.cache / "bench" / "run")
            keep(measure_shop(shop, deployment, say, is_brief=options.brief), results)
            shutil.rmtree(deployment.data_dir)
            write_page(kept_results(results, code), options.page)
        most = max(options.customers, default=0)
        history = min(most, MOST_FOR_HISTORY) if options.history_customers is None else options.history_customers
        for years, days in YEARS.items() if history else ():
            say(f"A shop of {history:,} customers, {years} years")
            deployment = Deployment(options.cache / "bench" / "run")
            keep(measure_night(bench_shop(options.cache, history, days), deployment, say), results)
            shutil.rmtree(deployment.data_dir)
    write_page(kept_results(results, code), options.page)
    say(f"Written: {options.page}")


if __name__ == "__main__":
    main()
