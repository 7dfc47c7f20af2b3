"""Which algorithm and how many segments: by what segments foretell, among those that pass the gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from segmentation_job.segments.algorithms import (
    ALGORITHMS,
    RFM_PARTS,
    BoolArray,
    IntArray,
    RfmCells,
    RfmQuintiles,
    one_thread,
    sampled_rows,
    squared_distances,
)
from segmentation_job.segments.encoding import (
    FeatureValues,
    FloatArray,
    RawValues,
    encode,
    feature_values,
    fit_encoding,
)
from segmentation_job.segments.errors import NoClusteringError, NoModelError
from segmentation_job.segments.lenses import Lens

STABILITY_FLOOR = 0.6
# The median customer must be nearer to the own segment than to the next: at 0 the segments overlap so far that a
# neighbour's members are as alike as one's own.
SEPARATION_FLOOR = 0.0
BOOTSTRAPS = 10
# Enough for what comes back in most bootstraps, at a third of the time of a fit that counts.
BOOTSTRAP_RESTARTS = 3
# Of silhouette, separation and stability, whose cost grows with the square of the rows or tenfold.
SAMPLE_ROWS = 3_000
# Of the held-out value: its error is under 0.01 there.
VALUE_ROWS = 10_000
FOLDS = 10
# Fewer would leave a fold without the customers to measure anything on.
FEWEST_PAST_CUSTOMERS = 10 * FOLDS
# Fewer people are no segment, whatever share of a small shop they are.
FEWEST_CUSTOMERS = 3
# Standard errors of a paired difference: within so many two candidates count as equal, and by more than so many a
# challenger must beat the incumbent: the best of many challengers is lucky, and the error leaves out what another start
# of the clustering would change. On seven monthly refits of the real data, one error let k change at four of six, two
# at none.
EQUAL_WITHIN_ERRORS = 1.0
REPLACING_ERRORS = 2.0
# A thousandth of the variance is nobody's reason for another segmentation, however sure it is.
LEAST_LEAD = 0.001
FIGURE_DECIMALS = 6

RFM = "rfm"
RFM_QUINTILES = "rfm_quintiles"
_BASELINES: dict[str, tuple[Callable[[], RfmCells], int, str]] = {
    RFM: (RfmCells, RFM_PARTS**3, f"{RFM_PARTS**3} cells of recency, orders and spend"),
    RFM_QUINTILES: (RfmQuintiles, RFM_PARTS, f"{RFM_PARTS} groups of the summed scores"),
}


@dataclass(frozen=True)
class Past:
    """Customers known 90 days before the refit date, and what they did since.

    values: (m, d) raw lens features as of then, sorted by customer id · outcomes: (m, o) of the 90 days since, as the
    lens's objective measures them · rfm: (m, 3) recency in days (NaN: never bought), orders and spend as of then.
    Raises ValueError where they are not of the same customers.
    """

    values: FeatureValues
    outcomes: FloatArray
    rfm: FloatArray

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.outcomes) == len(self.rfm):
            raise ValueError(
                f"{len(self.values)} customers of the past have {len(self.outcomes)} outcomes and {len(self.rfm)} RFM"
            )

    def customers(self, chosen: IntArray) -> Past:
        """The same of some of the customers. chosen: their indices."""
        return Past(feature_values(self.values).customers(chosen), self.outcomes[chosen], self.rfm[chosen])


@dataclass(frozen=True)
class Incumbent:
    """The predecessor's say at the refit date: its algorithm and k, and its cluster of each customer (n,), −1: none."""

    algorithm: str
    k: int
    clusters: IntArray


