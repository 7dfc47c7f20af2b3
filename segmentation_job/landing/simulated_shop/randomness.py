"""One stream of random numbers per chunk and subject, so that no part depends on the order of the others."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np


class Subject(IntEnum):
    """What a stream is drawn for; the numbers are part of what a seed means and never change."""

    PRODUCTS = 1
    MARKET = 2
    CAMPAIGNS = 3
    CUSTOMERS = 4
    LIVES = 5
    ORDERS = 6
    ORDER_EVENTS = 7
    PAYMENTS = 8
    CREDIT = 9
    LOYALTY = 10
    WEB = 11
    FEEDBACK = 12
    CONTACTS = 13
    DIRT = 14
    ARRIVAL = 15


def random_stream(seed: int, subject: Subject, chunk: int = 0, part: int = 0) -> np.random.Generator:
    """Return the generator of one subject of one chunk (and one part of it)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(subject, chunk, part))))


def pick(rng: np.random.Generator, weights: np.ndarray | Sequence[float], size: int) -> np.ndarray:
    """Draw `size` indices with the probabilities that a vector of weights gives."""
    cumulated = np.cumsum(np.asarray(weights, dtype=np.float64))
    found = np.searchsorted(cumulated / cumulated[-1], rng.random(size), side="right")
    return np.asarray(np.minimum(found, len(cumulated) - 1), dtype=np.int64)


def pick_by_row(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Draw one index per row of a matrix of weights (n, k)."""
    cumulated = np.cumsum(weights, axis=1)
    thresholds = rng.random(len(weights)).astype(cumulated.dtype) * cumulated[:, -1]
    found = (cumulated <= thresholds[:, None]).sum(axis=1)
    return np.asarray(np.minimum(found, weights.shape[1] - 1), dtype=np.int64)


def position_in_group(counts: np.ndarray) -> np.ndarray:
    """Return 0, 1, … within each of consecutive groups of the given sizes."""
    ends = np.cumsum(counts)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0, dtype=np.int64) - np.repeat(ends - counts, counts))
