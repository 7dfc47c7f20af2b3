"""Which clusters of a refit are segments that already exist."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from segmentation_job.segments.algorithms import IntArray
from segmentation_job.segments.model import Model

KEPT = "kept"
NEW = "new"
OVERLAP_FLOOR = 0.3


def segment_key(lens_name: str, model_version: str, cluster: int) -> str:
    """The durable key of the segment that a model's cluster brought into being; twelve hex digits.

    model_version: of the model in which the segment was born · cluster: its index there.
    """
    return hashlib.sha256(f"{lens_name}\n{model_version}\n{cluster}".encode()).hexdigest()[:12]


def match_clusters(
    challenger_clusters: IntArray,
    incumbent_keys: Sequence[str | None] | NDArray[Any],
    k: int,
    floor: float = OVERLAP_FLOOR,
) -> list[str | None]:
    """The existing segment that each cluster continues, None for a new one.

    challenger_clusters: (n,) in 0..k−1 · incumbent_keys: (n,) the same customers' segments so far, None where
    a customer has none, who then has no say · floor: least Jaccard overlap of members that counts as one.
    The sum of overlaps is the greatest possible (Hungarian method); each key goes to one cluster at most.
    Raises ValueError where the two differ in length.
    """
    if len(challenger_clusters) != len(incumbent_keys):
        raise ValueError(f"{len(challenger_clusters)} clusters for {len(incumbent_keys)} incumbent keys")
    # Not "is None": data frames give NaN for a missing text.
    known = np.array([isinstance(key, str) for key in incumbent_keys], dtype=bool)
    if not known.any():
        return [None] * k
    keys, key_index = np.unique(np.asarray(incumbent_keys, dtype=object)[known].astype(str), return_inverse=True)
    clusters = np.asarray(challenger_clusters)[known]
    both = np.bincount(clusters * len(keys) + key_index, minlength=k * len(keys)).reshape(k, len(keys))
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.where(both >= floor * either, both / either, 0.0)
    matched: list[str | None] = [None] * k
    for cluster, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
        if overlap[cluster, column] > 0:
            matched[cluster] = str(keys[column])
    return matched


def carry_identities(
    model: Model, challenger_clusters: IntArray, incumbent_keys: Sequence[str | None] | NDArray[Any]
) -> Model:
    """The model with the existing segments' keys on the clusters that continue them, new keys on the others.

    challenger_clusters: (n,) the model's own clusters of the customers at its fit date · incumbent_keys: (n,)
    the segments that the same customers had until then, None where none.
    """
    matched = match_clusters(challenger_clusters, incumbent_keys, model.k)
    return replace(
        model,
        segment_keys=tuple(
            key if key is not None else segment_key(model.lens_name, model.version, cluster)
            for cluster, key in enumerate(matched)
        ),
        relations=tuple(NEW if key is None else KEPT for key in matched),
    )
