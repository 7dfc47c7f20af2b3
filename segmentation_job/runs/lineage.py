"""The models of a lens, one per refit date: each follows the one in effect before it and keeps its segments."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute

from segmentation_job.errors import SegmentationError
from segmentation_job.runs.calendar import RunPlan, fit_dates, label_dates, lookback_date
from segmentation_job.runs.decisions import Decision, DecisionKind, ModelStatus, decision_dates, model_status
from segmentation_job.runs.feature_matrix import DatedFeatures
from segmentation_job.runs.labelling import Origins, nearest_clusters, origins_at_fit, settled_clusters
from segmentation_job.runs.watching import watch_dates
from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.assignment import assign
from segmentation_job.segments.choice import CandidateFigures, Incumbent, Past, choose_model
from segmentation_job.segments.encoding import (
    FeatureValues,
    FloatArray,
    encode,
    fit_encoding,
    idle_feature_warnings,
    signed_log1p,
)
from segmentation_job.segments.errors import LensError, NoClusteringError, NoModelError
from segmentation_job.segments.explanation import name_segments, recommended_action, shallow_rule
from segmentation_job.segments.fitting import fit_model, require_live_features
from segmentation_job.segments.identity import KEPT, Kinship, match_clusters, relate_clusters, segment_key
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.interface import Warehouse

MODEL_TABLES = (
    "models",
    "model_candidates",
    "model_samples",
    "model_segments",
    "model_origins",
    "segments",
    "segment_parents",
    "segment_equivalents",
    "lineage",
    "lineage_dates",
)
"""Candidate tables by run date: what the refits of a run left behind."""

RFM_COLUMNS = (
    "purchase_features.recency_days",
    "purchase_features.order_count_365d",
    "financial_features.spend_amount_365d",
)


@dataclass(frozen=True)
class LineageEntry:
    """What a refit date came to.

    model_version: None where no model could be fitted, for the reason given. parent_version: of the model that was in
    effect then. sample_size: customers fitted on. is_stable: whether it takes effect by itself. leans_on: by date,
    the hash of the features that went into it.
    """

    refit_date: date
    model_version: str | None
    parent_version: str | None
    lens_version: str
    sample_size: int
    is_stable: bool
    reason: str
    leans_on: Mapping[date, str]

    def was_fitted_from(self, other: "LineageEntry") -> bool:
        """Say whether a refit from what the other rests on would be this one."""
        return self._rests_on() == other._rests_on()

    def _rests_on(self) -> tuple[object, ...]:
        return (self.refit_date, self.parent_version, self.lens_version, self.sample_size, dict(self.leans_on))


@dataclass(frozen=True)
class FittedModel:
    """A model that this run fitted, with all that is stored about it.

    parents: pairs of the key of a segment born in it and of one that it was split from or merged of.
    """

    model: Model
    customer_ids: tuple[str, ...]
    clusters: IntArray
    encoded: FloatArray
    candidates: tuple[CandidateFigures, ...]
    segments: tuple[dict[str, object], ...]
    parents: tuple[tuple[str, str], ...]
    origins: Origins
    is_stable: bool
    reason: str


@dataclass(frozen=True)
class Lineage:
    """The refits of a lens up to a date, ascending, and the model in effect there; None where the lens has none.

    origins: of the model in effect. fitted: versions that this run fitted.
    """

    entries: tuple[LineageEntry, ...]
    in_effect: Model | None
    origins: Origins | None
    fitted: frozenset[str]


@dataclass(frozen=True)
class RefitContext:
    """What a walk over the refits of a lens rests on, beside the lens.

    first_customer_date: on which the first customer was seen. sample_size: customers a model is fitted on. warn: told
    what of a lens says nothing, before a model is fitted.
    """

    features: DatedFeatures
    first_customer_date: date
    decisions: Sequence[Decision]
    sample_size: int
    warn: Callable[[str], None] = print


def entry_in_effect(
    lens: str, entries: Sequence[LineageEntry], as_of: date, decisions: Sequence[Decision]
) -> LineageEntry | None:
    """Return the refit whose model is in effect at a date: the newest that is promoted then.

    entries: ascending by refit date. The first model of a lineage has nobody to give way to: it is promoted whatever
    its stability, and stays in effect where every other is held or rejected.
    """
    with_model = [entry for entry in entries if entry.model_version is not None and entry.refit_date <= as_of]
    for entry in reversed(with_model[1:]):
        status = model_status(
            lens,
            entry.refit_date,
            as_of,
            model_version=entry.model_version,
            is_stable=entry.is_stable,
            decisions=decisions,
        )
        if status is ModelStatus.PROMOTED:
            return entry
    return with_model[0] if with_model else None


def models_in_effect(
    lens: str, entries: Sequence[LineageEntry], decisions: Sequence[Decision]
) -> list[tuple[str, date, date | None]]:
    """Return by interval which model is in effect: (model_version, from, until before), the last one open."""
    changes = sorted({entry.refit_date for entry in entries} | set(decision_dates(lens, decisions)))
    intervals: list[tuple[str, date, date | None]] = []
    for day in changes:
        entry = entry_in_effect(lens, entries, day, decisions)
        if entry is None or entry.model_version is None:
            continue
        if intervals and intervals[-1][0] == entry.model_version:
            continue
        if intervals:
            intervals[-1] = (intervals[-1][0], intervals[-1][1], day)
        intervals.append((entry.model_version, day, None))
    return intervals


def read_lineage(warehouse: Warehouse, lens: str) -> dict[date, LineageEntry]:
    """Return the promoted refits of a lens by date."""
    leans_on: dict[date, dict[date, str]] = {}
    for refit_date, day, content in warehouse.rows(
        "select refit_date, leans_on_date, content_hash from promoted.lineage_dates where lens = ?", (lens,)
    ):
        leans_on.setdefault(refit_date, {})[day] = str(content)
    found = warehouse.rows(
        "select refit_date, model_version, parent_version, lens_version, sample_size, is_stable, reason"
        " from promoted.lineage where lens = ? order by refit_date",
        (lens,),
    )
    return {
        day: LineageEntry(day, version, parent, lens_version, sample_size, is_stable, reason, leans_on.get(day, {}))
        for day, version, parent, lens_version, sample_size, is_stable, reason in found
    }


def dates_needed(
    lens: Lens,
    as_of: date,
    refit_dates: Sequence[date],
    entries: Mapping[date, LineageEntry],
    contents: Mapping[date, str],
    context: RefitContext,
) -> frozenset[date]:
    """Return the dates whose features the labels of a date, and the refits still to be done for them, lean on.

    contents: of the promoted dates, the hash of the features, or an empty text where they must be computed again; a
    date that is not kept counts as unchanged. Where a refit is to be done, all later ones are.
    """
    arrivals = context.features.arrivals
    holding = refits_that_hold(lens, refit_dates, entries, contents, context)
    to_do = refit_dates[len(holding) :]
    if not to_do:
        in_effect = entry_in_effect(lens.name, holding, as_of, context.decisions)
        return dates_of_run(in_effect.refit_date if in_effect else refit_dates[0], as_of, refit_dates[0], arrivals)
    has_parent = entry_in_effect(lens.name, holding, to_do[0], context.decisions) is not None
    # Which of the refits to come will be in effect is not known before they are done: as if none of them were. Then
    # the oldest counts that decisions fall back to by then.
    fallbacks = (entry_in_effect(lens.name, holding, day, context.decisions) for day in (*to_do, as_of))
    earliest = min((fallback.refit_date for fallback in fallbacks if fallback is not None), default=to_do[0])
    needed: set[date] = set()
    for refit_date in to_do:
        predecessor = earliest if has_parent or refit_date != to_do[0] else None
        needed |= fit_dates(refit_date, predecessor, context.first_customer_date, arrivals)
    return frozenset(needed | dates_of_run(earliest, as_of, refit_dates[0], arrivals))


def dates_of_run(fitted_as_of: date, as_of: date, lineage_start: date, arrivals: Sequence[date]) -> frozenset[date]:
    """Return the dates whose features a run leans on under a model: those of its labels, and of its weekly check."""
    watched = watch_dates(as_of, lineage_start)
    return label_dates(fitted_as_of, as_of, arrivals) | {*watched, *([fitted_as_of] if watched else [])}


def refits_that_hold(
    lens: Lens,
    refit_dates: Sequence[date],
    entries: Mapping[date, LineageEntry],
    contents: Mapping[date, str],
    context: RefitContext,
) -> list[LineageEntry]:
    """Return the refits, from the first on, that rest on what they would rest on today.

    contents: as in `dates_needed`.
    """
    walked: list[LineageEntry] = []
    for refit_date in refit_dates:
        entry = entries.get(refit_date)
        expected = _expected_entry(lens, refit_date, walked, entry, contents, context)
        if entry is None or expected is None or not entry.was_fitted_from(expected):
            break
        walked.append(entry)
    return walked


def bring_lineage_up_to_date(warehouse: Warehouse, plan: RunPlan, lens: Lens, context: RefitContext) -> Lineage:
    """Walk the refit dates; fit every model whose features, lens or predecessor are not its own any more.

    Writes what it fits to the candidate tables. Where no model can be fitted, the one in effect before stays.
    """
    promoted = read_lineage(warehouse, lens.name)
    names = _known_names(warehouse, lens.name, context.decisions)
    taken: dict[str, str] = {f"renamed to {name}": name for name in _names_by_decision(lens.name, context.decisions)}
    fitted: dict[str, FittedModel] = {}
    entries: list[LineageEntry] = []
    for refit_date in plan.refit_dates:
        days = sorted(_days_of(lens, refit_date, entries, context))
        contents = {day: content for day in days if (content := context.features.content(day))}
        known = promoted.get(refit_date)
        expected = _expected_entry(lens, refit_date, entries, known, contents, context)
        if expected is None:
            lacking = ", ".join(str(day) for day in days if day not in contents)
            raise SegmentationError(
                f"The refit of {refit_date} leans on the features of {lacking}, which are not kept: run "
                f"`segmentation build features --as-of {plan.as_of}` again, which computes them."
            )
        if known is not None and known.was_fitted_from(expected):
            entries.append(known)
        else:
            parent_entry = entry_in_effect(lens.name, entries, refit_date, context.decisions)
            parent, parent_origins = _model_and_origins(warehouse, parent_entry, fitted)
            replaced = known.model_version if known is not None else None
            try:
                new = _fit(lens, refit_date, parent, parent_origins, taken, context)
            except (LensError, NoModelError, NoClusteringError) as error:
                entries.append(replace(expected, reason=str(error)))
            else:
                fitted[new.model.version] = new
                entries.append(
                    replace(expected, model_version=new.model.version, is_stable=new.is_stable, reason=new.reason)
                )
                _write_fitted(warehouse, plan.as_of, new, _equivalents(warehouse, new, replaced, context))
                names |= {str(segment["segment_key"]): str(segment["name"]) for segment in new.segments}
            _write_entry(warehouse, plan.as_of, lens.name, entries[-1])
        version = entries[-1].model_version
        if version is not None:
            keys = (
                fitted[version].model.segment_keys if version in fitted else read_model(warehouse, version).segment_keys
            )
            taken |= {key: names[key] for key in keys}
    in_effect, origins = _model_and_origins(
        warehouse, entry_in_effect(lens.name, entries, plan.as_of, context.decisions), fitted
    )
    return Lineage(tuple(entries), in_effect, origins, frozenset(fitted))


def read_model(warehouse: Warehouse, model_version: str) -> Model:
    """Return a promoted model by its version."""
    found = warehouse.rows("select parameters from promoted.models where model_version = ?", (model_version,))
    return Model.from_json(str(found[0][0]))


def read_origins(warehouse: Warehouse, model_version: str, run_date: date | None = None) -> Origins:
    """Return the clusters of everybody at the fit of a stored model, sorted by customer.

    run_date: of the run that fitted it, where it is not promoted yet.
    """
    table, condition = "promoted.model_origins", ""
    parameters: list[object] = [model_version]
    if run_date is not None:
        table, condition = "candidate.model_origins", " and run_date = ?"
        parameters.append(run_date)
    sql = f"select customer_id, cluster from {table} where model_version = ?{condition} order by customer_id"
    batches = list(warehouse.batches(sql, parameters, 1_000_000))
    if not batches:
        return Origins(pa.array([], pa.string()), np.empty(0, dtype=np.int64))
    table = pa.Table.from_batches(batches)
    return Origins(table.column(0).combine_chunks(), table.column(1).to_numpy().astype(np.int64))


def keys_of(model: Model, clusters: IntArray) -> pa.Array:
    """Return the segment key of each cluster (n,)."""
    return pa.array(model.segment_keys, pa.string()).take(pa.array(clusters, pa.int64()))


def _days_of(lens: Lens, refit_date: date, entries: Sequence[LineageEntry], context: RefitContext) -> frozenset[date]:
    """The dates that a refit leans on, after the refits before it."""
    parent = entry_in_effect(lens.name, entries, refit_date, context.decisions)
    return fit_dates(
        refit_date,
        parent.refit_date if parent is not None else None,
        context.first_customer_date,
        context.features.arrivals,
    )


def _expected_entry(
    lens: Lens,
    refit_date: date,
    entries: Sequence[LineageEntry],
    known: LineageEntry | None,
    contents: Mapping[date, str],
    context: RefitContext,
) -> LineageEntry | None:
    """What a refit would rest on today, without a model; None where it needs a date that is not there."""
    parent = entry_in_effect(lens.name, entries, refit_date, context.decisions)
    leans_on: dict[date, str] = {}
    for day in _days_of(lens, refit_date, entries, context):
        # What is not kept is taken to be what it was.
        content = contents[day] if day in contents else (known.leans_on.get(day) if known is not None else None)
        if not content:
            return None
        leans_on[day] = content
    customers = int(leans_on[refit_date].partition(":")[0])
    return LineageEntry(
        refit_date=refit_date,
        model_version=None,
        parent_version=parent.model_version if parent is not None else None,
        lens_version=lens.version,
        sample_size=min(context.sample_size, customers),
        is_stable=False,
        reason="",
        leans_on=leans_on,
    )


def _model_and_origins(
    warehouse: Warehouse, entry: LineageEntry | None, fitted: Mapping[str, FittedModel]
) -> tuple[Model | None, Origins | None]:
    if entry is None or entry.model_version is None:
        return None, None
    if entry.model_version in fitted:
        return fitted[entry.model_version].model, fitted[entry.model_version].origins
    return read_model(warehouse, entry.model_version), read_origins(warehouse, entry.model_version)


def _fit(
    lens: Lens,
    refit_date: date,
    parent: Model | None,
    parent_origins: Origins | None,
    taken: Mapping[str, str],
    context: RefitContext,
) -> FittedModel:
    """Choose and fit a model, let it keep the predecessor's segments, and name those that are new."""
    features = context.features
    columns = [feature.name for feature in lens.features]
    sampled = features.warehouse.sampled_customers(features.schema(refit_date), refit_date, context.sample_size)
    ids, values = features.values(refit_date, columns, lens.text_columns(), sampled)
    if not ids:
        raise NoModelError(f"lens {lens.name}: nobody is in scope at {refit_date}")
    encoding = fit_encoding(values, lens)
    for warning in idle_feature_warnings(lens, encoding, values):
        context.warn(warning)
    require_live_features(encoding, lens, refit_date)

    everybody: IntArray | None = None
    incumbent = None
    if parent is not None and parent_origins is not None:
        everybody_ids, everybody = settled_clusters(features, parent, parent_origins, refit_date)
        places = pa.compute.index_in(pa.array(ids, pa.string()), everybody_ids).to_numpy(zero_copy_only=False)
        incumbent = Incumbent(parent.algorithm, parent.k, everybody[places.astype(np.int64)])
    choice = choose_model(values, lens, _past(lens, refit_date, context), incumbent)
    model = fit_model(
        values,
        lens,
        choice.algorithm,
        choice.k,
        refit_date,
        parent.version if parent else None,
        start=incumbent.clusters if incumbent is not None and choice.follows_incumbent else None,
    )

    kinships = [Kinship(None, "new", ())] * model.k
    continued: IntArray | None = None
    if parent is not None and everybody is not None:
        _, own = nearest_clusters(features, model, refit_date)
        kinships = relate_clusters(own, everybody, model.k, parent.k)
        continued = np.full(parent.k, -1, dtype=np.int64)
        for cluster, kinship in enumerate(kinships):
            if kinship.continues is not None:
                continued[kinship.continues] = cluster
    origins = origins_at_fit(features, model, everybody, continued)
    model = replace(model, origins_hash=_origins_hash(origins))
    model = replace(
        model,
        segment_keys=tuple(
            parent.segment_keys[kinship.continues]
            if parent is not None and kinship.continues is not None
            else segment_key(lens.name, model.version, cluster)
            for cluster, kinship in enumerate(kinships)
        ),
        relations=tuple(kinship.relation for kinship in kinships),
    )
    clusters = assign(model, values).cluster
    segments = _new_segments(model, lens, values, clusters, taken)
    parents = tuple(
        (model.segment_keys[cluster], parent.segment_keys[index])
        for cluster, kinship in enumerate(kinships)
        for index in kinship.parents
        if parent is not None
    )
    return FittedModel(
        model,
        tuple(ids),
        clusters,
        encode(values, model.encoding),
        choice.candidates,
        segments,
        parents,
        origins,
        choice.is_stable,
        choice.reason,
    )


