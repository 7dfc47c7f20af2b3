"""Which clusters of a refit are segments that already exist."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation_job.segments.algorithms import IntArray

KEPT = "kept"
NEW = "new"
SPLIT = "split_of"
MERGED = "merged_from"
# More than half: of a cluster, that came from one; or of one, that went into a cluster.
MOST_SHARE = 0.5
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
    return [None if column is None else str(keys[column]) for column in _matched(both, floor)]


@dataclass(frozen=True)
class Kinship:
    """What a cluster of a refit is to the predecessor's clusters.

    continues: the predecessor's cluster that is the same segment, None for a new one · relation: KEPT, NEW, SPLIT or
    MERGED · parents: the predecessor's clusters that a split or merged one came from, ascending.
    """

    continues: int | None
    relation: str
    parents: tuple[int, ...]


def relate_clusters(
    clusters: IntArray, predecessor_clusters: IntArray, k: int, predecessor_k: int, floor: float = OVERLAP_FLOOR
) -> list[Kinship]:
    """What each cluster of a refit is to the predecessor's, by their members at the refit date.

    clusters: (n,) in 0..k−1 · predecessor_clusters: (n,) of the same customers, −1 where none, who then have no say.
    A cluster continues the one that it overlaps (Jaccard, at least the floor; the sum of overlaps is the greatest
    possible). One that continues none is merged where it holds most of two or more of the predecessor's, split from
    the one that most of it came from, else new. Raises ValueError where the two differ in length.
    """
    if len(clusters) != len(predecessor_clusters):
        raise ValueError(f"{len(clusters)} clusters for {len(predecessor_clusters)} of the predecessor")
    known = predecessor_clusters >= 0
    both = np.bincount(
        clusters[known] * predecessor_k + predecessor_clusters[known], minlength=k * predecessor_k
    ).reshape(k, predecessor_k)
    matched = _matched(both, floor)
    sizes, predecessor_sizes = np.bincount(clusters, minlength=k), both.sum(axis=0)
    kinships = []
    for cluster, continued in enumerate(matched):
        if continued is not None:
            kinships.append(Kinship(continued, KEPT, ()))
            continue
        absorbed = [
            index for index in range(predecessor_k) if both[cluster, index] > MOST_SHARE * predecessor_sizes[index]
        ]
        origin = int(both[cluster].argmax())
        if len(absorbed) >= 2:
            kinships.append(Kinship(None, MERGED, tuple(absorbed)))
        elif both[cluster, origin] > MOST_SHARE * sizes[cluster]:
            kinships.append(Kinship(None, SPLIT, (origin,)))
        else:
            kinships.append(Kinship(None, NEW, ()))
    return kinships


def _matched(both: NDArray[np.int64], floor: float) -> list[int | None]:
    """The column that each row is matched with, None where none overlaps enough. both: (k, m) members in common."""
    from scipy.optimize import linear_sum_assignment

    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.where((both >= floor * either) & (both > 0), both / np.maximum(either, 1), 0.0)
    matched: list[int | None] = [None] * len(both)
    for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
        if overlap[row, column] > 0:
            matched[row] = int(column)
    return matched
