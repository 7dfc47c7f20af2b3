"""Promotion: in one transaction the gated candidate of a date replaces what was promoted for it."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from segmentation_job.errors import GateFailedError
from segmentation_job.runs.calendar import RunPlan, label_dates, refit_date_for
from segmentation_job.runs.decisions import Decision
from segmentation_job.runs.feature_matrix import features_hash
from segmentation_job.runs.forecasting import forecast_inputs_hash
from segmentation_job.runs.history import splice_into_history
from segmentation_job.runs.labelling import nearest_clusters, settled_clusters
from segmentation_job.runs.lineage import MODEL_TABLES, RefitContext, keys_of, read_model, read_origins
from segmentation_job.runs.registry import append_events
from segmentation_job.runs.state import promoted_decisions
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES, FORECAST_INPUTS, FORECAST_TABLES

GATED_SUBJECTS = ("features", "forecasts", "labels")

_KEYS = pa.schema([("customer_id", pa.string()), ("segment_key", pa.string())])

# Every registered key with the id that it resolves to.
RESOLVED_SEGMENTS = """(
    select
        segments.segment_key,
        segments.name,
        coalesce(superseded.superseded_by, segments.segment_id) as segment_id
    from promoted.segments as segments
    left join promoted.superseded_segments as superseded on segments.segment_id = superseded.segment_id
)"""


@dataclass(frozen=True)
class Promotion:
    """What a promotion put in place: the dates with features, and by lens the customers labelled."""

    dates: tuple[date, ...]
    customers: dict[str, int]


def candidate_hash(warehouse: Warehouse, plan: RunPlan, subject: str) -> str:
    """Return a hash of the candidate that a gate judges.

    The features of every planned date; the forecasts with their models, which name the features they were made
    beside; or the labels with the figures of their run, which name the model and the features they were made of.
    """
    if subject == "features":
        return ";".join(f"{day}={features_hash(warehouse, 'candidate', day)}" for day in plan.dates_to_compute)
    key = {"as_of_date": plan.as_of}
    if subject == "forecasts":
        return ";".join(warehouse.content_hash(f"candidate.{table}", key) for table in FORECAST_TABLES)
    return f"{warehouse.content_hash('candidate.labels', key)};{warehouse.content_hash('candidate.runs', key)}"


def record_verdict(warehouse: Warehouse, plan: RunPlan, subject: str, content: str, *, passed: bool) -> None:
    """Store what a gate said of a candidate, in place of what it said before.

    content: the candidate's hash as it was when it was judged.
    """
    with warehouse.transaction():
        warehouse.rows("delete from pipeline.gate_verdicts where as_of_date = ? and subject = ?", (plan.as_of, subject))
        warehouse.rows("insert into pipeline.gate_verdicts values (?, ?, ?, ?)", (plan.as_of, subject, content, passed))


def promote_date(
    warehouse: Warehouse,
    plan: RunPlan,
    lenses: list[Lens],
    context: RefitContext,
    decisions_on_file: Sequence[Decision] = (),
) -> Promotion:
    """Promote the candidate of a date; raise GateFailedError where its gates have not passed just this candidate.

    decisions_on_file: those that the file has now. A lens that has no model for the date loses what an earlier run
    promoted for it.
    """
    for subject in GATED_SUBJECTS:
        _require_verdict(warehouse, plan, subject)
    _require_forecasts_of_these_features(warehouse, plan)
    skipped = {
        str(lens)
        for (lens,) in warehouse.rows("select lens from candidate.skipped_lenses where as_of_date = ?", (plan.as_of,))
    }
    labelled = [lens for lens in lenses if lens.name not in skipped]
    _require_labels_of_these_features(warehouse, plan, labelled)
    with warehouse.transaction():
        for day in plan.dates_to_compute:
            _promote_features(warehouse, day, has_labels=day == plan.as_of)
        # The months that the forecast of demand saw are kept with it: they are few, and judge it later.
        for table in (*FORECAST_TABLES, "category_month_demand"):
            warehouse.move_rows(f"candidate.{table}", f"promoted.{table}", {"as_of_date": plan.as_of})
        _leave_off_calendar_refits(warehouse, plan)
        new_versions = _promote_models(warehouse, plan)
        registered = _register_segments(warehouse, plan.as_of)
        # What was decided since the run was planned stands in the file and waits for the next run.
        planned = {decision.decision_id for decision in context.decisions}
        withdrawn = _withdraw_decisions(warehouse, {*planned, *(each.decision_id for each in decisions_on_file)})
        new_decisions = _apply_decisions(warehouse, context.decisions)
        append_events(warehouse, plan.as_of, new_versions, registered, new_decisions, withdrawn)
        for lens in labelled:
            _promote_labels(warehouse, plan.as_of, lens, context)
        for name in sorted(skipped):
            _withdraw_labels(warehouse, plan.as_of, name, context)
        _clear_run(warehouse, plan)
        # What is published of the date is not what is promoted any more.
        warehouse.rows("delete from pipeline.marts_state")
        warehouse.rows("delete from pipeline.publications where as_of_date = ?", (plan.as_of,))
    counted = warehouse.rows(
        "select lens, count(*) from promoted.labels where as_of_date = ? group by lens order by lens", (plan.as_of,)
    )
    return Promotion(plan.dates_to_compute, {str(lens): int(count) for lens, count in counted})


def labelled_dates(warehouse: Warehouse, lens: str) -> list[date]:
    """Return the dates for which a lens has promoted labels, ascending."""
    return [day for (day,) in warehouse.rows("select as_of_date from promoted.runs where lens = ? order by 1", (lens,))]


def _require_verdict(warehouse: Warehouse, plan: RunPlan, subject: str) -> None:
    found = warehouse.rows(
        "select candidate_hash, passed from pipeline.gate_verdicts where as_of_date = ? and subject = ?",
        (plan.as_of, subject),
    )
    if not found:
        raise GateFailedError(
            f"The {subject} of {plan.as_of} have not been gated: "
            f"run `segmentation gate {subject} --as-of {plan.as_of}`."
        )
    content, passed = found[0]
    if not passed:
        raise GateFailedError(f"The gate on the {subject} of {plan.as_of} failed: nothing is promoted.")
    if content != candidate_hash(warehouse, plan, subject):
        raise GateFailedError(
            f"The {subject} of {plan.as_of} changed after their gate: run "
            f"`segmentation gate {subject} --as-of {plan.as_of}` again."
        )


def _require_forecasts_of_these_features(warehouse: Warehouse, plan: RunPlan) -> None:
    made_beside = warehouse.rows(
        "select distinct inputs_hash from candidate.forecast_models where as_of_date = ?", (plan.as_of,)
    )
    if made_beside != [(forecast_inputs_hash(warehouse, plan.as_of),)]:
        raise GateFailedError(
            f"The candidate of {plan.as_of} has no forecasts made beside its features: run "
            f"`segmentation forecast --as-of {plan.as_of}` and its gate again."
        )


def _require_labels_of_these_features(warehouse: Warehouse, plan: RunPlan, lenses: list[Lens]) -> None:
    content = features_hash(warehouse, "candidate", plan.as_of)
    made_of = {
        str(lens): str(features)
        for lens, features in warehouse.rows(
            "select lens, features_hash from candidate.runs where as_of_date = ?", (plan.as_of,)
        )
    }
    for lens in lenses:
        if made_of.get(lens.name) != content:
            raise GateFailedError(
                f"The candidate of {plan.as_of} has no labels of lens {lens.name} made of its features: run "
                f"`segmentation segment --as-of {plan.as_of}` and its gate again."
            )


def _promote_features(warehouse: Warehouse, day: date, *, has_labels: bool) -> None:
    content = features_hash(warehouse, "candidate", day)
    for table in (*FEATURE_TABLES, "feature_inputs"):
        warehouse.move_rows(f"candidate.{table}", f"promoted.{table}", {"as_of_date": day})
    kept = warehouse.rows("select has_labels from promoted.dates where as_of_date = ?", (day,))
    warehouse.rows("delete from promoted.dates where as_of_date = ?", (day,))
    warehouse.rows(
        "insert into promoted.dates values (?, ?, ?)", (day, has_labels or bool(kept and kept[0][0]), content)
    )


def _promote_models(warehouse: Warehouse, plan: RunPlan) -> list[str]:
    """Promote the models of a run and what its refits came to; return the versions that are new.

    Models are immutable: a version that is there stays. Of one that was long unused only the model itself may be there;
    the rest comes back with it.
    """
    fitted = [
        str(version)
        for (version,) in warehouse.rows(
            "select model_version from candidate.models where run_date = ? order by lens, fitted_as_of, model_version",
            (plan.as_of,),
        )
    ]
    versions = [version for version in fitted if not _is_kept(warehouse, "promoted.models", version)]
    for table in ("models", "model_candidates", "model_samples", "model_origins", "model_segments"):
        for version in fitted:
            if not _is_kept(warehouse, f"promoted.{table}", version):
                key = {"run_date": plan.as_of, "model_version": version}
                warehouse.copy_rows(f"candidate.{table}", f"promoted.{table}", key)
    for lens, refit_date in warehouse.rows(
        "select lens, refit_date from candidate.lineage where run_date = ? order by lens, refit_date", (plan.as_of,)
    ):
        for table in ("lineage", "lineage_dates"):
            key = {"lens": lens, "refit_date": refit_date}
            warehouse.delete(f"promoted.{table}", key)
            warehouse.copy_rows(f"candidate.{table}", f"promoted.{table}", {"run_date": plan.as_of, **key})
    return versions


def _is_kept(warehouse: Warehouse, table: str, model_version: str) -> bool:
    return bool(warehouse.rows(f"select 1 from {table} where model_version = ? limit 1", (model_version,)))


def _leave_off_calendar_refits(warehouse: Warehouse, plan: RunPlan) -> None:
    """Take refits out of the lineage that today's calendar does not have; their models and segments stay."""
    found = warehouse.rows("select distinct refit_date from promoted.lineage")
    for (day,) in found:
        if refit_date_for(day, plan.refit_months) != day:
            for table in ("lineage", "lineage_dates"):
                warehouse.rows(f"delete from promoted.{table} where refit_date = ?", (day,))


