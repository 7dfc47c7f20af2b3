"""Seven algorithms behind one interface, and the RFM baseline."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from segmentation_job.segments.algorithms import (
    ALGORITHMS,
    GaussianMixtureAlgorithm,
    Geometry,
    HdbscanAlgorithm,
    RfmCells,
    RfmQuintiles,
    famd_loadings,
    nearest,
    sampled_rows,
    squared_distances,
)
from segmentation_job.segments.assignment import assign
from segmentation_job.segments.encoding import FloatArray, encode, quantise
from segmentation_job.segments.errors import NoClusteringError
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import ALGORITHM_NAMES, Lens
from segmentation_job.segments.model import Model

AS_OF = date(2018, 1, 1)
SIZES = (90, 70, 50, 30)
STARTING = sorted(name for name in ALGORITHMS if ALGORITHMS[name].can_start)


def blobs(spread: float = 0.3, seed: int = 5) -> FloatArray:
    """Four round groups of 90, 70, 50 and 30 in six columns, far apart."""
    random = np.random.default_rng(seed)
    return np.vstack([random.normal(np.eye(6)[group] * 6, spread, (size, 6)) for group, size in enumerate(SIZES)])


TRUTH = np.repeat(np.arange(4), SIZES)


def test_a_lens_may_name_every_algorithm_and_no_other() -> None:
    assert sorted(ALGORITHM_NAMES) == sorted(ALGORITHMS)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_finds_groups_that_lie_apart_the_largest_first(name: str) -> None:
    algorithm = ALGORITHMS[name]()
    centroids = algorithm.fit(blobs(), 4, seed=1)
    clusters = algorithm.predict(blobs())
    assert adjusted_rand_score(TRUTH, clusters) > 0.99
    assert np.bincount(clusters).tolist() == sorted(np.bincount(clusters), reverse=True)
    assert np.array_equal(centroids, algorithm.centroids_)
    assert centroids == pytest.approx(np.eye(6)[:4] * 6, abs=0.3)
    assert np.array_equal(nearest(algorithm.cost(blobs())), clusters)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_learns_the_same_with_any_number_of_threads(name: str) -> None:
    X = np.random.default_rng(3).normal(size=(1500, 6)) + 2.5 * np.eye(6)[np.arange(1500) % 3]
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(limits=threads):
            algorithm = ALGORITHMS[name]()
            algorithm.fit(X, 2 if name == "hdbscan" else 5, seed=9)
            found.append(algorithm.cost(X))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_cost_is_at_least_zero_and_has_the_same_bits_in_any_batch(name: str) -> None:
    algorithm = ALGORITHMS[name]()
    algorithm.fit(blobs(1.0), 2 if name == "hdbscan" else 5, seed=1)
    X = 5 * np.random.default_rng(8).normal(size=(60, 6))
    whole = algorithm.cost(X)
    assert (whole >= 0).all()
    for size in (1, 7, 59):
        batches = [algorithm.cost(X[start : start + size]) for start in range(0, len(X), size)]
        assert np.array_equal(np.vstack(batches), whole)
    assert np.array_equal(algorithm.cost(np.asfortranarray(X)), whole)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_what_an_algorithm_learned_comes_back_from_the_json_of_its_model(
    name: str, lens: Lens, shop: FloatArray
) -> None:
    model = fit_model(shop, lens, name, 3, AS_OF)
    again = Model.from_json(model.to_json())
    assert again == model
    assert again.version == model.version
    assert np.array_equal(again.cost(shop), model.cost(shop))
    groups = assign(again, shop).cluster.reshape(3, 100)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 100), groups.ravel()) > 0.97
    learned = [*np.ravel(model.centroids), *np.ravel(model.maps), *model.offsets, *model.outlier_cost]
    assert np.array_equal(quantise(np.array(learned)), learned)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_fewer_customers_than_segments_are_refused(name: str) -> None:
    with pytest.raises(NoClusteringError, match="3 customers are fewer than 4 segments"):
        ALGORITHMS[name]().fit(np.eye(3), 4, seed=1)


@pytest.mark.parametrize("name", STARTING)
def test_a_fit_that_starts_from_clusters_ends_near_them_where_random_starts_would_not(name: str) -> None:
    # Two ways of halving a square: a fit follows the one it is given.
    random = np.random.default_rng(2)
    corners = np.array([[0, 0], [0, 6], [6, 0], [6, 6]])[np.arange(400) % 4]
    X = corners + random.normal(0, 0.4, (400, 2))
    for column in (0, 1):
        start = (X[:, column] > 3).astype(np.int64)
        start[::9] = -1
        algorithm = ALGORITHMS[name]()
        algorithm.fit(X, 2, seed=1, start=start)
        assert adjusted_rand_score(X[:, column] > 3, algorithm.predict(X)) == 1.0


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_start_that_lacks_a_cluster_is_no_start(name: str) -> None:
    free, started = ALGORITHMS[name](), ALGORITHMS[name]()
    free.fit(blobs(), 4, seed=1)
    started.fit(blobs(), 4, seed=1, start=np.where(TRUTH == 2, -1, TRUTH))
    assert np.array_equal(free.cost(blobs()), started.cost(blobs()))


def test_a_started_model_is_of_one_run_from_the_given_clusters(lens: Lens, shop: FloatArray) -> None:
    start = np.repeat([2, 0, 1], 100)
    model = fit_model(shop, lens, "kmeans", 3, AS_OF, start=start)
    assert adjusted_rand_score(start, assign(model, shop).cluster) == 1.0


def test_hdbscan_calls_noise_an_outlier_of_its_nearest_segment(make_lens: Any, shop: FloatArray) -> None:
    noise = np.array([[90.0, 400.0, 0.9], [1.0, 1.0, 1.0], [1.0, 500.0, 0.9]])
    values = np.vstack([shop, noise])
    model = fit_model(values, make_lens(), "hdbscan", 3, AS_OF)
    assignment = assign(model, values)
    assert assignment.is_outlier[-3:].all()
    assert np.array_equal(assignment.cluster[-3:], model.cost(noise).argmin(axis=1))
    algorithm = HdbscanAlgorithm()
    X = encode(values, model.encoding)
    algorithm.fit(X, 3, seed=7)
    assert not algorithm.inliers_[-3:].any()
    # The farthest customer of a dense region is the last who is none.
    assert not assignment.is_outlier[algorithm.inliers_].any()
    assert assignment.is_outlier[:-3].mean() < 0.05


def test_hdbscan_says_which_numbers_of_segments_it_would_find() -> None:
    with pytest.raises(NoClusteringError, match=r"gives 9 dense regions of 240 customers; found were .*4"):
        HdbscanAlgorithm().fit(blobs(), 9, seed=1)


def test_the_least_cost_of_a_gaussian_mixture_is_the_greatest_posterior() -> None:
    random = np.random.default_rng(6)
    X = np.vstack([random.normal(0, 1, (300, 3)) * [3, 0.5, 1], random.normal([0, 2, 1], 0.7, (100, 3))])
    algorithm = GaussianMixtureAlgorithm()
    algorithm.fit(X, 2, seed=4)
    with threadpool_limits(limits=1):
        mixture = GaussianMixture(n_components=2, reg_covar=0.01, n_init=2, random_state=4).fit(X)
    order = np.argsort(-np.bincount(mixture.predict(X)))
    posterior = mixture.predict_proba(X)[:, order]
    cost = algorithm.cost(X)
    relative = np.exp(-cost / 2)
    assert relative / relative.sum(axis=1, keepdims=True) == pytest.approx(posterior, abs=1e-6)
    assert algorithm.geometry_.offsets is not None
    assert algorithm.geometry_.offsets.min() == 0
    assert algorithm.geometry_.offsets.max() > 0


def test_famd_looks_along_the_components_that_many_features_share() -> None:
    random = np.random.default_rng(6)
    shared = random.normal(size=(2000, 1))
    X = np.hstack([shared + random.normal(0, 0.3, (2000, 4)), random.normal(0, 0.8, (2000, 3))])
    loadings = famd_loadings(X)
    assert loadings.shape == (7, 2)
    assert loadings.T @ loadings == pytest.approx(np.eye(2), abs=1e-9)
    assert np.abs(loadings[:4, 0]) == pytest.approx(0.5, abs=0.02)
    assert famd_loadings(-X) == pytest.approx(loadings)


def test_a_geometry_s_cost_is_hand_computed() -> None:
    X = np.array([[1.0, 2.0]])
    centroids = np.array([[0.0, 0.0], [1.0, 0.0]])
    stretch, onto_the_second = np.diag([2.0, 3.0]), np.array([[0.0], [5.0]])
    assert Geometry(centroids).cost(X).tolist() == [[5.0, 4.0]]
    assert Geometry(centroids, (stretch,)).cost(X).tolist() == [[40.0, 36.0]]
    assert Geometry(centroids, (onto_the_second,)).cost(X).tolist() == [[100.0, 100.0]]
    assert Geometry(centroids, (stretch, np.eye(2)), np.array([0.0, 7.0])).cost(X).tolist() == [[40.0, 11.0]]


@pytest.mark.parametrize(
    ("maps", "offsets"),
    [((np.eye(3),), None), ((np.eye(2),) * 3, None), ((), np.array([0.0])), ((), np.array([0.0, -1.0]))],
)
def test_a_geometry_whose_parts_do_not_fit_is_refused(maps: tuple[FloatArray, ...], offsets: FloatArray | None) -> None:
    with pytest.raises(ValueError, match=r"maps of shapes|offsets must be 2 numbers"):
        Geometry(np.zeros((2, 2)), maps, offsets)


def test_a_model_with_maps_of_another_width_is_refused(lens: Lens, shop: FloatArray) -> None:
    model = fit_model(shop, lens, "gaussian_mixture", 3, AS_OF)
    with pytest.raises(ValueError, match="model of shop: maps of shapes"):
        replace(model, maps=model.maps[:2])
    assert replace(model, offsets=(0.0, 1.0, 2.0)).version != model.version
    assert "maps" not in fit_model(shop, lens, "kmeans", 3, AS_OF).to_json()


@given(arrays(np.float64, (9, 4), elements=st.floats(-50, 50)), st.integers(1, 8))
def test_a_mapped_distance_has_the_same_bits_in_any_batch(X: FloatArray, cut: int) -> None:
    shared = np.random.default_rng(1).normal(size=(4, 3))
    by_cluster = tuple(np.random.default_rng(cluster).normal(size=(4, 4)) for cluster in range(3))
    for maps in ((shared,), by_cluster):
        geometry = Geometry(X[:3], maps, np.array([0.0, 1.5, 0.25]))
        whole = geometry.cost(X)
        assert np.array_equal(whole, np.vstack([geometry.cost(X[:cut]), geometry.cost(X[cut:])]))


def test_a_sample_is_everyone_where_there_are_few_and_else_the_same_for_a_seed() -> None:
    assert sampled_rows(5, 9, seed=1).tolist() == [0, 1, 2, 3, 4]
    few = sampled_rows(1000, 50, seed=1)
    assert len(np.unique(few)) == 50
    assert (np.diff(few) > 0).all()
    assert np.array_equal(few, sampled_rows(1000, 50, seed=1))
    assert not np.array_equal(few, sampled_rows(1000, 50, seed=2))


def test_rfm_cells_are_hand_computed() -> None:
    # Recency from yesterday to 100 days ago and never; orders and spend rise with it.
    rfm = np.array([[1.0, 50, 500], [10, 40, 400], [30, 30, 300], [100, 20, 200], [np.nan, 0, 0]])
    cells = RfmCells().fit(rfm)
    assert cells.scores(rfm).tolist() == [[4, 4, 4], [3, 3, 3], [2, 2, 2], [1, 1, 1], [0, 0, 0]]
    assert cells.predict(rfm).tolist() == [124, 93, 62, 31, 0]
    assert cells.predict(np.array([[1.0, 0, 300]])).tolist() == [4 * 25 + 0 * 5 + 2]
    cost = cells.cost(rfm)
    assert cost.shape == (5, 125)
    assert np.array_equal(nearest(cost), cells.predict(rfm))
    assert cost[0, 93] == 3.0
    assert cost[0, 0] == 48.0


def test_rfm_quintiles_are_five_even_groups_of_the_summed_scores() -> None:
    random = np.random.default_rng(4)
    value = random.uniform(size=1000)
    rfm = np.column_stack([1 + 90 * (1 - value), 40 * value, 900 * value])
    groups = RfmQuintiles().fit(rfm)
    clusters = groups.predict(rfm)
    assert np.bincount(clusters).tolist() == [200] * 5
    assert (np.diff(clusters[np.argsort(value)]) >= 0).all()
    assert groups.cost(rfm).shape == (1000, 5)
    assert np.array_equal(nearest(groups.cost(rfm)), clusters)


def test_where_nobody_ever_bought_all_are_in_one_cell() -> None:
    rfm = np.column_stack([np.full(20, np.nan), np.zeros(20), np.zeros(20)])
    assert len(np.unique(RfmCells().fit(rfm).predict(rfm))) == 1


def test_squared_distances_of_nobody_are_none() -> None:
    assert squared_distances(np.empty((0, 2)), np.zeros((3, 2))).shape == (0, 3)
