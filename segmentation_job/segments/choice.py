"""Which algorithm and how many segments: by a stated criterion, from the lens's range."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import davies_bouldin_score, silhouette_score
from threadpoolctl import threadpool_limits

from segmentation_job.segments.algorithms import ALGORITHMS, IntArray
from segmentation_job.segments.encoding import FeatureValues, FloatArray, RawValues, encode, fit_encoding
from segmentation_job.segments.errors import NoModelError
from segmentation_job.segments.lenses import Lens

STABILITY_FLOOR = 0.6
BOOTSTRAPS = 10
# Enough for what comes back in most bootstraps, at a third of the time of a fit that counts.
BOOTSTRAP_RESTARTS = 3
STABILITY_ROWS = 5_000
# Fewer people are no segment, whatever share of a small shop they are.
FEWEST_CUSTOMERS = 3
SILHOUETTE_ROWS = 5_000
FIGURE_DECIMALS = 6


@dataclass(frozen=True)
class Past:
    """Customers known 90 days before the refit date, and what they did since.

    values: (m, d) raw lens features as of then, sorted by customer id · outcomes: (m, o) of the 90 days since, as the
    lens's objective measures them · rfm: (m, 3) recency in days (NaN: never bought), orders and spend as of then.
    """

    values: FeatureValues
    outcomes: FloatArray
    rfm: FloatArray


@dataclass(frozen=True)
class Incumbent:
    """The predecessor's say at the refit date: its algorithm and k, and its cluster of each customer (n,), −1: none."""

    algorithm: str
    k: int
    clusters: IntArray


@dataclass(frozen=True)
class CandidateFigures:
    """The figures of one algorithm and k that competed; None where a figure was not computed.

    inertia: sum of squared distances to the own centroid · davies_bouldin: lower is better separated ·
    silhouette: −1 to 1, on a sample, with its standard error · separation: −1 to 1 · smallest_share: of customers,
    0 to 1 · jaccard_stability: 0 to 1, with its standard error · held_out_value: R², at most 1, with its standard
    error · rows_used: customers in the sample · passed_gates: None where a gate was not tried · reason: why it won
    or did not.
    """

    algorithm: str
    k: int
    inertia: float | None
    davies_bouldin: float | None
    silhouette: float | None
    silhouette_error: float | None
    separation: float | None
    smallest_share: float | None
    jaccard_stability: float | None
    jaccard_error: float | None
    held_out_value: float | None
    held_out_error: float | None
    rows_used: int | None
    passed_gates: bool | None
    is_winner: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """The winning algorithm and k, why, and all that competed in the order tried.

    follows_incumbent: whether it is the incumbent's algorithm and k, so that it is fitted from the incumbent's
    clusters · is_stable: whether its stability passes.
    """

    algorithm: str
    k: int
    reason: str
    candidates: tuple[CandidateFigures, ...]
    follows_incumbent: bool
    is_stable: bool


def choose_model(values: RawValues, lens: Lens, past: Past | None, incumbent: Incumbent | None) -> Choice:
    """Choose algorithm and k within the lens's range.

    values: (n, d) raw, in the lens's feature order, NaN where missing, customers sorted by id.
    """
    # A candidate's figures are sums too: their last bits must not depend on threads either.
    with threadpool_limits(limits=1):
        return _choose(encode(values, fit_encoding(values, lens)), lens, lens.seed)


def _choose(X: FloatArray, lens: Lens, seed: int) -> Choice:
    # Rounded down, as shares are rounded: exactly three customers are enough.
    fewest_share = math.floor(FEWEST_CUSTOMERS / len(X) * 10**FIGURE_DECIMALS) / 10**FIGURE_DECIMALS
    lens = replace(lens, smallest_share=max(lens.smallest_share, fewest_share))
    most = min(lens.k_max, len(np.unique(X, axis=0)))
    candidates = [
        _candidate(X, algorithm, k, lens, seed) for algorithm in lens.algorithms for k in range(lens.k_min, most + 1)
    ]
    winner = _winner(candidates, lens)
    below = min(lens.k_min - 1, most)
    while winner is None and below >= 2:
        smaller = [_candidate(X, algorithm, below, lens, seed) for algorithm in lens.algorithms]
        candidates += smaller
        winner = _winner(smaller, lens)
        below -= 1
    if winner is None:
        largest = max((candidate.smallest_share for candidate in candidates), default=0.0)
        raise NoModelError(
            f"lens {lens.name}: no number of segments from {lens.k_max} down to 2 gives every segment "
            f"{lens.smallest_share:.1%} of {len(X)} customers (the best smallest segment has {largest:.1%}); "
            f"lower smallest_share, or check the features: {len(np.unique(X, axis=0))} customers differ"
        )
    reason = _winning_reason(winner, candidates, lens)
    return Choice(
        algorithm=winner.algorithm,
        k=winner.k,
        reason=reason,
        candidates=tuple(
            replace(candidate, is_winner=True, reason=reason)
            if candidate is winner
            else replace(candidate, reason=_losing_reason(candidate, winner, lens))
            for candidate in candidates
        ),
        follows_incumbent=False,
        is_stable=winner.jaccard_stability >= STABILITY_FLOOR,
    )


