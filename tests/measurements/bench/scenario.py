"""What is measured of one shop: the nights of its first days, step by step, and the floors beside them."""

import hashlib
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from segmentation_job.run_log import read_run_log
from segmentation_job.settings import PROJECT_DIR
from segmentation_job.steps import STEPS, ExitCode, step_named
from tests.measurements.bench.processes import Measured, measure, plain_environment
from tests.measurements.bench.shop import BACKFILLED_DATE, FIRST_DATE, NIGHTS, BenchShop
from tests.support.simulated_shop import SOURCE

CODE_FOLDERS: Final = ("segmentation_job", "dbt_project", "expectations", "dags")
# What a step's command imports whatever there is to do.
IMPORTS: Final = {
    "check": (
        "import segmentation_job.cli, segmentation_job.landing.readiness, segmentation_job.publishing,"
        " segmentation_job.runs.state, segmentation_job.runs.versions, segmentation_job.warehouse.duckdb_engine"
    ),
    "build": (
        "import segmentation_job.cli, segmentation_job.runs.dbt, segmentation_job.runs.state,"
        " segmentation_job.runs.versions, segmentation_job.warehouse.duckdb_engine"
    ),
    "gate": (
        "import segmentation_job.cli, segmentation_job.runs.gating, segmentation_job.runs.promotion,"
        " segmentation_job.runs.state, segmentation_job.warehouse.duckdb_engine; from segmentation_job.gate import"
        " evaluation; evaluation._prepare_great_expectations(); import great_expectations, sqlalchemy, duckdb_engine;"
        # As the command itself ends: taking all of it apart costs half a second.
        " import os; os._exit(0)"
    ),
    "forecast": (
        "import segmentation_job.cli, segmentation_job.runs.forecasting, segmentation_job.runs.state, scipy.optimize,"
        " segmentation_job.warehouse.duckdb_engine"
    ),
    "segment": (
        "import segmentation_job.cli, segmentation_job.runs.segmentation, segmentation_job.runs.state,"
        " segmentation_job.runs.versions, segmentation_job.warehouse.duckdb_engine"
    ),
    "promote": (
        "import segmentation_job.cli, segmentation_job.runs.promotion, segmentation_job.runs.state,"
        " segmentation_job.runs.versions, segmentation_job.warehouse.duckdb_engine"
    ),
    "publish": (
        "import segmentation_job.cli, segmentation_job.publishing, segmentation_job.runs.state,"
        " segmentation_job.runs.versions, segmentation_job.warehouse.duckdb_engine"
    ),
    "report": "import segmentation_job.cli, segmentation_job.reporting, segmentation_job.publishing",
}
IMPORTS_OF_STEP: Final = {
    "check": "check",
    "build_facts": "build",
    "repair_recent": "build",
    "build_features": "build",
    "gate_features": "gate",
    "forecast": "forecast",
    "gate_forecasts": "gate",
    "segment": "segment",
    "gate_labels": "gate",
    "promote": "promote",
    "build_marts": "build",
    "publish": "publish",
    "report": "report",
}
EMPTY_DBT: Final = """
import json, os
from datetime import date
from segmentation_job.runs.dbt import dbt_command, dbt_environment
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.settings import Settings
settings = Settings.from_environment(os.environ)
command = dbt_command("features", settings)
place = command.index("--select") + 1
command[place:command.index("--exclude-resource-type")] = ["path:models/none"]
environment = dbt_environment(settings, read_logic_versions(settings), [date(2025, 12, 29)])
print(json.dumps([command, environment, str(settings.source_data_dir)]))
"""
_DBT_STARTED = re.compile(r"Running with dbt=")
_MODEL_TOOK = re.compile(r"OK (?:created|loaded)\s.*?model (\S+) \.* \[.*?in ([\d.]+)s\]")
_COMPUTED = re.compile(r"Features are computed for ([\d, -]+)\.")

# What pandas needs of memory for more does not fit most machines.
MOST_FOR_PANDAS: Final = 100_000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Code:
    """A version of the project: its folder, with an environment in .venv."""

    folder: Path = PROJECT_DIR

    @property
    def python(self) -> str:
        return sys.executable if self.folder == PROJECT_DIR else str(self.folder / ".venv" / "bin" / "python")

    @property
    def bin(self) -> Path:
        return Path(self.python).parent

    def content_hash(self) -> str:
        """Return a hash of everything that a run executes."""
        digest = hashlib.sha256()
        for name in CODE_FOLDERS:
            for path in sorted((self.folder / name).rglob("*")):
                is_code = path.suffix in {".py", ".sql", ".yml", ".yaml", ".json"} and "target" not in path.parts
                if path.is_file() and is_code and "logs" not in path.parts:
                    digest.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:12]


