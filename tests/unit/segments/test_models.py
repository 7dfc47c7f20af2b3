"""Algorithms, models and assignments."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from segmentation_job.segments.algorithms import ALGORITHMS, RESTARTS, KMeansAlgorithm, nearest, squared_distances
from segmentation_job.segments.assignment import assign, assignment_to
from segmentation_job.segments.encoding import FeatureValues, FloatArray, encode, fit_encoding, quantise
from segmentation_job.segments.errors import LensError
from segmentation_job.segments.fitting import fit_model, require_live_features
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model, Recipe

AS_OF = date(2018, 1, 1)


@pytest.fixture
def model(lens: Lens, shop: FloatArray) -> Model:
    return fit_model(shop, lens, "kmeans", 3, AS_OF)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_finds_groups_that_lie_apart(name: str) -> None:
    random = np.random.default_rng(5)
    X = np.vstack([random.normal(centre, 0.2, (size, 2)) for centre, size in ((0, 50), (5, 30), (9, 20))])
    algorithm = ALGORITHMS[name]()
    centroids = algorithm.fit(X, 3, seed=1)
    assert algorithm.predict(X).tolist() == [0] * 50 + [1] * 30 + [2] * 20
    assert np.array_equal(centroids, algorithm.centroids_)
    assert algorithm.cost(X).shape == (100, 3)
    assert np.array_equal(nearest(algorithm.cost(X)), algorithm.predict(X))


def test_a_fit_is_the_same_with_one_thread_and_with_two() -> None:
    X = np.random.default_rng(3).normal(size=(3000, 6))
    fits = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            fits.append(KMeansAlgorithm().fit(X, 5, seed=9))
    assert np.array_equal(fits[0], fits[1])
    assert np.array_equal(fits[0], quantise(fits[0]))


def test_squared_distances_are_hand_computed() -> None:
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert squared_distances(X, np.array([[0.0, 0.0], [0.0, 4.0]])).tolist() == [[0.0, 16.0], [25.0, 9.0]]


@given(arrays(np.float64, (9, 4), elements=st.floats(-50, 50)), st.integers(1, 8))
def test_a_distance_has_the_same_bits_in_any_batch_and_layout(X: FloatArray, cut: int) -> None:
    centroids = X[:3]
    whole = squared_distances(X, centroids)
    halves = np.vstack([squared_distances(X[:cut], centroids), squared_distances(X[cut:], centroids)])
    assert np.array_equal(whole, halves)
    assert np.array_equal(whole, squared_distances(np.asfortranarray(X), centroids))


def test_a_tie_goes_to_the_lowest_cluster() -> None:
    assert nearest(np.array([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]])).tolist() == [1, 0]


def test_a_model_comes_back_from_its_json_as_it_was(model: Model, shop: FloatArray) -> None:
    text = model.to_json()
    again = Model.from_json(text)
    assert again == model
    assert again.to_json() == text
    assert again.version == model.version
    assert np.array_equal(again.cost(shop), model.cost(shop))


def test_a_stored_model_that_was_tampered_with_is_refused(model: Model) -> None:
    content = json.loads(model.to_json())
    content["centroids"][0][0] += 0.001
    with pytest.raises(ValueError, match=f"model {model.version} of lens shop was changed"):
        Model.from_json(json.dumps(content))


def test_the_version_is_of_what_was_learned_and_not_of_the_names_it_carries(model: Model) -> None:
    renamed = replace(model, segment_keys=("a", "b", "c"), relations=("kept", "kept", "new"))
    assert renamed.version == model.version
    assert replace(model, parent_version="0123456789abcdef").version != model.version
    assert replace(model, fitted_as_of=date(2018, 1, 2)).version != model.version
    assert replace(model, outlier_cost=(1.0, 2.0, 3.0)).version != model.version
    assert len(model.version) == 16


def test_a_recipe_says_how_a_model_was_fitted_and_stays_out_of_its_version(shop: FloatArray, lens: Lens) -> None:
    first = fit_model(shop, lens, "kmeans", 3, AS_OF)
    assert first.recipe == Recipe(lens.seed, RESTARTS)
    assert replace(first, recipe=None).version == first.version
    start = np.repeat([0, 1, 2], 100)
    later = fit_model(shop, lens, "kmeans", 3, AS_OF, start=start)
    assert later.recipe is not None
    means = [encode(shop, later.encoding)[start == cluster].mean(axis=0) for cluster in range(3)]
    assert np.array_equal(later.recipe.start, quantise(np.array(means)))
    assert Model.from_json(later.to_json()) == later
    stored_before_recipes_were = json.loads(first.to_json())
    del stored_before_recipes_were["recipe"]
    assert Model.from_json(json.dumps(stored_before_recipes_were)) == replace(first, recipe=None)


def test_a_model_holds_quantised_numbers_only(model: Model) -> None:
    numbers = np.array([*np.ravel(model.centroids), *model.outlier_cost])
    assert np.array_equal(numbers, quantise(numbers))


def test_the_same_customers_give_the_same_model(model: Model, lens: Lens, shop: FloatArray) -> None:
    assert fit_model(shop.copy(), lens, "kmeans", 3, AS_OF) == model


@pytest.mark.parametrize("short", [{"relations": ("new",)}, {"outlier_cost": ()}, {"segment_keys": ("a", "b")}])
def test_a_model_whose_parts_disagree_with_k_is_refused(model: Model, short: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="entries for 3 clusters"):
        replace(model, **short)


def test_a_model_with_one_key_twice_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="share a segment key"):
        replace(model, segment_keys=("a", "a", "b"))


def test_one_in_two_hundred_fitting_customers_of_a_segment_is_an_outlier(lens: Lens) -> None:
    random = np.random.default_rng(2)
    values = np.column_stack([random.uniform(1, 99, 2000), random.uniform(1, 9, 2000), random.uniform(0, 1, 2000)])
    model = fit_model(values, lens, "kmeans", 2, AS_OF)
    assignment = assign(model, values)
    for cluster in range(2):
        assert assignment.is_outlier[assignment.cluster == cluster].mean() == pytest.approx(0.005, abs=0.001)


def test_customers_are_assigned_to_their_group_with_confidence(model: Model, shop: FloatArray) -> None:
    assignment = assign(model, shop)
    groups = assignment.cluster.reshape(3, 100)
    assert all(len(set(group)) == 1 for group in groups)
    assert sorted({int(group[0]) for group in groups}) == [0, 1, 2]
    assert ((assignment.confidence >= 0) & (assignment.confidence <= 1)).all()
    assert np.median(assignment.confidence) > 0.8
    assert np.array_equal(assignment.distance, model.cost(shop).min(axis=1).round(6))


def test_a_customer_s_assignment_does_not_depend_on_the_others(model: Model, shop: FloatArray) -> None:
    whole = assign(model, shop)
    alone = assign(model, shop[41:42])
    assert alone.cluster[0] == whole.cluster[41]
    assert alone.distance[0] == whole.distance[41]
    assert alone.confidence[0] == whole.confidence[41]


def test_confidence_is_one_less_the_ratio_of_squared_distances() -> None:
    cost = np.array([[1.0, 4.0, 9.0], [0.0, 5.0, 5.0], [2.0, 2.0, 3.0], [0.0, 0.0, 1.0], [8.0, 2.0, 9.0]])
    nearest_ones = assignment_to(nearest(cost), cost, (1.0, 1.0, 1.0))
    assert nearest_ones.confidence.tolist() == [0.75, 1.0, 0.0, 0.0, 0.75]
    assert nearest_ones.is_outlier.tolist() == [False, False, True, False, True]


def test_a_customer_held_in_a_farther_segment_has_no_confidence() -> None:
    held = assignment_to(np.array([0]), np.array([[8.0, 2.0]]), (9.0, 1.0))
    assert held.confidence.tolist() == [0.0]
    assert held.distance.tolist() == [8.0]
    assert held.is_outlier.tolist() == [False]


def test_where_there_is_one_segment_everyone_is_sure_of_it() -> None:
    assert assignment_to(np.array([0]), np.array([[3.0]]), (9.0,)).confidence.tolist() == [1.0]


def test_the_cost_of_a_model_is_measured_on_encoded_values(model: Model, shop: FloatArray) -> None:
    X = encode(shop[:1], model.encoding)[0]
    expected = [((X - np.array(centroid)) ** 2).sum() for centroid in model.centroids]
    assert model.cost(shop[:1])[0] == pytest.approx(expected)


def test_a_model_of_every_encoding_comes_back_from_json_and_labels_alike(make_lens: Any, shop: FloatArray) -> None:
    like = {"family": "f", "high": "", "low": "", "label": "l"}
    text = {**like, "unit": "category"}
    number = {**like, "unit": "amount"}
    lens = make_lens(
        features=[
            {**text, "column": "t.region", "encoding": "one_hot"},
            {**text, "column": "t.band", "encoding": "ordinal", "order": ["low", "high"]},
            {**number, "column": "t.returns", "encoding": "hurdle"},
            {**number, "column": "t.amount", "encoding": "log"},
        ],
        actions=[],
    )
    numbers = np.column_stack([shop[:, 0] % 3, shop[:, 0] % 2, np.maximum(shop[:, 0] - 9, 0), shop[:, 1]])
    numbers[::7, 0] = np.nan
    values = FeatureValues(numbers, {0: ("north", "south", "west"), 1: ("high", "low")})
    model = fit_model(values, lens, "kmeans", 3, AS_OF)
    # Three regions and unknown, a place in the order, nothing or how much, and a number.
    assert len(model.centroids[0]) == 4 + 1 + 2 + 1
    restored = Model.from_json(model.to_json())
    assert restored == model
    assert restored.version == model.version
    again = FeatureValues(numbers[::-1].copy(), values.texts)
    assert np.array_equal(assign(restored, again).cluster[::-1], assign(model, values).cluster)


def test_a_lens_with_fewer_than_two_features_that_vary_is_refused_with_the_remedy(lens: Lens, shop: FloatArray) -> None:
    values = shop.copy()
    values[:, 0] = np.nan
    require_live_features(fit_encoding(values, lens), lens, AS_OF)
    values[:, 2] = 0.5
    with pytest.raises(LensError, match=r"lens shop: of its 3 features 1 vary .* 2018-01-01.*SEGMENTATION_LENSES"):
        require_live_features(fit_encoding(values, lens), lens, AS_OF)


def test_a_weighed_model_is_stored_and_read_back_with_its_weights(make_lens: Any, shop: FloatArray) -> None:
    model = fit_model(shop, make_lens(weights={"deals": 3, "basket": 0}), "kmeans", 3, AS_OF)
    read = Model.from_json(model.to_json())
    assert [feature.columns[0].weight for feature in read.encoding.features] == [1.0, 0.0, quantise(np.sqrt([3.0]))[0]]
    assert np.array_equal(read.cost(shop), model.cost(shop))
