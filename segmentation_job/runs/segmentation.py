"""The run's own step: fit or reuse the models, score everyone, write the candidate labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute
from threadpoolctl import threadpool_limits

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.calendar import RunPlan
from segmentation_job.runs.state import fitting_hash, promoted_dates, read_lineage
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.assignment import Assignment, assign
from segmentation_job.segments.choice import CandidateFigures, choose_model
from segmentation_job.segments.encoding import FloatArray, encode, fit_encoding
from segmentation_job.segments.explanation import name_segments, recommended_action, shallow_rule
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.identity import NEW, carry_identities, match_clusters
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES

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
    reason: str
    segments: tuple[dict[str, object], ...]
    equivalents: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LensOutcome:
    """What became of one lens: the model in effect, whether this run fitted it, and whom it scored."""

    lens: str
    model_version: str
    is_new_model: bool
    k: int
    customers: int
    reason: str


def segment_date(
    warehouse: Warehouse,
    plan: RunPlan,
    lenses: list[Lens],
    versions: LogicVersions,
    *,
    sample_size: int,
    batch_size: int,
) -> list[LensOutcome]:
    """Write the candidate labels of a date for every lens, with the models that they need.

    sample_size: customers a model is fitted on. batch_size: customers scored at a time. Replaces what an earlier
    attempt for the same date left behind; nothing promoted is touched.
    """
    if not lenses:
        raise MisconfiguredError("There is no lens: put at least one YAML file into the lenses folder.")
    with threadpool_limits(limits=1), warehouse.transaction():
        _clear_candidates(warehouse, plan.as_of)
        return [
            _segment_lens(warehouse, plan, lens, versions, sample_size=sample_size, batch_size=batch_size)
            for lens in lenses
        ]


def features_hash(warehouse: Warehouse, schema: str, as_of: date) -> str:
    """Return a hash of the features of a date, over all four tables."""
    return "/".join(warehouse.content_hash(f"{schema}.{table}", {"as_of_date": as_of}) for table in FEATURE_TABLES)


def read_model(warehouse: Warehouse, model_version: str) -> Model:
    """Return a promoted model by its version."""
    found = warehouse.rows("select parameters from promoted.models where model_version = ?", (model_version,))
    return Model.from_json(str(found[0][0]))


def read_values(
    warehouse: Warehouse, schema: str, as_of: date, lens: Lens, customers: list[str] | None = None
) -> tuple[list[str], FloatArray]:
    """Return the ids, sorted, and the lens's features (n, d) of a date's customers, or of those given."""
    ids: list[str] = []
    parts: list[FloatArray] = []
    wanted = None if customers is None else pa.array(customers, pa.string())
    for batch in warehouse.batches(warehouse.feature_sql(schema, lens.columns_by_table()), (as_of,), 250_000):
        chosen = batch if wanted is None else batch.filter(pa.compute.is_in(batch.column(0), wanted))
        ids.extend(chosen.column(0).to_pylist())
        parts.append(_matrix(chosen, lens))
    width = len(lens.features)
    return ids, np.concatenate(parts) if parts else np.empty((0, width))


def _matrix(batch: pa.RecordBatch, lens: Lens) -> FloatArray:
    """The lens's features in its own order, NaN where null. The query groups them by table."""
    columns = [batch.column(batch.schema.get_field_index(feature.name)) for feature in lens.features]
    return np.column_stack([column.to_numpy(zero_copy_only=False).astype(np.float64) for column in columns])


def _clear_candidates(warehouse: Warehouse, as_of: date) -> None:
    for table in ("labels", "runs", "run_inputs"):
        warehouse.rows(f"delete from candidate.{table} where as_of_date = ?", (as_of,))
    for table in MODEL_TABLES:
        warehouse.rows(f"delete from candidate.{table} where run_date = ?", (as_of,))


def _segment_lens(
    warehouse: Warehouse, plan: RunPlan, lens: Lens, versions: LogicVersions, *, sample_size: int, batch_size: int
) -> LensOutcome:
    fitted = _bring_models_up_to_date(warehouse, plan, lens, sample_size)
    for new in fitted:
        _write_fitted(warehouse, plan.as_of, new)
    lineage = read_lineage(warehouse, lens.name)
    last = fitted[-1] if fitted else None
    model = last.model if last else read_model(warehouse, lineage[plan.refit_dates[-1]].model_version)
    if last is not None:
        figures = next(candidate for candidate in last.candidates if candidate.is_winner)
        reason = last.reason
    else:
        figures, reason = _stored_figures(warehouse, model)

    totals = _Totals(model.k)
    for batch in warehouse.batches(
        warehouse.feature_sql("candidate", lens.columns_by_table()), (plan.as_of,), batch_size
    ):
        values = _matrix(batch, lens)
        assignment = assign(model, values)
        totals.add(assignment, values)
        warehouse.append("candidate.labels", _label_rows(plan.as_of, model, batch.column(0), assignment))
    _write_run(warehouse, plan, lens, versions, model, figures, reason, totals)
    return LensOutcome(lens.name, model.version, last is not None, model.k, totals.customers, reason)


def _bring_models_up_to_date(warehouse: Warehouse, plan: RunPlan, lens: Lens, sample_size: int) -> list[FittedModel]:
    """Walk the lineage from its start; fit every model whose features, lens or predecessor are not its own any more."""
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
            replaced = read_model(warehouse, entry.model_version) if entry is not None else None
            new = _fit(warehouse, schema, refit_date, lens, fitted_from, parent, replaced, taken, sample_size)
            fitted.append(new)
            parent = new.model
            names |= {str(segment["segment_key"]): str(segment["name"]) for segment in new.segments}
        taken |= {key: names[key] for key in parent.segment_keys}
    return fitted


