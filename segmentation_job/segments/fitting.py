"""Fitting a model of a given algorithm and number of segments."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from segmentation_job.segments.algorithms import ALGORITHMS, IntArray, nearest
from segmentation_job.segments.encoding import Encoding, FloatArray, RawValues, encode, fit_encoding, quantise
from segmentation_job.segments.errors import LensError
from segmentation_job.segments.identity import NEW, segment_key
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model, Recipe

OUTLIER_PERCENTILE = 99.5
# One feature alone is a ranking, not a segmentation.
FEWEST_LIVE_FEATURES = 2


def require_live_features(encoding: Encoding, lens: Lens, as_of: date) -> None:
    """Raise LensError where fewer than two of the lens's features vary among the customers fitted on.

    as_of: the date they are of, for the message.
    """
    idle = encoding.idle_features
    live = len(encoding.features) - len(idle)
    if live < FEWEST_LIVE_FEATURES:
        raise LensError(
            f"lens {lens.name}: of its {len(encoding.features)} features {live} vary among the customers of {as_of}, "
            f"and {FEWEST_LIVE_FEATURES} are needed; constant or empty are {', '.join(idle)}. Map more columns of the "
            f"source, or switch the lens off: enabled: false in its file, or SEGMENTATION_LENSES without it"
        )


def fit_model(
    values: RawValues,
    lens: Lens,
    algorithm: str,
    k: int,
    fitted_as_of: date,
    parent_version: str | None = None,
    start: IntArray | None = None,
) -> Model:
    """Fit k clusters with the named algorithm; every segment is new until identities are carried over.

    values: (n, d) raw, in the lens's feature order, NaN where missing, customers sorted by id · start: (n,) clusters
    to start from in a refit that follows the incumbent, −1 for customers in none; one run from their means, no random
    starts. Algorithms that cannot start anywhere ignore it. Raises NoClusteringError where the customers do not divide
    in k.
    """
    encoding = fit_encoding(values, lens)
    X = encode(values, encoding)
    fitted = ALGORITHMS[algorithm]()
    fitted.fit(X, k, lens.seed, start)
    cost = fitted.cost(X)
    clusters = nearest(cost)
    outlier_cost = [
        _outlier_cost(cost[(clusters == cluster) & fitted.inliers_, cluster], knows_noise=not fitted.inliers_.all())
        for cluster in range(k)
    ]
    geometry = fitted.geometry_
    model = Model(
        lens_name=lens.name,
        lens_version=lens.version,
        algorithm=algorithm,
        k=k,
        fitted_as_of=fitted_as_of,
        parent_version=parent_version,
        encoding=encoding,
        centroids=_rows(geometry.centroids),
        segment_keys=tuple(f"unborn-{cluster}" for cluster in range(k)),
        relations=(NEW,) * k,
        outlier_cost=tuple(quantise(np.array(outlier_cost)).tolist()),
        maps=tuple(_rows(each) for each in geometry.maps),
        offsets=() if geometry.offsets is None else tuple(geometry.offsets.tolist()),
        recipe=Recipe(lens.seed, fitted.restarts, () if fitted.start_ is None else _rows(fitted.start_)),
    )
    return replace(model, segment_keys=tuple(segment_key(lens.name, model.version, cluster) for cluster in range(k)))


def _outlier_cost(members: FloatArray, knows_noise: bool) -> float:
    """The cost beyond which a customer is an outlier. members: costs of the cluster's customers who are not noise."""
    if len(members) == 0:
        return 0.0
    # Where an algorithm said who is noise, nobody else is an outlier: not even where quantising rounds down.
    return float(members.max() * (1 + 1e-8) if knows_noise else np.percentile(members, OUTLIER_PERCENTILE))


def _rows(matrix: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
