"""The labels of a date under one model, from the few dates that they lean on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute

from segmentation_job.runs.calendar import anchor_dates, settling_dates, voting_dates
from segmentation_job.runs.feature_matrix import Features
from segmentation_job.segments.algorithms import IntArray, nearest
from segmentation_job.segments.assignment import Assignment, assignment_to
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.segments.model import Model
from segmentation_job.segments.settling import ABSENT, held_or_nearest, moved_where_all_agree


@dataclass(frozen=True)
class Origins:
    """The cluster of each customer at a model's fit. customer_ids: sorted, (n,). cluster: (n,)."""

    customer_ids: pa.Array
    cluster: IntArray


@dataclass(frozen=True)
class LabelledBatch:
    """Customers of a date, sorted by id, with their values and what became of them. nearest: the cheapest cluster."""

    customer_ids: pa.Array
    values: FeatureValues
    assignment: Assignment
    nearest: IntArray


def settled_labels(features: Features, model: Model, origins: Origins, as_of: date) -> Iterator[LabelledBatch]:
    """Yield the labels of a date, batch by batch.

    A model says at its fit what the origins say. From then on a customer's segment is that of the latest first of a
    month, or of the origin, and changes only where three days agree; who came later settles on a Monday.
    """
    ids = features.customers(as_of)
    standing = _standing(features, model, origins, as_of, ids)
    voting = voting_dates(model.fitted_as_of, as_of)
    # What the date itself says comes with the batches that are written.
    votes = [_votes(features, model, day, ids, standing) for day in voting if day != as_of]
    place = 0
    for batch_ids, values in features.batches(as_of, model.encoding.columns, model.encoding.text_columns):
        chosen = slice(place, place + len(batch_ids))
        place += len(batch_ids)
        cost = model.cost(values)
        found = nearest(cost)
        stood = standing[chosen]
        label = stood
        if voting:
            label = moved_where_all_agree(stood, [*(vote[chosen] for vote in votes), held_or_nearest(cost, stood)])
        # Who has not settled yet is where they are nearest.
        label = np.where(stood == ABSENT, found, label)
        yield LabelledBatch(batch_ids, values, assignment_to(label, cost, model.outlier_cost), found)


def settled_clusters(features: Features, model: Model, origins: Origins, as_of: date) -> tuple[pa.Array, IntArray]:
    """Return the ids, sorted, and the clusters (n,) of a date's customers under a model."""
    batches = list(settled_labels(features, model, origins, as_of))
    if not batches:
        return pa.array([], pa.string()), np.empty(0, dtype=np.int64)
    return (
        pa.concat_arrays([batch.customer_ids for batch in batches]),
        np.concatenate([batch.assignment.cluster for batch in batches]),
    )


def nearest_clusters(features: Features, model: Model, as_of: date) -> tuple[pa.Array, IntArray]:
    """Return the ids, sorted, and the clusters of least cost (n,) of a date's customers."""
    ids, found = [], []
    for batch_ids, values in features.batches(as_of, model.encoding.columns, model.encoding.text_columns):
        ids.append(batch_ids)
        found.append(nearest(model.cost(values)))
    if not ids:
        return pa.array([], pa.string()), np.empty(0, dtype=np.int64)
    return pa.concat_arrays(ids), np.concatenate(found)


def origins_at_fit(
    features: Features, model: Model, predecessor_clusters: IntArray | None, continued: IntArray | None
) -> Origins:
    """Return the origins of everybody in scope at a model's fit.

    predecessor_clusters: (n,) what the predecessor says of the same customers, sorted by id; None for the first
    model. continued: by cluster of the predecessor, the cluster of the model that is the same segment, −1 where none.
    A customer keeps the predecessor's segment while it is near enough, as on any other day.
    """
    ids, clusters = [], []
    place = 0
    for batch_ids, values in features.batches(model.fitted_as_of, model.encoding.columns, model.encoding.text_columns):
        cost = model.cost(values)
        if predecessor_clusters is None or continued is None:
            clusters.append(nearest(cost))
        else:
            stood = continued[predecessor_clusters[place : place + len(batch_ids)]]
            clusters.append(held_or_nearest(cost, stood))
        place += len(batch_ids)
        ids.append(batch_ids)
    return Origins(pa.concat_arrays(ids), np.concatenate(clusters))


def _standing(features: Features, model: Model, origins: Origins, as_of: date, ids: pa.Array) -> IntArray:
    """What each customer's segment was at the latest anchor, or is by origin; −1 for who has not settled yet."""
    standing = _aligned(origins, ids)
    fitted = model.fitted_as_of
    settling = settling_dates(fitted, as_of, features.arrivals)
    anchors = anchor_dates(fitted, as_of)
    for day in sorted({*settling, *anchors}):
        if day in settling:
            nobody = np.full(len(ids), ABSENT, dtype=np.int64)
            came = _votes(features, model, day, ids, nobody)
            standing = np.where(standing == ABSENT, came, standing)
        votes = voting_dates(fitted, day) if day in anchors else ()
        if votes:
            moved = moved_where_all_agree(standing, [_votes(features, model, vote, ids, standing) for vote in votes])
            standing = np.where(standing == ABSENT, ABSENT, moved)
    return standing


def _votes(features: Features, model: Model, day: date, ids: pa.Array, standing: IntArray) -> IntArray:
    """What a date says of each customer (n,), −1 where not in scope or not settled."""
    votes = np.full(len(ids), ABSENT, dtype=np.int64)
    for batch_ids, values in features.batches(day, model.encoding.columns, model.encoding.text_columns):
        places = _places(batch_ids, ids)
        known = places != ABSENT
        at = places[known]
        votes[at] = held_or_nearest(model.cost(values.customers(known)), standing[at])
    return votes


def _aligned(origins: Origins, ids: pa.Array) -> IntArray:
    """The clusters of the origins in the order of other ids, −1 where there is none."""
    places = _places(ids, origins.customer_ids)
    found = np.full(len(ids), ABSENT, dtype=np.int64)
    found[places != ABSENT] = origins.cluster[places[places != ABSENT]]
    return found


def _places(ids: pa.Array, among: pa.Array) -> IntArray:
    """Where each id stands among others (n,), −1 where it does not."""
    places: IntArray = pa.compute.index_in(ids, among).fill_null(ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    return places
