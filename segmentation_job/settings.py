"""The settings of a deployment, read once from the environment at the edge."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from segmentation_job.errors import MisconfiguredError

PROJECT_DIR: Final = Path(__file__).resolve().parent.parent
TARGETS: Final = ("duckdb", "spark")
SHIPPED_LENSES_DIR: Final = Path(__file__).resolve().parent / "lenses"
DEFAULT_SOURCE: Final = "complete_journey"
CURRENT_LINK_NAME: Final = "current.duckdb"
LATEST_REPORT_NAME: Final = "latest.html"
SERVING_REPORT_NAME: Final = "report.html"
DEFAULT_FORGET_KEY: Final = "~/.config/segmentation/forget.key"


@dataclass(frozen=True)
class Settings:
    """What a run needs to know about its deployment.

        source: name of the source, a folder of `dbt_project/sources`. target: the warehouse engine. data_dir: where
    all data lies. lenses_dirs: the folders of lens files. threads: of the warehouse engine. memory_limit: of the
    warehouse engine, as DuckDB writes it. timezone: business time zone (IANA name). sample_size: customers a model
    is fitted on. batch_size: customers scored at a time. kept_nights: published nights that stay on disk.
    max_source_lag_days: days that the newest source row may lie before the as-of date; None leaves it to the
    source's declaration. shop_customers, shop_seed: of the simulated shop, where that has to be made. lens_names:
    the lenses that run; None leaves it to their files. refit_months: months from one refit to the next, counted from
    January. late_horizon_days: how many days back a nightly run repairs by itself what late rows have made stale; 0
    turns it off. max_quarantined_share: of an entity's rows; a date with more is not computed. kept_feature_days: days
    before the newest date for which `segmentation retain` leaves the features, labels and forecasts of every date; of
    older ones those of the firsts of months stay. kept_log_days: days for which it leaves log files.
    forget_key_path: of the key that the hashes of forgotten people are made with, never below data_dir. spark_connect,
    spark_thrift: where a Spark answers the job, by Spark Connect, and dbt, by Thrift (host:port). spark_warehouse: the
    folder of Spark's tables, which the cluster sees under the same path.
    """

    source: str
    target: str
    project_dir: Path
    data_dir: Path
    lenses_dirs: tuple[Path, ...]
    threads: int
    memory_limit: str
    timezone: str
    sample_size: int
    batch_size: int
    kept_nights: int
    max_source_lag_days: int | None
    shop_customers: int
    shop_seed: int
    lens_names: tuple[str, ...] | None
    refit_months: int
    late_horizon_days: int
    max_quarantined_share: float
    kept_feature_days: int
    kept_log_days: int
    forget_key_path: Path
    spark_connect: str
    spark_thrift: str
    spark_warehouse: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], project_dir: Path = PROJECT_DIR) -> "Settings":
        """Read the settings from environment variables; raise MisconfiguredError naming the one that is wrong."""

        def positive(name: str, default: int) -> int:
            text = environment.get(name) or str(default)
            if not text.isdigit() or int(text) == 0:
                raise MisconfiguredError(f"{name}={text!r} must be a whole number above zero.")
            return int(text)

        def address(name: str, default: str, pattern: str) -> str:
            text = environment.get(name) or default
            if not re.fullmatch(pattern, text):
                raise MisconfiguredError(f"{name}={text!r} must look like {default}.")
            return text

        source = environment.get("SOURCE") or DEFAULT_SOURCE
        if not re.fullmatch(r"[a-z][a-z0-9_]*", source):
            raise MisconfiguredError(f"SOURCE={source!r} must be lower-case letters, digits and underscores.")
        if not (project_dir / "dbt_project" / "sources" / source).is_dir():
            known = sorted(path.name for path in (project_dir / "dbt_project" / "sources").iterdir() if path.is_dir())
            raise MisconfiguredError(
                f"SOURCE={source!r} has no folder dbt_project/sources/{source}. There are: {', '.join(known)}."
            )
        target = environment.get("TARGET") or "duckdb"
        if target not in TARGETS:
            raise MisconfiguredError(f"TARGET={target!r} is no warehouse engine. There are: {', '.join(TARGETS)}.")
        timezone = environment.get("SEGMENTATION_TIMEZONE") or "UTC"
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MisconfiguredError(f"SEGMENTATION_TIMEZONE={timezone!r} is no IANA time zone.") from error
        memory_limit = environment.get("SEGMENTATION_MEMORY_LIMIT") or "4GB"
        if not re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|MiB|GiB)", memory_limit):
            raise MisconfiguredError(f"SEGMENTATION_MEMORY_LIMIT={memory_limit!r} must look like 4GB or 500MB.")
        lag = environment.get("SEGMENTATION_MAX_SOURCE_LAG_DAYS") or ""
        if lag and not lag.isdigit():
            raise MisconfiguredError(f"SEGMENTATION_MAX_SOURCE_LAG_DAYS={lag!r} must be a number of days.")
        refit_months = positive("SEGMENTATION_REFIT_MONTHS", 1)
        if 12 % refit_months:
            raise MisconfiguredError(
                f"SEGMENTATION_REFIT_MONTHS={refit_months} must be 1, 2, 3, 4, 6 or 12: refits fall on the same months "
                "of every year."
            )
        horizon = environment.get("SEGMENTATION_LATE_HORIZON_DAYS") or "3"
        if not horizon.isdigit() or int(horizon) > 366:
            raise MisconfiguredError(
                f"SEGMENTATION_LATE_HORIZON_DAYS={horizon!r} must be a number of days from 0 to 366."
            )
        quarantined_text = environment.get("SEGMENTATION_MAX_QUARANTINED_SHARE") or "0.5"
        if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", quarantined_text):
            raise MisconfiguredError(
                f"SEGMENTATION_MAX_QUARANTINED_SHARE={quarantined_text!r} must be a share between 0 and 1, such as 0.5."
            )
        lens_text = (environment.get("SEGMENTATION_LENSES") or "").strip()
        lens_names = tuple(name.strip() for name in lens_text.split(",")) if lens_text else None
        if lens_names and not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in lens_names):
            raise MisconfiguredError(
                f"SEGMENTATION_LENSES={lens_text!r} must be names of lenses with commas between them, as in "
                "overall,purchase; unset it to run all that are enabled."
            )
        if lens_names and len(set(lens_names)) < len(lens_names):
            raise MisconfiguredError(f"SEGMENTATION_LENSES={lens_text!r} names a lens twice.")
        data_text = environment.get("SEGMENTATION_DATA_DIR") or ""
        if any(character in data_text for character in "'\"[]{}*?"):
            raise MisconfiguredError(
                f"SEGMENTATION_DATA_DIR={data_text!r} must hold no quote, bracket, brace, * or ?: the landing is read "
                "by patterns of paths."
            )
        data_dir = Path(environment.get("SEGMENTATION_DATA_DIR") or project_dir / "data")
        key_path = Path(environment.get("SEGMENTATION_FORGET_KEY_FILE") or DEFAULT_FORGET_KEY).expanduser().absolute()
        if key_path.resolve().is_relative_to(data_dir.resolve()):
            raise MisconfiguredError(
                f"SEGMENTATION_FORGET_KEY_FILE={str(key_path)!r} lies in the data folder {data_dir}: whoever copies "
                "the data would have the key to the hashes of forgotten people. Keep it elsewhere."
            )
        lenses_text = environment.get("SEGMENTATION_LENSES_DIR") or str(SHIPPED_LENSES_DIR)
        spark_warehouse = Path(environment.get("SEGMENTATION_SPARK_WAREHOUSE") or data_dir / "spark" / "warehouse")
        if any(character in str(spark_warehouse) for character in "'\"`"):
            raise MisconfiguredError(
                f"SEGMENTATION_SPARK_WAREHOUSE={str(spark_warehouse)!r} must hold no quote: tables are declared by it."
            )
        return cls(
            source=source,
            target=target,
            project_dir=project_dir,
            data_dir=data_dir.absolute(),
            lenses_dirs=tuple(Path(folder).absolute() for folder in lenses_text.split(os.pathsep) if folder),
            threads=positive("SEGMENTATION_THREADS", 2),
            memory_limit=memory_limit,
            timezone=timezone,
            sample_size=positive("SEGMENTATION_SAMPLE_SIZE", 100_000),
            batch_size=positive("SEGMENTATION_BATCH_SIZE", 250_000),
            kept_nights=positive("SEGMENTATION_KEPT_NIGHTS", 5),
            max_source_lag_days=int(lag) if lag else None,
            shop_customers=positive("SEGMENTATION_SHOP_CUSTOMERS", 20_000),
            shop_seed=positive("SEGMENTATION_SHOP_SEED", 1),
            lens_names=lens_names,
            refit_months=refit_months,
            late_horizon_days=int(horizon),
            max_quarantined_share=float(quarantined_text),
            kept_feature_days=positive("SEGMENTATION_KEPT_FEATURE_DAYS", 35),
            kept_log_days=positive("SEGMENTATION_KEPT_LOG_DAYS", 90),
            forget_key_path=key_path,
            spark_connect=address("SEGMENTATION_SPARK_CONNECT", "sc://127.0.0.1:15002", r"sc://[^\s/;]+:\d+(/;.*)?"),
            spark_thrift=address("SEGMENTATION_SPARK_THRIFT", "127.0.0.1:10000", r"[^\s/:]+:\d+"),
            spark_warehouse=spark_warehouse.absolute(),
        )

    @property
    def source_dir(self) -> Path:
        """Mapping models and declaration of the source."""
        return self.project_dir / "dbt_project" / "sources" / self.source

    @property
    def source_data_dir(self) -> Path:
        """Everything that is kept for the source."""
        return self.data_dir / self.source

    @property
    def landing_dir(self) -> Path:
        """Files as the source delivered them."""
        return self.source_data_dir / "landing"

    @property
    def warehouse_path(self) -> Path:
        """The private warehouse of the source."""
        return self.source_data_dir / "warehouse.duckdb"

    @property
    def spark_lock_path(self) -> Path:
        """Held by the one process that writes the source's tables on Spark."""
        return self.source_data_dir / "spark.lock"

    @property
    def published_dir(self) -> Path:
        """The published files of the source, one per night."""
        return self.source_data_dir / "published"

    @property
    def current_link(self) -> Path:
        """A link to the newest published file of this source."""
        return self.published_dir / CURRENT_LINK_NAME

    @property
    def latest_report(self) -> Path:
        """A link to the report of the newest published file of this source that has one."""
        return self.published_dir / LATEST_REPORT_NAME

    @property
    def serving_link(self) -> Path:
        """What BI opens: a link to the published file of the last run of any source."""
        return self.data_dir / "serving" / "segments.duckdb"

    @property
    def serving_report(self) -> Path:
        """What people open: a link to the report of the published file that BI opens."""
        return self.serving_link.with_name(SERVING_REPORT_NAME)

    @property
    def decisions_path(self) -> Path:
        """What people decided about segments and models: one JSON object a line."""
        return self.source_data_dir / "decisions.jsonl"

    @property
    def forgotten_path(self) -> Path:
        """The keyed hashes of people who are to be kept out: one JSON object a line, no id."""
        return self.source_data_dir / "forgotten.jsonl"

    @property
    def forgetting_dir(self) -> Path:
        """Where `forget` prepares what it then puts in place; gone when it has ended."""
        return self.source_data_dir / ".forgetting"

    @property
    def run_log_path(self) -> Path:
        """One JSON line per start and end of a step."""
        return self.source_data_dir / "run_log.jsonl"

    @property
    def dbt_project_dir(self) -> Path:
        """The dbt project."""
        return self.project_dir / "dbt_project"

    @property
    def expectations_dir(self) -> Path:
        """The Great Expectations suites."""
        return self.project_dir / "expectations"