def _past(lens: Lens, refit_date: date, context: RefitContext) -> Past | None:
    """What was known 90 days before a refit, and what came since; None without enough of a history."""
    day = lookback_date(refit_date, context.first_customer_date)
    if day is None:
        return None
    features = context.features
    sampled = features.warehouse.sampled_customers(features.schema(day), day, context.sample_size)
    columns = [feature.name for feature in lens.features]
    ids, values = features.values(day, columns, lens.text_columns(), sampled)
    _, rfm = features.values(day, RFM_COLUMNS, (), sampled)
    came = [outcome.name for outcome in lens.objective.outcomes]
    later_ids, later = features.values(refit_date, came, (), ids)
    places = {customer_id: place for place, customer_id in enumerate(later_ids)}
    raw = np.zeros((len(ids), len(came)))
    known = np.array([customer_id in places for customer_id in ids], dtype=bool)
    raw[known] = later.numbers[[places[customer_id] for customer_id in ids if customer_id in places]]
    measures = [outcome.measure for outcome in lens.objective.outcomes]
    return Past(
        values,
        np.column_stack([measured_outcome(raw[:, index], name) for index, name in enumerate(measures)]),
        rfm.numbers,
    )


def measured_outcome(raw: FloatArray, measure: str) -> FloatArray:
    """Return an outcome as it is predicted (n,): its logarithm, whether there is any, or as it is.

    raw: (n,), null is 0. measure: as a lens's objective names it.
    """
    known: FloatArray = np.where(np.isnan(raw), 0.0, raw)
    if measure == "log":
        return signed_log1p(known)
    return (known > 0).astype(np.float64) if measure == "any" else known


