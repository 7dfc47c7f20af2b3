"""Three hundred `kill -9` at random moments, spread over every step, while BI reads without pause.

    python -m tests.measurements.storm [--kills 300] [--minutes 60] [--longest 120] [--seed 1]

Nights of a tenth of the real data: new days, late rows, a refit, backfilled dates. Each night runs undisturbed in one
folder, which tells how long each step takes, and in another one, where each step is killed with all its children at a
moment drawn uniformly from that time, and run again by the same command; once a night all of it begins again. After
each night every promoted and published row of the two folders is compared. The landing of each source's demonstration
data is killed in folders of its own.
"""

import argparse
import collections
import filecmp
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.support.landing_slice import cut_landing, edit_landing, landing_of, write_slice
from tests.support.nights import STEP_NAMES, Nights
from tests.support.rows import TableDifference, count_differences
from tests.support.storm import FilesBeside, Kill, Readers, Storm, kill_after, reading, timed_run

# The landing as it is on a day, and the dates that are run on it: every second night it has changed.
LANDINGS: tuple[tuple[date, tuple[date, ...]], ...] = (
    (date(2017, 10, 4), (date(2017, 10, 3), date(2017, 10, 4))),
    (date(2017, 11, 1), (date(2017, 11, 1), date(2017, 10, 6))),  # a refit, and a backfill before it
    (date(2017, 11, 3), (date(2017, 11, 3), date(2017, 9, 20))),  # before the first refit so far
    (date(2017, 11, 5), (date(2017, 11, 5), date(2017, 10, 15))),
    (date(2017, 11, 7), (date(2017, 11, 7), date(2017, 11, 6))),
    (date(2017, 12, 1), (date(2017, 12, 1), date(2017, 11, 20))),  # a refit
    (date(2017, 12, 3), (date(2017, 12, 3), date(2017, 12, 2))),
    (date(2017, 12, 5), (date(2017, 12, 5), date(2017, 12, 4))),
    (date(2017, 12, 7), (date(2017, 12, 7), date(2017, 11, 25))),
    (date(2017, 12, 9), (date(2017, 12, 9), date(2017, 12, 8))),
)
# Of the last three days before a landing is taken, one basket in ten arrives with a later one.
LATE = (
    "transaction_timestamp >= date '{day}' - interval 3 day"
    " and cast('0x' || substr(md5(cast(basket_id as varchar)), 1, 8) as bigint) % 10 = 0"
)
CLIENTS = ("1.0.0", "1.0.0", "1.5.6", "2.0.0", "2.0.0")
MOST_KILLS_PER_STEP = 5
LANDED_SOURCES = ("example_csv", "complete_journey", "simulated_shop")
# What says of the last build alone how it went: times, and the days that a build which was cut off has to do again.
OF_ONE_BUILD = frozenset(
    {
        "run_log",
        "int_changed_days",
        "int_changed_event_days",
        "int_customer_web_events",
        "int_touched_order_event_days",
        "landed_files",
    }
)


@dataclass
class Outcome:
    """What all nights together came to."""

    nights: int = 0
    compared: int = 0
    different: int = 0
    lost: int = 0
    doubled: int = 0
    differing_tables: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    failed_reruns: list[str] = field(default_factory=list)
    landings: list[Kill] = field(default_factory=list)
    landed_files: int = 0
    landed_files_different: int = 0

    def add(self, as_of: date, differences: dict[str, TableDifference]) -> None:
        for table, found in differences.items():
            self.compared += found.compared
            self.different += found.different
            self.lost += found.lost
            self.doubled += found.doubled
            if found.different:
                self.differing_tables.append(f"{as_of} {table}: {found}")


def nights_with_landings() -> Iterator[tuple[date, date | None]]:
    """Yield each as-of date, with the day of the landing that comes before it where there is a new one."""
    for day, as_ofs in LANDINGS:
        for place, as_of in enumerate(as_ofs):
            yield as_of, day if place == 0 else None


def kills_per_step(wanted: int, seconds: float, night: float) -> int:
    """Return how often to kill each step of a night, so that the kills that are wanted come in the time that is left.

    night: seconds of an undisturbed one. A kill costs half a step, and each night two and a half nights: the
    undisturbed one, the steps that came to their end, and what began again.
    """
    steps = len(STEP_NAMES) + 1
    nights = max(1.0, (seconds - wanted * night / (2 * len(STEP_NAMES))) / (2.5 * night))
    return min(MOST_KILLS_PER_STEP, max(2, math.ceil(wanted / (nights * steps))))


