"""Runs in process on features that were built beforehand: many dates in any order, in seconds.

The plan, the models, the labels and the promotion are the real ones, on a real DuckDB file. What dbt and Great
Expectations would do in between is a copy of the features built for the date, and a verdict that they passed.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

import duckdb

from segmentation_job.runs.calendar import RunPlan
from segmentation_job.runs.decisions import Decision
from segmentation_job.runs.forecasting import forecast_inputs_hash
from segmentation_job.runs.lineage import RefitContext
from segmentation_job.runs.promotion import GATED_SUBJECTS, candidate_hash, promote_date, record_verdict
from segmentation_job.runs.segmentation import LensOutcome, LensWithoutModel, segment_date
from segmentation_job.runs.state import (
    make_plan,
    planned_decisions,
    promoted_decisions,
    record_versions,
    refit_context,
    require_plan,
    stale_runs,
)
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.segments.lenses import Lens
from segmentation_job.settings import PROJECT_DIR
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES, FORECAST_INPUTS

BUILT_TABLES = (*FEATURE_TABLES, "feature_inputs", *FORECAST_INPUTS)
# Everything promoted that says of dates what they came to; what depends on the order of runs is left out: ids, the
# registry's events, and models that a repair replaced.
CONVERGING_TABLES = {
    "labels": "*",
    "label_history": "*",
    "runs": "* exclude (lineage_start)",
    "run_inputs": "*",
    "run_dates": "*",
    "segment_alarms": "*",
    "lineage": "*",
    "lineage_dates": "*",
}


@dataclass(frozen=True)
class PrebuiltNights:
    """A warehouse with facts, and the features of many dates in its schema `prebuilt`."""

    path: Path
    lenses: tuple[Lens, ...]
    versions: LogicVersions
    sample_size: int = 100_000
    batch_size: int = 250_000
    threads: int = 2
    refit_months: int = 1
    decisions: list[Decision] = field(default_factory=list)

    def warehouse(self) -> Warehouse:
        return DuckDBWarehouse(self.path, threads=self.threads, memory_limit="1GB")

    def run(self, as_of: date) -> list[LensOutcome | LensWithoutModel]:
        """Run the date from its plan to its promotion."""
        with self.warehouse() as warehouse:
            self.build_features(warehouse, as_of)
            self.forecast(warehouse, as_of)
            outcomes = self.segment(warehouse, as_of)
            for subject in GATED_SUBJECTS:
                self.judge(warehouse, as_of, subject)
            self.promote(warehouse, as_of)
        return outcomes

    def build_features(self, warehouse: Warehouse, as_of: date) -> None:
        """Plan the run, and put the candidates of its dates in place, table by table as dbt does."""
        plan = make_plan(
            warehouse,
            as_of,
            self.versions,
            self.lenses,
            self.decisions,
            sample_size=self.sample_size,
            batch_size=self.batch_size,
            refit_months=self.refit_months,
        )
        for table in BUILT_TABLES:
            days = ", ".join(f"date '{day}'" for day in plan.dates_to_compute)
            warehouse.rows(f"delete from candidate.{table} where as_of_date in ({days})")
            warehouse.rows(f"insert into candidate.{table} select * from prebuilt.{table} where as_of_date in ({days})")
        built = {day for (day,) in warehouse.rows("select as_of_date from candidate.feature_inputs")}
        assert built.issuperset(plan.dates_to_compute), sorted(set(plan.dates_to_compute) - built)

    def forecast(self, warehouse: Warehouse, as_of: date) -> None:
        """Say that there are no forecasts, beside the features that there are."""
        warehouse.rows("delete from candidate.forecast_models where as_of_date = ?", (as_of,))
        warehouse.rows(
            "insert into candidate.forecast_models values (?, 'none', 'none', null, '{}', null, ?)",
            (as_of, forecast_inputs_hash(warehouse, as_of)),
        )

    def segment(self, warehouse: Warehouse, as_of: date) -> list[LensOutcome | LensWithoutModel]:
        """Fit or reuse the models, and write the candidate labels."""
        plan = require_plan(warehouse, as_of)
        return segment_date(warehouse, plan, list(self.lenses), self.versions, self._context(warehouse, plan))

    def judge(self, warehouse: Warehouse, as_of: date, subject: str, *, passed: bool = True) -> None:
        """Store a gate's verdict on the candidate that there is."""
        plan = require_plan(warehouse, as_of)
        record_verdict(warehouse, plan, subject, candidate_hash(warehouse, plan, subject), passed=passed)

    def promote(self, warehouse: Warehouse, as_of: date) -> None:
        """Promote the candidate that the gates have let through."""
        plan = require_plan(warehouse, as_of)
        promote_date(warehouse, plan, list(self.lenses), self._context(warehouse, plan), self.decisions)

    def _context(self, warehouse: Warehouse, plan: RunPlan) -> RefitContext:
        return refit_context(
            warehouse,
            plan.dates_to_compute,
            planned_decisions(warehouse, plan.as_of),
            sample_size=self.sample_size,
            batch_size=self.batch_size,
        )

    def run_all(self, dates: Iterable[date]) -> None:
        for day in dates:
            self.run(day)

    def stale(self) -> list[date]:
        """Return the dates that are stale now, ascending."""
        with self.warehouse() as warehouse:
            found = stale_runs(
                warehouse,
                self.lenses,
                self.versions,
                self.decisions,
                sample_size=self.sample_size,
                refit_months=self.refit_months,
            )
        return sorted({run.as_of for run in found})

    def statuses(self) -> dict[date, str]:
        """Return what is published of each refit's model: in_effect, replaced, held or rejected."""
        with self.warehouse() as warehouse:
            record_versions(
                warehouse,
                list(self.lenses),
                self.versions,
                promoted_decisions(warehouse),
                sample_size=self.sample_size,
                refit_months=self.refit_months,
            )
        return dict(
            self.rows(
                "select lineage.refit_date, statuses.status from promoted.lineage as lineage"
                " inner join pipeline.model_statuses as statuses on lineage.model_version = statuses.model_version"
            )
        )

    def repair(self) -> list[date]:
        """Run the first stale date until none is stale; return the dates run."""
        repaired: list[date] = []
        while stale := self.stale():
            assert repaired.count(stale[0]) < 2, f"{stale[0]} stays stale"
            self.run(stale[0])
            repaired.append(stale[0])
        return repaired

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def published_names(self) -> dict[str, str]:
        """Return what the marts call each segment: their own SQL, its sources written as dbt writes them."""
        model = (PROJECT_DIR / "dbt_project" / "models" / "marts" / "segment_aliases.sql").read_text()
        sql = re.sub(r"\{\{ source\('(\w+)', '(\w+)'\) \}\}", r"\1.\2", re.sub(r"\{\{ config\(.*?\) \}\}", "", model))
        return dict(self.rows(f"select segment_id, segment_name from ({sql})"))

    def converging_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows that must not depend on the order of runs, by table, sorted."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return {
                table: connection.execute(f"select {columns} from promoted.{table} order by all").fetchall()
                for table, columns in CONVERGING_TABLES.items()
            }

    def copy(self, path: Path, **changes: Any) -> Self:
        """Return the same with a file of its own."""
        shutil.copy(self.path, path)
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self)(**{**known, "decisions": list(self.decisions), **changes, "path": path})


def prebuilt_nights(
    built: Path, path: Path, lenses: Sequence[Lens], versions: LogicVersions, **settings: Any
) -> PrebuiltNights:
    """Return a fresh warehouse on features that lie in the schema `candidate` of another one, which stays as it is."""
    shutil.copy(built, path)
    with DuckDBWarehouse(path, threads=2, memory_limit="1GB") as warehouse:
        warehouse.rows("create schema prebuilt")
        for table in BUILT_TABLES:
            warehouse.rows(f"create table prebuilt.{table} as select * from candidate.{table}")
            warehouse.rows(f"delete from candidate.{table}")
        warehouse.rows("insert into pipeline.facts_state values ('prebuilt', ?)", (versions.facts,))
    return PrebuiltNights(path, tuple(lenses), versions, **settings)
