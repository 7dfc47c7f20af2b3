"""What a run finds in the warehouse: plans, promoted dates, models in effect, inputs recorded."""

from dataclasses import dataclass
from datetime import date

from segmentation_job.errors import SegmentationError
from segmentation_job.runs.calendar import RunPlan, plan_run, refit_dates_between
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.segments.lenses import Lens
from segmentation_job.warehouse.interface import Warehouse


@dataclass(frozen=True)
class LineageEntry:
    """The model in effect from a refit date on, and what it was fitted from."""

    refit_date: date
    model_version: str
    parent_version: str | None
    lens_version: str
    fitting_hash: str

    def was_fitted_from(self, parent_version: str | None, lens_version: str, fitting_hash: str) -> bool:
        """Say whether a model fitted from these would be this one."""
        return (self.parent_version, self.lens_version, self.fitting_hash) == (
            parent_version,
            lens_version,
            fitting_hash,
        )


def promoted_dates(warehouse: Warehouse) -> dict[date, str]:
    """Return the dates whose features are promoted, with the hash of their content."""
    return {day: str(content) for day, content in warehouse.rows("select as_of_date, content_hash from promoted.dates")}


def has_promoted_labels(warehouse: Warehouse, as_of: date) -> bool:
    """Say whether the labels of a date are promoted."""
    return bool(warehouse.rows("select 1 from promoted.dates where as_of_date = ? and has_labels", (as_of,)))


def fitting_hash(features_hash: str, sample_size: int) -> str:
    """Return the hash of what a model is fitted from: the features of its refit date, and how many customers of it.

    features_hash: of the refit date, beginning with its number of customers; empty where it has no features.
    """
    customers = int(features_hash.partition(":")[0] or 0)
    return f"{features_hash} sample {min(sample_size, customers)}"


def fresh_dates(warehouse: Warehouse, features_version: str) -> set[date]:
    """Return the promoted dates whose features rest on today's rows and logic."""
    if not warehouse.has_table("promoted.feature_inputs"):
        return set()
    found = warehouse.rows(
        "select as_of_date from promoted.feature_inputs as inputs where features_version = ? and rows_hash ="
        " (select rows_hash from intermediate.int_input_scope where event_date < inputs.as_of_date"
        " order by event_date desc limit 1)",
        (features_version,),
    )
    return {day for (day,) in found}


def lineage_start(warehouse: Warehouse) -> date | None:
    """Return the first refit date of the models so far."""
    found = warehouse.rows("select min(refit_date) from promoted.lineage")
    start: date | None = found[0][0]
    return start


def read_lineage(warehouse: Warehouse, lens: str) -> dict[date, LineageEntry]:
    """Return the promoted models in effect of a lens, by refit date."""
    found = warehouse.rows(
        "select lineage.refit_date, models.model_version, models.parent_version, models.lens_version,"
        " lineage.fitting_hash from promoted.lineage inner join promoted.models"
        " on lineage.model_version = models.model_version where lineage.lens = ?",
        (lens,),
    )
    return {row[0]: LineageEntry(*row) for row in found}


def make_plan(warehouse: Warehouse, as_of: date, versions: LogicVersions) -> RunPlan:
    """Plan the run for a date from what is promoted, and store the plan for the run's later steps.

    A refit date that no run was for is computed again where its rows or logic changed; one that a run was for waits
    for that run, since its labels would change with it.
    """
    if not warehouse.rows("select 1 from pipeline.facts_state where facts_version = ?", (versions.facts,)):
        raise SegmentationError(
            f"The facts are not built, or not to the end: run `segmentation build facts --as-of {as_of}` first."
        )
    fresh = fresh_dates(warehouse, versions.features)
    labelled = {day for (day,) in warehouse.rows("select as_of_date from promoted.dates where has_labels")}
    usable = {day for day in promoted_dates(warehouse) if day in fresh or day in labelled}
    found = warehouse.rows("select min(first_seen_date) from intermediate.int_customer_first_seen")
    plan = plan_run(as_of, lineage_start(warehouse), usable, found[0][0])
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.plans where run_date = ?", (as_of,))
        for day in plan.dates_to_compute:
            warehouse.rows("insert into pipeline.plans values (?, ?, ?)", (as_of, plan.lineage_start, day))
    return plan


def read_plan(warehouse: Warehouse, as_of: date) -> RunPlan | None:
    """Return the stored plan of the run for a date, None where `build features` has not made one."""
    found = warehouse.rows(
        "select lineage_start, as_of_date from pipeline.plans where run_date = ? order by as_of_date", (as_of,)
    )
    if not found:
        return None
    start: date = found[0][0]
    return RunPlan(as_of, start, refit_dates_between(start, as_of), tuple(day for _, day in found))