def _origins_hash(origins: Origins) -> str:
    digest = hashlib.sha256()
    for customer_id, cluster in zip(origins.customer_ids.to_pylist(), origins.cluster.tolist(), strict=True):
        digest.update(f"{customer_id}\t{cluster}\n".encode())
    return digest.hexdigest()[:16]


def _new_segments(
    model: Model, lens: Lens, values: FeatureValues, clusters: IntArray, taken: Mapping[str, str]
) -> tuple[dict[str, object], ...]:
    """What the registry keeps of each segment that is born in a model."""
    texts = name_segments(values, model.encoding, clusters, lens, taken, model.segment_keys)
    segments: list[dict[str, object]] = []
    for cluster, (key, relation, text) in enumerate(zip(model.segment_keys, model.relations, texts, strict=True)):
        if relation == KEPT:
            continue
        rule = shallow_rule(values, clusters, cluster, lens)
        segments.append(
            {
                "lens": lens.name,
                "segment_key": key,
                "continues_segment_key": None,
                "name": text.name,
                "description": text.description,
                "rule": rule.text,
                "rule_precision": rule.precision,
                "rule_recall": rule.recall,
                "recommended_action": recommended_action(text.traits, lens),
                "birth_model_version": model.version,
                "created_as_of": model.fitted_as_of,
                "relation": relation,
            }
        )
    return tuple(segments)


