"""How long the morning report of a million customers takes, how much memory, and how large the page is.

    python -m tests.measurements.report_at_scale [--published data/serving/segments.duckdb] [--customers 1000000]

The customers of a published file are repeated under other ids until they are so many, and its model's sample up to
100,000 of them; counts and sums of the insights are multiplied. The report is made in a process of its own.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from segmentation_job.settings import PROJECT_DIR

CUSTOMERS = 1_000_000
SAMPLED = 100_000
BY_CUSTOMER = ("customer_segments", "customer_360", "customer_forecasts", "customer_segment_history")


@dataclass(frozen=True)
class ReportAtScale:
    """What a report took. seconds: from start to page, cpu_seconds of it; megabytes: of memory at most; of the page."""

    customers: int
    file_megabytes: float
    seconds: float
    cpu_seconds: float
    memory_megabytes: float
    page_megabytes: float


def repeat_customers(published: Path, target: Path, customers: int) -> int:
    """Write a copy of a published file with its customers repeated; return how many it has then."""
    with duckdb.connect(str(target)) as copy:
        copy.execute("attach $path as origin (read_only)", {"path": str(published.resolve())})
        tables = copy.execute(
            "select table_name, table_type from information_schema.tables"
            " where table_catalog = 'origin' and table_schema = 'main' order by 1"
        ).fetchall()
        before = copy.execute("select count(*) from origin.customer_360").fetchone()
        assert before
        times = -(-customers // int(before[0]))
        for name, kind in tables:
            if kind != "BASE TABLE":
                continue
            table = f'origin.main."{name}"'
            if name in BY_CUSTOMER:
                copy.execute(
                    f"create table {name} as select origin_rows.* replace (customer_id || '-' || turn as customer_id)"
                    f" from {table} as origin_rows, range($times) as turns(turn)",
                    {"times": times},
                )
            elif name == "model_sample":
                copy.execute(
                    f"create table {name} as select * exclude (turn, place) from ("
                    "select origin_rows.* replace (customer_id || '-' || turn as customer_id), turn,"
                    " row_number() over (partition by model_version order by turn, customer_id) as place"
                    f" from {table} as origin_rows, range($times) as turns(turn)) where place <= $sampled",
                    {"times": times, "sampled": SAMPLED},
                )
            else:
                copy.execute(f"create table {name} as from {table}")
        for name in ("financial_summary", "demographic_distribution"):
            copy.execute(f"update {name} set customer_count = customer_count * $times", {"times": times})
        after = copy.execute("select count(*) from customer_360").fetchone()
        assert after
        return int(after[0])


def measure_report(published: Path, customers: int) -> ReportAtScale:
    """Return what the report of so many customers takes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "segments.duckdb"
        number = repeat_customers(published, target, customers)
        command = [sys.executable, "-m", "tests.measurements.report_at_scale", "--render", str(target)]
        printed = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=True).stdout
        return ReportAtScale(customers=number, file_megabytes=target.stat().st_size / 1e6, **json.loads(printed))


def render(published: Path) -> dict[str, float]:
    """Make the report in this process, and return what it took."""
    started = time.monotonic()
    from segmentation_job.report.rendering import render_report

    page = render_report(published)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        # Linux counts into ru_maxrss what the process was before it became this one.
        "memory_megabytes": int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024,
        "page_megabytes": len(page.encode()) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, default=PROJECT_DIR / "data" / "serving" / "segments.duckdb")
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--render", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.render:
        print(json.dumps(render(options.render)))
        return
    found = measure_report(options.published, options.customers)
    table = Table(title=f"The morning report of {found.customers:,} customers", title_justify="left")
    for heading in ("published file", "seconds", "of CPU", "memory at most", "page"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{found.file_megabytes:,.0f} MB",
        f"{found.seconds:.1f}",
        f"{found.cpu_seconds:.1f}",
        f"{found.memory_megabytes:,.0f} MB",
        f"{found.page_megabytes:.2f} MB",
    )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
