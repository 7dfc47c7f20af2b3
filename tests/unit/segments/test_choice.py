"""The choice of algorithm and k: gates, what segments foretell, the incumbent, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import davies_bouldin_score, pairwise_distances, silhouette_samples
from threadpoolctl import threadpool_limits

from segmentation_job.segments import choice as choice_module
from segmentation_job.segments.algorithms import ALGORITHMS, KMeansAlgorithm
from segmentation_job.segments.choice import (
    CandidateFigures,
    Choice,
    HeldOutValue,
    Incumbent,
    Past,
    best_match_jaccard,
    choose_model,
    held_out_value,
    jaccard_stability,
    silhouette_widths,
)
from segmentation_job.segments.encoding import FeatureValues, FloatArray, encode, fit_encoding
from segmentation_job.segments.errors import NoModelError
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens


def groups(*sizes: int, spread: float = 0.3, seed: int = 4) -> FloatArray:
    """Round groups of these sizes, ten apart on the corners of a simplex."""
    random = np.random.default_rng(seed)
    centres = 10 * np.eye(len(sizes))
    return np.vstack(
        [random.normal(centre, spread, (size, len(sizes))) for centre, size in zip(centres, sizes, strict=True)]
    )


@pytest.fixture
def wide_lens(lens: Lens) -> Callable[..., Lens]:
    """A lens of so many features as they are."""

    def make(columns: int, **changes: Any) -> Lens:
        feature = replace(lens.features[0], encoding="as_is")
        features = tuple(replace(feature, column=f"number_{index}") for index in range(columns))
        return replace(lens, features=features, **changes)

    return make


def encoded(X: FloatArray, lens: Lens) -> FloatArray:
    return encode(X, fit_encoding(X, lens))


def stability_by_k(stability: dict[int, float]) -> Callable[[FloatArray, str, int, int], tuple[float, float]]:
    """Stands in for the bootstraps, to try the rule of choice at stabilities of our own."""

    def known(_X: FloatArray, _algorithm: str, k: int, _seed: int) -> tuple[float, float]:
        return stability[k], 0.01

    return known


def figures_of(choice: Choice, k: int, algorithm: str = "kmeans") -> CandidateFigures:
    return next(each for each in choice.candidates if (each.algorithm, each.k) == (algorithm, k))


def two_ways(n: int = 600, seed: int = 6) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Customers in two groups far apart by three features, who differ evenly in a fourth.

    Returns the features (n, 4), the side (n,) and the place in the fourth (n,).
    """
    random = np.random.default_rng(seed)
    side = random.integers(0, 2, n).astype(np.float64)
    place = random.uniform(-1.7, 1.7, n)
    apart = 10 * side[:, None] + random.normal(0, 1, (n, 3))
    return np.column_stack([apart, 1.5 * place]), side, place


def past_of(values: FloatArray, *outcomes: FloatArray, rfm: FloatArray | None = None) -> Past:
    nothing = np.column_stack([np.full(len(values), np.nan), np.zeros((len(values), 2))])
    return Past(FeatureValues(values), np.column_stack(outcomes), nothing if rfm is None else rfm)


# --- without a past: the gates and the Davies–Bouldin index ---


@pytest.mark.parametrize("true_k", [3, 4, 5])
def test_the_true_number_of_groups_wins_and_says_why(wide_lens: Any, true_k: int) -> None:
    X = groups(*[60] * true_k)
    choice = choose_model(X, wide_lens(true_k, k_min=2, k_max=6), None, None)
    assert (choice.algorithm, choice.k) == ("kmeans", true_k)
    assert [candidate.k for candidate in choice.candidates] == [2, 3, 4, 5, 6]
    winners = [candidate for candidate in choice.candidates if candidate.is_winner]
    assert [winner.k for winner in winners] == [true_k]
    assert winners[0].reason == choice.reason
    assert winners[0].jaccard_stability == 1.0
    assert winners[0].jaccard_error == 0.0
    assert all(candidate.reason for candidate in choice.candidates)
    assert choice.is_stable
    assert not choice.follows_incumbent


