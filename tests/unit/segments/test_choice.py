from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from segmentation_job.segments import choice as choice_module
from segmentation_job.segments.choice import best_match_jaccard, choose_model, jaccard_stability
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.errors import NoModelError


def groups(*sizes: int, spread: float = 0.3, seed: int = 4) -> FloatArray:
    """Round groups of these sizes, ten apart on the corners of a simplex."""
    random = np.random.default_rng(seed)
    centres = 10 * np.eye(len(sizes))
    return np.vstack(
        [random.normal(centre, spread, (size, len(sizes))) for centre, size in zip(centres, sizes, strict=True)]
    )


def stability_by_k(stability: dict[int, float]) -> Callable[[FloatArray, str, int, int], float]:
    """Stands in for the bootstraps, to try the rule of choice at stabilities of our own."""

    def known(_X: FloatArray, _algorithm: str, k: int, _seed: int) -> float:
        return stability[k]

    return known


@pytest.mark.parametrize("true_k", [3, 4, 5])
def test_the_true_number_of_groups_wins_and_says_why(make_lens: Any, true_k: int) -> None:
    choice = choose_model(groups(*[60] * true_k), make_lens(k_min=2, k_max=6), seed=1)
    assert (choice.algorithm, choice.k) == ("kmeans", true_k)
    assert [candidate.k for candidate in choice.candidates] == [2, 3, 4, 5, 6]
    winners = [candidate for candidate in choice.candidates if candidate.is_winner]
    assert [winner.k for winner in winners] == [true_k]
    assert winners[0].reason == choice.reason
    assert winners[0].jaccard_stability == 1.0
    assert all(candidate.reason for candidate in choice.candidates)
    best = min(candidate.davies_bouldin for candidate in choice.candidates if candidate.passed_gates)
    assert winners[0].davies_bouldin == best


def test_a_candidate_with_too_small_a_segment_cannot_win(make_lens: Any) -> None:
    X = groups(100, 100, 100, 6)
    assert choose_model(X, make_lens(k_min=3, k_max=4, smallest_share=0.01), seed=1).k == 4
    choice = choose_model(X, make_lens(k_min=3, k_max=4, smallest_share=0.05), seed=1)
    assert choice.k == 3
    assert not choice.candidates[1].passed_gates
    assert choice.candidates[1].reason == "its smallest segment has 2.0% of customers, under 5.0%"


def test_where_none_is_stable_the_most_stable_wins_and_it_is_said(
    make_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({3: 0.31, 4: 0.52, 5: 0.44}))
    choice = choose_model(groups(80, 80, 80), make_lens(k_min=3, k_max=5, smallest_share=0.01), seed=1)
    assert choice.k == 4
    assert choice.reason == ("won with the highest stability (0.520) of those large enough: none reaches 0.60")
    assert not any(candidate.passed_gates for candidate in choice.candidates)
    assert "0.310 is under 0.60" in choice.candidates[0].reason


def test_an_unstable_candidate_loses_to_a_stable_one_with_a_worse_index(
    make_lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = groups(80, 80, 80)
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k({2: 0.6, 3: 0.59}))
    choice = choose_model(X, make_lens(k_min=2, k_max=3), seed=1)
    assert choice.k == 2
    assert choice.candidates[0].davies_bouldin > choice.candidates[1].davies_bouldin
    assert choice.candidates[1].reason == "its stability 0.590 is under 0.60"
    assert "as the only one of 2 candidates" in choice.reason


def test_k_goes_below_the_range_where_the_range_gives_too_small_segments(make_lens: Any) -> None:
    choice = choose_model(groups(150, 150, 5), make_lens(k_min=3, k_max=4, smallest_share=0.25), seed=1)
    assert choice.k == 2
    assert choice.reason.endswith("no k from 3 to 4 gives 25.0% to every segment")
    assert [candidate.k for candidate in choice.candidates] == [3, 4, 2]


def test_k_goes_down_one_at_a_time(make_lens: Any) -> None:
    choice = choose_model(groups(100, 100, 100), make_lens(k_min=5, k_max=5, smallest_share=0.19), seed=1)
    assert choice.k == 3
    assert [candidate.k for candidate in choice.candidates] == [5, 4, 3]


def test_the_greatest_silhouette_does_not_decide(make_lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(8).normal(size=(500, 3))
    monkeypatch.setattr(choice_module, "jaccard_stability", stability_by_k(dict.fromkeys(range(2, 8), 1.0)))
    candidates = choose_model(X, make_lens(k_min=2, k_max=7, smallest_share=0.01), seed=1).candidates
    winner = next(candidate for candidate in candidates if candidate.is_winner)
    assert winner.davies_bouldin == min(candidate.davies_bouldin for candidate in candidates)
    assert winner.silhouette < max(candidate.silhouette for candidate in candidates)


def test_fewer_different_customers_than_segments_are_not_forced_apart(make_lens: Any) -> None:
    X = np.repeat(np.eye(3), 20, axis=0)
    choice = choose_model(X, make_lens(k_min=3, k_max=9), seed=1)
    assert [candidate.k for candidate in choice.candidates] == [3]
    assert choose_model(X[:40], make_lens(k_min=3, k_max=9), seed=1).k == 2


@pytest.mark.parametrize("X", [np.zeros((50, 2)), np.vstack([np.zeros((99, 2)), np.ones((1, 2))])])
def test_customers_who_cannot_be_divided_give_an_error_with_its_remedy(make_lens: Any, X: FloatArray) -> None:
    with pytest.raises(NoModelError, match=r"lens shop: .* lower smallest_share"):
        choose_model(X, make_lens(), seed=1)


def test_a_choice_is_the_same_again_and_with_other_threads(make_lens: Any) -> None:
    X = np.random.default_rng(8).normal(size=(700, 5))
    lens = make_lens(k_min=2, k_max=4, smallest_share=0.01)
    choices = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            choices.append(choose_model(X, lens, seed=3))
    assert choices[0] == choices[1]


def test_best_match_jaccard_is_hand_computed() -> None:
    reference = np.array([0, 0, 0, 0, 1, 1])
    other = np.array([1, 1, 1, 0, 0, 0])
    assert best_match_jaccard(reference, other, 2) == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert best_match_jaccard(reference, 1 - reference, 2) == 1.0


def test_groups_that_exist_are_stable_and_divided_noise_is_not() -> None:
    noise = np.random.default_rng(8).normal(size=(300, 6))
    assert jaccard_stability(groups(60, 60, 60), "kmeans", 3, seed=1) == 1.0
    assert jaccard_stability(noise, "kmeans", 7, seed=1) < 0.6