@dataclass
class Deployment:
    """A data folder and the commands that work on it. settings: environment variables beside the data folder."""

    data_dir: Path
    code: Code = field(default_factory=Code)
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        inherited = plain_environment()
        path = os.pathsep.join((str(self.code.bin), inherited.get("PATH", os.defpath)))
        return {
            **inherited,
            "SOURCE": SOURCE,
            **self.settings,
            "PATH": path,
            "SEGMENTATION_DATA_DIR": str(self.data_dir),
        }

    @property
    def source_dir(self) -> Path:
        return self.data_dir / SOURCE

    @property
    def landing(self) -> Path:
        return self.source_dir / "landing"

    @property
    def warehouse(self) -> Path:
        return self.source_dir / "warehouse.duckdb"

    @property
    def threads(self) -> str:
        return self.settings.get("SEGMENTATION_THREADS", "2")

    @property
    def memory_limit(self) -> str:
        return self.settings.get("SEGMENTATION_MEMORY_LIMIT", "4GB")

    def command(
        self, *arguments: str, expected: Sequence[int] = (0,), settings: Mapping[str, str] | None = None
    ) -> tuple[Measured, str]:
        """Run a `segmentation` command to its end."""
        environment = {**self.environment, **(settings or {})}
        return measure([str(self.code.bin / "segmentation"), *arguments], environment, self.code.folder, expected)

    def step(
        self,
        name: str,
        as_of: date,
        *,
        force: bool = False,
        expected: Sequence[int] = (0,),
        settings: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run a step to its end; return what it took, how often it started dbt and which models took longest."""
        arguments = step_named(name).command(as_of.isoformat(), force=force)[1:]
        taken, printed = self.command(*arguments, expected=expected, settings=settings)
        said = self.data_dir / "printed" / f"{as_of}-{name}.txt"
        said.parent.mkdir(parents=True, exist_ok=True)
        with said.open("a") as file:
            file.write(printed)
        found: dict[str, Any] = {**taken.as_json(), "dbt_starts": len(_DBT_STARTED.findall(printed))}
        models = sorted(((float(seconds), model) for model, seconds in _MODEL_TOOK.findall(printed)), reverse=True)
        if models:
            found["slowest"] = [[model, seconds] for seconds, model in models[:6]]
        computed = _COMPUTED.search(printed)
        if computed:
            found["dates"] = computed[1].split(", ")
        return found

    def profile(self, name: str, as_of: date) -> list[list[Any]]:
        """Run a step once more, under the profiler; return where its Python spent its own time: what, and seconds."""
        arguments = step_named(name).command(as_of.isoformat())[1:]
        script = Path(__file__).with_name("profiled.py")
        _, printed = measure([self.code.python, str(script), *arguments], self.environment, self.code.folder)
        found: list[list[Any]] = json.loads("[[" + printed.rpartition("[[")[2])
        return found

    def floor(self, what: str, **options: object) -> dict[str, Any]:
        """Run a floor, always of this version of the benchmark; return what it printed, and its peak memory."""
        given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        command = [sys.executable, "-m", "tests.measurements.bench.floors", what, *given]
        command += ["--threads", self.threads, "--memory-limit", self.memory_limit]
        environment = {**self.environment, "PYTHONPATH": str(PROJECT_DIR)}
        taken, printed = measure(command, environment, PROJECT_DIR)
        said, _, printed_json = printed.rpartition("{")
        return {
            **json.loads("{" + printed_json),
            "peak_megabytes": round(taken.peak_megabytes, 1),
            **({"said": said.strip().splitlines()[:40]} if said.strip() else {}),
        }


def measure_start_up(deployment: Deployment) -> dict[str, Any]:
    """Return what it takes to start: python, the command line, the imports of each step, dbt with nothing to build."""
    python, environment, folder = deployment.code.python, deployment.environment, deployment.code.folder

    def least(command: Sequence[str], used: Mapping[str, str] = environment, place: Path = folder) -> dict[str, float]:
        taken = [measure(command, used, place)[0] for _ in range(3)]
        return min(taken, key=lambda each: each.cpu_seconds).as_json()

    found: dict[str, Any] = {
        "python": least([python, "-c", "pass"]),
        "segmentation --help": least([str(deployment.code.bin / "segmentation"), "--help"]),
        "imports": {name: least([python, "-c", statement]) for name, statement in IMPORTS.items()},
    }
    _, printed = measure([python, "-c", EMPTY_DBT], environment, folder)
    command, dbt_environment, place = json.loads(printed)
    found["dbt, nothing selected"] = least(command, dbt_environment, Path(place))
    return found


def run_steps(
    deployment: Deployment,
    as_of: date,
    say: Say,
    *,
    force: bool = False,
    around: Mapping[str, Callable[[], None]] | None = None,
) -> dict[str, Any]:
    """Run the steps of a date one after another; return what each took.

    around: by step what is done before it, beside the night.
    """
    found: dict[str, Any] = {}
    for step in STEPS:
        if around and step.name in around:
            around[step.name]()
        found[step.name] = deployment.step(step.name, as_of, force=force)
        taken = found[step.name]
        say(
            f"  {step.name:<16} {taken['seconds']:8.1f} s {taken['cpu_seconds']:8.1f} CPU s"
            f" {taken['peak_megabytes']:8.0f} MB"
        )
    return found


def first_build(shop: BenchShop, deployment: Deployment, say: Say) -> dict[str, Any]:
    """Land what was known before the first date and run it; then land the day after it."""
    shutil.rmtree(deployment.data_dir, ignore_errors=True)
    shop.land_base(deployment.landing)
    found: dict[str, Any] = {
        "customers": shop.customers,
        "days": shop.days,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "code": deployment.code.content_hash(),
        "machine": machine(),
        "versions": versions(deployment),
        "memory_limit": deployment.memory_limit,
        "threads": int(deployment.threads),
        "landing_bytes": folder_bytes(deployment.landing),
        "phases": {},
        "floors": {},
    }
    say(f"First build, {FIRST_DATE}")
    found["phases"]["first build"] = run_steps(deployment, FIRST_DATE, say)
    found["warehouse_bytes"] = deployment.warehouse.stat().st_size
    found["start_up"] = measure_start_up(deployment)
    shop.land_day(deployment.landing, FIRST_DATE)
    return found


def measure_night(shop: BenchShop, deployment: Deployment, say: Say) -> dict[str, Any]:
    """Measure the first build of a shop and one more night, without floors."""
    found = first_build(shop, deployment, say)
    say(f"One more night, {NIGHTS[0]}")
    found["phases"]["one more night"] = run_steps(deployment, NIGHTS[0], say)
    return found | facts_about(deployment, NIGHTS[0])


def measure_shop(shop: BenchShop, deployment: Deployment, say: Say, *, is_brief: bool = False) -> dict[str, Any]:
    """Measure a shop from its first build to a night through Airflow; return everything as JSON takes it.

    is_brief: stop after one more night and the floors beside it.
    """
    found = first_build(shop, deployment, say)
    phases, floors = found["phases"], found["floors"]
    night, later_night = NIGHTS
    landing, warehouse = deployment.landing, deployment.warehouse
    profiles: dict[str, Any] = found.setdefault("profiles", {})

    def gate_by_hand() -> None:
        expectations = deployment.code.folder / "expectations"
        floors["gate by hand"] = deployment.floor("gate", warehouse=warehouse, as_of=night, expectations=expectations)

        profiles["gate_features"] = deployment.profile("gate_features", night)

    def one_lens() -> None:
        floors["one lens"] = deployment.step("segment", night, settings={"SEGMENTATION_LENSES": "overall"})
        profiles["forecast"] = deployment.profile("forecast", night)
        profiles["segment"] = deployment.profile("segment", night)

    say(f"One more night, {night}")
    # A step whose candidates are there may be done again: what is beside the night stands between its steps.
    phases["one more night"] = run_steps(deployment, night, say, around={"forecast": gate_by_hand, "segment": one_lens})
    say("Floors and alternatives")
    floors["matrix"] = deployment.floor("matrix", warehouse=warehouse, as_of=night)
    floors["scan of the landing"] = deployment.floor("scan-landing", landing=landing)
    floors["scan of the facts"] = deployment.floor("scan-facts", warehouse=warehouse)
    scratch = deployment.data_dir / "recomputed.duckdb"
    floors["recompute"] = deployment.floor("recompute", landing=landing, as_of=night, scratch=scratch)
    floors["recompute agrees"] = deployment.floor("compare", warehouse=warehouse, as_of=night, scratch=scratch)
    scratch.unlink(missing_ok=True)
    if shop.customers <= MOST_FOR_PANDAS:
        floors["pandas"] = measure_pandas(deployment, night)
    found |= facts_about(deployment, night)
    if is_brief:
        return found

    say(f"A rerun with nothing changed, {night}")
    skipped = deployment.step("check", night, expected=(ExitCode.NOTHING_TO_DO,))
    phases["rerun, nothing changed"] = {"check": skipped}
    say(f"A rerun that is forced, {night}")
    phases["rerun, forced"] = run_steps(deployment, night, say, force=True)
    say(f"A backfilled date, {BACKFILLED_DATE}")
    phases["backfilled date"] = run_steps(deployment, BACKFILLED_DATE, say)
    shop.land_day(deployment.landing, night)
    say(f"A night through Airflow, {later_night}")
    found["orchestration"] = measure_orchestration(deployment, later_night)
    return found


def measure_orchestration(deployment: Deployment, as_of: date) -> dict[str, Any]:
    """Run a date through Airflow; return its wall time beside that of its tasks' own work.

    own_seconds: between start and end of each step as the run log has them. task_seconds: of Airflow's task instances.
    """
    prepare = (
        "import os; from segmentation_job.airflow_environment import airflow_environment, prepare_airflow;"
        "from segmentation_job.settings import Settings; s = Settings.from_environment(os.environ);"
        "prepare_airflow(airflow_environment(data_dir=s.data_dir, project_dir=s.project_dir, inherited=os.environ))"
    )
    prepared, _ = measure([deployment.code.python, "-c", prepare], deployment.environment, deployment.code.folder)
    taken, _ = deployment.command("run", "--as-of", as_of.isoformat())
    # `segmentation run` asks the first step before it starts Airflow: the last attempt of a step is the run's own.
    own = {
        step.step: (step.ended_at - step.started_at).total_seconds()
        for step in read_run_log(deployment.source_dir / "run_log.jsonl")
        if step.as_of == as_of and step.outcome == "done" and step.ended_at
    }
    found = {
        **taken.as_json(),
        "prepare_seconds": round(prepared.seconds, 1),
        "steps": len(own),
        "own_seconds": round(sum(own.values()), 1),
    }
    databases = list((deployment.data_dir / "airflow").glob("*.db"))
    if databases:
        with sqlite3.connect(databases[0]) as connection:
            instances = connection.execute(
                "select task_id, (julianday(end_date) - julianday(start_date)) * 86400 from task_instance"
                " where start_date is not null and end_date is not null"
            ).fetchall()
        found["task_seconds"] = round(sum(seconds for _, seconds in instances), 1)
    return found


def measure_pandas(deployment: Deployment, as_of: date, schema: str = "promoted") -> dict[str, Any]:
    """Run the pandas and scikit-learn script; return what it took, and how many of its values differ from ours."""
    written = deployment.data_dir / "pandas.parquet"
    command = [sys.executable, "-m", "tests.measurements.bench.pandas_script", "--landing", str(deployment.landing)]
    command += ["--as-of", as_of.isoformat(), "--write", str(written)]
    environment = {**deployment.environment, "PYTHONPATH": str(PROJECT_DIR)}
    taken, printed = measure(command, environment, PROJECT_DIR)
    agrees = deployment.floor("compare", warehouse=deployment.warehouse, as_of=as_of, scratch=written, schema=schema)
    written.unlink()
    return {**json.loads(printed), "peak_megabytes": round(taken.peak_megabytes, 1), "agrees": agrees}


def facts_about(deployment: Deployment, as_of: date) -> dict[str, Any]:
    """Return how many rows the landing has, and how many customers are in scope and active at a date."""
    entities = sorted(path.name for path in deployment.landing.iterdir() if path.is_dir())
    with duckdb.connect(str(deployment.warehouse), read_only=True) as connection:

        def count(sql: str, parameters: Sequence[object] = ()) -> int:
            return int(connection.execute(sql, list(parameters)).fetchall()[0][0])

        of_date = "select count(*) from promoted.engagement_features where as_of_date = ?"
        return {
            "rows": {
                entity: count(f"select count(*) from '{deployment.landing}/{entity}/*.parquet'") for entity in entities
            },
            "in_scope": count(of_date, [as_of]),
            "active": count(f"{of_date} and brand_interaction_count_90d > 0", [as_of]),
        }


def machine() -> dict[str, Any]:
    """Return what it was measured on."""
    memory = re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    names = re.findall(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gigabytes": round(int(memory[0]) / 2**20, 1) if memory else None,
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def versions(deployment: Deployment) -> dict[str, str]:
    """Return the versions of what does the work."""
    asked = (
        "import importlib.metadata as m, json, platform;"
        "names = ['duckdb', 'dbt-core', 'dbt-duckdb', 'great-expectations', 'apache-airflow', 'scikit-learn',"
        " 'pyarrow', 'numpy', 'pandas'];"
        "print(json.dumps({'python': platform.python_version(), **{n: m.version(n) for n in names}}))"
    )
    finished = subprocess.run([deployment.code.python, "-c", asked], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(finished.stdout)
    return found


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