def test_too_little_history_is_said_and_leaves_no_value(wide_lens: Any) -> None:
    X = groups(60, 60, 60)
    lens = wide_lens(3, k_min=2, k_max=4)
    few = past_of(X[:99], X[:99, 0])
    same = past_of(X, np.zeros(180))
    for past, words in (
        (None, "there is too little history to hold 90 days out, so the gates decided alone"),
        (few, "99 customers known 90 days before are under 100, too little history, so the gates decided alone"),
        (same, "everyone did the same in the 90 days before, which leaves nothing to foretell, so the gates decided"),
    ):
        choice = choose_model(X, lens, past, None)
        assert choice.k == 3
        assert "won with the lowest Davies–Bouldin index" in choice.reason
        assert words in choice.reason
        assert all(each.held_out_value is None and each.held_out_error is None for each in choice.candidates)
        assert "rfm" not in {each.algorithm for each in choice.candidates}


def test_a_candidate_with_too_small_a_segment_cannot_win(wide_lens: Any) -> None:
    X = groups(100, 100, 100, 6)
    assert choose_model(X, wide_lens(4, k_min=3, k_max=4, smallest_share=0.01), None, None).k == 4
    choice = choose_model(X, wide_lens(4, k_min=3, k_max=4, smallest_share=0.05), None, None)
    assert choice.k == 3
    assert choice.candidates[1].passed_gates is False
    assert choice.candidates[1].reason == "its smallest segment has 2.0% of customers, under 5.0%"
    assert choice.candidates[1].jaccard_stability is None


def test_where_none_is_stable_the_most_stable_wins_and_it_is_said(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({3: 0.31, 4: 0.52, 5: 0.44}))
    lens = wide_lens(3, k_min=3, k_max=5, smallest_share=0.01)
    for past in (None, past_of(groups(80, 80, 80), np.arange(240.0))):
        choice = choose_model(groups(80, 80, 80), lens, past, None)
        assert choice.k == 4
        assert choice.reason.startswith("won with the highest stability (0.520 ± 0.010) of those large enough: none")
        assert [figures_of(choice, k).passed_gates for k in (3, 4, 5)] == [False, False, False]
        assert "0.310 ± 0.010 is under 0.60" in choice.candidates[0].reason
        assert not choice.is_stable


def test_an_unstable_candidate_loses_to_a_stable_one_with_a_worse_index(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({2: 0.6, 3: 0.59}))
    choice = choose_model(groups(80, 80, 80), wide_lens(3, k_min=2, k_max=3), None, None)
    assert choice.k == 2
    two, three = figures_of(choice, 2), figures_of(choice, 3)
    assert two.davies_bouldin is not None
    assert three.davies_bouldin is not None
    assert two.davies_bouldin > three.davies_bouldin
    assert three.reason == "its stability 0.590 ± 0.010 is under 0.60"
    assert "among 2 of 2 candidates large and separate enough, 1 of which proved unstable" in choice.reason