@dataclass(frozen=True)
class CandidateFigures:
    """The figures of one algorithm and k that competed; None where a figure was not computed.

    inertia: sum of squared distances to the own centroid, in the encoding's units · davies_bouldin: lower is better
    separated · silhouette: mean silhouette width, −1 to 1, reported only, with its standard error (0 where the sample
    is everyone) · separation: median silhouette width, −1 to 1 · smallest_share: of customers, 0 to 1 ·
    jaccard_stability: 0 to 1, with its standard error over bootstraps · held_out_value: mean R² of the outcomes, at
    most 1, with its standard error over customers · rows_used: customers in the sample of silhouette, separation and
    stability; of a baseline those of its held-out value · passed_gates: None where the stability was not tried, and of
    a baseline · reason: why it won or did not.
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
    """The winning algorithm and k, why, and all that competed in the order tried, the baselines last.

    follows_incumbent: whether it is the incumbent's algorithm and k, so that it is to be fitted from the incumbent's
    clusters · is_stable: whether its stability passes.
    """

    algorithm: str
    k: int
    reason: str
    candidates: tuple[CandidateFigures, ...]
    follows_incumbent: bool
    is_stable: bool


@dataclass(frozen=True)
class HeldOutValue:
    """How much of the outcomes segments foretell: R², at most 1, by means learnt on other customers.

    influences: (m,) each customer's share in the error of the value; the value's standard error is their standard
    deviation over √m, and that of a difference of two values the same of the difference of their influences (a
    ratio's linearised error: Cochran 1977, Sampling Techniques, chapter 6).
    """

    value: float
    influences: FloatArray

    @property
    def error(self) -> float:
        """The standard error over customers; that the segments themselves were fitted is not in it."""
        return _standard_error(self.influences)

    def lead_over(self, other: HeldOutValue) -> tuple[float, float]:
        """How far it is above the other, on the same customers, and the standard error of that paired difference."""
        return self.value - other.value, _standard_error(self.influences - other.influences)

    def beats(self, other: HeldOutValue, errors: float = EQUAL_WITHIN_ERRORS) -> bool:
        """Whether it is above the other by more than so many standard errors of the paired difference, and 0.001."""
        lead, error = self.lead_over(other)
        return lead > max(errors * error, LEAST_LEAD)


@dataclass
class _Candidate:
    """A candidate under way: its figures, filled in as they are needed.

    failure: why it can win in no case, empty where it can · unvalued: why it could not be valued.
    """

    figures: CandidateFigures
    value: HeldOutValue | None = None
    failure: str = ""
    unvalued: str = ""

    @property
    def name(self) -> str:
        return f"{self.figures.algorithm} with {self.figures.k}"

    @property
    def is_large_enough(self) -> bool:
        return not self.failure

    @property
    def is_stable(self) -> bool:
        return self.figures.jaccard_stability is not None and self.figures.jaccard_stability >= STABILITY_FLOOR

    @property
    def is_separate(self) -> bool:
        return self.figures.separation is not None and self.figures.separation > SEPARATION_FLOOR


def choose_model(values: RawValues, lens: Lens, past: Past | None, incumbent: Incumbent | None) -> Choice:
    """Choose algorithm and k within the lens's range, by what its segments foretell.

    values: (n, d) raw, in the lens's feature order, NaN where missing, customers sorted by id · past: None where there
    is too little history · incumbent: None for the first model.

    Gates: the smallest segment holds at least the lens's smallest_share and three customers; the median silhouette
    width (Rousseeuw 1987) is above 0; the stability, the mean over clusters of the best Jaccard overlap with a cluster
    of a bootstrap refit (Hennig 2007), is at least 0.6.

    Value: the candidate is fitted on the customers of 90 days before, and the mean of each of its segments foretells
    the outcomes of customers who took no part in that mean (10 folds); R², averaged over the outcomes that vary. The
    highest value among those that pass the gates is the best. Equal to it is who is not below it by more than the
    standard error of the paired difference, or 0.001. An incumbent stays unless somebody is above it by more than that
    error (or REPLACING_ERRORS of it), and only such a one replaces it; else the equal one with the fewest segments wins
    (after the one-standard-error rule of Breiman et al. 1984).

    Without a past the gates decide: an incumbent that passes them stays, else the lowest Davies–Bouldin index (1979)
    wins, ties to the smaller k. Where none passes, the most stable of those large enough wins. Where no k of the range
    gives segments large enough, k goes down from k_min to 2 until one does.

    Stability is computed only of those that it can decide about. The same whatever the number of threads. Raises
    NoModelError where even 2 segments will not do.
    """
    # A candidate's figures are sums too: their last bits must not depend on threads either.
    with one_thread():
        return _Contest(values, lens, past, incumbent).choice()


class _Contest:
    """One choice: the customers, the rules of the lens, and the candidates so far."""

    def __init__(self, values: RawValues, lens: Lens, past: Past | None, incumbent: Incumbent | None) -> None:
        from sklearn.metrics import pairwise_distances

        self.X = encode(values, fit_encoding(values, lens))
        self.lens = lens
        self.incumbent = incumbent
        # Rounded down, as shares are rounded: exactly three customers are enough.
        fewest_share = math.floor(FEWEST_CUSTOMERS / len(self.X) * 10**FIGURE_DECIMALS) / 10**FIGURE_DECIMALS
        self.smallest_share = max(lens.smallest_share, fewest_share)
        self.different = len(np.unique(self.X, axis=0))
        self.sampled = sampled_rows(len(self.X), SAMPLE_ROWS, lens.seed)
        self.distances = pairwise_distances(self.X[self.sampled])
        self.past, self.without_past = _usable(past, lens)
        if self.past is not None:
            self.past_X = encode(self.past.values, fit_encoding(self.past.values, lens))
        self.candidates: list[_Candidate] = []

    def choice(self) -> Choice:
        baselines = self.baselines()
        most = min(self.lens.k_max, self.different)
        winner, why = self.winner(self.enter(range(self.lens.k_min, most + 1)))
        below = min(self.lens.k_min - 1, most)
        while winner is None and below >= 2:
            winner, why = self.winner(self.enter([below]))
            below -= 1
        if winner is None:
            shares = [candidate.figures.smallest_share or 0.0 for candidate in self.candidates]
            raise NoModelError(
                f"lens {self.lens.name}: no number of segments from {self.lens.k_max} down to 2 gives every segment "
                f"{self.smallest_share:.1%} of {len(self.X)} customers (the best smallest segment has "
                f"{max(shares, default=0.0):.1%}); lower smallest_share, or check the features: {self.different} "
                f"customers differ{self.last_failure()}"
            )
        reason = why + self.against_incumbent(winner) + self.against_baselines(winner, baselines)
        if winner.figures.k < self.lens.k_min:
            reason += (
                f"; no k from {self.lens.k_min} to {self.lens.k_max} gives {self.smallest_share:.1%} to every segment"
            )
        figures = [
            replace(self.judged(candidate), is_winner=candidate is winner, reason=reason)
            if candidate is winner
            else replace(self.judged(candidate), reason=self.losing_reason(candidate, winner))
            for candidate in self.candidates
        ]
        return Choice(
            algorithm=winner.figures.algorithm,
            k=winner.figures.k,
            reason=reason,
            candidates=(*figures, *(baseline.figures for baseline in baselines)),
            follows_incumbent=self.is_incumbent(winner),
            is_stable=winner.is_stable,
        )

    def last_failure(self) -> str:
        """Why the last one could not be fitted, where none could be."""
        unfitted = [each.failure for each in self.candidates if each.figures.smallest_share is None]
        return (
            f"; {self.candidates[-1].name} failed: {unfitted[-1]}" if len(unfitted) == len(self.candidates) > 0 else ""
        )

    def enter(self, numbers: Iterable[int]) -> list[_Candidate]:
        """Let each of the lens's algorithms compete with each number of segments."""
        entered = [self.candidate(algorithm, k) for algorithm in self.lens.algorithms for k in numbers]
        self.candidates += entered
        return entered

    def candidate(self, algorithm: str, k: int) -> _Candidate:
        """A candidate with its cheap figures and, where these pass, its held-out value."""
        from sklearn.metrics import davies_bouldin_score

        follows = self.incumbent is not None and (algorithm, k) == (self.incumbent.algorithm, self.incumbent.k)
        fitted = ALGORITHMS[algorithm]()
        try:
            fitted.fit(self.X, k, self.lens.seed, self.incumbent.clusters if follows and self.incumbent else None)
        except NoClusteringError as error:
            return _Candidate(_unfitted(algorithm, k), failure=str(error))
        clusters = fitted.predict(self.X)
        smallest = _rounded(np.bincount(clusters, minlength=k).min() / len(self.X))
        widths = silhouette_widths(self.distances, clusters[self.sampled], k)
        own = squared_distances(self.X, fitted.centroids_)[np.arange(len(self.X)), clusters]
        unseen_share = 1 - len(self.sampled) / len(self.X)
        figures = replace(
            _unfitted(algorithm, k),
            inertia=_rounded(own.sum()),
            davies_bouldin=_rounded(davies_bouldin_score(self.X, clusters)) if len(np.unique(clusters)) > 1 else None,
            silhouette=_rounded(widths.mean()),
            silhouette_error=_rounded(_standard_error(widths) * math.sqrt(unseen_share)),
            separation=_rounded(np.median(widths)),
            smallest_share=smallest,
            rows_used=len(self.sampled),
        )
        candidate = _Candidate(figures)
        if smallest < self.smallest_share:
            share = f"{smallest:.1%} of customers"
            candidate.failure = f"its smallest segment has {share}, under {self.smallest_share:.1%}"
        elif self.past is not None and candidate.is_separate:
            self.add_value(candidate, self.past)
        return candidate

    def add_value(self, candidate: _Candidate, past: Past) -> None:
        """Measure what the candidate's algorithm and k, fitted 90 days before, would have foretold."""
        algorithm, k = candidate.figures.algorithm, candidate.figures.k
        fitted = ALGORITHMS[algorithm]()
        try:
            fitted.fit(self.past_X, k, self.lens.seed)
        except NoClusteringError as error:
            candidate.unvalued = f"it has no held-out value: of the customers of 90 days before, {error}"
            return
        candidate.value = held_out_value(fitted.predict(self.past_X), k, past.outcomes, self.lens.seed)
        candidate.figures = replace(
            candidate.figures,
            held_out_value=candidate.value.value,
            held_out_error=_rounded(candidate.value.error),
        )

    def baselines(self) -> list[_Candidate]:
        """The RFM groups, valued as the candidates are; none without a past."""
        if self.past is None:
            return []
        found = []
        for name, (make, k, text) in _BASELINES.items():
            groups = make().fit(self.past.rfm).predict(self.past.rfm)
            value = held_out_value(groups, k, self.past.outcomes, self.lens.seed)
            figures = replace(
                _unfitted(name, k),
                held_out_value=value.value,
                held_out_error=_rounded(value.error),
                rows_used=len(groups),
                reason=f"the baseline: {text}; it shows what the segments are worth and cannot win",
            )
            found.append(_Candidate(figures, value))
        return found

    def winner(self, entered: list[_Candidate]) -> tuple[_Candidate | None, str]:
        """Who wins among them and why; None where none has segments large enough."""
        large = [candidate for candidate in entered if candidate.is_large_enough]
        tried = [candidate for candidate in large if candidate.is_separate and not candidate.unvalued]
        best = self.first_stable(self.by_merit(tried))
        if best is not None:
            return self.winner_against(best, tried)
        for candidate in large:
            self.add_stability(candidate)
        most_stable = min(
            large, key=lambda each: (-(each.figures.jaccard_stability or 0.0), each.figures.k), default=None
        )
        if most_stable is None:
            return None, ""
        return most_stable, (
            f"won with the highest stability ({_with_error(*self.stability(most_stable))}) of those large enough: none "
            f"that can be compared has separation above {SEPARATION_FLOOR:g} and stability {STABILITY_FLOOR:.2f}"
            f"{self.no_past()}"
        )

    def winner_against(self, best: _Candidate, tried: list[_Candidate]) -> tuple[_Candidate, str]:
        """The winner where somebody passes every gate. best: the first of those by merit · tried: all by merit."""
        incumbent = next((candidate for candidate in tried if self.is_incumbent(candidate)), None)
        if incumbent is not None and incumbent is not best:
            may_stay = best.value is None or incumbent.value is None or not self.replaces(best, incumbent)
            if may_stay and self.passes(incumbent):
                return incumbent, self.staying_reason(incumbent, best)
        if self.is_incumbent(best):
            return best, self.best_reason(best, tried, "the incumbent stays with")
        if best.value is None:
            return best, self.best_reason(best, tried, "won with")
        fewer = [
            candidate
            for candidate in self.by_merit(tried)
            if candidate.value is not None
            and candidate.figures.k < best.figures.k
            and not best.value.beats(candidate.value)
            and self.may_replace(candidate, incumbent)
        ]
        simpler = self.first_stable(sorted(fewer, key=lambda candidate: candidate.figures.k))
        if simpler is None:
            return best, self.best_reason(best, tried, "won with")
        return simpler, (
            f"won with the fewest segments of those within {_errors_text(EQUAL_WITHIN_ERRORS)} of the best: "
            f"its held-out R² is {self.value_text(simpler)}, {self.lead_text(best, simpler)} below that of {best.name} "
            f"({self.value_text(best)})"
        )

    def may_replace(self, candidate: _Candidate, incumbent: _Candidate | None) -> bool:
        """Whether there is no incumbent that passes the gates, or the candidate foretells more than it."""
        if incumbent is None or incumbent.value is None or not self.passes(incumbent):
            return True
        return self.replaces(candidate, incumbent)

    def replaces(self, candidate: _Candidate, incumbent: _Candidate) -> bool:
        """Whether it foretells so much more than the incumbent that it may replace it."""
        if candidate.value is None or incumbent.value is None:
            return False
        return candidate.value.beats(incumbent.value, REPLACING_ERRORS)

    def by_merit(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """The best first: by held-out value, or without a past by Davies–Bouldin index; ties to the smaller k."""

        def merit(candidate: _Candidate) -> tuple[float, int]:
            if candidate.value is not None:
                return -candidate.value.value, candidate.figures.k
            index = candidate.figures.davies_bouldin
            return math.inf if index is None else index, candidate.figures.k

        return sorted(candidates, key=merit)

    def first_stable(self, candidates: list[_Candidate]) -> _Candidate | None:
        return next((candidate for candidate in candidates if self.passes(candidate)), None)

    def passes(self, candidate: _Candidate) -> bool:
        """Whether it is large, separate and stable enough; finds its stability out."""
        if not (candidate.is_large_enough and candidate.is_separate):
            return False
        self.add_stability(candidate)
        return candidate.is_stable

    def add_stability(self, candidate: _Candidate) -> None:
        figures = candidate.figures
        if figures.jaccard_stability is None:
            rows = self.X[self.sampled]
            stability, error = jaccard_stability(rows, figures.algorithm, figures.k, self.lens.seed)
            candidate.figures = replace(figures, jaccard_stability=stability, jaccard_error=error)

    def is_incumbent(self, candidate: _Candidate) -> bool:
        found = candidate.figures
        return self.incumbent is not None and (found.algorithm, found.k) == (self.incumbent.algorithm, self.incumbent.k)

    def judged(self, candidate: _Candidate) -> CandidateFigures:
        """Its figures with the verdict of the gates, None where it hangs on a stability that was not computed."""
        passed: bool | None = None
        if not (candidate.is_large_enough and candidate.is_separate):
            passed = False
        elif candidate.figures.jaccard_stability is not None:
            passed = candidate.is_stable
        return replace(candidate.figures, passed_gates=passed)

    def best_reason(self, best: _Candidate, tried: list[_Candidate], how: str) -> str:
        figure = (
            f"the lowest Davies–Bouldin index ({best.figures.davies_bouldin:.3f})"
            if best.value is None
            else f"the highest held-out R² ({self.value_text(best)})"
        )
        unstable = [candidate for candidate in tried if candidate.figures.jaccard_stability is not None]
        failed = sum(not candidate.is_stable for candidate in unstable)
        pool = f"{len(tried)} of {len(self.candidates)} candidates large and separate enough"
        text = f"{how} {figure} among {pool}"
        if failed:
            text += f", {failed} of which proved unstable"
        rest = [each for each in self.by_merit(tried) if each is not best and (each not in unstable or each.is_stable)]
        if rest and best.value is not None:
            text += f"; next comes {rest[0].name} ({self.value_text(rest[0])}), {self.lead_text(best, rest[0])} below"
        elif rest:
            text += f"; next comes {rest[0].name} ({rest[0].figures.davies_bouldin:.3f})"
        return text + self.no_past()

    def staying_reason(self, incumbent: _Candidate, best: _Candidate) -> str:
        if best.value is None or incumbent.value is None:
            return (
                f"the incumbent stays: it passes size, separation and stability, and nothing measured says that "
                f"{best.name} foretells more{self.no_past()}"
            )
        return (
            f"the incumbent stays: {best.name} has the highest held-out R² ({self.value_text(best)}), but is only "
            f"{self.lead_text(best, incumbent)} above the incumbent's {self.value_text(incumbent)}, "
            f"no more than {_errors_text(REPLACING_ERRORS)}"
        )

    def losing_reason(self, candidate: _Candidate, winner: _Candidate) -> str:
        figures = candidate.figures
        if candidate.failure:
            return candidate.failure
        if not candidate.is_separate:
            return f"its separation {figures.separation:.3f} is not above {SEPARATION_FLOOR:g}"
        if figures.jaccard_stability is not None and not candidate.is_stable:
            return f"its stability {_with_error(*self.stability(candidate))} is under {STABILITY_FLOOR:.2f}"
        if candidate.unvalued:
            return candidate.unvalued
        untried = "; its stability was not computed" if figures.jaccard_stability is None else ""
        if candidate.value is None or winner.value is None:
            if self.is_incumbent(winner):
                return f"it does not replace an incumbent that passes the gates{untried}"
            index, least = figures.davies_bouldin, winner.figures.davies_bouldin
            return f"its Davies–Bouldin index {index:.3f} is not below the winner's {least:.3f}{untried}"
        if self.is_incumbent(candidate) and self.replaces(winner, candidate):
            return (
                f"its held-out R² {self.value_text(candidate)} is {self.lead_text(winner, candidate)} below the "
                f"winner's, more than {_errors_text(REPLACING_ERRORS)}"
            )
        if candidate.value.value > winner.value.value:
            rule = "has more segments" if not self.is_incumbent(winner) else "is no incumbent"
            return (
                f"its held-out R² {self.value_text(candidate)} is above the winner's {self.value_text(winner)} by "
                f"{self.lead_text(candidate, winner)}, which counts as equal, and it {rule}{untried}"
            )
        return (
            f"its held-out R² {self.value_text(candidate)} is not above the winner's {self.value_text(winner)}{untried}"
        )

    def against_incumbent(self, winner: _Candidate) -> str:
        """Why the incumbent goes; empty where there is none or it stays."""
        if self.incumbent is None or self.is_incumbent(winner):
            return ""
        found = next((candidate for candidate in self.candidates if self.is_incumbent(candidate)), None)
        if found is None:
            name = f"{self.incumbent.algorithm} with {self.incumbent.k}"
            return f"; the incumbent {name} goes: the lens no longer lets it compete"
        return f"; the incumbent {found.name} goes: {self.losing_reason(found, winner)}"

    def against_baselines(self, winner: _Candidate, baselines: list[_Candidate]) -> str:
        if winner.value is None or not baselines:
            return ""
        texts = []
        for baseline in baselines:
            assert baseline.value is not None, "a baseline is nothing but its value"
            name = f"RFM's {_BASELINES[baseline.figures.algorithm][2]} ({self.value_text(baseline)})"
            if winner.value.beats(baseline.value):
                texts.append(f"beats {name} by {self.lead_text(winner, baseline)}")
            elif baseline.value.beats(winner.value):
                texts.append(f"falls short of {name} by {self.lead_text(baseline, winner)}")
            else:
                texts.append(f"is within {_errors_text(EQUAL_WITHIN_ERRORS)} of {name}")
        customers = len(winner.value.influences)
        return f"; over {customers} customers of 90 days before it {' and '.join(texts)}"

    def stability(self, candidate: _Candidate) -> tuple[float, float]:
        return candidate.figures.jaccard_stability or 0.0, candidate.figures.jaccard_error or 0.0

    def value_text(self, candidate: _Candidate) -> str:
        assert candidate.value is not None, "only asked for where values were compared"
        return _with_error(candidate.value.value, candidate.value.error)

    def lead_text(self, candidate: _Candidate, other: _Candidate) -> str:
        assert candidate.value is not None, "only asked for where values were compared"
        assert other.value is not None, "only asked for where values were compared"
        return _with_error(*candidate.value.lead_over(other.value))

    def no_past(self) -> str:
        return f"; {self.without_past}, so the gates decided alone" if self.past is None else ""


def held_out_value(clusters: IntArray, k: int, outcomes: FloatArray, seed: int) -> HeldOutValue:
    """Cross-validated R² of outcomes by segment means, averaged over those that vary.

    clusters: (m,) in 0..k−1 · outcomes: (m, o) · seed: of the 10 folds. A segment without a customer in the other
    folds foretells their overall mean, so that many cells pay for their number. Raises ValueError where no outcome
    varies.
    """
    fold = np.random.default_rng(seed).permutation(len(clusters)) % FOLDS
    errors = np.empty_like(outcomes)
    spreads = np.empty_like(outcomes)
    for held in range(FOLDS):
        learnt = fold != held
        overall = outcomes[learnt].mean(axis=0)
        sizes = np.bincount(clusters[learnt], minlength=k)[:, None]
        sums = np.column_stack(
            [np.bincount(clusters[learnt], weights=column, minlength=k) for column in outcomes[learnt].T]
        )
        means = np.where(sizes > 0, sums / np.maximum(sizes, 1), overall)
        errors[~learnt] = (outcomes[~learnt] - means[clusters[~learnt]]) ** 2
        spreads[~learnt] = (outcomes[~learnt] - overall) ** 2
    varying = _varying(outcomes)
    if not varying.any():
        raise ValueError("no outcome varies, so there is nothing to foretell")
    errors, spreads = errors[:, varying], spreads[:, varying]
    ratios = errors.mean(axis=0) / spreads.mean(axis=0)
    influences = -((errors - ratios * spreads) / spreads.mean(axis=0)).mean(axis=1)
    return HeldOutValue(_rounded(1 - ratios.mean()), influences)


def silhouette_widths(distances: FloatArray, clusters: IntArray, k: int) -> FloatArray:
    """How much nearer each customer is to the own segment than to the next, −1 to 1 (Rousseeuw 1987).

    distances: (n, n) · clusters: (n,) in 0..k−1. 0 for one who is a segment alone, and where there is one segment.
    """
    members = np.zeros((len(clusters), k), dtype=np.float64)
    members[np.arange(len(clusters)), clusters] = 1.0
    sizes = members.sum(axis=0)
    sums = distances @ members
    own_size = sizes[clusters]
    own = sums[np.arange(len(clusters)), clusters] / np.maximum(own_size - 1, 1)
    others = np.where((members == 0) & (sizes > 0), sums / np.maximum(sizes, 1), np.inf)
    other = others.min(axis=1)
    counted = (own_size > 1) & np.isfinite(other)
    larger = np.where(counted, np.maximum(own, other), 0.0)
    widths: FloatArray = np.divide(
        np.where(counted, other, 0.0) - own, larger, out=np.zeros_like(own), where=larger > 0
    )
    return widths


def jaccard_stability(X: FloatArray, algorithm: str, k: int, seed: int) -> tuple[float, float]:
    """How well k clusters come back in refits on bootstrap samples, 0 to 1, and its standard error over these.

    X: (n, d) encoded. Mean over bootstraps and clusters of the best Jaccard overlap, where a refit labels all
    the rows that the clusters were found on. A bootstrap that does not divide in k counts as 0.
    """
    _, distinct = np.unique(X, axis=0, return_inverse=True)
    original = ALGORITHMS[algorithm]()
    original.fit(X, k, seed)
    reference = original.predict(X)
    random = np.random.default_rng(seed)
    overlaps = []
    for bootstrap in range(BOOTSTRAPS):
        drawn = np.sort(random.integers(0, len(X), len(X)))
        if len(np.unique(distinct[drawn])) < k:
            overlaps.append(0.0)
            continue
        refit = ALGORITHMS[algorithm](restarts=BOOTSTRAP_RESTARTS)
        try:
            refit.fit(X[drawn], k, seed + 1 + bootstrap)
        except NoClusteringError:
            overlaps.append(0.0)
            continue
        overlaps.append(best_match_jaccard(reference, refit.predict(X), k))
    return _rounded(np.mean(overlaps)), _rounded(_standard_error(np.array(overlaps)))


def best_match_jaccard(reference: IntArray, other: IntArray, k: int) -> float:
    """Mean over the reference's clusters of the best Jaccard overlap with a cluster of the other labelling.

    reference, other: (n,) labels in 0..k−1 of the same rows. A cluster without a member overlaps 0.
    """
    both = np.bincount(reference * k + other, minlength=k * k).reshape(k, k)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return float((both / np.maximum(either, 1)).max(axis=1).mean())


def _usable(past: Past | None, lens: Lens) -> tuple[Past | None, str]:
    """At most 10,000 customers of the past by the seed; or why there is none that tells anything."""
    if past is None:
        return None, "there is too little history to hold 90 days out"
    if len(past.outcomes) < FEWEST_PAST_CUSTOMERS:
        found = len(past.outcomes)
        return None, f"{found} customers known 90 days before are under {FEWEST_PAST_CUSTOMERS}, too little history"
    sampled = past.customers(sampled_rows(len(past.outcomes), VALUE_ROWS, lens.seed))
    if not _varying(sampled.outcomes).any():
        return None, "everyone did the same in the 90 days before, which leaves nothing to foretell"
    return sampled, ""


def _varying(outcomes: FloatArray) -> BoolArray:
    varying: BoolArray = outcomes.max(axis=0) > outcomes.min(axis=0)
    return varying


def _unfitted(algorithm: str, k: int) -> CandidateFigures:
    return CandidateFigures(
        algorithm=algorithm,
        k=k,
        inertia=None,
        davies_bouldin=None,
        silhouette=None,
        silhouette_error=None,
        separation=None,
        smallest_share=None,
        jaccard_stability=None,
        jaccard_error=None,
        held_out_value=None,
        held_out_error=None,
        rows_used=None,
        passed_gates=None,
        is_winner=False,
        reason="",
    )


def _standard_error(figures: FloatArray) -> float:
    return float(figures.std(ddof=1) / math.sqrt(len(figures))) if len(figures) > 1 else 0.0


def _with_error(figure: float, error: float) -> str:
    return f"{figure:.3f} ± {error:.3f}"


def _errors_text(errors: float) -> str:
    return "one standard error" if errors == 1 else f"{errors:g} standard errors"


def _rounded(figure: float | np.floating) -> float:
    return round(float(figure), FIGURE_DECIMALS)