def _candidate(X: FloatArray, name: str, k: int, lens: Lens, seed: int) -> CandidateFigures:
    algorithm = ALGORITHMS[name]()
    algorithm.fit(X, k, seed)
    cost = algorithm.cost(X)
    clusters = algorithm.predict(X)
    sampled = _sample(len(X), SILHOUETTE_ROWS, seed)
    smallest = _rounded(np.bincount(clusters, minlength=k).min() / len(X))
    stability = jaccard_stability(X, name, k, seed)
    return CandidateFigures(
        algorithm=name,
        k=k,
        inertia=_rounded(cost.min(axis=1).sum()),
        davies_bouldin=_rounded(davies_bouldin_score(X, clusters)),
        silhouette=_rounded(_silhouette(X[sampled], clusters[sampled])),
        silhouette_error=None,
        separation=None,
        smallest_share=smallest,
        jaccard_stability=stability,
        jaccard_error=None,
        held_out_value=None,
        held_out_error=None,
        rows_used=len(sampled),
        passed_gates=smallest >= lens.smallest_share and stability >= STABILITY_FLOOR,
        is_winner=False,
        reason="",
    )


def jaccard_stability(X: FloatArray, algorithm: str, k: int, seed: int) -> float:
    """How well k clusters come back in refits on bootstrap samples, 0 to 1.

    X: (n, d) encoded. Mean over bootstraps and clusters of the best Jaccard overlap, where a refit labels all
    the rows that the clusters were found on.
    """
    rows = X[_sample(len(X), STABILITY_ROWS, seed)]
    original = ALGORITHMS[algorithm]()
    _, distinct = np.unique(rows, axis=0, return_inverse=True)
    original.fit(rows, k, seed)
    reference = original.predict(rows)
    random = np.random.default_rng(seed)
    overlaps = []
    for bootstrap in range(BOOTSTRAPS):
        drawn = np.sort(random.integers(0, len(rows), len(rows)))
        if len(np.unique(distinct[drawn])) < k:
            overlaps.append(0.0)
            continue
        refit = ALGORITHMS[algorithm](restarts=BOOTSTRAP_RESTARTS)
        refit.fit(rows[drawn], k, seed + 1 + bootstrap)
        overlaps.append(best_match_jaccard(reference, refit.predict(rows), k))
    return _rounded(np.mean(overlaps))


def best_match_jaccard(reference: IntArray, other: IntArray, k: int) -> float:
    """Mean over the reference's clusters of the best Jaccard overlap with a cluster of the other labelling.

    reference, other: (n,) labels in 0..k−1 of the same rows. A cluster without a member overlaps 0.
    """
    both = np.bincount(reference * k + other, minlength=k * k).reshape(k, k)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return float((both / np.maximum(either, 1)).max(axis=1).mean())


def _silhouette(X: FloatArray, clusters: IntArray) -> float:
    # Undefined where every row is a cluster of its own; 0 is what the score gives such rows.
    if not 2 <= len(np.unique(clusters)) < len(X):
        return 0.0
    return float(silhouette_score(X, clusters))


def _sample(n: int, rows: int, seed: int) -> IntArray:
    if n <= rows:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, rows, replace=False))


def _winner(candidates: list[CandidateFigures], lens: Lens) -> CandidateFigures | None:
    passing = [candidate for candidate in candidates if candidate.passed_gates]
    if passing:
        return min(passing, key=lambda candidate: (candidate.davies_bouldin, candidate.k))
    large_enough = [candidate for candidate in candidates if candidate.smallest_share >= lens.smallest_share]
    return min(large_enough, key=lambda candidate: (-candidate.jaccard_stability, candidate.k), default=None)


def _winning_reason(winner: CandidateFigures, candidates: list[CandidateFigures], lens: Lens) -> str:
    passing = sum(candidate.passed_gates for candidate in candidates)
    below = f"no k from {lens.k_min} to {lens.k_max} gives {lens.smallest_share:.1%} to every segment"
    if not winner.passed_gates:
        why = (
            f"won with the highest stability ({winner.jaccard_stability:.3f}) of those large enough: "
            f"none reaches {STABILITY_FLOOR:.2f}"
        )
    elif passing == 1:
        why = f"won as the only one of {len(candidates)} candidates to pass size and stability"
    else:
        why = (
            f"won with the lowest Davies–Bouldin index ({winner.davies_bouldin:.3f}) "
            f"of the {passing} of {len(candidates)} candidates that pass size and stability"
        )
    return f"{why}; {below}" if winner.k < lens.k_min else why


def _losing_reason(candidate: CandidateFigures, winner: CandidateFigures, lens: Lens) -> str:
    if candidate.smallest_share < lens.smallest_share:
        smallest = f"{candidate.smallest_share:.1%} of customers"
        return f"its smallest segment has {smallest}, under {lens.smallest_share:.1%}"
    if not winner.passed_gates:
        return (
            f"its stability {candidate.jaccard_stability:.3f} is under {STABILITY_FLOOR:.2f} "
            f"and does not exceed the winner's {winner.jaccard_stability:.3f}"
        )
    if candidate.jaccard_stability < STABILITY_FLOOR:
        return f"its stability {candidate.jaccard_stability:.3f} is under {STABILITY_FLOOR:.2f}"
    return (
        f"its Davies–Bouldin index {candidate.davies_bouldin:.3f} is not below the winner's {winner.davies_bouldin:.3f}"
    )


def _rounded(figure: float | np.floating) -> float:
    return round(float(figure), FIGURE_DECIMALS)
