"""The run's own step: fit or reuse the models, score everyone, write the candidate labels."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.calendar import RunPlan
from segmentation_job.runs.feature_matrix import features_hash, read_batches
from segmentation_job.runs.lineage import MODEL_TABLES, Lineage, bring_lineage_up_to_date
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.segments.assignment import Assignment, assign
from segmentation_job.segments.choice import CandidateFigures
from segmentation_job.segments.encoding import FeatureValues, missing_values
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.interface import Warehouse


@dataclass(frozen=True)
class LensOutcome:
    """What became of one lens: the model in effect, whether this run fitted it, and whom it scored.

    idle_features: those that were constant or empty when the model was fitted, and say nothing. missing_shares: by
    feature, of the customers scored, where any is missing.
    """

    lens: str
    model_version: str
    is_new_model: bool
    k: int
    customers: int
    reason: str
    idle_features: tuple[str, ...]
    missing_shares: dict[str, float]


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
        raise MisconfiguredError("No lens runs on this source: `segmentation check` says why each is skipped.")
    with threadpool_limits(limits=1), warehouse.transaction():
        _clear_candidates(warehouse, plan.as_of)
        return [
            _segment_lens(warehouse, plan, lens, versions, sample_size=sample_size, batch_size=batch_size)
            for lens in lenses
        ]


def _clear_candidates(warehouse: Warehouse, as_of: date) -> None:
    for table in ("labels", "runs", "run_inputs"):
        warehouse.rows(f"delete from candidate.{table} where as_of_date = ?", (as_of,))
    for table in MODEL_TABLES:
        warehouse.rows(f"delete from candidate.{table} where run_date = ?", (as_of,))


def _segment_lens(
    warehouse: Warehouse, plan: RunPlan, lens: Lens, versions: LogicVersions, *, sample_size: int, batch_size: int
) -> LensOutcome:
    lineage = bring_lineage_up_to_date(warehouse, plan, lens, sample_size)
    model = lineage.in_effect
    figures = _winning_figures(warehouse, lineage)
    totals = _Totals(model)
    encoding = model.encoding
    for ids, values in read_batches(
        warehouse, "candidate", plan.as_of, encoding.columns, encoding.text_columns, batch_size
    ):
        assignment = assign(model, values)
        totals.add(assignment, values)
        warehouse.append("candidate.labels", _label_rows(plan.as_of, model, ids, assignment))
    _write_run(warehouse, plan, lens, versions, model, figures, totals)
    is_new = any(fitted.model.version == model.version for fitted in lineage.fitted)
    return LensOutcome(
        lens.name,
        model.version,
        is_new,
        model.k,
        totals.customers,
        figures.reason,
        encoding.idle_features,
        totals.missing_shares(),
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

    def __init__(self, model: Model) -> None:
        self.encoding = model.encoding
        self.sizes = np.zeros(model.k, dtype=np.int64)
        self.distance_millionths = 0
        self.outliers = 0
        self.missing = np.zeros(len(model.encoding.features), dtype=np.int64)

    @property
    def customers(self) -> int:
        return int(self.sizes.sum())

    @property
    def imputed_share(self) -> float:
        return round(int(self.missing.sum()) / (self.customers * len(self.missing)), 6)

    def missing_shares(self) -> dict[str, float]:
        shares = (self.missing / self.customers).round(6).tolist()
        return {name: share for name, share in zip(self.encoding.columns, shares, strict=True) if share}

    def add(self, assignment: Assignment, values: FeatureValues) -> None:
        self.sizes += np.bincount(assignment.cluster, minlength=len(self.sizes))
        self.distance_millionths += int(np.rint(assignment.distance * 1e6).astype(np.int64).sum())
        self.outliers += int(assignment.is_outlier.sum())
        self.missing += missing_values(values, self.encoding).sum(axis=0)


def _winning_figures(warehouse: Warehouse, lineage: Lineage) -> CandidateFigures:
    """The figures with which the model in effect was chosen, in this run or in an earlier one."""
    version = lineage.in_effect.version
    for fitted in lineage.fitted:
        if fitted.model.version == version:
            return next(candidate for candidate in fitted.candidates if candidate.is_winner)
    found = warehouse.rows(
        "select algorithm, k, inertia, davies_bouldin, silhouette, smallest_share, jaccard_stability, passed_gates,"
        " is_winner, reason from promoted.model_candidates where model_version = ? and is_winner",
        (version,),
    )
    return CandidateFigures(*found[0])


def _write_run(
    warehouse: Warehouse,
    plan: RunPlan,
    lens: Lens,
    versions: LogicVersions,
    model: Model,
    figures: CandidateFigures,
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
                    "imputed_share": totals.imputed_share,
                    "choice_reason": figures.reason,
                    "features_hash": features_hash(warehouse, "candidate", plan.as_of),
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