def write_landings(folder: Path) -> None:
    """Write the landing of each day into `<folder>/<day>`."""
    whole = folder / "whole"
    write_slice(whole)
    for day, _ in LANDINGS:
        shutil.copytree(whole, folder / str(day))
        cut_landing(folder / str(day), day)
        edit_landing(folder / str(day), "transactions", f"select * from landed where not ({LATE.format(day=day)})")


def deliver(landing: Path, nights: Nights) -> None:
    """Let a landing take the place of the one before, file by file and each at once, as a source would."""
    target = landing_of(nights.data_dir)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(landing_of(landing).iterdir()):
        arriving = target / f".{path.name}.arriving"
        shutil.copy2(path, arriving)
        arriving.replace(target / path.name)


def compare(storm: Nights, reference: Nights) -> dict[str, TableDifference]:
    """Compare everything promoted, everything under way and everything served."""
    found: dict[str, TableDifference] = {}
    for schema in ("promoted", "candidate", "intermediate"):
        rows = count_differences(storm.warehouse, reference.warehouse, schema, leave_out=OF_ONE_BUILD)
        found |= {f"{schema}.{table}": difference for table, difference in rows.items()}
    return found | count_differences(storm.serving_link, reference.serving_link, "main", leave_out=OF_ONE_BUILD)


