"""Labels that stand still unless the customer moves: an origin, and three days that agree.

A label at a date depends on few, named dates, never on the chain of nights: the same whatever ran in between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segmentation_job.segments.algorithms import IntArray, nearest
from segmentation_job.segments.encoding import FloatArray

HYSTERESIS = 1.10
"""A segment is kept while its cost is at most so many times the least: design.md, measured there."""
ABSENT = -1


def held_or_nearest(cost: FloatArray, standing: IntArray) -> IntArray:
    """The standing cluster where its cost is at most 1.10 times the least, else the nearest.

    cost: (n, k), never negative · standing: (n,), −1 where none stands. Returns (n,).
    """
    found = nearest(cost)
    has_standing = standing >= 0
    own = np.take_along_axis(cost, np.where(has_standing, standing, 0)[:, None], axis=1)[:, 0]
    holds = has_standing & (own <= HYSTERESIS * cost.min(axis=1))
    return np.where(holds, standing, found)


def moved_where_all_agree(standing: IntArray, votes: Sequence[IntArray]) -> IntArray:
    """The cluster that all days agree on, else the standing one.

    standing: (n,), none absent · votes: by day (n,), −1 where the customer was not in scope; a customer who was not,
    stays. Returns (n,).
    """
    if not votes:
        return standing
    first = votes[0]
    agree = first >= 0
    for vote in votes[1:]:
        agree &= vote == first
    return np.where(agree, first, standing)
