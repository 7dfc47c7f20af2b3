"""Thirty dates backfilled by a real Airflow on PostgreSQL while the nightly run fires; two fail and are repaired.

    python -m tests.measurements.backfill_on_postgres [--dates 30] [--folder DIR]

A tenth of the real data's households, every date moved so that the data ends yesterday: unpausing the DAG starts the
night of today, as its schedule says, and the backfill of the days before is created beside it. Two dates fail, because
their steps are killed (SIGKILL) at every attempt. Then `segmentation repair` runs, through the same Airflow, and every
row of every published table is compared with the same dates run in order by the steps' commands, without Airflow.
PostgreSQL comes from the system's packages.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
from rich.console import Console

from segmentation_job.airflow_client import DagRun, Reprocess
from segmentation_job.airflow_environment import CONNECTION_VARIABLE, airflow_environment
from segmentation_job.run_log import read_run_log
from segmentation_job.steps import DAG_ID, step_named
from tests.support import steps_in_one_process
from tests.support.airflow_deployment import AirflowDeployment, deployed_airflow
from tests.support.landing_slice import shift_landing, write_slice
from tests.support.nights import PROJECT_DIR, Nights
from tests.support.postgres_server import free_port, running_postgres
from tests.support.rows import differences, published_rows
from tests.support.same_segments import rows_in_the_words_of

# The slice holds the days before it.
DAY_AFTER_THE_DATA = date(2018, 1, 1)
DATES_AT_ONCE = 3
RETRY_MINUTES = 0.05
DEADLINE_SECONDS = 4 * 3600.0
KILLED_STEPS = ("gate_features", "segment")
# Ids that a repair replaced stay here as aliases.
NOT_COMPARED = ("segments",)


@dataclass
class Killer:
    """Kills the processes of certain steps of certain dates, again and again, as long as it is `armed`.

    targets: by what the process has on its command line. kills: by target, the moments at which one was killed.
    """

    data_dir: Path
    targets: Mapping[str, list[str]]
    delay: float = 1.0
    armed: threading.Event = field(default_factory=threading.Event)
    kills: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def at_work(self) -> Iterator["Killer"]:
        """Watch in a thread until the block ends."""
        self.armed.set()
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.armed.clear()
            thread.join()

    def _watch(self) -> None:
        seen: dict[int, float] = {}
        while self.armed.is_set():
            for name, process_id in self._found():
                if time.monotonic() - seen.setdefault(process_id, time.monotonic()) >= self.delay:
                    os.kill(process_id, signal.SIGKILL)
                    self.kills[name] += 1
                    seen[process_id] = float("inf")
            time.sleep(0.25)

    def _found(self) -> Iterator[tuple[str, int]]:
        mine = f"SEGMENTATION_DATA_DIR={self.data_dir}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                for name, target in self.targets.items():
                    # Python, the script, and what the step gives it: not whoever holds these words as an argument.
                    if words[2:-1] == target and mine in (folder / "environ").read_bytes().split(b"\0"):
                        yield name, int(folder.name)
            except OSError:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dates", type=int, default=30, help="of the backfill, at least 4")
    parser.add_argument("--folder", type=Path, help="kept afterwards, for a look; by default a temporary one")
    options = parser.parse_args()
    if options.dates < 4:
        parser.error("--dates must be 4 or more")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="backfill-on-postgres-"))
    folder.mkdir(parents=True, exist_ok=True)
    # Who ends this ends Airflow and PostgreSQL with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # The server's user must pass through it.
    folder.chmod(0o711)
    try:
        differ = _measure(folder.resolve(), options.dates, Console(width=120, highlight=False))
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if differ else 0)


def _measure(folder: Path, dates: int, console: Console) -> bool:
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(dates, 0, -1)]
    # Nobody bought anything on Christmas Day.
    landed = Nights(folder / "landed", {"SEGMENTATION_MAX_SOURCE_LAG_DAYS": "3"})
    write_slice(landed.data_dir)
    shift_landing(landed.data_dir, (today - DAY_AFTER_THE_DATA).days)
    by_airflow = landed.copy(folder / "by_airflow")
    with running_postgres(folder / "postgres") as postgres:
        environment = airflow_environment(
            data_dir=by_airflow.data_dir, project_dir=PROJECT_DIR, inherited=by_airflow.environment, port=free_port()
        )
        environment |= {CONNECTION_VARIABLE: postgres.sqlalchemy_url}
        environment |= {"SEGMENTATION_FAULT_RETRY_MINUTES": str(RETRY_MINUTES), "SEGMENTATION_SOURCE_RETRIES": "0"}
        environment |= _alerts_into(folder)
        console.print(f"Metadata in {postgres.version}, on loopback")
        with deployed_airflow(environment) as deployment:
            _backfill(deployment, by_airflow, days, today, console)
            _show_alerts(folder, console)
            _repair(deployment, by_airflow, console)
            _show_runs(deployment, days[0], today, console)
    in_order = landed.copy(folder / "in_order")
    _run_in_order(in_order, [*days, today], console)
    return _compare(in_order, by_airflow, console)


def _alerts_into(folder: Path) -> dict[str, str]:
    """Let alerts be appended to a file."""
    script = folder / "alert"
    script.write_text(f"#!/bin/sh\ncat >> {folder}/alerts.jsonl\n")
    script.chmod(0o755)
    return {"SEGMENTATION_ALERT_COMMAND": str(script)}


def _backfill(deployment: AirflowDeployment, nights: Nights, days: list[date], today: date, console: Console) -> None:
    """Unpause the DAG, backfill the days beside today's night, and kill the steps of two of them."""
    client = deployment.client
    fail = {days[len(days) // 3]: KILLED_STEPS[0], days[2 * len(days) // 3]: KILLED_STEPS[1]}
    targets = {f"{step} of {day}": step_named(step).command(str(day))[1:] for day, step in fail.items()}
    begun = time.monotonic()
    with Killer(nights.data_dir, targets).at_work() as killer:
        client.unpause(DAG_ID)
        backfill = client.create_backfill(DAG_ID, days[0], days[-1], Reprocess.NONE, max_active_runs=DATES_AT_ONCE)
        console.print(
            f"Backfill {backfill.id} of {days[0]} to {days[-1]}, {DATES_AT_ONCE} dates at once; the night of {today} is"
            f" {_scheduled(deployment, today).state}"
        )
        client.wait_for_backfill(backfill.id, DEADLINE_SECONDS)
        while not (night := _scheduled(deployment, today)).has_ended:
            time.sleep(5.0)
    seconds = time.monotonic() - begun
    states = Counter(run.state for run in client.dag_runs(DAG_ID, days[0], days[-1]))
    console.print(f"It ended after {seconds / 60:.1f} minutes: {dict(states)}; the night of {today}: {night.state}")
    console.print(f"Killed: {dict(killer.kills)}")
    failed = [run.as_of for run in client.dag_runs(DAG_ID, days[0], days[-1]) if run.state == "failed"]
    served = _served_dates(nights)
    console.print(f"Failed dates: {', '.join(map(str, failed))}; dates served: {len(served)} of {len(days) + 1}")
    for run in client.dag_runs(DAG_ID, days[0], today):
        if run.state == "failed" and run.as_of not in fail:
            console.print(deployment.task_logs(run.run_id), markup=False)
    if sorted(failed) != sorted(fail) or served != sorted({*days, today} - set(fail)):
        raise SystemExit(f"the dates that should fail are {', '.join(map(str, fail))}, and no other")


def _scheduled(deployment: AirflowDeployment, today: date) -> DagRun:
    """Return the run that the schedule has started for today, which takes a moment after unpausing."""
    until = time.monotonic() + 120.0
    while True:
        for run in deployment.client.dag_runs(DAG_ID, today, today):
            if run.run_type == "scheduled":
                return run
        if time.monotonic() > until:
            raise SystemExit("the schedule has started no run for today; between 00:00 and 02:00 UTC it is not due")
        time.sleep(1.0)


def _served_dates(nights: Nights) -> list[date]:
    with duckdb.connect(str(nights.serving_link), read_only=True) as published:
        rows = published.execute("select distinct as_of_date from segmentation_runs order by 1").fetchall()
    return [day for (day,) in rows]


def _show_alerts(folder: Path, console: Console) -> None:
    path = folder / "alerts.jsonl"
    alerts = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    told = ", ".join(f"{alert['step']} of {alert['as_of']} ({alert['kind']})" for alert in alerts)
    console.print(f"Alerts: {len(alerts)}: {told}")


def _repair(deployment: AirflowDeployment, nights: Nights, console: Console) -> None:
    begun = time.monotonic()
    before = len(read_run_log(nights.source_dir / "run_log.jsonl"))
    console.print(f"\n$ segmentation repair --airflow {deployment.airflow.url}")
    repaired = nights.command("repair", "--airflow", deployment.airflow.url)
    console.print(repaired.output.rstrip(), markup=False)
    promoted = {
        entry.as_of for entry in read_run_log(nights.source_dir / "run_log.jsonl")[before:] if entry.step == "promote"
    }
    console.print(
        f"It ended with {repaired.exit_code} after {(time.monotonic() - begun) / 60:.1f} minutes; dates promoted again:"
        f" {len(promoted)}; dates served: {len(_served_dates(nights))}\n"
    )
    if repaired.exit_code != 0:
        raise SystemExit("repair failed")


def _show_runs(deployment: AirflowDeployment, first: date, last: date, console: Console) -> None:
    runs = deployment.client.dag_runs(DAG_ID, first, last)
    console.print(f"Runs kept by Airflow: {len(runs)}: {dict(Counter(f'{run.run_type} {run.state}' for run in runs))}")


def _run_in_order(nights: Nights, days: list[date], console: Console) -> None:
    begun = time.monotonic()
    finished = subprocess.run(
        [sys.executable, "-m", steps_in_one_process.__name__, *map(str, days)],
        cwd=PROJECT_DIR,
        env=nights.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise SystemExit(f"the dates in order ended with {finished.returncode}:\n{finished.stdout[-4000:]}")
    console.print(f"In order, without Airflow: {len(days)} dates in {(time.monotonic() - begun) / 60:.1f} minutes")


def _compare(in_order: Nights, by_airflow: Nights, console: Console) -> bool:
    """Print the tables that differ; return whether any does."""
    straight = published_rows(in_order.serving_link)
    repaired = rows_in_the_words_of(in_order, by_airflow)
    for rows in (straight, repaired):
        for table in NOT_COMPARED:
            rows.pop(table)
    found = differences(straight, repaired)
    count = sum(len(rows) - 1 for rows in straight.values())
    different = sum(len(set(straight[name]) ^ set(repaired[name])) for name in straight.keys() & repaired.keys())
    console.print(
        f"Compared: {len(straight)} tables, {count:,} rows; tables that differ: {len(found)}, rows: {different}"
    )
    for table, (left, right) in found.items():
        for name, few in (("in order", left), ("by Airflow", right)):
            console.print(f"  {table}, {name}: {str(few)[:200]}", markup=False)
    return bool(found)


if __name__ == "__main__":
    main()