def _known_names(warehouse: Warehouse, lens: str, decisions: Sequence[Decision]) -> dict[str, str]:
    """The name of every registered segment key, as people see it."""
    names = {
        str(key): str(name)
        for key, name in warehouse.rows("select segment_key, name from promoted.segments where lens = ?", (lens,))
    }
    renamed = {
        decision.segment_key: decision.name
        for decision in decisions
        if decision.kind is DecisionKind.RENAME and decision.segment_key in names
    }
    return names | {str(key): str(name) for key, name in renamed.items()}


def _names_by_decision(lens: str, decisions: Sequence[Decision]) -> Collection[str]:
    return [
        str(decision.name) for decision in decisions if decision.kind is DecisionKind.RENAME and decision.lens == lens
    ]


def _equivalents(
    warehouse: Warehouse, new: FittedModel, replaced_version: str | None, context: RefitContext
) -> tuple[tuple[str, str], ...]:
    """Pairs of an earlier and a later key that are one segment: of the model replaced at a date, and of the new one.

    A key that both models have stands for itself and for nothing else: else one id would end on two clusters.
    """
    if replaced_version is None:
        return ()
    replaced = read_model(warehouse, replaced_version)
    own = replaced.encoding
    day = new.model.fitted_as_of
    # By its own columns: the lens may have others by now.
    if not context.features.has_columns(day, own.columns):
        return ()
    _, own_values = context.features.values(day, own.columns, own.text_columns, list(new.customer_ids))
    seen_by_replaced = np.array(replaced.segment_keys, dtype=object)[assign(replaced, own_values).cluster]
    matched = match_clusters(new.clusters, seen_by_replaced, new.model.k)
    return tuple(
        (earlier, later)
        for earlier, later in zip(matched, new.model.segment_keys, strict=True)
        if earlier is not None and earlier not in new.model.segment_keys and later not in replaced.segment_keys
    )


