"""Which segment each customer belongs to, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.algorithms import IntArray, nearest
from segmentation_job.segments.encoding import FloatArray, RawValues
from segmentation_job.segments.model import Model

DECIMALS = 6


@dataclass(frozen=True)
class Assignment:
    """One entry per customer, in the order of the values given.

    cluster: (n,) · distance: (n,) squared distance to the own centroid, 6 decimals · confidence: (n,) 0 to 1,
    6 decimals · is_outlier: (n,) farther out than 99.5% of the cluster's fitting customers.
    """

    cluster: IntArray
    distance: FloatArray
    confidence: FloatArray
    is_outlier: NDArray[np.bool_]


def assign(model: Model, values: RawValues) -> Assignment:
    """Give each customer the nearest cluster, ties to the lowest index.

    values: (n, d) raw, in the lens's feature order, NaN where missing.
    """
    cost = model.cost(values)
    return assignment_to(nearest(cost), cost, model.outlier_cost)


def assignment_to(cluster: IntArray, cost: FloatArray, outlier_cost: Sequence[float]) -> Assignment:
    """What holds of customers in given clusters, which need not be the nearest ones.

    cluster: (n,) · cost: (n, k) squared distances · outlier_cost: (k,). Confidence is 1 − own / nearest other
    squared distance: 0 halfway between two segments (and beyond), 1 on the own centroid; 1 where there is no
    other segment.
    """
    rows = np.arange(len(cost))
    own = cost[rows, cluster]
    others = cost.copy()
    others[rows, cluster] = np.inf
    other = others.min(axis=1)
    ratio = np.divide(own, other, out=np.ones_like(own), where=other > 0)
    return Assignment(
        cluster=cluster,
        distance=own.round(DECIMALS),
        confidence=np.clip(1.0 - ratio, 0.0, 1.0).round(DECIMALS),
        is_outlier=own > np.asarray(outlier_cost, dtype=np.float64)[cluster],
    )
