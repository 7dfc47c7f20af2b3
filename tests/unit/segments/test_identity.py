from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_job.segments.algorithms import nearest
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.identity import Kinship, match_clusters, relate_clusters, segment_key
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


def relate(pairs: dict[tuple[int, int], int], k: int, predecessor_k: int, floor: float = 0.3) -> list[Kinship]:
    """Relate by the number of customers in each pair of a cluster and a cluster of the predecessor."""
    clusters = [cluster for (cluster, _), count in pairs.items() for _ in range(count)]
    earlier = [earlier for (_, earlier), count in pairs.items() for _ in range(count)]
    return relate_clusters(np.array(clusters), np.array(earlier), k, predecessor_k, floor)


def kept(cluster: int) -> Kinship:
    return Kinship(cluster, "kept", ())


def test_a_refit_that_finds_the_same_segments_keeps_them_whatever_their_numbers(born: Model, shop: FloatArray) -> None:
    earlier = nearest(born.cost(shop))
    order = np.array([2, 0, 1])
    assert relate_clusters(order[earlier], earlier, 3, 3) == [kept(1), kept(2), kept(0)]


def test_the_smaller_part_of_a_divided_segment_is_split_from_it() -> None:
    assert relate({(0, 0): 60, (1, 0): 40, (2, 1): 50}, 3, 2) == [kept(0), Kinship(None, "split_of", (0,)), kept(1)]


def test_a_split_needs_more_than_half_of_the_cluster_to_come_from_one() -> None:
    matched = {(0, 0): 90, (1, 1): 90}
    assert relate({**matched, (2, 0): 10, (2, 1): 9}, 3, 2)[2] == Kinship(None, "split_of", (0,))
    assert relate({**matched, (2, 0): 10, (2, 1): 10}, 3, 2)[2] == Kinship(None, "new", ())


def test_a_cluster_that_holds_most_of_two_and_continues_neither_is_merged_from_them() -> None:
    four_in_one = {(0, cluster): 25 for cluster in range(4)}
    assert relate({**four_in_one, (1, 4): 50}, 2, 5) == [Kinship(None, "merged_from", (0, 1, 2, 3)), kept(4)]


def test_a_merger_counts_only_those_of_which_more_than_half_came() -> None:
    pairs = {(0, 0): 30, (0, 1): 30, (0, 2): 30, (0, 3): 30, (1, 3): 30}
    assert relate(pairs, 2, 4, floor=0.5) == [Kinship(None, "merged_from", (0, 1, 2)), kept(3)]


def test_a_merged_segment_that_overlaps_one_of_them_enough_continues_it() -> None:
    assert relate({(0, 0): 70, (0, 1): 30, (1, 2): 50}, 2, 3) == [kept(0), kept(2)]


def test_a_cluster_of_customers_from_everywhere_is_new() -> None:
    pairs = {(cluster, cluster): 90 for cluster in range(3)} | {(3, cluster): 10 for cluster in range(3)}
    assert relate(pairs, 4, 3)[3] == Kinship(None, "new", ())


def test_customers_whom_the_predecessor_does_not_know_have_no_say_in_what_continues() -> None:
    # With a say, the overlap would be 10 of 110.
    assert relate({(0, 0): 10, (0, -1): 100}, 1, 1) == [kept(0)]
    assert relate({(0, -1): 3, (1, -1): 4}, 2, 2) == [Kinship(None, "new", ())] * 2


def test_a_cluster_of_mostly_unknown_customers_is_new_and_not_split() -> None:
    assert relate({(0, 0): 90, (1, 0): 10, (1, -1): 11}, 2, 1)[1] == Kinship(None, "new", ())
    assert relate({(0, 0): 90, (1, 0): 10, (1, -1): 9}, 2, 1)[1] == Kinship(None, "split_of", (0,))


def test_an_overlap_at_the_floor_continues_a_segment_and_one_below_does_not() -> None:
    pairs = {(0, 0): 7, (0, -1): 2, (1, 0): 3}
    assert relate(pairs, 2, 1, floor=0.7)[0] == kept(0)
    assert relate(pairs, 2, 1, floor=0.71)[0] == Kinship(None, "split_of", (0,))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 3)), min_size=1, max_size=60))
def test_no_segment_is_continued_twice_and_only_who_is_born_has_parents(pairs: list[tuple[int, int]]) -> None:
    clusters, earlier = (np.array(side) for side in zip(*pairs, strict=True))
    kinships = relate_clusters(clusters, earlier, 5, 4)
    continued = [kinship.continues for kinship in kinships if kinship.continues is not None]
    assert len(continued) == len(set(continued))
    for kinship in kinships:
        assert (kinship.continues is not None) == (kinship.relation == "kept")
        least = {"kept": 0, "new": 0, "split_of": 1, "merged_from": 2}[kinship.relation]
        assert len(kinship.parents) >= least
        assert kinship.parents == () or kinship.relation in ("split_of", "merged_from")


def test_clusters_of_other_customers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 clusters for 1 of the predecessor"):
        relate_clusters(np.array([0, 1]), np.array([0]), 2, 1)