def test_segments_whose_median_customer_is_nearer_to_another_do_not_pass(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overlapping_by_three(distances: FloatArray, clusters: FloatArray, k: int) -> FloatArray:
        return silhouette_widths(distances, clusters, k) - (2.0 if k == 3 else 0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(choice_module, "silhouette_widths", overlapping_by_three)
    choice = choose_model(groups(80, 80, 80), wide_lens(3, k_min=2, k_max=3), None, None)
    assert choice.k == 2
    three = figures_of(choice, 3)
    assert three.passed_gates is False
    assert three.separation is not None
    assert three.reason == f"its separation {three.separation:.3f} is not above 0"


def test_k_goes_below_the_range_where_the_range_gives_too_small_segments(wide_lens: Any) -> None:
    choice = choose_model(groups(150, 150, 5), wide_lens(3, k_min=3, k_max=4, smallest_share=0.25), None, None)
    assert choice.k == 2
    assert choice.reason.endswith("no k from 3 to 4 gives 25.0% to every segment")
    assert [candidate.k for candidate in choice.candidates] == [3, 4, 2]


def test_k_goes_down_one_at_a_time(wide_lens: Any) -> None:
    choice = choose_model(groups(100, 100, 100), wide_lens(3, k_min=5, k_max=5, smallest_share=0.19), None, None)
    assert choice.k == 3
    assert [candidate.k for candidate in choice.candidates] == [5, 4, 3]


def test_the_greatest_silhouette_does_not_decide(wide_lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(4).normal(size=(500, 3))
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k(dict.fromkeys(range(2, 10), 1.0)))
    candidates = choose_model(X, wide_lens(3, k_min=2, k_max=9, smallest_share=0.01), None, None).candidates
    winner = next(candidate for candidate in candidates if candidate.is_winner)
    assert winner.davies_bouldin == min(candidate.davies_bouldin or np.inf for candidate in candidates)
    assert (winner.silhouette or 0.0) < max(candidate.silhouette or 0.0 for candidate in candidates)


def test_fewer_different_customers_than_segments_are_not_forced_apart(wide_lens: Any) -> None:
    X = np.repeat(np.eye(3), 20, axis=0)
    choice = choose_model(X, wide_lens(3, k_min=3, k_max=9), None, None)
    assert [candidate.k for candidate in choice.candidates] == [3]
    assert choose_model(X[:40], wide_lens(3, k_min=3, k_max=9), None, None).k == 2


@pytest.mark.parametrize("X", [np.zeros((50, 2)), np.vstack([np.zeros((99, 2)), np.ones((1, 2))])])
def test_customers_who_cannot_be_divided_give_an_error_with_its_remedy(wide_lens: Any, X: FloatArray) -> None:
    with pytest.raises(NoModelError, match=r"lens shop: .* lower smallest_share"):
        choose_model(X, wide_lens(2), None, None)


def test_an_algorithm_that_finds_no_such_number_says_so_and_another_wins(wide_lens: Any) -> None:
    X = groups(80, 80, 80)
    lens = wide_lens(3, k_min=3, k_max=5, algorithms=("hdbscan", "kmeans"))
    choice = choose_model(X, lens, None, None)
    assert choice.k == 3
    failed = figures_of(choice, 5, "hdbscan")
    assert "gives 5 dense regions of 240 customers" in failed.reason
    assert failed.passed_gates is False
    assert failed.inertia is None
    # Nine are too few for two dense regions.
    with pytest.raises(NoModelError, match="hdbscan with 2 failed: no least cluster size"):
        choose_model(X[:9], replace(lens, algorithms=("hdbscan",)), None, None)


# --- held out in time ---


def test_segments_that_foretell_win_over_segments_that_merely_lie_apart(wide_lens: Any) -> None:
    X, _, place = two_ways()
    lens = wide_lens(4, k_min=2, k_max=4)
    apart = choose_model(X, lens, None, None)
    assert apart.k == 2
    choice = choose_model(X, lens, past_of(X, place), None)
    assert choice.k == 4
    assert "won with the highest held-out R²" in choice.reason
    two, four = figures_of(choice, 2), figures_of(choice, 4)
    assert (two.davies_bouldin or 0.0) < (four.davies_bouldin or 0.0)
    assert (two.held_out_value or 0.0) < 0.05 < 0.5 < (four.held_out_value or 0.0)
    assert two.reason.startswith(f"its held-out R² {two.held_out_value:.3f} ± ")
    # What it could not decide about was not computed, and nothing is claimed of it.
    assert two.jaccard_stability is None
    assert two.passed_gates is None
    assert two.reason.endswith("its stability was not computed")


def test_what_foretells_best_loses_where_it_is_not_stable(wide_lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, _, place = two_ways()
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({2: 0.9, 3: 0.5, 4: 0.5}))
    choice = choose_model(X, wide_lens(4, k_min=2, k_max=4), past_of(X, place), None)
    assert choice.k == 2
    assert "2 of which proved unstable" in choice.reason
    assert figures_of(choice, 4).reason == "its stability 0.500 ± 0.010 is under 0.60"


def test_of_those_that_foretell_alike_the_fewest_segments_win(wide_lens: Any) -> None:
    X, side, _ = two_ways()
    side_and_noise = side + np.random.default_rng(1).normal(0, 1, len(side))
    choice = choose_model(X, wide_lens(4, k_min=2, k_max=4), past_of(X, side_and_noise), None)
    assert choice.k == 2
    values = [figures_of(choice, k).held_out_value or 0.0 for k in (2, 3, 4)]
    assert max(values) - values[0] < 0.02


def test_the_reason_names_the_fewest_segments_where_another_is_a_hair_better(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, side, _ = two_ways()
    known = held_out_value

    def a_hair_better_by_four(clusters: Any, k: int, outcomes: FloatArray, seed: int) -> Any:
        value = known(clusters, k, outcomes, seed)
        return replace(value, value=round(0.4 + (0.0001 if k == 4 else 0.0), 6)) if k < 5 else value

    monkeypatch.setattr(choice_module, "held_out_value", a_hair_better_by_four)
    noisy = side + np.random.default_rng(1).normal(0, 1, len(side))
    choice = choose_model(X, wide_lens(4, k_min=2, k_max=4), past_of(X, noisy), None)
    assert choice.k == 2
    assert choice.reason.startswith("won with the fewest segments of those within one standard error of the best")
    assert "below that of kmeans with 4 (0.400 ±" in choice.reason
    assert figures_of(choice, 4).reason.endswith("which counts as equal, and it has more segments")


def test_the_baseline_is_valued_the_same_way_and_cannot_win(wide_lens: Any) -> None:
    X, side, place = two_ways()
    spend = 100 * (place + 2)
    rfm = np.column_stack([np.full(len(X), 5.0), np.ones(len(X)), spend])
    lens = wide_lens(4, k_min=2, k_max=4)
    lost = choose_model(X, lens, past_of(X, place, rfm=rfm), None)
    cells, quintiles = lost.candidates[-2:]
    assert (cells.algorithm, cells.k, quintiles.algorithm, quintiles.k) == ("rfm", 125, "rfm_quintiles", 5)
    assert not cells.is_winner
    assert cells.passed_gates is None
    assert cells.rows_used == 600
    assert (cells.held_out_value or 0.0) > 0.9 > (figures_of(lost, lost.k).held_out_value or 0.0)
    assert "over 600 customers of 90 days before it falls short of RFM's 125 cells of recency, orders" in lost.reason
    won = choose_model(X, lens, past_of(X, side, rfm=rfm), None)
    assert "it beats RFM's 125 cells of recency, orders and spend (" in won.reason
    assert (won.candidates[-2].held_out_value or 0.0) < 0.1


def test_a_candidate_that_the_past_does_not_divide_into_cannot_be_compared(wide_lens: Any) -> None:
    X = groups(80, 80, 80)
    lens = wide_lens(3, k_min=3, k_max=3, algorithms=("hdbscan", "kmeans"))
    # Of old there was one cloud.
    before = np.random.default_rng(3).normal(0, 1, (240, 3))
    choice = choose_model(X, lens, past_of(before, before[:, 0]), None)
    assert choice.algorithm == "kmeans"
    assert figures_of(choice, 3, "hdbscan").reason.startswith("it has no held-out value: of the customers of 90 days")


# --- the incumbent ---


def incumbent(X: FloatArray, lens: Lens, k: int) -> Incumbent:
    algorithm = KMeansAlgorithm()
    X = encoded(X, lens)
    algorithm.fit(X, k, seed=lens.seed)
    return Incumbent("kmeans", k, algorithm.predict(X))


def test_the_incumbent_stays_while_nobody_beats_it_by_more_than_two_standard_errors(wide_lens: Any) -> None:
    X, side, place = two_ways()
    lens = wide_lens(4, k_min=2, k_max=4)
    past = past_of(X, side + 0.1 * place + np.random.default_rng(1).normal(0, 1, len(side)))
    fresh = choose_model(X, lens, past, None)
    assert fresh.k == 2
    assert (figures_of(fresh, 2).held_out_value or 0.0) > (figures_of(fresh, 4).held_out_value or 0.0)
    choice = choose_model(X, lens, past, incumbent(X, lens, 4))
    assert choice.k == 4
    assert choice.follows_incumbent
    assert choice.reason.startswith("the incumbent stays: kmeans with 2 has the highest held-out R²")
    assert "no more than 2 standard errors" in choice.reason
    assert "is above the winner's" in figures_of(choice, 2).reason
    assert "which counts as equal, and it is no incumbent" in figures_of(choice, 2).reason


def test_the_incumbent_goes_where_another_foretells_more(wide_lens: Any) -> None:
    X, _, place = two_ways()
    lens = wide_lens(4, k_min=2, k_max=4)
    choice = choose_model(X, lens, past_of(X, place), incumbent(X, lens, 2))
    assert choice.k == 4
    assert not choice.follows_incumbent
    assert "; the incumbent kmeans with 2 goes: its held-out R² " in choice.reason
    assert "below the winner's, more than 2 standard errors" in choice.reason
    assert choose_model(X, lens, past_of(X, place), incumbent(X, lens, 4)).follows_incumbent


def test_a_simpler_candidate_that_is_only_equal_to_the_incumbent_does_not_replace_it(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, side, _ = two_ways()
    # Four beat three by three errors; two are equal to both.
    told = {2: 0.4010, 3: 0.4000, 4: 0.4030}
    noise = np.random.default_rng(1).normal(size=(3, len(X)))
    noise = (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, keepdims=True) * np.sqrt(len(X))
    influences = {2: 0.003 * noise[0], 3: np.zeros(len(X)), 4: 0.001 * noise[1]}

    def known(_clusters: Any, k: int, outcomes: FloatArray, _seed: int) -> HeldOutValue:
        return HeldOutValue(told.get(k, 0.0), influences.get(k, np.zeros(len(outcomes))))

    monkeypatch.setattr(choice_module, "held_out_value", known)
    lens = wide_lens(4, k_min=2, k_max=4)
    assert choose_model(X, lens, past_of(X, side), None).k == 2
    assert choose_model(X, lens, past_of(X, side), incumbent(X, lens, 3)).k == 4
    # How much more it takes to replace an incumbent is a number of its own.
    monkeypatch.setattr(choice_module, "REPLACING_ERRORS", 4.0)
    choice = choose_model(X, lens, past_of(X, side), incumbent(X, lens, 3))
    assert choice.follows_incumbent
    assert "0.003 ± 0.001 above the incumbent's 0.400 ± 0.000, no more than 4 standard errors" in choice.reason
    assert choose_model(X, lens, past_of(X, side), None).k == 2


def test_an_incumbent_that_the_lens_no_longer_names_goes_and_it_is_said(wide_lens: Any) -> None:
    X, side, _ = two_ways()
    lens = wide_lens(4, k_min=2, k_max=3)
    choice = choose_model(X, lens, past_of(X, side), Incumbent("ward", 9, np.zeros(len(X), dtype=np.int64)))
    assert "; the incumbent ward with 9 goes: the lens no longer lets it compete" in choice.reason
    assert not choice.follows_incumbent


def test_the_incumbent_goes_where_it_is_no_longer_stable(wide_lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, side, _ = two_ways()
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({2: 0.9, 3: 0.9, 4: 0.5}))
    lens = wide_lens(4, k_min=2, k_max=4)
    for past in (None, past_of(X, side + np.random.default_rng(1).normal(0, 1, len(side)))):
        choice = choose_model(X, lens, past, incumbent(X, lens, 4))
        assert choice.k != 4
        assert not choice.follows_incumbent


def test_without_a_past_an_incumbent_that_passes_the_gates_stays(wide_lens: Any) -> None:
    X, _, _ = two_ways()
    lens = wide_lens(4, k_min=2, k_max=4)
    choice = choose_model(X, lens, None, incumbent(X, lens, 4))
    assert choice.k == 4
    assert choice.follows_incumbent
    assert choice.reason.startswith("the incumbent stays: it passes size, separation and stability, and nothing")
    assert choice.reason.endswith("so the gates decided alone")
    assert figures_of(choice, 2).reason.startswith("it does not replace an incumbent that passes the gates")


def test_the_figures_of_an_incumbent_that_stays_are_of_the_fit_from_its_clusters(wide_lens: Any) -> None:
    # A square that can be halved in two ways, of which the incumbent chose the second best.
    random = np.random.default_rng(2)
    X = np.array([[0.0, 0.0], [0, 6], [6, 0], [6, 6]])[np.arange(400) % 4] + random.normal(0, 0.4, (400, 2))
    lens = wide_lens(2, k_min=2, k_max=2)
    free = choose_model(X, lens, None, None).candidates[0].inertia
    wide, tall = (Incumbent("kmeans", 2, (X[:, column] > 3).astype(np.int64)) for column in (0, 1))
    found = {choose_model(X, lens, None, each).candidates[0].inertia for each in (wide, tall)}
    assert len(found) == 2
    assert free == min(each for each in found if each is not None)
    model = fit_model(X, lens, "kmeans", 2, date(2018, 1, 1), start=tall.clusters)
    expected = model.cost(X).min(axis=1).sum()
    assert choose_model(X, lens, None, tall).candidates[0].inertia == pytest.approx(expected, abs=1e-3)


# --- figures ---


def test_the_figures_are_those_of_the_literature(wide_lens: Any) -> None:
    X, _, place = two_ways(n=300)
    lens = wide_lens(4, k_min=3, k_max=3)
    found = choose_model(X, lens, past_of(X, place), None).candidates[0]
    Z = encoded(X, lens)
    algorithm = ALGORITHMS["kmeans"]()
    algorithm.fit(Z, 3, seed=lens.seed)
    clusters = algorithm.predict(Z)
    widths = silhouette_samples(Z, clusters)
    assert found.silhouette == pytest.approx(widths.mean(), abs=1e-6)
    assert found.separation == pytest.approx(np.median(widths), abs=1e-6)
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(Z, clusters), abs=1e-6)
    assert found.inertia == pytest.approx(algorithm.cost(Z).min(axis=1).sum(), abs=1e-5)
    assert (found.rows_used, found.silhouette_error) == (300, 0.0)


def test_a_silhouette_on_a_sample_states_an_error_that_covers_it(
    wide_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _, place = two_ways(n=900)
    lens = wide_lens(4, k_min=3, k_max=3)
    whole = choose_model(X, lens, past_of(X, place), None).candidates[0]
    monkeypatch.setattr(choice_module, "SAMPLE_ROWS", 300)
    sampled = choose_model(X, lens, past_of(X, place), None).candidates[0]
    assert sampled.rows_used == 300
    assert 0 < (sampled.silhouette_error or 0.0) < 0.02
    assert abs((sampled.silhouette or 0.0) - (whole.silhouette or 0.0)) < 3 * (sampled.silhouette_error or 0.0)


def test_silhouette_widths_of_one_who_is_alone_and_of_one_segment_are_zero() -> None:
    X = np.array([[0.0], [1.0], [7.0]])
    assert silhouette_widths(pairwise_distances(X), np.array([0, 0, 1]), 3).tolist() == [6 / 7, 5 / 6, 0.0]
    assert silhouette_widths(pairwise_distances(X), np.zeros(3, dtype=np.int64), 2).tolist() == [0.0, 0.0, 0.0]


def test_a_held_out_value_is_one_where_segments_say_all_and_about_zero_where_they_say_nothing() -> None:
    random = np.random.default_rng(3)
    clusters = random.integers(0, 4, 400)
    outcomes = np.column_stack([clusters * 2.0, np.full(400, 7.0)])
    perfect = held_out_value(clusters, 4, outcomes, seed=1)
    # The outcome that does not vary is left out.
    assert perfect.value == 1.0
    assert perfect.error == pytest.approx(0.0, abs=1e-12)
    noise = random.normal(size=(400, 2))
    few = held_out_value(clusters, 4, noise, seed=1)
    many = held_out_value(random.integers(0, 125, 400), 125, noise, seed=1)
    assert abs(few.value) < 0.03
    # Cells pay for their number: an in-sample R² of these would be about 0.3.
    assert many.value < -0.2
    assert few.beats(many)
    assert not few.beats(few)
    assert not HeldOutValue(0.4009, np.zeros(9)).beats(HeldOutValue(0.4, np.zeros(9)))
    assert HeldOutValue(0.4011, np.zeros(9)).beats(HeldOutValue(0.4, np.zeros(9)))
    with pytest.raises(ValueError, match="no outcome varies"):
        held_out_value(clusters, 4, np.ones((400, 1)), seed=1)


def test_a_segment_without_a_customer_to_learn_from_foretells_the_mean_of_everyone() -> None:
    clusters = np.array([0] * 49 + [1])
    outcomes = np.array([[0.0]] * 25 + [[2.0]] * 25)
    value = held_out_value(clusters, 3, outcomes, seed=1)
    assert -0.1 < value.value < 0.0


def test_the_errors_of_a_value_and_of_a_difference_are_what_they_are_over_repetitions() -> None:
    random = np.random.default_rng(12)
    values, errors, leads, lead_errors = [], [], [], []
    for _ in range(300):
        clusters = random.integers(0, 4, 250)
        outcomes = np.column_stack([clusters + random.normal(0, 1, 250), clusters > random.uniform(0, 4, 250)])
        fine = held_out_value(clusters, 4, outcomes, seed=1)
        coarse = held_out_value(clusters // 2, 2, outcomes, seed=1)
        lead, lead_error = fine.lead_over(coarse)
        values.append(fine.value)
        errors.append(fine.error)
        leads.append(lead)
        lead_errors.append(lead_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)
    assert np.mean(lead_errors) == pytest.approx(np.std(leads), rel=0.2)


def test_a_choice_is_the_same_again_and_with_other_threads(wide_lens: Any) -> None:
    X, side, place = two_ways(n=300)
    lens = wide_lens(4, k_min=2, k_max=4, smallest_share=0.01, algorithms=("kmeans", "gaussian_mixture"))
    choices = []
    for threads in (1, 2, 4):
        with threadpool_limits(limits=threads):
            choices.append(choose_model(X, lens, past_of(X, place, side), incumbent(X, lens, 3)))
    assert choices[0] == choices[1] == choices[2]


def test_a_past_whose_parts_are_of_different_customers_is_refused() -> None:
    with pytest.raises(ValueError, match="3 customers of the past have 2 outcomes and 3 RFM"):
        Past(FeatureValues(np.zeros((3, 2))), np.zeros((2, 1)), np.zeros((3, 3)))


def test_best_match_jaccard_is_hand_computed() -> None:
    reference = np.array([0, 0, 0, 0, 1, 1])
    other = np.array([1, 1, 1, 0, 0, 0])
    assert best_match_jaccard(reference, other, 2) == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert best_match_jaccard(reference, 1 - reference, 2) == 1.0


def test_groups_that_exist_are_stable_and_divided_noise_is_not() -> None:
    noise = np.random.default_rng(8).normal(size=(300, 6))
    assert jaccard_stability(groups(60, 60, 60), "kmeans", 3, seed=1) == (1.0, 0.0)
    stability, error = jaccard_stability(noise, "kmeans", 7, seed=1)
    assert stability + error < 0.6
    assert error > 0
