"""The whole DAG on a real Spark cluster and on DuckDB, date after date: is every published table the same?

    python -m tests.measurements.both_engines [--source complete_journey] [--customers 100000] [--kill]

On each engine, through Airflow: a date, a further date, a date before both (a backfill), what it made stale, and a
rerun, which must find nothing to do. After each, the two published files are compared, row for row. With --kill one
worker dies by `kill -9` while the features of the further date are built, and another while it is scored.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from segmentation_job.settings import PROJECT_DIR
from segmentation_job.spark_cluster import ClusterSize, RunningCluster, running_cluster
from tests.support.published_comparison import compare_published

LAST_DATES = {"complete_journey": date(2018, 1, 1), "simulated_shop": date(2026, 1, 1)}
SECONDS_INTO_THE_STEP = 15.0


def run(environment: Mapping[str, str], *arguments: str) -> float:
    """Run a command of the job as a user does; return its seconds. Raises where it fails."""
    began = time.monotonic()
    finished = subprocess.run(
        [str(Path(sys.executable).with_name("segmentation")), *arguments],
        env={**os.environ, **environment},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {finished.returncode}:\n{finished.stdout}\n{finished.stderr}")
    return time.monotonic() - began


def kill_in(step: str, log: Path, as_of: date, pid: int) -> threading.Thread:
    """Kill a process once a step of a date is under way, and say so."""

    def watch() -> None:
        while True:
            lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
            if any(
                line["event"] == "started" and line["step"] == step and line["as_of"] == str(as_of) for line in lines
            ):
                break
            time.sleep(0.5)
        time.sleep(SECONDS_INTO_THE_STEP)
        os.kill(pid, signal.SIGKILL)
        print(f"Worker {pid} killed {SECONDS_INTO_THE_STEP:.0f} s after {step} of {as_of} began", flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def compare(source: str, dates: list[tuple[str, date]], places: Mapping[str, Mapping[str, str]], kills: dict) -> int:
    """Run the dates on both engines; print what each took and how many tables differ; return how many did."""
    differing = 0
    for what, day in dates:
        threads = [kill_in(step, *rest) for step, *rest in kills.get(what, ())]
        seconds = {engine: run(environment, "run", "--as-of", str(day)) for engine, environment in places.items()}
        for thread in threads:
            thread.join(timeout=1)
            if thread.is_alive():
                sys.exit("A worker was to be killed, and the step was over before: choose a larger source.")
        on_duckdb, on_spark = (
            Path(environment["SEGMENTATION_DATA_DIR"]) / source / "published" / "current.duckdb"
            for environment in places.values()
        )
        found = compare_published(on_duckdb, on_spark)
        differing += len(found)
        took = ", ".join(f"{engine} {each:.0f} s" for engine, each in seconds.items())
        print(f"{what} ({day}): {took}; tables that differ: {len(found)}", flush=True)
        for difference in found:
            print(f"  {difference}", flush=True)
    return differing


def main() -> None:
    """Compare the engines as the command line says; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", choices=sorted(LAST_DATES), default="complete_journey")
    parser.add_argument("--customers", type=int, default=100_000, help="of the simulated shop")
    parser.add_argument("--days", type=int, default=731, help="of orders of the simulated shop")
    parser.add_argument("--dates", type=int, default=4, help="how many of the runs: 1 is one date alone")
    parser.add_argument("--memory-mb", type=int, default=1536, help="of each worker")
    parser.add_argument("--kill", action="store_true", help="kill a worker in the features and one in the scoring")
    chosen = parser.parse_args()
    last = LAST_DATES[chosen.source]
    dates = [
        ("a date", last - timedelta(days=1)),
        ("a further date", last),
        ("a date before both", last - timedelta(days=12)),
        ("what that made stale", last - timedelta(days=1)),
        ("the further date again", last),
        ("a rerun", last),
    ][: chosen.dates]
    size = ClusterSize(workers=3 if chosen.kill else 2, cores=1, memory_mb=chosen.memory_mb, driver_memory_mb=2048)
    with (
        tempfile.TemporaryDirectory(prefix="both-engines-") as folder,
        running_cluster(Path(folder) / "spark", size=size) as cluster,
    ):
        common = {"SOURCE": chosen.source, "SEGMENTATION_SHOP_CUSTOMERS": str(chosen.customers)}
        places = {
            "duckdb": {**common, "TARGET": "duckdb", "SEGMENTATION_DATA_DIR": f"{folder}/duckdb"},
            "spark": {**common, **cluster.environment, "SEGMENTATION_DATA_DIR": f"{folder}/on_spark"},
        }
        land(chosen, places)
        sys.exit(1 if compare(chosen.source, dates, places, kills_of(chosen, dates, places, cluster)) else 0)


def land(chosen: argparse.Namespace, places: Mapping[str, Mapping[str, str]]) -> None:
    """Land the same files for both engines."""
    shop = ("simulate", "--customers", str(chosen.customers), "--days", str(chosen.days))
    for environment in places.values():
        run(environment, *(shop if chosen.source == "simulated_shop" else ("land",)))


def kills_of(
    chosen: argparse.Namespace,
    dates: list[tuple[str, date]],
    places: Mapping[str, Mapping[str, str]],
    cluster: RunningCluster,
) -> dict[str, list[tuple[str, Path, date, int]]]:
    """Return which worker is killed in which step of the last date that is run for the first time."""
    if not chosen.kill:
        return {}
    what, day = dates[min(1, len(dates) - 1)]
    log = Path(places["spark"]["SEGMENTATION_DATA_DIR"]) / chosen.source / "run_log.jsonl"
    steps = ("build_features", "segment")
    return {what: [(step, log, day, pid) for step, pid in zip(steps, cluster.worker_pids, strict=False)]}


if __name__ == "__main__":
    main()
