"""Monthly refits over the year of the demonstration data: who keeps id and name, who moved, and what the model moved.

    python -m tests.measurements.year_of_refits

The first of every month is run in process on features built beforehand, then dbt builds the marts: the figures are of
the published tables.
"""

import argparse
import shutil
import subprocess
from datetime import date
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from segmentation_job.runs.calendar import fit_dates, refit_dates_between
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.settings import DEFAULT_SOURCE
from tests.measurements.shops import DEFAULT_CACHE, demonstration_features, shipped_lens
from tests.support.nights import Nights
from tests.support.prebuilt import prebuilt_nights

FIRST, LAST = date(2017, 2, 1), date(2018, 1, 1)
# No household is seen before; which Mondays are needed depends on who came when: all are built.
FIRST_CUSTOMER = date(2017, 1, 1)
LENSES = ("overall", "purchase")

MONTHS_SQL = """
select
    transitions.as_of_date,
    any_value(runs.customers) as customers,
    sum(transitions.customers) filter (where from_segment_id is not null and to_segment_id is not null) as changed,
    sum(customer_moved) as moved,
    sum(model_changed) as by_model,
    sum("both") as both,
    any_value(runs.k) as k,
    any_value(runs.algorithm) as algorithm
from marts.segment_transitions as transitions
inner join marts.segmentation_runs as runs using (as_of_date, lens)
where lens = ?
group by as_of_date
order by as_of_date
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--lenses", default=",".join(LENSES))
    options = parser.parse_args()
    refits = refit_dates_between(FIRST, LAST)
    arrivals = [date.fromordinal(day) for day in range(FIRST_CUSTOMER.toordinal(), LAST.toordinal())]
    days = set(refits)
    for earlier, later in zip((None, *refits), refits, strict=False):
        days |= fit_dates(later, earlier, FIRST_CUSTOMER, arrivals)
    built = demonstration_features(options.cache, sorted(days))
    folder = options.cache / "year-of-refits"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / DEFAULT_SOURCE).mkdir(parents=True)
    names = str(options.lenses).split(",")
    lenses = [shipped_lens(name) for name in names]
    nights = prebuilt_nights(
        built.settings.warehouse_path,
        folder / DEFAULT_SOURCE / "warehouse.duckdb",
        lenses,
        read_logic_versions(built.settings),
    )
    nights.run_all(refits)
    by_hand = Nights(folder, {"SEGMENTATION_LENSES": str(options.lenses)})
    finished = by_hand.step("build_marts", LAST)
    if finished.exit_code != 0:
        raise subprocess.CalledProcessError(finished.exit_code, "build marts", finished.output)
    console = Console(width=130)
    with duckdb.connect(str(nights.path), read_only=True) as connection:
        for lens in names:
            _print_months(connection, lens, console)
            _print_segments(connection, lens, console)
    shutil.rmtree(folder)


def _print_months(connection: duckdb.DuckDBPyConnection, lens: str, console: Console) -> None:
    table = Table(title=f"Monthly refits of lens {lens}, and why customers changed segment", title_justify="left")
    for column in (
        "date", "model", "customers", "changed", "customer moved", "model changed", "both", "changed by the history",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    history = dict(
        connection.execute(
            "select valid_from, count(*) from marts.customer_segment_history"
            " where lens = ? and change_cause in ('customer_moved', 'model_changed', 'both') group by valid_from",
            [lens],
        ).fetchall()
    )
    for day, customers, changed, moved, by_model, both, k, algorithm in connection.execute(
        MONTHS_SQL, [lens]
    ).fetchall():
        table.add_row(
            str(day),
            f"{algorithm} {k}",
            f"{customers:,}",
            f"{changed or 0:,}",
            *(f"{count:,} ({count / customers:.1%})" for count in (moved, by_model, both)),
            f"{history.get(day, 0):,}",
        )
    console.print(table)


def _print_segments(connection: duckdb.DuckDBPyConnection, lens: str, console: Console) -> None:
    names = connection.execute(
        "select segment_id, count(distinct segment_name), min(valid_from), max(valid_from), any_value(segment_name)"
        " from marts.customer_segment_history where lens = ? and segment_id is not null group by segment_id"
        " order by segment_id",
        [lens],
    ).fetchall()
    segments = {
        segment_id: (relation, parents, retired)
        for segment_id, relation, parents, retired in connection.execute(
            "select segment_id, relation, parent_segment_ids, retired_as_of from marts.segments where lens = ?", [lens]
        ).fetchall()
    }
    table = Table(title=f"Segments of lens {lens}", title_justify="left")
    for column in ("id", "name", "names it had", "came about", "from", "first customer", "retired"):
        table.add_column(column)
    for segment_id, count, first, _, name in names:
        relation, parents, retired = segments[segment_id]
        table.add_row(segment_id, name, str(count), relation, parents or "", str(first), str(retired or ""))
    console.print(table)


if __name__ == "__main__":
    main()