def _write_entry(warehouse: Warehouse, run_date: date, lens: str, entry: LineageEntry) -> None:
    warehouse.append(
        "candidate.lineage",
        pa.table(
            {
                "run_date": pa.array([run_date], pa.date32()),
                "lens": pa.array([lens], pa.string()),
                "refit_date": pa.array([entry.refit_date], pa.date32()),
                "model_version": pa.array([entry.model_version], pa.string()),
                "parent_version": pa.array([entry.parent_version], pa.string()),
                "lens_version": pa.array([entry.lens_version], pa.string()),
                "sample_size": pa.array([entry.sample_size], pa.int64()),
                "is_stable": pa.array([entry.is_stable], pa.bool_()),
                "reason": pa.array([entry.reason], pa.string()),
            }
        ),
    )
    warehouse.append(
        "candidate.lineage_dates",
        pa.Table.from_pylist(
            [
                {
                    "run_date": run_date,
                    "lens": lens,
                    "refit_date": entry.refit_date,
                    "leans_on_date": day,
                    "content_hash": content,
                }
                for day, content in sorted(entry.leans_on.items())
            ]
        ),
    )


def _write_fitted(
    warehouse: Warehouse, run_date: date, new: FittedModel, equivalents: tuple[tuple[str, str], ...]
) -> None:
    model = new.model
    identity = {"run_date": run_date, "model_version": model.version}
    of_lens = {"lens": model.lens_name, "fitted_as_of": model.fitted_as_of}
    warehouse.append(
        "candidate.models",
        pa.Table.from_pylist(
            [
                {
                    **identity,
                    **of_lens,
                    "lens_version": model.lens_version,
                    "algorithm": model.algorithm,
                    "k": model.k,
                    "parent_version": model.parent_version,
                    "customers_fitted": len(new.customer_ids),
                    "parameters": model.to_json(),
                }
            ]
        ),
    )
    warehouse.append(
        "candidate.model_candidates",
        pa.Table.from_pylist([{**identity, **of_lens, **asdict(candidate)} for candidate in new.candidates]),
    )
    warehouse.append(
        "candidate.model_samples",
        pa.table(
            {
                "run_date": pa.array([run_date] * len(new.customer_ids), pa.date32()),
                "model_version": pa.array([model.version] * len(new.customer_ids), pa.string()),
                "customer_id": pa.array(new.customer_ids, pa.string()),
                "cluster": pa.array(new.clusters, pa.int32()),
                "encoded": pa.array(new.encoded.round(6).tolist(), pa.list_(pa.float64())),
            }
        ),
    )
    warehouse.append(
        "candidate.model_origins",
        pa.table(
            {
                "run_date": pa.array([run_date] * len(new.origins.cluster), pa.date32()),
                "model_version": pa.array([model.version] * len(new.origins.cluster), pa.string()),
                "customer_id": new.origins.customer_ids,
                "cluster": pa.array(new.origins.cluster, pa.int32()),
            }
        ),
    )
    warehouse.append(
        "candidate.model_segments",
        pa.Table.from_pylist(
            [
                {**identity, "cluster": cluster, "segment_key": key, "relation": relation}
                for cluster, (key, relation) in enumerate(zip(model.segment_keys, model.relations, strict=True))
            ]
        ),
    )
    if new.segments:
        rows = pa.Table.from_pylist([{"run_date": run_date, **segment} for segment in new.segments])
        warehouse.append("candidate.segments", rows)
    for key, parent_key in new.parents:
        warehouse.rows(
            "insert into candidate.segment_parents values (?, ?, ?, ?)", (run_date, model.lens_name, key, parent_key)
        )
    for earlier, later in equivalents:
        warehouse.rows(
            "insert into candidate.segment_equivalents values (?, ?, ?, ?)", (run_date, model.lens_name, earlier, later)
        )