def _withdraw_decisions(warehouse: Warehouse, standing: Collection[str]) -> list[Decision]:
    """Take away the decisions whose line is in no file any more, and return them. standing: ids that stay."""
    withdrawn = [each for each in promoted_decisions(warehouse) if each.decision_id not in standing]
    for decision in withdrawn:
        warehouse.rows("delete from promoted.decisions where decision_id = ?", (decision.decision_id,))
    return withdrawn


def _apply_decisions(warehouse: Warehouse, decisions: Sequence[Decision]) -> list[Decision]:
    """Keep the decisions that are not kept yet, and return them; the marts read names and the rest from there."""
    known = {str(decision_id) for (decision_id,) in warehouse.rows("select decision_id from promoted.decisions")}
    new = [decision for decision in decisions if decision.decision_id not in known]
    for decision in new:
        warehouse.rows(
            "insert into promoted.decisions (decision_id, decided_at, kind, lens, refit_date, effective_from,"
            " model_version, segment_key, segment_id, name, decided_by, reason)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                decision.decision_id,
                decision.decided_at,
                decision.kind.value,
                decision.lens,
                decision.refit_date,
                decision.effective_from,
                decision.model_version,
                decision.segment_key,
                decision.segment_id,
                decision.name,
                decision.decided_by,
                decision.reason,
            ),
        )
    return new