class Landings:
    """Demonstration data landed once undisturbed, and again with kills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        for source in LANDED_SOURCES:
            begun = time.monotonic()
            finished = self._nights(source, "undisturbed").command("land")
            if finished.exit_code != 0:
                raise AssertionError(finished.output)
            self.seconds[source] = time.monotonic() - begun

    def _nights(self, source: str, name: str) -> Nights:
        settings = {"SOURCE": source, "SEGMENTATION_SHOP_CUSTOMERS": "300"}
        return Nights(self.folder / f"{source}-{name}", settings)

    def kill_one(self, draw: random.Random, outcome: Outcome) -> bool:
        """Kill the landing of one source, land again, compare every file; return whether the kill came in time."""
        source = draw.choice(LANDED_SOURCES)
        whole, nights = self._nights(source, "undisturbed"), self._nights(source, "killed")
        shutil.rmtree(nights.data_dir, ignore_errors=True)
        after = draw.uniform(0, self.seconds[source])
        was_killed = kill_after(nights, ["land"], after)
        left = self._files(nights)
        if was_killed:
            unfinished = any("unfinished" in name for name in left)
            some = sum("/landing/" in f"/{name}" and "unfinished" not in name for name in left)
            words = [f"{'some' if some else 'no'} files landed", *(["an unfinished one"] if unfinished else [])]
            outcome.landings.append(Kill("land", after, tuple(words)))
            finished = nights.command("land")
            if finished.exit_code != 0:
                raise AssertionError(f"land of {source} after a kill:\n{finished.output}")
        wanted, found = self._files(whole), self._files(nights)
        outcome.landed_files += len(wanted)
        outcome.landed_files_different += len(wanted.keys() ^ found.keys()) + sum(
            not filecmp.cmp(wanted[name], found[name], shallow=False) for name in wanted.keys() & found.keys()
        )
        shutil.rmtree(nights.data_dir)
        return was_killed

    @staticmethod
    def _files(nights: Nights) -> dict[str, Path]:
        folder = nights.source_dir
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300, help="of steps and landings together")
    parser.add_argument("--begin-again", type=int, default=1, help="kills of each night after which it begins anew")
    parser.add_argument("--minutes", type=float, default=60, help="to be done by: fewer nights on a slow machine")
    parser.add_argument("--longest", type=float, default=120, help="minutes after which nothing more is killed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(width=120, soft_wrap=True)
    draw = random.Random(options.seed)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        folder = Path(name)
        write_landings(folder / "landings")
        landings = Landings(folder / "landed")
        reference, outcome = Nights(folder / "undisturbed"), Outcome()
        # The readers need something to read: the first night is let alone, and both folders begin with it.
        deliver(folder / "landings" / str(LANDINGS[0][0]), reference)
        timed_run(reference, next(nights_with_landings())[0])
        storm = Storm(reference.copy(folder / "storm"), draw)
        with reading(storm.nights.serving_link, CLIENTS) as readers:
            storm.after_kill = readers.note_served_version
            for as_of, landing in list(nights_with_landings())[1:]:
                wanted = options.kills - len(storm.kills) - len(outcome.landings)
                until = begun + options.longest * 60
                if wanted <= 0 or time.monotonic() > until:
                    break
                for nights in (reference, storm.nights) if landing else ():
                    deliver(folder / "landings" / str(landing), nights)
                try:
                    storm.durations |= timed_run(reference, as_of)
                    left = begun + options.minutes * 60 - time.monotonic()
                    each = kills_per_step(wanted, left, sum(storm.durations.values()))
                    kills = dict.fromkeys(STEP_NAMES, each)
                    anew = draw.sample(range(1, sum(kills.values()) + 1), options.begin_again)
                    storm.run(as_of, kills, begin_again=anew, most=wanted, until=until)
                    for _ in range(min(each, options.kills - len(storm.kills) - len(outcome.landings))):
                        landings.kill_one(draw, outcome)
                except AssertionError as error:
                    outcome.failed_reruns.append(str(error))
                    break
                finally:
                    readers.note_served_version()
                outcome.nights += 1
                outcome.add(as_of, compare(storm.nights, reference))
                outcome.leftovers += [f"{as_of}: {words}" for words in FilesBeside.of(storm.nights).unfinished]
                console.print(
                    f"{(time.monotonic() - begun) / 60:5.1f} min  {as_of}: {len(storm.kills) + len(outcome.landings)}"
                    f" kills, {storm.escaped} came too late, {storm.begun_again} nights begun again;"
                    f" {outcome.compared:,} rows compared, {outcome.different} different"
                )
        print_outcome(storm, outcome, readers, console)
        console.print(f"{(time.monotonic() - begun) / 60:.0f} minutes, seed {options.seed}")
    done = len(storm.kills) + len(outcome.landings)
    found = [*outcome.leftovers, *outcome.failed_reruns, *readers.failed(), *readers.mixed()]
    flaws = outcome.different + outcome.landed_files_different + len(found)
    return 1 if flaws or done < options.kills else 0


def print_outcome(storm: Storm, outcome: Outcome, readers: Readers, console: Console) -> None:
    """Print kills by step and by what was left, reads by client, and what was compared."""
    kills = [*storm.kills, *outcome.landings]
    table = Table(title=f"{len(kills)} kills over {outcome.nights} nights", title_justify="left")
    for column in ("step", "kills", "killed after (s)", "left behind"):
        table.add_column(column, justify="right" if column in ("kills", "killed after (s)") else "left")
    for step in ("land", *STEP_NAMES):
        own = [kill for kill in kills if kill.step == step]
        left = collections.Counter(", ".join(kill.left) or "nothing" for kill in own)
        moments = sorted(kill.after for kill in own)
        table.add_row(
            step,
            str(len(own)),
            f"{moments[0]:.1f} – {moments[-1]:.1f}" if moments else "",
            "\n".join(f"{count} × {words}" for words, count in left.most_common()),
        )
    console.print(table)
    reads = Table(title="Reads of the served file meanwhile", title_justify="left")
    for column in ("client", "processes", "reads", "versions seen", "failed", "mixed"):
        reads.add_column(column, justify="left" if column == "client" else "right")
    for client in sorted(set(CLIENTS)):
        own_reads = [answer for answer in readers.answers if answer["client"] == client]
        reads.add_row(
            f"duckdb {client}",
            str(CLIENTS.count(client)),
            f"{sum(answer['times'] for answer in own_reads):,}",
            str(len({answer.get("published_by") for answer in own_reads if "error" not in answer})),
            str(sum(answer["times"] for answer in readers.failed() if answer["client"] == client)),
            str(sum(answer["times"] for answer in readers.mixed() if answer["client"] == client)),
        )
    console.print(reads)
    for answer in (*readers.failed(), *readers.mixed()):
        console.print(str(answer))
    console.print(
        f"Versions published: {len(readers.versions)}. Kills that came too late: {storm.escaped}."
        f" Nights begun again from check: {storm.begun_again}.\n"
        f"Reruns after a kill that came to their end: {storm.reruns}; that failed: {len(outcome.failed_reruns)}.\n"
        f"Rows compared: {outcome.compared:,}; different: {outcome.different:,}; lost: {outcome.lost:,};"
        f" doubled: {outcome.doubled:,}.\n"
        f"Landed files compared: {outcome.landed_files}; different: {outcome.landed_files_different}."
        f" Leftovers after a night: {len(outcome.leftovers)}."
    )
    for line in (*outcome.differing_tables, *outcome.leftovers, *outcome.failed_reruns):
        console.print(line)


if __name__ == "__main__":
    sys.exit(main())
