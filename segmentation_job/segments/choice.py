"""Which algorithm and how many segments: by a stated criterion, from the lens's range."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import davies_bouldin_score, silhouette_score
from threadpoolctl import threadpool_limits

from segmentation_job.segments.algorithms import ALGORITHMS, IntArray
from segmentation_job.segments.encoding import FloatArray
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
class CandidateFigures:
    """The figures of one algorithm and k that competed.

    inertia: sum of squared distances to the own centroid · davies_bouldin: lower is better separated ·
    silhouette: −1 to 1, on a sample, reported only · smallest_share: of customers, 0 to 1 ·
    jaccard_stability: 0 to 1 · reason: why it won or did not.
    """

    algorithm: str
    k: int
    inertia: float
    davies_bouldin: float
    silhouette: float
    smallest_share: float
    jaccard_stability: float
    passed_gates: bool
    is_winner: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """The winning algorithm and k, why, and all that competed in the order tried."""

    algorithm: str
    k: int
    reason: str
    candidates: tuple[CandidateFigures, ...]


def choose_model(X: FloatArray, lens: Lens, seed: int) -> Choice:
    """Choose algorithm and k within the lens's range.

    X: (n, d) encoded, customers sorted by id · seed: of the fits, bootstraps and samples.

    Gates: the smallest segment holds at least the lens's smallest_share and three customers, and the stability is
    at least 0.6.
    Among those that pass both, the lowest Davies–Bouldin index wins (Davies & Bouldin 1979), ties to the
    smaller k; where none is stable, the most stable of those large enough. Where no k of the range gives
    segments large enough, k goes down from k_min to 2 until one does, stable or not. Stability is the mean
    over clusters of the best Jaccard overlap with a cluster of a bootstrap refit, over 10 bootstraps of at
    most 5,000 customers (Hennig 2007). The same for a seed whatever the number of threads. Raises
    NoModelError where even 2 segments will not do.
    """
    # A candidate's figures are sums too: their last bits must not depend on threads either.
    with threadpool_limits(limits=1):
        return _choose(X, lens, seed)


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
        smallest_share=smallest,
        jaccard_stability=stability,
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
