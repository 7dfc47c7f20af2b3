from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_job.segments.algorithms import nearest
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.identity import carry_identities, match_clusters, segment_key
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model


def test_a_segment_s_key_depends_on_lens_birth_model_and_cluster_alone() -> None:
    keys = {
        segment_key("a", "v", 1),
        segment_key("b", "v", 1),
        segment_key("a", "w", 1),
        segment_key("a", "v", 2),
    }
    assert len(keys) == 4
    assert segment_key("overall", "0123456789abcdef", 3) == segment_key("overall", "0123456789abcdef", 3)
    assert segment_key("a", "v1", 1) != segment_key("a", "v", 11)


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), min_size=20, max_size=60))
def test_renumbered_clusters_are_recognised(order: list[int], labels: list[int]) -> None:
    incumbent = [f"key{label}" for label in labels]
    challenger = np.array([order[label] for label in labels])
    matched = match_clusters(challenger, incumbent, 5)
    for label in set(labels):
        assert matched[order[label]] == f"key{label}"


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=60))
def test_no_key_goes_to_two_clusters(pairs: list[tuple[int, str | None]]) -> None:
    matched = match_clusters(np.array([cluster for cluster, _ in pairs]), [key for _, key in pairs], 6)
    kept = [key for key in matched if key is not None]
    assert len(matched) == 6
    assert len(kept) == len(set(kept))


def test_the_greatest_overlap_in_all_beats_the_greatest_of_one() -> None:
    incumbent = ["a"] * 10 + ["b"] * 4
    challenger = np.array([0] * 6 + [1] * 4 + [0] * 4)
    # Overlaps: cluster 0 with a 6/14, with b 4/10; cluster 1 with a 4/10. Greedy would leave cluster 1 new.
    assert match_clusters(challenger, incumbent, 2) == ["b", "a"]


def test_an_overlap_at_the_floor_counts_and_one_below_does_not() -> None:
    seven_of_ten = (np.array([0] * 10), ["a"] * 3 + ["b"] * 7, 1)
    assert match_clusters(*seven_of_ten, floor=0.7) == ["b"]
    assert match_clusters(*seven_of_ten, floor=0.71) == [None]
    assert match_clusters(np.array([0] * 3 + [1] * 7), ["a"] * 3 + ["b"] * 7, 2, floor=1.0) == ["a", "b"]


def test_faint_overlaps_do_not_take_a_key_from_where_it_belongs() -> None:
    # Overlap of cluster 1 with a: 8/25, above the floor. Of 0 with a 5/20 and of 1 with b 5/18: greater in
    # sum, but each below the floor.
    a = [0] * 5 + [1] * 8 + [2, 2, 2, 3, 4, 5, 6]
    b = [1] * 5 + [2, 3, 4, 5, 6]
    matched = match_clusters(np.array(a + b), ["a"] * 20 + ["b"] * 10, 7)
    assert matched == [None, "a", None, None, None, None, None]


def test_customers_without_a_segment_have_no_say() -> None:
    incumbent = ["a", "a", "b", "b", *[None] * 50, float("nan")]
    challenger = np.array([0, 0, 1, 1, *[0] * 51])
    assert match_clusters(challenger, incumbent, 2) == ["a", "b"]  # type: ignore[arg-type]
    assert match_clusters(challenger[4:], incumbent[4:], 2) == [None, None]  # type: ignore[arg-type]


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 clusters for 1 incumbent keys"):
        match_clusters(np.array([0, 1]), ["a"], 2)


@pytest.fixture
def born(lens: Lens, shop: FloatArray) -> Model:
    return fit_model(shop, lens, "kmeans", 3, date(2017, 12, 1))


def test_a_first_model_s_segments_are_all_new_and_keyed_by_it(born: Model) -> None:
    assert born.relations == ("new", "new", "new")
    assert born.segment_keys == tuple(segment_key("shop", born.version, cluster) for cluster in range(3))


def test_a_refit_keeps_the_key_of_a_segment_it_finds_again(born: Model, lens: Lens, shop: FloatArray) -> None:
    old = [born.segment_keys[cluster] for cluster in nearest(born.cost(shop))]
    later = np.vstack([shop[::-1], shop[:30]])
    refit = fit_model(later, lens, "kmeans", 3, date(2018, 1, 1), born.version)
    clusters = nearest(refit.cost(later))
    carried = carry_identities(refit, clusters, [*old[::-1], *[None] * 30])
    assert carried.relations == ("kept", "kept", "kept")
    assert [carried.segment_keys[cluster] for cluster in clusters[:300]] == old[::-1]
    assert carried.version == refit.version
    assert carried.parent_version == born.version


def test_a_cluster_that_continues_nothing_is_a_new_segment(born: Model, lens: Lens, shop: FloatArray) -> None:
    clusters = nearest(born.cost(shop))
    refit = fit_model(shop, lens, "kmeans", 3, date(2018, 1, 1), born.version)
    known = [born.segment_keys[0] if cluster == 0 else None for cluster in clusters]
    carried = carry_identities(refit, nearest(refit.cost(shop)), known)
    assert sorted(carried.relations) == ["kept", "new", "new"]
    for cluster, relation in enumerate(carried.relations):
        fresh = segment_key("shop", refit.version, cluster)
        assert carried.segment_keys[cluster] == (born.segment_keys[0] if relation == "kept" else fresh)