def _register_segments(warehouse: Warehouse, run_date: date) -> list[str]:
    """Give new segment keys their id, and return these keys.

    A key that equals an earlier one (the same date's model, fitted anew) takes over its id and name; where both have
    an id already, the younger id is superseded by the older. Two clusters of one model never come to share an id.
    """
    equals = {
        str(later): str(earlier)
        for earlier, later in warehouse.rows(
            "select earlier_key, later_key from candidate.segment_equivalents where run_date = ?"
            " order by later_key, earlier_key desc",
            (run_date,),
        )
    }
    new = warehouse.rows(
        "select lens, segment_key from candidate.segments where run_date = ? order by lens, created_as_of, segment_key",
        (run_date,),
    )
    registered = []
    for lens, key in new:
        if warehouse.rows("select 1 from promoted.segments where segment_key = ?", (key,)):
            continue
        earlier = equals.get(key)
        known = _published_segment(warehouse, earlier) if earlier else None
        if known is not None and known[0] in _ids_beside(warehouse, key):
            known = None
        segment_id, name = known or (_next_segment_id(warehouse, lens), _free_name(warehouse, run_date, lens, key))
        warehouse.rows(
            "insert into promoted.segments by name select * exclude (run_date) replace (cast(? as varchar) as"
            " continues_segment_key, ? as name), ? as segment_id"
            " from candidate.segments where run_date = ? and segment_key = ?",
            (earlier if known else None, name, segment_id, run_date, key),
        )
        warehouse.rows(
            "insert into promoted.segment_parents select lens, segment_key, parent_segment_key"
            " from candidate.segment_parents where run_date = ? and segment_key = ? order by all",
            (run_date, key),
        )
        registered.append(str(key))
    for later, earlier in sorted(equals.items()):
        _supersede(warehouse, earlier, later)
    return registered


def _published_segment(warehouse: Warehouse, key: str) -> tuple[str, str] | None:
    """The id and name under which a key is published, None where it is not registered."""
    found = warehouse.rows(
        f"select segment_id, name from {RESOLVED_SEGMENTS} as segments where segment_key = ?",
        (key,),
    )
    return (str(found[0][0]), str(found[0][1])) if found else None