def _fit(
    warehouse: Warehouse,
    schema: str,
    refit_date: date,
    lens: Lens,
    fitted_from: str,
    parent: Model | None,
    replaced: Model | None,
    taken: Mapping[str, str],
    sample_size: int,
) -> FittedModel:
    sampled = warehouse.sampled_customers(schema, refit_date, sample_size)
    ids, values = read_values(warehouse, schema, refit_date, lens, sampled)
    X = encode(values, fit_encoding(values, lens))
    choice = choose_model(X, lens, lens.seed)
    model = fit_model(values, lens, choice.algorithm, choice.k, refit_date, parent.version if parent else None)
    clusters = assign(model, values).cluster
    if parent is not None:
        model = carry_identities(model, clusters, _keys_by_customer(parent, values))
    equivalents: tuple[tuple[str, str], ...] = ()
    if replaced is not None:
        matched = match_clusters(clusters, _keys_by_customer(replaced, values), model.k)
        equivalents = tuple(
            (earlier, later)
            for earlier, later in zip(matched, model.segment_keys, strict=True)
            if earlier is not None and earlier != later
        )
    texts = name_segments(X, clusters, lens, taken, model.segment_keys, values)
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
                "created_as_of": refit_date,
                "relation": relation,
            }
        )
    return FittedModel(
        model, fitted_from, tuple(ids), clusters, X, choice.candidates, choice.reason, tuple(segments), equivalents
    )


def _keys_by_customer(model: Model, values: FloatArray) -> np.ndarray:
    return np.array(model.segment_keys, dtype=object)[assign(model, values).cluster]


def _write_fitted(warehouse: Warehouse, run_date: date, new: FittedModel) -> None:
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
    for earlier, later in new.equivalents:
        warehouse.rows(
            "insert into candidate.segment_equivalents values (?, ?, ?, ?)", (run_date, model.lens_name, earlier, later)
        )


def _label_rows(as_of: date, model: Model, customer_ids: pa.Array, assignment: Assignment) -> pa.Table:
    n = len(customer_ids)
    keys = pa.array(model.segment_keys, pa.string())
    return pa.table(
        {
            "as_of_date": pa.array([as_of] * n, pa.date32()),
            "lens": pa.array([model.lens_name] * n, pa.string()),
            "customer_id": customer_ids,
            "model_version": pa.array([model.version] * n, pa.string()),
            "cluster": pa.array(assignment.cluster, pa.int32()),
            "segment_key": keys.take(pa.array(assignment.cluster, pa.int64())),
            "confidence": pa.array(assignment.confidence, pa.float64()),
            "is_outlier": pa.array(assignment.is_outlier, pa.bool_()),
            "distance": pa.array(assignment.distance, pa.float64()),
        }
    )


class _Totals:
    """Figures of a scoring, gathered batch by batch; distances in millionths, so that their sum is exact."""

    def __init__(self, k: int) -> None:
        self.sizes = np.zeros(k, dtype=np.int64)
        self.distance_millionths = 0
        self.outliers = 0
        self.missing = 0
        self.cells = 0

    @property
    def customers(self) -> int:
        return int(self.sizes.sum())

    def add(self, assignment: Assignment, values: FloatArray) -> None:
        self.sizes += np.bincount(assignment.cluster, minlength=len(self.sizes))
        self.distance_millionths += int(np.rint(assignment.distance * 1e6).astype(np.int64).sum())
        self.outliers += int(assignment.is_outlier.sum())
        self.missing += int(np.isnan(values).sum())
        self.cells += values.size


def _stored_figures(warehouse: Warehouse, model: Model) -> tuple[CandidateFigures, str]:
    found = warehouse.rows(
        "select algorithm, k, inertia, davies_bouldin, silhouette, smallest_share, jaccard_stability, passed_gates,"
        " is_winner, reason from promoted.model_candidates where model_version = ? and is_winner",
        (model.version,),
    )
    figures = CandidateFigures(*found[0])
    return figures, figures.reason


def _write_run(
    warehouse: Warehouse,
    plan: RunPlan,
    lens: Lens,
    versions: LogicVersions,
    model: Model,
    figures: CandidateFigures,
    reason: str,
    totals: _Totals,
) -> None:
    customers = totals.customers
    warehouse.append(
        "candidate.runs",
        pa.Table.from_pylist(
            [
                {
                    "as_of_date": plan.as_of,
                    "lens": lens.name,
                    "model_version": model.version,
                    "algorithm": model.algorithm,
                    "k": model.k,
                    "customers": customers,
                    "mean_squared_distance": round(totals.distance_millionths / 1e6 / customers, 6),
                    "davies_bouldin": figures.davies_bouldin,
                    "silhouette": figures.silhouette,
                    "jaccard_stability": figures.jaccard_stability,
                    "smallest_share": round(int(totals.sizes.min()) / customers, 6),
                    "outlier_share": round(totals.outliers / customers, 6),
                    "imputed_share": round(totals.missing / totals.cells, 6),
                    "choice_reason": reason,
                    "lineage_start": plan.lineage_start,
                }
            ]
        ),
    )
    rows_hash = warehouse.rows("select rows_hash from candidate.feature_inputs where as_of_date = ?", (plan.as_of,))
    inputs = {
        "rows_in_scope": str(rows_hash[0][0]),
        "features_logic": versions.features,
        "lens": lens.version,
        "model": model.version,
    }
    for name, content in inputs.items():
        warehouse.rows("insert into candidate.run_inputs values (?, ?, ?, ?)", (plan.as_of, lens.name, name, content))
