"""Clustering algorithms behind one interface: fit, predict, cost."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from segmentation_job.segments.encoding import FloatArray, quantise

IntArray = NDArray[np.int64]


class ClusteringAlgorithm(Protocol):
    """What every algorithm offers; the cost means the same for all: lower is nearer."""

    centroids_: FloatArray

    def fit(self, X: FloatArray, k: int, seed: int) -> FloatArray:
        """Learn k clusters of X (n, d); returns the quantised centroids (k, d), also in `centroids_`."""
        ...

    def predict(self, X: FloatArray) -> IntArray:
        """The cluster of least cost for each row, ties to the lowest index; (n,)."""
        ...

    def cost(self, X: FloatArray) -> FloatArray:
        """The cost of each cluster for each row; (n, k)."""
        ...


class AlgorithmMaker(Protocol):
    """Makes an unfitted algorithm; one without random starts ignores `restarts`."""

    def __call__(self, restarts: int = 10) -> ClusteringAlgorithm: ...


class KMeansAlgorithm:
    """K-means by Lloyd's iterations from k-means++ starts; its cost is the squared Euclidean distance.

    restarts: how many starts the best is taken of.
    """

    centroids_: FloatArray

    def __init__(self, restarts: int = 10) -> None:
        self.restarts = restarts

    def fit(self, X: FloatArray, k: int, seed: int) -> FloatArray:
        """Learn k centroids of X (n, d), the largest cluster first; equal whatever the number of threads.

        Raises ValueError (scikit-learn's) where n < k.
        """
        kmeans = KMeans(n_clusters=k, n_init=self.restarts, algorithm="lloyd", random_state=seed)
        # The last bits of a centroid depend on how many threads added it up.
        with threadpool_limits(limits=1):
            kmeans.fit(np.ascontiguousarray(X, dtype=np.float64))
        centroids = quantise(kmeans.cluster_centers_)
        sizes = np.bincount(nearest(squared_distances(X, centroids)), minlength=k)
        self.centroids_ = centroids[np.lexsort((*centroids.T[::-1], -sizes))]
        return self.centroids_

    def predict(self, X: FloatArray) -> IntArray:
        """The nearest centroid of each row; (n,)."""
        return nearest(self.cost(X))

    def cost(self, X: FloatArray) -> FloatArray:
        """The squared distance of each row to each centroid; (n, k)."""
        return squared_distances(X, self.centroids_)


ALGORITHMS: dict[str, AlgorithmMaker] = {"kmeans": KMeansAlgorithm}


def squared_distances(X: FloatArray, centroids: FloatArray) -> FloatArray:
    """Squared Euclidean distances, the same bits for a row alone, in a batch or among all.

    X: (n, d) · centroids: (k, d). Returns (n, k).
    """
    # Added up feature by feature: a matrix product's last bits depend on batch, layout and threads.
    distances = np.zeros((len(X), len(centroids)), dtype=np.float64)
    for index in range(X.shape[1]):
        distances += (X[:, index, None] - centroids[None, :, index]) ** 2
    return distances


def nearest(cost: FloatArray) -> IntArray:
    """The cluster of least cost for each row, ties to the lowest index.

    cost: (n, k). Returns (n,).
    """
    clusters: IntArray = cost.argmin(axis=1).astype(np.int64)
    return clusters