def _ids_beside(warehouse: Warehouse, key: str) -> set[str]:
    """The ids of the segments that live in one model with a key, itself left out."""
    found = warehouse.rows(
        "select distinct segments.segment_id from promoted.model_segments as own"
        " inner join promoted.model_segments as other on own.model_version = other.model_version"
        f" inner join {RESOLVED_SEGMENTS} as segments on other.segment_key = segments.segment_key"
        " where own.segment_key = ? and other.segment_key != ?",
        (key, key),
    )
    return {str(segment_id) for (segment_id,) in found}


def _free_name(warehouse: Warehouse, run_date: date, lens: str, key: str) -> str:
    """The name found for a new segment, with a number behind it where another id of the lens has it already.

    That happens only where a lineage is extended backwards: within a lineage names are chosen to differ.
    """
    found = warehouse.rows(
        "select name from candidate.segments where run_date = ? and segment_key = ?", (run_date, key)
    )
    name = str(found[0][0])
    taken = {str(other) for (other,) in warehouse.rows("select name from promoted.segments where lens = ?", (lens,))}
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def _next_segment_id(warehouse: Warehouse, lens: str) -> str:
    found = warehouse.rows("select count(distinct segment_id) from promoted.segments where lens = ?", (lens,))
    return f"{lens}-{int(found[0][0]) + 1:02d}"


def _supersede(warehouse: Warehouse, earlier_key: str, later_key: str) -> None:
    """Let the younger of two ids of one segment resolve to the older, whatever either resolved to before."""
    earlier, later = (_published_segment(warehouse, key) for key in (earlier_key, later_key))
    if earlier is None or later is None or earlier[0] == later[0]:
        return
    if earlier[0] in _ids_beside(warehouse, later_key) or later[0] in _ids_beside(warehouse, earlier_key):
        return
    older, younger = sorted((earlier[0], later[0]), key=lambda text: int(text.rpartition("-")[2]))
    lens = warehouse.rows("select lens from promoted.segments where segment_key = ?", (later_key,))[0][0]
    warehouse.rows(
        "update promoted.superseded_segments set superseded_by = ? where superseded_by = ?", (older, younger)
    )
    warehouse.rows("insert into promoted.superseded_segments values (?, ?, ?)", (lens, younger, older))


def _promote_labels(warehouse: Warehouse, as_of: date, lens: Lens, context: RefitContext) -> None:
    key = {"as_of_date": as_of, "lens": lens.name}
    for table in ("labels", "runs", "run_inputs", "run_dates", "segment_alarms"):
        warehouse.move_rows(f"candidate.{table}", f"promoted.{table}", key)
    _put_into_history(warehouse, as_of, lens.name, as_of, context)


def _withdraw_labels(warehouse: Warehouse, as_of: date, lens: str, context: RefitContext) -> None:
    """Take away what a lens found of a date that it has no model for any more; its neighbours meet in the history."""
    if not warehouse.rows("select 1 from promoted.runs where as_of_date = ? and lens = ?", (as_of, lens)):
        return
    for table in ("labels", "runs", "run_inputs", "run_dates", "segment_alarms"):
        warehouse.delete(f"promoted.{table}", {"as_of_date": as_of, "lens": lens})
    next_date = min((day for day in labelled_dates(warehouse, lens) if day > as_of), default=None)
    if next_date is not None:
        _put_into_history(warehouse, next_date, lens, as_of, context)
        return
    warehouse.create_temporary(
        "reopened_history",
        "select lens, customer_id, valid_from, cast(null as date) as valid_to, segment_key, change_cause"
        " from promoted.label_history where lens = $1 and valid_from < $2 and valid_to >= $2",
        (lens, as_of),
    )
    ends = ("valid_from >= $1 or valid_to >= $1", (as_of,))
    warehouse.replace_rows("promoted.label_history", {"lens": lens}, ends, "reopened_history")
    warehouse.drop_temporary("reopened_history")


