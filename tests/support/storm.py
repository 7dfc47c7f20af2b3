"""Steps killed at random moments, what that leaves behind, and readers that must not notice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from segmentation_job.steps import ExitCode
from tests.support import segment_reader
from tests.support.nights import PROJECT_DIR, STEP_NAMES, Nights, StepFailedError

CLIENTS = PROJECT_DIR / ".venv" / "clients"
# What Linux writes only where it is told to by SIGKILL of the whole session.
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Kill:
    """A step that was killed: after how many seconds, and what it left behind."""

    step: str
    after: float
    left: tuple[str, ...]


@dataclass
class Storm:
    """Nights whose steps are killed at random moments and run again.

    durations: seconds that a step takes where nobody kills it, by its name. after_kill: called after each kill, before
    the rerun.
    """

    nights: Nights
    draw: random.Random
    durations: dict[str, float] = field(default_factory=dict)
    after_kill: Callable[[], None] = lambda: None
    kills: list[Kill] = field(default_factory=list)
    begun_again: int = 0
    reruns: int = 0
    escaped: int = 0
    """Steps that ended before their kill came."""

    def run(
        self,
        as_of: date,
        kills: Mapping[str, int],
        *,
        first: str = STEP_NAMES[0],
        begin_again: Collection[int] = (),
        most: int | None = None,
        until: float | None = None,
    ) -> None:
        """Run a date's steps from `first` on to their end, and kill each as often as `kills` says on the way.

        A step that was killed is run again by the same command, as Airflow would. begin_again: the kills of this
        night, counted from 1, after which all of it begins again. most, until: kills of this night, and the moment
        on the monotonic clock, after which the rest of it is let alone. Raises StepFailedError where a step that
        nobody kills does not succeed.
        """
        # Nobody's rows depend on the report: it is drawn where its drawing is to be killed.
        names = [name for name in STEP_NAMES[STEP_NAMES.index(first) :] if name != "report" or name in kills]
        pending = dict(kills)
        earlier = len(self.kills)
        place, after_a_kill = 0, False
        while place < len(names):
            name = names[place]
            if len(self.kills) - earlier == most or (until is not None and time.monotonic() > until):
                pending.clear()
            if pending.get(name, 0) > 0:
                pending[name] -= 1
                was_killed = self._is_killed(name, as_of)
                self.reruns += after_a_kill and not was_killed
                after_a_kill = was_killed
                if was_killed:
                    if len(self.kills) - earlier in begin_again:
                        self.begun_again += 1
                        place = 0
                    continue
                # A step that came to its end may be asked for again, as by a task that is cleared; but once they are
                # done, these two have nothing more to do that a kill could cut off.
                if name in ("build_facts", "promote") or not pending[name]:
                    place += 1
                continue
            finished = self.nights.step(name, as_of)
            self.reruns += after_a_kill
            after_a_kill = False
            if name == "check" and finished.exit_code == ExitCode.NOTHING_TO_DO:
                return
            _require_success(name, as_of, finished.exit_code, finished.output)
            place += 1

    def _is_killed(self, name: str, as_of: date) -> bool:
        before = FilesBeside.of(self.nights)
        after = self.draw.uniform(0, self.durations[name])
        step = self.nights.step_command(name, as_of)
        begun = time.monotonic()
        if not kill_after(self.nights, step, after, lambda output, code: _require_success(name, as_of, code, output)):
            self.escaped += 1
            # The machine is faster now than when the time was taken.
            self.durations[name] = time.monotonic() - begun
            self.after_kill()
            return False
        left = FilesBeside.of(self.nights).beyond(before)
        self.nights.wait_until_free()
        self.kills.append(Kill(name, after, (*left, *half_done(self.nights))))
        self.after_kill()
        return True


def kill_after(
    nights: Nights, arguments: Sequence[str], seconds: float, ended: Callable[[str, int], None] | None = None
) -> bool:
    """Start a command and kill it with all its children after some seconds; return whether it died of that.

    ended: told the output and the exit code of a command that came to its end before.
    """
    with nights.start(*arguments) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
    if process.returncode == KILLED:
        return True
    if ended is not None:
        ended(output, process.returncode)
    return False


def _require_success(name: str, as_of: date, exit_code: int, output: str) -> None:
    if exit_code != 0 and not (name == "check" and exit_code == ExitCode.NOTHING_TO_DO):
        raise StepFailedError(f"{name} of {as_of} ended with {exit_code}:\n{output[-4000:]}")


@dataclass(frozen=True)
class FilesBeside:
    """What lies beside the warehouse, as a kill may leave it: each finding in a few words."""

    unfinished: frozenset[str]
    published: frozenset[str]
    served: str

    @classmethod
    def of(cls, nights: Nights) -> "FilesBeside":
        found = set()
        warehouse_log = nights.warehouse.with_name(f"{nights.warehouse.name}.wal")
        if warehouse_log.exists() and warehouse_log.stat().st_size:
            found.add("the warehouse's log")
        spilled = nights.warehouse.with_name(f"{nights.warehouse.name}.tmp")
        if spilled.exists():
            found.add("spilled rows")
        for path in nights.published_dir.glob(".*"):
            found.add("an unfinished link" if path.is_symlink() else "an unfinished published file")
        run_log = nights.source_dir / "run_log.jsonl"
        if run_log.exists() and not run_log.read_bytes().endswith(b"\n"):
            found.add("half a line of the run log")
        for path in (nights.source_dir / "dbt" / "target").glob("*.json"):
            try:
                json.loads(path.read_bytes())
            except ValueError:
                found.add(f"half of dbt's {path.name}")
        parsed = nights.source_dir / "dbt" / "target" / "partial_parse.msgpack"
        if parsed.exists() and _is_cut_off(parsed):
            found.add("half of dbt's partial_parse.msgpack")
        served = nights.published_dir / "current.duckdb"
        return cls(
            frozenset(found),
            frozenset(path.name for path in nights.published_dir.glob("segments_*.duckdb")),
            served.resolve().name if served.exists() else "",
        )

    def beyond(self, before: "FilesBeside") -> tuple[str, ...]:
        """Return what has come since then, in words."""
        found = set(self.unfinished)
        if self.served != before.served:
            found.add("a new file served")
        elif self.published - before.published:
            found.add("a finished file that is not served")
        return tuple(sorted(found))


def _is_cut_off(path: Path) -> bool:
    import msgpack  # type: ignore[import-untyped]

    try:
        msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    except ValueError:
        return True
    return False


def half_done(nights: Nights) -> tuple[str, ...]:
    """Return what the warehouse says is begun and not ended, in words; it is empty before its first tables."""
    if not nights.warehouse.exists():
        return ("no warehouse",)
    found = []
    try:
        if not nights.query("select 1 from pipeline.facts_state"):
            found.append("facts half built")
        if nights.query("select 1 from pipeline.marts_state where not is_ready"):
            found.append("marts half built")
        if nights.query("select 1 from pipeline.plans"):
            found.append("a candidate under way")
        elif nights.query("select 1 from promoted.dates") and not nights.query("select 1 from pipeline.marts_state"):
            found.append("a date promoted, its marts not begun")
    except duckdb.CatalogException:
        found.append("a warehouse without tables")
    return tuple(found)


@dataclass
class Readers:
    """What the reading processes saw, and what they should have seen.

    versions: by the mark of each published file, the answer that it gives. answers: of all readers, each with its
    `client` and how many `times` it came.
    """

    link: Path
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def note_served_version(self) -> None:
        """Ask what is served now, undisturbed; call it after everything that may have swapped the link."""
        if not self.link.exists():
            return
        answer = json.loads(segment_reader.ask(str(self.link.resolve())))
        if "error" in answer:
            raise AssertionError(f"{self.link.resolve()}: {answer['error']}")
        self.versions[answer["published_by"]] = answer

    def reads(self) -> dict[str, int]:
        """Return the number of reads by client."""
        found: dict[str, int] = {}
        for answer in self.answers:
            found[answer["client"]] = found.get(answer["client"], 0) + answer["times"]
        return found

    def failed(self) -> list[dict[str, Any]]:
        """Return the answers that are errors."""
        return [answer for answer in self.answers if "error" in answer]

    def mixed(self) -> list[dict[str, Any]]:
        """Return the answers that are not just what one published file holds."""
        return [
            answer
            for answer in self.answers
            if "error" not in answer
            and {name: value for name, value in answer.items() if name not in ("client", "times")}
            != self.versions.get(answer["published_by"])
        ]


@contextmanager
def reading(link: Path, clients: Sequence[str], niceness: int = 19) -> Iterator[Readers]:
    """Let one process for each client read the served segments until the block ends.

    clients: versions of DuckDB; others than the installed one lie in `.venv/clients`.
    """
    readers = Readers(link)
    readers.note_served_version()
    processes: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        for version in clients:
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            if version != duckdb.__version__:
                client = CLIENTS / f"duckdb-{version}"
                if not client.is_dir():
                    raise AssertionError(f"{client} is missing: make it by its name")
                environment["PYTHONPATH"] = str(client)
            process = subprocess.Popen(
                [sys.executable, segment_reader.__file__, str(link), str(niceness)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            stack.callback(process.kill)
            processes.append(process)
        yield readers
        for process in processes:
            output, _ = process.communicate("stop\n", timeout=120)
            if process.returncode != 0:
                raise AssertionError(f"a reader ended with {process.returncode}")
            readers.answers += [json.loads(line) for line in output.splitlines()]


def timed_run(nights: Nights, as_of: date) -> dict[str, float]:
    """Run all steps of a date undisturbed; return the seconds that each took."""
    seconds = {}
    for name in STEP_NAMES:
        begun = time.monotonic()
        finished = nights.step(name, as_of)
        _require_success(name, as_of, finished.exit_code, finished.output)
        seconds[name] = time.monotonic() - begun
        if finished.exit_code == ExitCode.NOTHING_TO_DO:
            break
    return seconds
