"""The models of a lens, one per refit date: each follows its predecessor and keeps its segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from segmentation_job.runs.calendar import RunPlan
from segmentation_job.runs.feature_matrix import features_hash, has_columns, read_values
from segmentation_job.runs.state import fitting_hash, promoted_dates, read_lineage
from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.assignment import assign
from segmentation_job.segments.choice import CandidateFigures, choose_model
from segmentation_job.segments.encoding import FeatureValues, FloatArray, encode, fit_encoding
from segmentation_job.segments.explanation import name_segments, recommended_action, shallow_rule
from segmentation_job.segments.fitting import fit_model, require_live_features
from segmentation_job.segments.identity import NEW, carry_identities, match_clusters
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.interface import Warehouse

MODEL_TABLES = (
    "models",
    "model_candidates",
    "model_samples",
    "model_segments",
    "segments",
    "segment_equivalents",
)
"""Candidate tables by run date: what the models that a run fitted leave behind."""


@dataclass(frozen=True)
class FittedModel:
    """A model that this run fitted, with all that is stored about it."""

    model: Model
    fitting_hash: str
    customer_ids: tuple[str, ...]
    clusters: IntArray
    encoded: FloatArray
    candidates: tuple[CandidateFigures, ...]
    segments: tuple[dict[str, object], ...]


@dataclass(frozen=True)
class Lineage:
    """The model in effect at a date, and those that had to be fitted to have it, ascending by refit date."""

    in_effect: Model
    fitted: tuple[FittedModel, ...]


def bring_lineage_up_to_date(warehouse: Warehouse, plan: RunPlan, lens: Lens, sample_size: int) -> Lineage:
    """Walk the refit dates; fit every model whose features, lens or predecessor are not its own any more.

    sample_size: customers a model is fitted on. Writes what it fits to the candidate tables.
    """
    promoted = promoted_dates(warehouse)
    lineage = read_lineage(warehouse, lens.name)
    names = {
        str(key): str(name)
        for key, name in warehouse.rows("select segment_key, name from promoted.segments where lens = ?", (lens.name,))
    }
    taken: dict[str, str] = {}
    fitted: list[FittedModel] = []
    parent: Model | None = None
    for refit_date in plan.refit_dates:
        schema = "candidate" if refit_date in plan.dates_to_compute else "promoted"
        content = features_hash(warehouse, schema, refit_date) if schema == "candidate" else promoted[refit_date]
        fitted_from = fitting_hash(content, sample_size)
        entry = lineage.get(refit_date)
        parent_version = parent.version if parent else None
        if entry is not None and entry.was_fitted_from(parent_version, lens.version, fitted_from):
            parent = read_model(warehouse, entry.model_version)
        else:
            sampled = warehouse.sampled_customers(schema, refit_date, sample_size)
            replaced = read_model(warehouse, entry.model_version) if entry is not None else None
            seen_by_replaced = None
            if replaced is not None and has_columns(warehouse, schema, replaced.encoding.columns):
                # By its own columns: the lens may have others by now.
                own = replaced.encoding
                _, own_values = read_values(warehouse, schema, refit_date, own.columns, own.text_columns, sampled)
                seen_by_replaced = keys_by_customer(replaced, own_values)
            columns = [feature.name for feature in lens.features]
            ids, values = read_values(warehouse, schema, refit_date, columns, lens.text_columns(), sampled)
            new = _fit(ids, values, lens, refit_date, fitted_from, parent, taken)
            equivalents = _equivalents(new, replaced, seen_by_replaced)
            _write_fitted(warehouse, plan.as_of, new, equivalents)
            fitted.append(new)
            parent = new.model
            names |= {str(segment["segment_key"]): str(segment["name"]) for segment in new.segments}
        taken |= {key: names[key] for key in parent.segment_keys}
    assert parent is not None, "a plan has at least one refit date"
    return Lineage(parent, tuple(fitted))


def read_model(warehouse: Warehouse, model_version: str) -> Model:
    """Return a promoted model by its version."""
    found = warehouse.rows("select parameters from promoted.models where model_version = ?", (model_version,))
    return Model.from_json(str(found[0][0]))


def _fit(
    ids: list[str],
    values: FeatureValues,
    lens: Lens,
    refit_date: date,
    fitted_from: str,
    parent: Model | None,
    taken: Mapping[str, str],
) -> FittedModel:
    """Choose and fit a model, let it keep the predecessor's segments, and name those that are new."""
    encoding = fit_encoding(values, lens)
    require_live_features(encoding, lens, refit_date)
    X = encode(values, encoding)
    choice = choose_model(X, lens, lens.seed)
    model = fit_model(values, lens, choice.algorithm, choice.k, refit_date, parent.version if parent else None)
    clusters = assign(model, values).cluster
    if parent is not None:
        model = carry_identities(model, clusters, keys_by_customer(parent, values))
    segments = _new_segments(model, lens, values, clusters, taken)
    return FittedModel(model, fitted_from, tuple(ids), clusters, X, choice.candidates, segments)


