"""Nights run by hand: the steps of the DAG as processes of the real command, without Airflow."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from segmentation_job.settings import DEFAULT_SOURCE
from segmentation_job.steps import STEPS, step_named
from tests.support.parsed_projects import keep_parse, lend_parse
from tests.support.warm_processes import can_be_forked, warm_processes

PROJECT_DIR = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("segmentation")
STEP_NAMES = tuple(step.name for step in STEPS)
INHERITED_PREFIXES = ("SEGMENTATION_", "AIRFLOW_", "DBT_")
# Hundreds of processes would compile the package, each for itself.
NOT_INHERITED = ("SOURCE", "TARGET", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its exit code and what it printed."""

    exit_code: int
    output: str


class StepFailedError(AssertionError):
    """A step ended with another exit code than zero."""


@dataclass(frozen=True)
class Nights:
    """A data folder, and the commands that work on it.

    settings: environment variables beside SEGMENTATION_DATA_DIR; none is inherited from whoever runs the tests.
    """

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def source_dir(self) -> Path:
        return self.data_dir / self.settings.get("SOURCE", DEFAULT_SOURCE)

    @property
    def warehouse(self) -> Path:
        return self.source_dir / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        return self.source_dir / "published"

    @property
    def serving_link(self) -> Path:
        return self.data_dir / "serving" / "segments.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        """What every command gets."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(INHERITED_PREFIXES) and name not in NOT_INHERITED
        }
        path = os.pathsep.join((str(COMMAND.parent), os.environ.get("PATH", os.defpath)))
        return {
            **inherited,
            "PATH": path,
            "SEGMENTATION_THREADS": "2",
            "SEGMENTATION_MEMORY_LIMIT": "1GB",
            # A further lens costs seconds a night: a test that is about lenses names its own.
            "SEGMENTATION_LENSES": "overall",
            **self.settings,
            "SEGMENTATION_DATA_DIR": str(self.data_dir),
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in a session of its own, its output in one pipe: as it is started outside of tests."""
        if arguments[:1] == ("build",):
            lend_parse(self.source_dir, self.environment)
        return subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=PROJECT_DIR,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, *arguments: str) -> Finished:
        """Run a command to its end, whatever its exit code; it is forked where that is the same, which is faster."""
        environment = self.environment
        if can_be_forked(environment):
            if arguments[:1] == ("build",):
                lend_parse(self.source_dir, environment)
            finished = Finished(*warm_processes().run([COMMAND.name, *arguments], environment, PROJECT_DIR))
        else:
            with self.start(*arguments) as process:
                output, _ = process.communicate()
            finished = Finished(process.returncode, output)
        if arguments[:1] == ("build",) and finished.exit_code == 0:
            keep_parse(self.source_dir, environment)
        return finished

    def step(self, name: str, as_of: date, *, force: bool = False) -> Finished:
        """Run one step to its end, whatever its exit code."""
        return self.command(*self.step_command(name, as_of, force=force))

    @staticmethod
    def step_command(name: str, as_of: date, *, force: bool = False) -> list[str]:
        """Return the arguments of a step's command."""
        return step_named(name).command(str(as_of), force=force)[1:]

    def run(
        self,
        as_of: date,
        *,
        first: str = STEP_NAMES[0],
        last: str = STEP_NAMES[-1],
        force: bool = False,
        repairs: bool = False,
        reports: bool = False,
    ) -> dict[str, Finished]:
        """Run the steps from `first` to `last`; raise StepFailedError at the first that fails.

        repairs: whether recent dates are repaired, as a night does: a test of something else saves the second it costs.
        reports: whether the report is drawn, likewise.
        """
        left_out = {name for name, wanted in (("repair_recent", repairs), ("report", reports)) if not wanted}
        finished: dict[str, Finished] = {}
        for name in STEP_NAMES[STEP_NAMES.index(first) : STEP_NAMES.index(last) + 1]:
            if name != first and name in left_out:
                continue
            finished[name] = self.step(name, as_of, force=force)
            if finished[name].exit_code != 0:
                raise StepFailedError(
                    f"{name} of {as_of} ended with {finished[name].exit_code}:\n{finished[name].output[-4000:]}"
                )
        return finished

    def copy(self, data_dir: Path, **settings: str) -> "Nights":
        """Copy the data folder; the copy's landing counts as unchanged."""
        shutil.copytree(self.data_dir, data_dir, symlinks=True)
        return Nights(data_dir, {**self.settings, **settings})

    def wait_until_free(self, deadline: float = 20.0) -> None:
        """Wait until no process that was killed holds the warehouse any more."""
        until = time.monotonic() + deadline
        while True:
            try:
                duckdb.connect(str(self.warehouse), read_only=True).close()
            except duckdb.IOException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the warehouse."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def change(self, *statements: str) -> None:
        """Change the warehouse behind the pipeline's back."""
        with duckdb.connect(str(self.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)
