"""Random histories, each held against one run in order over the same dates, rows and decisions.

    python -m tests.measurements.histories [--histories 200] [--dag-histories 10] [--seed 1] [--processes 2]

In process, on a small simulated shop whose features were built beforehand: the plan, the models, the labels and the
promotion are the real ones, on real files, and a kill ends a real process. Then through the whole DAG, on a tenth of
the real data's households.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.table import Table

from tests.measurements.dag_histories import play_dag_histories
from tests.measurements.shops import DEFAULT_CACHE
from tests.support.histories import (
    Action,
    Deliveries,
    Figures,
    Player,
    References,
    histories,
    remembered_fits,
    write_deliveries,
)
from tests.support.summer_shop import LATE_ORDERS, QUARANTINED_ON, summer_features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--dag-histories", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="another one draws other histories")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for where, count, play in (
            ("in process", options.histories, play_in_process),
            ("through the whole DAG", options.dag_histories, play_through_the_dag),
        ):
            if count:
                started = time.monotonic()
                figures, failed = play(Path(folder), count, options)
                console.print(table_of(figures, where, time.monotonic() - started))
                failures += failed
    for failure in failures:
        console.print(failure, markup=False)
    if failures:
        raise SystemExit(1)


def play_in_process(folder: Path, count: int, options: argparse.Namespace) -> tuple[Figures, list[str]]:
    """Share the histories among processes; return their figures and, of each process, what failed."""
    batches = range(len(LATE_ORDERS))
    built = [summer_features(options.cache, held_back) for held_back in (batches, batches[1:], ())]
    deliveries = write_deliveries(folder / "deliveries.duckdb", built, QUARANTINED_ON)
    shares = [len(range(number, count, options.processes)) for number in range(options.processes)]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        played = pool.starmap(
            play_histories,
            [
                (deliveries, folder / f"process-{number}", share, options.seed * 1_000 + number)
                for number, share in enumerate(shares)
                if share
            ],
        )
    return sum((found for found, _ in played), Figures()), [failure for _, failure in played if failure]


def play_through_the_dag(folder: Path, count: int, options: argparse.Namespace) -> tuple[Figures, list[str]]:
    """Play histories one after another: their steps are processes that use both cores."""
    return play_dag_histories(folder / "dag", count, options.seed)


def play_histories(deliveries: Deliveries, folder: Path, count: int, seed_: int) -> tuple[Figures, str]:
    """Play so many histories drawn from a seed; return their figures, and the smallest that failed with what it says.

    A failure ends the drawing; the figures then hold what was played while it was made smaller, too.
    """
    folder.mkdir()
    figures = Figures()
    references = References(deliveries, folder)

    @seed(seed_)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(fewest_actions=4, most_actions=10))
    def every_history_converges(history: tuple[Action, ...]) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            Player(deliveries, Path(place), references, figures).play(history)
        print(f"process {os.getpid()}: {figures.counts['histories']} histories", flush=True)

    with remembered_fits():
        try:
            every_history_converges()
        except Exception as error:
            return figures, str(error)
    return figures, ""


def table_of(figures: Figures, where: str, seconds: float) -> Table:
    """Return the figures as a table."""
    played = f"{figures.counts['histories']} histories {where} in {seconds / 60:.0f} minutes"
    table = Table(title=played, title_justify="left")
    table.add_column("what")
    table.add_column("times", justify="right")
    for name, count in sorted(figures.counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_row("kills", f"{figures.kills.total():,}")
    for place, count in sorted(figures.kills.items()):
        table.add_row(f"  {place}", f"{count:,}")
    return table


if __name__ == "__main__":
    main()
