"""What the notebook writes out of each algorithm fits the same model as the project's own code."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from segmentation_job.segments.algorithms import ALGORITHMS, nearest
from segmentation_job.segments.encoding import FloatArray, encode
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens
from tests.support.committed_notebooks import read_notebook
from tests.support.nights import PROJECT_DIR

AS_OF = date(2018, 1, 1)
CELLS = ("model", "refit")
STARTS_ANYWHERE = sorted(name for name, algorithm in ALGORITHMS.items() if algorithm.can_start)


@pytest.fixture(scope="module")
def written_out() -> dict[str, Any]:
    """The functions that stand in the notebook's cells."""
    cells = read_notebook(PROJECT_DIR / "notebooks" / "segment_analysis.ipynb")["cells"]
    names: dict[str, Any] = {
        "hashlib": hashlib,
        "json": json,
        "np": np,
        "pd": pd,
        "threadpool_limits": threadpool_limits,
    }
    for cell in cells:
        if cell["id"] in CELLS:
            exec("".join(cell["source"]), names)
    return names


def assert_fits_again(written_out: dict[str, Any], shop: FloatArray, lens: Lens, name: str, start: Any) -> None:
    # More segments than the shop has, so that the answer hangs on the start; hdbscan finds just those it has.
    model = fit_model(shop, lens, name, 3 if name == "hdbscan" else 6, AS_OF, start=start)
    X = encode(shop, model.encoding)
    stored = json.loads(model.to_json())
    centroids, maps, offsets = written_out["fitted_again"](X, stored)
    assert np.array_equal(centroids, np.array(model.centroids))
    cost = written_out["costs"](X, centroids, maps, offsets)
    assert np.allclose(cost, model.cost(shop), rtol=1e-9, atol=1e-9)
    assert np.array_equal(written_out["model_costs"](X, stored).argmin(axis=1), nearest(model.cost(shop)))
    assert written_out["content_version"](stored) == model.version
    stored["centroids"][0][0] += 1e-9
    assert written_out["content_version"](stored) != model.version


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_the_notebook_fits_each_algorithm_from_its_random_starts_to_the_last_digit(
    written_out: dict[str, Any], shop: FloatArray, lens: Lens, name: str
) -> None:
    assert_fits_again(written_out, shop, lens, name, None)


@pytest.mark.parametrize("name", STARTS_ANYWHERE)
def test_the_notebook_fits_each_algorithm_from_its_predecessors_clusters_to_the_last_digit(
    written_out: dict[str, Any], shop: FloatArray, lens: Lens, name: str
) -> None:
    assert_fits_again(written_out, shop, lens, name, np.arange(300) * 7 % 6)


def test_another_seed_or_another_start_would_fit_other_centroids(
    written_out: dict[str, Any], shop: FloatArray, lens: Lens
) -> None:
    for start in (None, np.arange(300) * 7 % 6):
        model = fit_model(shop, lens, "kmeans", 6, AS_OF, start=start)
        stored = json.loads(model.to_json())
        stored["recipe"] |= {"seed": 8, "restarts": 1, "start": [mean[::-1] for mean in stored["recipe"]["start"]]}
        centroids, _, _ = written_out["fitted_again"](encode(shop, model.encoding), stored)
        assert not np.allclose(centroids, np.array(model.centroids))