def rows_in_scope_hash(warehouse: Warehouse, as_of: date) -> str | None:
    """Return the hash of the rows that a run for the date would rest on today."""
    found = warehouse.rows(
        "select rows_hash from intermediate.int_input_scope where event_date < ? order by event_date desc limit 1",
        (as_of,),
    )
    return str(found[0][0]) if found else None


def is_current(
    warehouse: Warehouse,
    as_of: date,
    lenses: list[Lens],
    versions: LogicVersions,
    landing_fingerprint: str,
    sample_size: int,
) -> bool:
    """Say whether a run for the date would promote and publish what is promoted and published already."""
    if warehouse.rows("select landing_fingerprint, facts_version from pipeline.facts_state") != [
        (landing_fingerprint, versions.facts)
    ]:
        return False
    if not warehouse.rows(
        "select 1 from pipeline.publications where as_of_date = ? and marts_version = ?", (as_of, versions.marts)
    ):
        return False
    dates = promoted_dates(warehouse)
    recorded = {
        (lens, name): content
        for lens, name, content in warehouse.rows(
            "select lens, input, content_hash from promoted.run_inputs where as_of_date = ?", (as_of,)
        )
    }
    start = lineage_start(warehouse)
    names = {lens.name for lens in lenses}
    # What a lens that is off now once found of the date stays promoted; the marts must have been built without it.
    in_the_marts = {
        str(part).removeprefix("lens ")
        for (part,) in warehouse.rows("select part from pipeline.versions where part like 'lens %'")
    }
    if start is None or in_the_marts != names or not names.issubset({lens for lens, _ in recorded}):
        return False
    if not fresh_dates(warehouse, versions.features).issuperset({as_of, *refit_dates_between(start, as_of)}):
        return False
    rows_hash = rows_in_scope_hash(warehouse, as_of)
    for lens in lenses:
        lineage = read_lineage(warehouse, lens.name)
        parent: str | None = None
        for refit_date in refit_dates_between(start, as_of):
            entry = lineage.get(refit_date)
            fitted_from = fitting_hash(dates.get(refit_date, ""), sample_size)
            if entry is None or not entry.was_fitted_from(parent, lens.version, fitted_from):
                return False
            parent = entry.model_version
        today = {
            "rows_in_scope": rows_hash,
            "features_logic": versions.features,
            "lens": lens.version,
            "model": parent,
        }
        if any(recorded.get((lens.name, name)) != content for name, content in today.items()):
            return False
    return True


def record_versions(warehouse: Warehouse, lenses: list[Lens], versions: LogicVersions) -> None:
    """Store today's versions, against which the marts tell which runs are stale."""
    parts = [("features_logic", versions.features), *((f"lens {lens.name}", lens.version) for lens in lenses)]
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.versions")
        for part, version in parts:
            warehouse.rows("insert into pipeline.versions values (?, ?)", (part, version))


def require_plan(warehouse: Warehouse, as_of: date) -> RunPlan:
    """Return the stored plan of the run for a date; raise SegmentationError where there is none."""
    plan = read_plan(warehouse, as_of)
    if plan is None:
        raise SegmentationError(
            f"There is no candidate for {as_of}: run `segmentation build features --as-of {as_of}` first."
        )
    return plan


def record_marts_begun(warehouse: Warehouse, marts_version: str) -> None:
    """Store that the marts are being built; a promotion meanwhile takes the entry away."""
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.marts_state")
        warehouse.rows("insert into pipeline.marts_state values (?, false)", (marts_version,))


def record_marts_ready(warehouse: Warehouse, marts_version: str) -> None:
    """Store that the marts are built; raise SegmentationError where something was promoted meanwhile."""
    warehouse.rows("update pipeline.marts_state set is_ready = true where marts_version = ?", (marts_version,))
    if not warehouse.rows("select 1 from pipeline.marts_state where is_ready"):
        raise SegmentationError("A date was promoted while the marts were built: build them again.")


def require_marts(warehouse: Warehouse, as_of: date, marts_version: str) -> None:
    """Raise SegmentationError where the marts do not hold what is promoted."""
    if warehouse.rows("select marts_version from pipeline.marts_state where is_ready") != [(marts_version,)]:
        raise SegmentationError(
            "The marts are not built from what is promoted, so nothing is published: run "
            f"`segmentation build marts --as-of {as_of}` first."
        )


def record_publication(warehouse: Warehouse, as_of: date, marts_version: str, file: str) -> None:
    """Store that a date is published, with the version of the marts it was published by."""
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.publications where as_of_date = ?", (as_of,))
        warehouse.rows("insert into pipeline.publications values (?, ?, ?)", (as_of, marts_version, file))
