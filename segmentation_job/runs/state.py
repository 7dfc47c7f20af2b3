"""What a run finds in the warehouse: plans, promoted dates, models in effect, inputs recorded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from segmentation_job.errors import SegmentationError
from segmentation_job.runs.calendar import (
    RunPlan,
    label_dates,
    plan_run,
    refit_dates_between,
    require_customers,
    start_of_lineage,
)
from segmentation_job.runs.decisions import (
    Decision,
    DecisionKind,
    ModelStatus,
    model_status,
    parse_decision,
    write_decision,
)
from segmentation_job.runs.feature_matrix import DatedFeatures
from segmentation_job.runs.lineage import (
    LineageEntry,
    RefitContext,
    dates_needed,
    dates_of_run,
    entry_in_effect,
    models_in_effect,
    read_lineage,
    refits_that_hold,
)
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.segments.lenses import Lens
from segmentation_job.warehouse.interface import Warehouse

_MARTS_LOGIC = "marts_logic"


def promoted_dates(warehouse: Warehouse) -> dict[date, str]:
    """Return the dates whose features are promoted, with the hash of their content."""
    return {day: str(content) for day, content in warehouse.rows("select as_of_date, content_hash from promoted.dates")}


def has_promoted_labels(warehouse: Warehouse, as_of: date) -> bool:
    """Say whether the labels of a date are promoted."""
    return bool(warehouse.rows("select 1 from promoted.dates where as_of_date = ? and has_labels", (as_of,)))


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


def arrivals(warehouse: Warehouse) -> tuple[date, ...]:
    """Return the days on which some customer was seen first, ascending."""
    found = warehouse.rows(
        "select distinct first_seen_date from intermediate.int_customer_first_seen"
        " where first_seen_date is not null order by first_seen_date"
    )
    return tuple(day for (day,) in found)


def refit_context(
    warehouse: Warehouse,
    computed: Collection[date],
    decisions: Sequence[Decision],
    *,
    sample_size: int,
    batch_size: int,
) -> RefitContext:
    """Return what the refits of a run rest on. computed: dates whose features the run computes."""
    days = arrivals(warehouse)
    first = days[0] if days else date.max
    return RefitContext(
        DatedFeatures(warehouse, frozenset(computed), batch_size, days), first, tuple(decisions), sample_size
    )


def make_plan(
    warehouse: Warehouse,
    as_of: date,
    versions: LogicVersions,
    lenses: Sequence[Lens],
    decisions: Sequence[Decision],
    *,
    sample_size: int,
    batch_size: int,
    refit_months: int,
) -> RunPlan:
    """Plan the run for a date from what is promoted, and store the plan for the run's later steps.

    A date that it leans on is computed again where no run was for it and its rows or logic changed; one that a run
    was for waits for that run, since its labels would change with it.
    """
    if not warehouse.rows("select 1 from pipeline.facts_state where facts_version = ?", (versions.facts,)):
        raise SegmentationError(
            f"The facts are not built, or not to the end: run `segmentation build facts --as-of {as_of}` first."
        )
    context = refit_context(warehouse, (), decisions, sample_size=sample_size, batch_size=batch_size)
    seen = context.features.arrivals
    require_customers(as_of, seen[0] if seen else None, refit_months)
    fresh = fresh_dates(warehouse, versions.features)
    labelled = {day for (day,) in warehouse.rows("select as_of_date from promoted.dates where has_labels")}
    contents = {
        day: content if day in fresh or day in labelled else ""
        for day, content in promoted_dates(warehouse).items()
        # It is computed now, and may come out otherwise.
        if day != as_of
    } | {as_of: ""}
    earlier = lineage_start(warehouse)
    start = start_of_lineage(as_of, earlier, refit_months)
    refit_dates = refit_dates_between(start, as_of, refit_months)
    needed: set[date] = set()
    for lens in lenses:
        entries = read_lineage(warehouse, lens.name)
        needed |= dates_needed(lens, as_of, refit_dates, entries, contents, context)
        needed |= _dates_beside(warehouse, lens, as_of, refit_dates, entries, earlier, contents, context)
    usable = {day for day, content in contents.items() if content}
    plan = plan_run(as_of, start, needed, usable, refit_months)
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.plans where run_date = ?", (as_of,))
        warehouse.rows("delete from pipeline.plan_decisions where run_date = ?", (as_of,))
        for day in plan.dates_to_compute:
            warehouse.rows(
                "insert into pipeline.plans values (?, ?, ?, ?)", (as_of, plan.lineage_start, day, refit_months)
            )
        lines = "\n".join(write_decision(decision) for decision in decisions)
        warehouse.rows("insert into pipeline.plan_decisions values (?, ?)", (as_of, lines))
    return plan


def _dates_beside(
    warehouse: Warehouse,
    lens: Lens,
    as_of: date,
    refit_dates: Sequence[date],
    entries: Mapping[date, LineageEntry],
    earlier_start: date | None,
    contents: Mapping[date, str],
    context: RefitContext,
) -> frozenset[date]:
    """The dates that say why a customer changed: what the model of each neighbouring date makes of the other.

    Where the lineage is extended backwards, the date after is to be run again anyhow, and says it then; one that is not
    kept is not.
    """
    found = warehouse.rows(
        "select runs.as_of_date, models.fitted_as_of from promoted.runs as runs"
        " inner join promoted.models as models on runs.model_version = models.model_version"
        " where runs.lens = ? and runs.as_of_date != ? order by runs.as_of_date",
        (lens.name, as_of),
    )
    before = [fitted for day, fitted in found if day < as_of]
    after = [day for day, _ in found if day > as_of]
    days: frozenset[date] = frozenset()
    if before:
        days |= label_dates(before[-1], as_of, context.features.arrivals)
    start = refit_dates[0]
    if after and earlier_start is not None and (start == earlier_start or not contents.get(after[0])):
        on_calendar = [entries[day] for day in refit_dates if day in entries]
        own = entry_in_effect(lens.name, on_calendar, as_of, context.decisions)
        days |= label_dates(own.refit_date if own else start, after[0], context.features.arrivals)
    return days


def read_plan(warehouse: Warehouse, as_of: date) -> RunPlan | None:
    """Return the stored plan of the run for a date, None where `build features` has not made one."""
    found = warehouse.rows(
        "select lineage_start, as_of_date, coalesce(refit_months, 1) from pipeline.plans where run_date = ?"
        " order by as_of_date",
        (as_of,),
    )
    if not found:
        return None
    start: date = found[0][0]
    months = int(found[0][2])
    return RunPlan(as_of, start, refit_dates_between(start, as_of, months), tuple(day for _, day, _ in found), months)


def planned_decisions(warehouse: Warehouse, as_of: date) -> tuple[Decision, ...]:
    """Return the decisions that the run for a date applies, in the order in which they were made."""
    found = warehouse.rows("select decisions from pipeline.plan_decisions where run_date = ?", (as_of,))
    return tuple(parse_decision(line) for (text,) in found for line in str(text).split("\n") if line)


def promoted_decisions(warehouse: Warehouse) -> tuple[Decision, ...]:
    """Return the decisions that promoted runs have applied, in the order in which they were made."""
    found = warehouse.rows(
        "select decided_at, kind, lens, refit_date, effective_from, model_version, segment_key, segment_id, name,"
        " decided_by, reason"
        " from promoted.decisions order by decided_at, decision_id"
    )
    return tuple(Decision(row[0], DecisionKind(row[1]), *row[2:]) for row in found)


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
    decisions: Sequence[Decision],
    landing_fingerprint: str,
    *,
    sample_size: int,
    refit_months: int,
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
    applied = {str(decision_id) for (decision_id,) in warehouse.rows("select decision_id from promoted.decisions")}
    if {decision.decision_id for decision in decisions} != applied:
        return False
    names = {lens.name for lens in lenses}
    # What a lens that is off now once found of the date stays promoted; the marts must have been built without it.
    in_the_marts = {
        str(part).removeprefix("lens ")
        for (part,) in warehouse.rows("select part from pipeline.versions where part like 'lens %'")
    }
    if in_the_marts != names or not has_promoted_labels(warehouse, as_of):
        return False
    return not stale_runs(
        warehouse, lenses, versions, decisions, [as_of], sample_size=sample_size, refit_months=refit_months
    )


@dataclass(frozen=True)
class StaleRun:
    """A labelled date of a lens that a run today would compute from something else, and why."""

    as_of: date
    lens: str
    reason: str


def stale_runs(
    warehouse: Warehouse,
    lenses: Sequence[Lens],
    versions: LogicVersions,
    decisions: Sequence[Decision],
    dates: Sequence[date] | None = None,
    *,
    sample_size: int,
    refit_months: int,
) -> list[StaleRun]:
    """Return what a run today would compute from something else, by date, then lens.

    decisions: those that a run today would apply. dates: to look at; all that are labelled by default. A lens that is
    not among the lenses is switched off: nothing makes what it found stale.
    """
    start = lineage_start(warehouse)
    if start is None:
        return []
    if dates is None:
        dates = dates_with_labels(warehouse)
    fresh = fresh_dates(warehouse, versions.features)
    # A date that is outdated counts as changed.
    contents = {day: content if day in fresh else "" for day, content in promoted_dates(warehouse).items()}
    context = refit_context(warehouse, (), decisions, sample_size=sample_size, batch_size=1)
    rows_hashes = {day: rows_in_scope_hash(warehouse, day) for day in dates}
    stale: list[StaleRun] = []
    for lens in lenses:
        recorded = _recorded_runs(warehouse, lens.name)
        refit_dates = refit_dates_between(start, max(dates, default=start), refit_months)
        holding = refits_that_hold(lens, refit_dates, read_lineage(warehouse, lens.name), contents, context)
        for day in dates:
            held = [entry for entry in holding if entry.refit_date <= day]
            run = recorded.get(day)
            reasons = _other_inputs(run, day, lens, rows_hashes[day], versions, contents)
            if len(held) < len(refit_dates_between(start, day, refit_months)):
                # Which model will be in effect is not known before the refit is done.
                reasons.append("a refit date before it is outdated")
            else:
                reasons += _other_model(run, day, lens, held, context, start)
            if start_of_lineage(day, start, refit_months) != start or (run is not None and run.lineage_start != start):
                reasons.append("the lineage of models starts earlier")
            if not reasons and day not in fresh:
                reasons.append("its features rest on other rows or logic")
            if reasons:
                stale.append(StaleRun(day, lens.name, "; ".join(reasons)))
    return sorted(stale, key=lambda run: (run.as_of, run.lens))


def dates_with_labels(warehouse: Warehouse) -> list[date]:
    """Return the dates whose labels are promoted and kept, ascending."""
    return [day for (day,) in warehouse.rows("select as_of_date from promoted.dates where has_labels order by 1")]


@dataclass(frozen=True)
class _RecordedRun:
    """What a run of a lens recorded: where its lineage began, the hash of each input, of the dates it leans on."""

    lineage_start: date
    inputs: dict[str, str]
    leans_on: dict[date, str]


def _recorded_runs(warehouse: Warehouse, lens: str) -> dict[date, _RecordedRun]:
    runs = {
        day: _RecordedRun(begun, {}, {})
        for day, begun in warehouse.rows("select as_of_date, lineage_start from promoted.runs where lens = ?", (lens,))
    }
    for day, name, content in warehouse.rows(
        "select as_of_date, input, content_hash from promoted.run_inputs where lens = ?", (lens,)
    ):
        runs[day].inputs[str(name)] = str(content)
    for day, leans_on, content in warehouse.rows(
        "select as_of_date, leans_on_date, content_hash from promoted.run_dates where lens = ?", (lens,)
    ):
        runs[day].leans_on[leans_on] = str(content)
    return runs


def _other_inputs(
    run: _RecordedRun | None,
    as_of: date,
    lens: Lens,
    rows_hash: str | None,
    versions: LogicVersions,
    contents: Mapping[date, str],
) -> list[str]:
    """Say which rows, logic and features a run rests on are others today."""
    if run is None:
        return []
    reasons = [
        reason
        for name, today, reason in (
            ("rows_in_scope", rows_hash, "source rows changed"),
            ("features_logic", versions.features, "feature logic changed"),
            ("lens", lens.version, "lens changed"),
        )
        if run.inputs.get(name) != today
    ]
    outdated = {day for day, content in run.leans_on.items() if contents.get(day, content) != content}
    if outdated - {as_of}:
        reasons.append("a date that it leans on is outdated")
    elif outdated and not reasons:
        reasons.append("its features were computed anew")
    return reasons


def _other_model(
    run: _RecordedRun | None,
    as_of: date,
    lens: Lens,
    refits: Sequence[LineageEntry],
    context: RefitContext,
    start: date,
) -> list[str]:
    """Say whether a run rests on another model, or on other dates, than it would today. refits: that all hold."""
    in_effect = entry_in_effect(lens.name, refits, as_of, context.decisions)
    if run is None:
        # Where the lens has no model, a further run would find none either.
        return [] if in_effect is None else ["the lens has no labels of it"]
    if in_effect is None:
        return ["the lens has no model for it"]
    if run.inputs.get("model") != in_effect.model_version:
        return ["another model is in effect"]
    if run.leans_on.keys() != dates_of_run(in_effect.refit_date, as_of, start, context.features.arrivals):
        return ["it would lean on other dates"]
    return []


def record_versions(
    warehouse: Warehouse,
    lenses: list[Lens],
    versions: LogicVersions,
    decisions: Sequence[Decision],
    *,
    sample_size: int,
    refit_months: int,
) -> None:
    """Store today's versions, the models in effect and the runs that are stale, from which the marts say why.

    decisions: those that are applied, in the order in which they were made.
    """
    stale = stale_runs(warehouse, lenses, versions, decisions, sample_size=sample_size, refit_months=refit_months)
    parts = [("features_logic", versions.features), *((f"lens {lens.name}", lens.version) for lens in lenses)]
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.versions where part != ?", (_MARTS_LOGIC,))
        for part, version in parts:
            warehouse.rows("insert into pipeline.versions values (?, ?)", (part, version))
        warehouse.rows("delete from pipeline.stale_runs")
        for run in stale:
            warehouse.rows("insert into pipeline.stale_runs values (?, ?, ?)", (run.as_of, run.lens, run.reason))
        warehouse.rows("delete from pipeline.models_in_effect")
        warehouse.rows("delete from pipeline.model_statuses")
        for (name,) in warehouse.rows("select distinct lens from promoted.lineage order by lens"):
            _record_models(warehouse, str(name), decisions)


def _record_models(warehouse: Warehouse, lens: str, decisions: Sequence[Decision]) -> None:
    entries = list(read_lineage(warehouse, lens).values())
    intervals = models_in_effect(lens, entries, decisions)
    for version, valid_from, valid_to in intervals:
        warehouse.rows(
            "insert into pipeline.models_in_effect values (?, ?, ?, ?)", (lens, version, valid_from, valid_to)
        )
    for entry in entries:
        if entry.model_version is not None:
            warehouse.rows(
                "insert into pipeline.model_statuses values (?, ?, ?)",
                (lens, entry.model_version, _said_status(lens, entry, intervals, decisions)),
            )


def _said_status(
    lens: str,
    entry: LineageEntry,
    intervals: Sequence[tuple[str, date, date | None]],
    decisions: Sequence[Decision],
) -> str:
    """In a word what became of a model: in_effect, replaced, held or rejected."""
    status = model_status(
        lens,
        entry.refit_date,
        date.max,
        model_version=entry.model_version,
        is_stable=entry.is_stable,
        decisions=decisions,
    )
    own = [until for version, _, until in intervals if version == entry.model_version]
    # The first of a lineage has nobody to give way to: it is in effect whatever was decided.
    if own and own[-1] is None:
        return "in_effect"
    if status is not ModelStatus.PROMOTED:
        return status.value
    return "replaced"


def require_plan(warehouse: Warehouse, as_of: date) -> RunPlan:
    """Return the stored plan of the run for a date; raise SegmentationError where there is none."""
    plan = read_plan(warehouse, as_of)
    if plan is None:
        raise SegmentationError(
            f"There is no candidate for {as_of}: run `segmentation build features --as-of {as_of}` first."
        )
    return plan


def marts_logic_is_new(warehouse: Warehouse, marts_version: str) -> bool:
    """Tell whether the marts that are there were built by other SQL: then their tables are made anew.

    Tables that grow by the date would keep the columns and constraints that they were once made with.
    """
    return warehouse.rows("select version from pipeline.versions where part = ?", (_MARTS_LOGIC,)) != [(marts_version,)]


def record_marts_begun(warehouse: Warehouse, marts_version: str) -> None:
    """Store that the marts are being built; a promotion meanwhile takes the entry away."""
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.marts_state")
        warehouse.rows("insert into pipeline.marts_state values (?, false)", (marts_version,))


def record_marts_ready(warehouse: Warehouse, marts_version: str) -> None:
    """Store that the marts are built; raise SegmentationError where something was promoted meanwhile."""
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.versions where part = ?", (_MARTS_LOGIC,))
        warehouse.rows("insert into pipeline.versions values (?, ?)", (_MARTS_LOGIC, marts_version))
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
