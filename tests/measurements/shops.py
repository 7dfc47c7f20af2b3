"""Simulated shops as features and truth: what a measurement over many shops is made on.

Facts and features are built by one invocation of dbt, without its tests: nothing is promoted or published.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from segmentation_job.landing.declaration import read_declaration
from segmentation_job.landing.demonstration import SIMULATED_SHOP, land_demonstration
from segmentation_job.landing.simulated_shop.generation import write_shop
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.dbt import LAYERS, dbt_command, dbt_environment
from segmentation_job.runs.feature_matrix import read_values
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.segments.lenses import Lens, parse_lens
from segmentation_job.settings import DEFAULT_SOURCE, PROJECT_DIR, Settings
from segmentation_job.warehouse import open_warehouse

# Kept between runs: a shop is the same as long as its options and the features' logic are.
DEFAULT_CACHE = Path(os.environ.get("SEGMENTATION_DATA_DIR") or PROJECT_DIR / "data") / "measurements"


@dataclass(frozen=True)
class BuiltFeatures:
    """Where the features of some dates lie: a schema of the settings' warehouse."""

    settings: Settings
    schema: str = "candidate"

    def lens_values(self, lens: Lens, as_of: date) -> tuple[list[str], FeatureValues]:
        """Return the customers in scope at a date, sorted, and what the lens sees of them (n, d), NaN where null."""
        columns = [feature.name for feature in lens.features]
        return self.values(columns, as_of, lens.text_columns())

    def values(
        self, columns: Sequence[str], as_of: date, text_columns: frozenset[str] = frozenset()
    ) -> tuple[list[str], FeatureValues]:
        """Return the customers in scope at a date, sorted, and their features "table.column" (n, d)."""
        with open_warehouse(self.settings) as warehouse:
            return read_values(warehouse, self.schema, as_of, columns, text_columns)

    def true_segments(self, customers: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the latent segment of each of a simulated shop's customers as a number (n,).

        Raises KeyError for a customer that the truth does not know.
        """
        files = self.settings.source_data_dir / "truth" / "segments" / "*.parquet"
        with duckdb.connect() as connection:
            found = dict(connection.execute(f"select customer_id, segment from '{files}'").fetchall())
        names = {name: number for number, name in enumerate(sorted(set(found.values())))}
        return np.array([names[found[customer]] for customer in customers], dtype=np.int64)


def shop_features(
    cache: Path, options: ShopOptions, as_of_dates: Sequence[date], held_back: Mapping[str, str] | None = None
) -> BuiltFeatures:
    """Return the features of a simulated shop, made where the cache does not have them.

    cache: a folder that may be shared by processes and kept between runs; it holds a folder by options, dates and
    versions of the features' logic. as_of_dates: within the shop's days. held_back: by table of the landing the
    condition on rows that are not in it yet; {landing} in it is the landing's folder.
    """
    dates = ",".join(day.isoformat() for day in sorted(as_of_dates))
    settings = source_settings(SIMULATED_SHOP, cache)
    content = f"{options}/{dates}/{read_logic_versions(settings).features}{held_back or ''}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    settings = replace(settings, data_dir=cache / f"shop-{options.customers}-{options.seed}-{digest}")

    def land() -> None:
        write_shop(options, settings.source_data_dir)
        _hold_back(settings.landing_dir, held_back or {})

    _build_once(settings, as_of_dates, land)
    return BuiltFeatures(settings)


def _hold_back(landing: Path, conditions: Mapping[str, str]) -> None:
    """Take rows out of tables of a landing, in the given order: a condition may ask the tables after its own."""
    for table, condition in conditions.items():
        for part in sorted((landing / table).glob("*.parquet")):
            left = part.with_suffix(".left")
            with duckdb.connect() as connection:
                connection.execute(
                    f"copy (select * from '{part}' where not ({condition.format(landing=landing)}))"
                    f" to '{left}' (format parquet)"
                )
            left.replace(part)


def demonstration_features(cache: Path, as_of_dates: Sequence[date]) -> BuiltFeatures:
    """Return the features of the demonstration data (complete_journey), made where the cache does not have them."""
    dates = ",".join(day.isoformat() for day in sorted(as_of_dates))
    settings = source_settings(DEFAULT_SOURCE, cache)
    content = f"{dates}/{read_logic_versions(settings).features}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    settings = replace(settings, data_dir=cache / f"{DEFAULT_SOURCE}-{digest}")
    _build_once(settings, as_of_dates, lambda: _land(settings))
    return BuiltFeatures(settings)


def shipped_lens(name: str) -> Lens:
    """Return a lens as it is shipped."""
    path = PROJECT_DIR / "segmentation_job" / "lenses" / f"{name}.yaml"
    return parse_lens(path.read_text(), str(path))


def _land(settings: Settings) -> None:
    declaration = read_declaration(settings.source_dir)
    land_demonstration(declaration, settings.source_dir, settings.landing_dir)


def _build_once(settings: Settings, as_of_dates: Sequence[date], land: Callable[[], object]) -> None:
    """Land a source and build its facts and features, unless its folder says that this was done."""
    folder = settings.data_dir
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        land()
        with open_warehouse(settings):
            """Makes the tables that the facts lean on."""
        command = dbt_command("facts", settings)
        command[command.index("build")] = "run"
        excluded = command.index("--exclude-resource-type")
        command[excluded : excluded + 2] = LAYERS["features"]
        environment = dbt_environment(settings, read_logic_versions(settings), as_of_dates)
        finished = subprocess.run(
            command, env=environment, cwd=settings.source_data_dir, capture_output=True, text=True, check=False
        )
        if finished.returncode != 0:
            raise RuntimeError(f"dbt ended with {finished.returncode} in {folder}:\n{finished.stdout[-4000:]}")
        done.touch()


def source_settings(source: str, data_dir: Path) -> Settings:
    """Return the settings of a source in a data folder, with one thread: measurements run one process per core."""
    return Settings.from_environment(
        {"SOURCE": source, "SEGMENTATION_DATA_DIR": str(data_dir), "SEGMENTATION_THREADS": "1"}
    )
