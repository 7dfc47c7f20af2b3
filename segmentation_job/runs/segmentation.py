"""The run's own step: fit or reuse the models, score everyone, write the candidate labels."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.calendar import RunPlan, label_dates
from segmentation_job.runs.feature_matrix import ReadFeatures
from segmentation_job.runs.labelling import Origins, settled_labels
from segmentation_job.runs.lineage import (
    MODEL_TABLES,
    Lineage,
    RefitContext,
    bring_lineage_up_to_date,
    dates_of_run,
    keys_of,
)
from segmentation_job.runs.versions import LogicVersions
from segmentation_job.runs.watching import watch_dates, watch_lens, write_alarms
from segmentation_job.segments.assignment import Assignment
from segmentation_job.segments.encoding import FeatureValues, missing_values
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.segments.watching import Alarm
from segmentation_job.warehouse.interface import Warehouse

ORIGINS_QUERY = "origins"
CHOICE_FIGURES = ("davies_bouldin", "silhouette", "jaccard_stability", "held_out_value", "reason")


@dataclass(frozen=True)
class LensOutcome:
    """What became of one lens: the model in effect, whether this run fitted it, and whom it scored.

    idle_features: those that were constant or empty when the model was fitted, and say nothing. missing_shares: by
    feature, of the customers scored, where any is missing. waiting: refits whose model is not in effect, and why.
    alarms: of the weekly check, where one was due.
    """

    lens: str
    model_version: str
    is_new_model: bool
    k: int
    customers: int
    reason: str
    idle_features: tuple[str, ...]
    missing_shares: dict[str, float]
    waiting: tuple[str, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class LensWithoutModel:
    """A lens that has no model for the date, and why, as a sentence."""

    lens: str
    reason: str


def segment_date(
    warehouse: Warehouse,
    plan: RunPlan,
    lenses: list[Lens],
    versions: LogicVersions,
    context: RefitContext,
) -> list[LensOutcome | LensWithoutModel]:
    """Write the candidate labels of a date for every lens, with the models that they need.

    Replaces what an earlier attempt for the same date left behind; nothing promoted is touched. A lens for which no
    model can be fitted is left out, and says so; raises MisconfiguredError where that is so of every lens.
    """
    if not lenses:
        raise MisconfiguredError("No lens runs on this source: `segmentation check` says why each is skipped.")
    with threadpool_limits(limits=1), warehouse.transaction():
        _clear_candidates(warehouse, plan.as_of)
        outcomes = [_segment_lens(warehouse, plan, lens, versions, context) for lens in lenses]
        reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, LensWithoutModel)]
        if len(reasons) == len(outcomes):
            raise MisconfiguredError(f"No lens has a model for {plan.as_of}: {'; '.join(reasons)}.")
        return outcomes


def _clear_candidates(warehouse: Warehouse, as_of: date) -> None:
    for table in ("labels", "runs", "run_inputs", "run_dates", "skipped_lenses", "segment_alarms"):
        warehouse.delete(f"candidate.{table}", {"as_of_date": as_of})
    for table in MODEL_TABLES:
        warehouse.delete(f"candidate.{table}", {"run_date": as_of})


def _segment_lens(
    warehouse: Warehouse, plan: RunPlan, lens: Lens, versions: LogicVersions, context: RefitContext
) -> LensOutcome | LensWithoutModel:
    lineage = bring_lineage_up_to_date(warehouse, plan, lens, context)
    model = lineage.in_effect
    if model is None or lineage.origins is None:
        reason = lineage.entries[-1].reason
        warehouse.rows("insert into candidate.skipped_lenses values (?, ?, ?)", (plan.as_of, lens.name, reason))
        return LensWithoutModel(lens.name, reason)
    figures = _winning_figures(warehouse, plan.as_of, model)
    totals = _Totals(model)
    features, encoding = context.features, model.encoding
    days = label_dates(model.fitted_as_of, plan.as_of, features.arrivals)
    queries = features.queries_for(plan.as_of, days, encoding.columns, encoding.text_columns)
    origins = pa.table({"customer_id": lineage.origins.customer_ids, "cluster": pa.array(lineage.origins.cluster)})
    scoring = Scoring(plan.as_of, model, features.arrivals)
    for counted in warehouse.compute_by_customer(
        "candidate.labels", {**queries, ORIGINS_QUERY: origins}, scoring, features.batch_size
    ):
        totals.add(counted)
    _write_run(warehouse, plan, lens, versions, model, figures, totals, context)
    _write_run_dates(warehouse, plan, model, context)
    alarms = _watch(warehouse, plan, lens, model, context)
    return LensOutcome(
        lens.name,
        model.version,
        model.version in lineage.fitted,
        model.k,
        totals.customers,
        str(figures["reason"]),
        model.encoding.idle_features,
        totals.missing_shares(),
        _waiting(lineage, model),
        alarms,
    )


def _watch(warehouse: Warehouse, plan: RunPlan, lens: Lens, model: Model, context: RefitContext) -> tuple[Alarm, ...]:
    """Check the lens where a weekly check is due, on as many customers as a model is fitted on; keep the alarms."""
    if not watch_dates(plan.as_of, plan.lineage_start):
        return ()
    features, encoding = context.features, model.encoding

    def read(day: date) -> tuple[list[str], FeatureValues]:
        sampled = warehouse.sampled_customers(features.schema(day), day, context.sample_size)
        return features.values(day, encoding.columns, encoding.text_columns, sampled)

    alarms = watch_lens(lens, model, plan.as_of, read)
    write_alarms(warehouse, plan.as_of, lens.name, alarms)
    return tuple(alarms)


def _waiting(lineage: Lineage, in_effect: Model) -> tuple[str, ...]:
    """Refits after the one whose model is in effect, each with what became of it."""
    return tuple(
        f"the refit of {entry.refit_date} has no model: {entry.reason}"
        if entry.model_version is None
        else f"the model of {entry.refit_date} waits for approval"
        f"{'' if entry.is_stable else ', its segments not being stable enough'}: {entry.reason}"
        for entry in lineage.entries
        if entry.refit_date > in_effect.fitted_as_of
    )


def _write_run_dates(warehouse: Warehouse, plan: RunPlan, model: Model, context: RefitContext) -> None:
    """Store the hash of every date that the labels and the alarms lean on."""
    as_of = plan.as_of
    days = sorted(dates_of_run(model.fitted_as_of, as_of, plan.lineage_start, context.features.arrivals))
    warehouse.append(
        "candidate.run_dates",
        pa.Table.from_pylist(
            [
                {
                    "as_of_date": as_of,
                    "lens": model.lens_name,
                    "leans_on_date": day,
                    "content_hash": context.features.content(day),
                }
                for day in days
            ]
        ),
    )


def _label_rows(as_of: date, model: Model, customer_ids: pa.Array, assignment: Assignment) -> pa.Table:
    n = len(customer_ids)
    return pa.table(
        {
            "as_of_date": pa.array([as_of] * n, pa.date32()),
            "lens": pa.array([model.lens_name] * n, pa.string()),
            "customer_id": customer_ids,
            "model_version": pa.array([model.version] * n, pa.string()),
            "cluster": pa.array(assignment.cluster, pa.int32()),
            "segment_key": keys_of(model, assignment.cluster),
            "confidence": pa.array(assignment.confidence, pa.float64()),
            "is_outlier": pa.array(assignment.is_outlier, pa.bool_()),
            "distance": pa.array(assignment.distance, pa.float64()),
        }
    )


class _Totals:
    """Figures of a scoring, gathered from all who did a part of it; distances in millionths, so that sums are exact."""

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

    def add(self, counted: Mapping[str, Sequence[int]]) -> None:
        self.sizes += np.array(counted["sizes"], dtype=np.int64)
        self.distance_millionths += counted["distance_millionths"][0]
        self.outliers += counted["outliers"][0]
        self.missing += np.array(counted["missing"], dtype=np.int64)


@dataclass(frozen=True)
class Scoring:
    """The work of labelling some customers of a date under one model, wherever they are."""

    as_of: date
    model: Model
    arrivals: tuple[date, ...]

    def __call__(
        self, read: Callable[[str], Iterator[pa.RecordBatch]]
    ) -> Iterator[tuple[pa.Table, dict[str, list[int]]]]:
        """Yield label rows with counts of them: by cluster, of outliers, of missing values; distances in millionths."""
        kept = list(read(ORIGINS_QUERY))
        origins = Origins(
            pa.concat_arrays([batch.column(0) for batch in kept]) if kept else pa.array([], pa.string()),
            np.concatenate([batch.column(1).to_numpy() for batch in kept]) if kept else np.empty(0, dtype=np.int64),
        )
        with threadpool_limits(limits=1):
            for batch in settled_labels(ReadFeatures(read, self.arrivals), self.model, origins, self.as_of):
                found = batch.assignment
                yield (
                    _label_rows(self.as_of, self.model, batch.customer_ids, found),
                    {
                        "sizes": np.bincount(found.cluster, minlength=self.model.k).tolist(),
                        "distance_millionths": [int(np.rint(found.distance * 1e6).astype(np.int64).sum())],
                        "outliers": [int(found.is_outlier.sum())],
                        "missing": missing_values(batch.values, self.model.encoding).sum(axis=0).tolist(),
                    },
                )


def _winning_figures(warehouse: Warehouse, run_date: date, model: Model) -> dict[str, object]:
    """The figures with which the model in effect was chosen, in this run or in an earlier one."""
    names = ", ".join(CHOICE_FIGURES)
    found = warehouse.rows(
        f"select {names} from candidate.model_candidates where run_date = ? and model_version = ? and is_winner"
        f" union all select {names} from promoted.model_candidates where model_version = ? and is_winner",
        (run_date, model.version, model.version),
    )
    return dict(zip(CHOICE_FIGURES, found[0], strict=True))


def _write_run(
    warehouse: Warehouse,
    plan: RunPlan,
    lens: Lens,
    versions: LogicVersions,
    model: Model,
    figures: Mapping[str, object],
    totals: _Totals,
    context: RefitContext,
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
                    **{name: figures[name] for name in CHOICE_FIGURES if name != "reason"},
                    "smallest_share": round(int(totals.sizes.min()) / customers, 6),
                    "outlier_share": round(totals.outliers / customers, 6),
                    "imputed_share": totals.imputed_share,
                    "missing_shares": json.dumps(totals.missing_shares(), sort_keys=True),
                    "choice_reason": figures["reason"],
                    "features_hash": context.features.content(plan.as_of),
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