def _new_segments(
    model: Model, lens: Lens, values: FeatureValues, clusters: IntArray, taken: Mapping[str, str]
) -> tuple[dict[str, object], ...]:
    """What the registry keeps of each segment that is born in a model."""
    texts = name_segments(values, model.encoding, clusters, lens, taken, model.segment_keys)
    segments: list[dict[str, object]] = []
    for cluster, (key, relation, text) in enumerate(zip(model.segment_keys, model.relations, texts, strict=True)):
        if relation != NEW:
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


def _equivalents(
    new: FittedModel, replaced: Model | None, seen_by_replaced: np.ndarray | None
) -> tuple[tuple[str, str], ...]:
    """Pairs of an earlier and a later key that are one segment: of the model replaced at a date, and of the new one.

    A key that both models have stands for itself and for nothing else: else one id would end on two clusters.
    """
    if replaced is None or seen_by_replaced is None:
        return ()
    matched = match_clusters(new.clusters, seen_by_replaced, new.model.k)
    return tuple(
        (earlier, later)
        for earlier, later in zip(matched, new.model.segment_keys, strict=True)
        if earlier is not None and earlier not in new.model.segment_keys and later not in replaced.segment_keys
    )


def keys_by_customer(model: Model, values: FeatureValues) -> np.ndarray:
    """Return the segment key (n,) that a model gives each customer. values: (n, d) by the model's own columns."""
    return np.array(model.segment_keys, dtype=object)[assign(model, values).cluster]


def _write_fitted(
    warehouse: Warehouse, run_date: date, new: FittedModel, equivalents: tuple[tuple[str, str], ...]
) -> None:
    model = new.model
    identity = {"run_date": run_date, "model_version": model.version}
    warehouse.append(
        "candidate.models",
        pa.Table.from_pylist(
            [
                {
                    **identity,
                    "lens": model.lens_name,
                    "lens_version": model.lens_version,
                    "algorithm": model.algorithm,
                    "k": model.k,
                    "fitted_as_of": model.fitted_as_of,
                    "parent_version": model.parent_version,
                    "fitting_hash": new.fitting_hash,
                    "customers_fitted": len(new.customer_ids),
                    "parameters": model.to_json(),
                }
            ]
        ),
    )
    warehouse.append(
        "candidate.model_candidates",
        pa.Table.from_pylist(
            [
                {
                    **identity,
                    "lens": model.lens_name,
                    "fitted_as_of": model.fitted_as_of,
                    "algorithm": candidate.algorithm,
                    "k": candidate.k,
                    "inertia": candidate.inertia,
                    "davies_bouldin": candidate.davies_bouldin,
                    "silhouette": candidate.silhouette,
                    "smallest_share": candidate.smallest_share,
                    "jaccard_stability": candidate.jaccard_stability,
                    "passed_gates": candidate.passed_gates,
                    "is_winner": candidate.is_winner,
                    "reason": candidate.reason,
                }
                for candidate in new.candidates
            ]
        ),
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
    for earlier, later in equivalents:
        warehouse.rows(
            "insert into candidate.segment_equivalents values (?, ?, ?, ?)", (run_date, model.lens_name, earlier, later)
        )