def _put_into_history(warehouse: Warehouse, as_of: date, lens: str, run_date: date, context: RefitContext) -> None:
    """Tell the history what changed from the labelled date before a date to it, and from it to the one after."""
    others = [day for day in labelled_dates(warehouse, lens) if day != as_of]
    previous_date = max((day for day in others if day < as_of), default=None)
    next_date = min((day for day in others if day > as_of), default=None)
    model = _model_in_effect(warehouse, as_of, lens)

    previous_model = None if previous_date is None else _model_in_effect(warehouse, previous_date, lens)
    _create_labels_of(warehouse, "labels_of_day", as_of, lens)
    if previous_model is None or previous_model.version == model.version:
        warehouse.create_temporary(
            "day_labels", "select customer_id, segment_key, segment_key as under_previous_model from labels_of_day"
        )
    else:
        warehouse.create_temporary(
            "under_previous_model", _keys_under(warehouse, previous_model, as_of, run_date, context)
        )
        warehouse.create_temporary(
            "day_labels",
            "select labels.customer_id, labels.segment_key, under_previous_model.segment_key as under_previous_model"
            " from labels_of_day as labels"
            " left join under_previous_model on labels.customer_id = under_previous_model.customer_id",
        )
    if next_date is None:
        warehouse.create_temporary("next_under_this_model", _KEYS.empty_table())
    elif _model_in_effect(warehouse, next_date, lens).version == model.version:
        _create_labels_of(warehouse, "next_under_this_model", next_date, lens)
    else:
        warehouse.create_temporary("next_under_this_model", _keys_under(warehouse, model, next_date, run_date, context))
    splice_into_history(warehouse, lens, as_of, previous_date, next_date)
    warehouse.drop_temporary("labels_of_day", "day_labels", "next_under_this_model", "under_previous_model")


def _create_labels_of(warehouse: Warehouse, table: str, day: date, lens: str) -> None:
    """Create a temporary table of the segment that each customer had at a labelled date.

    The labels of an old date are dropped in time; the history has its segments for good.
    """
    if warehouse.rows("select 1 from promoted.labels where as_of_date = ? and lens = ? limit 1", (day, lens)):
        origin, values = "promoted.labels where as_of_date = $1 and lens = $2", (day, lens)
    else:
        origin, values = (
            "promoted.label_history where valid_from <= $1 and (valid_to is null or valid_to > $1) and lens = $2"
            " and segment_key is not null",
            (day, lens),
        )
    warehouse.create_temporary(table, f"select customer_id, segment_key from {origin}", values)


def _model_in_effect(warehouse: Warehouse, as_of: date, lens: str) -> Model:
    found = warehouse.rows("select model_version from promoted.runs where as_of_date = ? and lens = ?", (as_of, lens))
    return read_model(warehouse, str(found[0][0]))


def _keys_under(warehouse: Warehouse, model: Model, day: date, run_date: date, context: RefitContext) -> pa.Table:
    """The segment that another model gives the customers of a date; no rows where its features exist no more.

    By the same rule as the labels. Where a date that the rule leans on, or the model's origins, are not kept, by the
    nearest segment: that is so only of a date that is stale, which says it again when it is run.
    """
    features = context.features
    if not features.has([day]) or not features.has_columns(day, model.encoding.columns):
        return _KEYS.empty_table()
    if day >= model.fitted_as_of and features.has(label_dates(model.fitted_as_of, day, features.arrivals)):
        # What this transaction has promoted itself is not there yet for the cursor that reads it.
        fitted_now = warehouse.rows(
            "select 1 from candidate.models where run_date = ? and model_version = ?", (run_date, model.version)
        )
        origins = read_origins(warehouse, model.version, run_date=run_date if fitted_now else None)
        if len(origins.customer_ids):
            ids, clusters = settled_clusters(features, model, origins, day)
            return pa.table({"customer_id": ids, "segment_key": keys_of(model, clusters)})
    ids, clusters = nearest_clusters(features, model, day)
    return pa.table({"customer_id": ids, "segment_key": keys_of(model, clusters)})


def _clear_run(warehouse: Warehouse, plan: RunPlan) -> None:
    """Take away the candidates that no other run under way needs."""
    for table in ("plans", "plan_decisions"):
        warehouse.rows(f"delete from pipeline.{table} where run_date = ?", (plan.as_of,))
    needed = {day for (day,) in warehouse.rows("select as_of_date from pipeline.plans")}
    for table in (*FEATURE_TABLES, "feature_inputs", *FORECAST_INPUTS):
        found = warehouse.rows(f"select distinct as_of_date from candidate.{table}")
        for day in sorted({day for (day,) in found if day is not None} - needed):
            warehouse.delete(f"candidate.{table}", {"as_of_date": day})
    for table in (*FORECAST_TABLES, "labels", "runs", "run_inputs", "run_dates", "skipped_lenses", "segment_alarms"):
        warehouse.delete(f"candidate.{table}", {"as_of_date": plan.as_of})
    for table in MODEL_TABLES:
        warehouse.delete(f"candidate.{table}", {"run_date": plan.as_of})
