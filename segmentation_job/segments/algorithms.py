"""Clustering algorithms behind one interface: fit, predict, cost.

Whatever an algorithm does to find its clusters, what it learned is a `Geometry`: centroids, and how a distance to them
is measured. A geometry is a few numbers, scores a customer alone, and makes all algorithms' costs mean the same: lower
is nearer, never negative.

| algorithm | finds clusters by | gives a customer to |
|---|---|---|
| `kmeans` | Lloyd's iterations from k-means++ starts | the nearest centroid |
| `bisecting_kmeans` | dividing the cluster of most inertia in two, k − 1 times | the nearest centroid |
| `minibatch_kmeans` | Lloyd's iterations on batches | the nearest centroid |
| `gaussian_mixture` | expectation and maximisation, full covariances | the component of the greatest posterior |
| `ward` | merging the pair that adds the least inertia, on a sample | the nearest centroid |
| `hdbscan` | dense regions, on a sample; leaves noise | the nearest centroid; noise is an outlier |
| `famd_kmeans` | k-means on the leading components of the encoded matrix | the nearest centroid by components |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from segmentation_job.segments.encoding import FloatArray, quantise
from segmentation_job.segments.errors import NoClusteringError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RESTARTS = 10
# Expectation and maximisation cost ten times a k-means, and start from one.
MIXTURE_RESTARTS = 2
# Added to each variance, in the encoding's units: a tenth of a feature's deviation surprises nobody, and a
# category that a whole component shares must not make everyone else infinitely far.
MIXTURE_FLOOR = 0.01
# All pairs of rows are looked at: time and memory grow with the square.
WARD_ROWS = 3_000
HDBSCAN_ROWS = 2_000
HDBSCAN_NEIGHBOURS = 5
HDBSCAN_SIZES = 12
# One component alone is a ranking, not a segmentation.
FAMD_LEAST_COMPONENTS = 2
RFM_PARTS = 5


@contextmanager
def one_thread() -> Iterator[None]:
    """Let every library that adds up numbers do so on one thread: the last bits depend on how many there are.

    scikit-learn is loaded first, for the limit holds for what is loaded by then. Nobody else loads it at the top of a
    module: it takes more than a second, and most steps read models without fitting any.
    """
    import sklearn.cluster  # noqa: F401

    with threadpool_limits(limits=1):
        yield


@dataclass(frozen=True)
class Geometry:
    """Where k clusters lie and how far it is to them: cost_j(x) = ‖(x − centroid_j) map_j‖² + offset_j.

    centroids: (k, d) · maps: none, where the distance is Euclidean; one (d, p) for all clusters; or k of them ·
    offsets: (k,) at least 0, or none. Raises ValueError where the shapes disagree or an offset is below 0.
    """

    centroids: FloatArray
    maps: tuple[FloatArray, ...] = ()
    offsets: FloatArray | None = None

    def __post_init__(self) -> None:
        k, width = self.centroids.shape
        if len(self.maps) not in (0, 1, k) or any(len(each) != width for each in self.maps):
            shapes = [each.shape for each in self.maps]
            raise ValueError(f"maps of shapes {shapes} do not go with {k} centroids of {width} columns")
        if self.offsets is not None and (self.offsets.shape != (k,) or (self.offsets < 0).any()):
            raise ValueError(f"offsets must be {k} numbers of at least 0, got {self.offsets.tolist()}")

    @property
    def k(self) -> int:
        """The number of clusters."""
        return len(self.centroids)

    def cost(self, X: FloatArray) -> FloatArray:
        """The cost of each cluster for each row, the same bits for a row alone, in a batch or among all.

        X: (n, d). Returns (n, k), at least 0.
        """
        if not self.maps:
            costs = squared_distances(X, self.centroids)
        elif len(self.maps) == 1:
            costs = squared_distances(_mapped(X, self.maps[0]), _mapped(self.centroids, self.maps[0]))
        else:
            costs = np.empty((len(X), self.k), dtype=np.float64)
            for cluster, (centroid, each) in enumerate(zip(self.centroids, self.maps, strict=True)):
                away = _mapped(X - centroid, each)
                costs[:, cluster] = squared_distances(away, np.zeros((1, away.shape[1])))[:, 0]
        if self.offsets is not None:
            costs += self.offsets
        return costs

    def reordered(self, order: IntArray) -> Geometry:
        """The same clusters in another order. order: (k,) the present indices."""
        return Geometry(
            centroids=self.centroids[order],
            maps=self.maps if len(self.maps) < self.k else tuple(self.maps[index] for index in order),
            offsets=None if self.offsets is None else self.offsets[order],
        )


class ClusteringAlgorithm(Protocol):
    """What every algorithm offers; the cost means the same for all: lower is nearer.

    geometry_: all that it learned, quantised · centroids_: the geometry's · inliers_: (n,) which of the rows fitted on
    belong to a cluster; all of them, but for an algorithm that knows noise · start_: (k, d) the means that it started
    from, None where it started at random · restarts: how many random starts the best was taken of.
    """

    geometry_: Geometry
    inliers_: BoolArray
    start_: FloatArray | None
    restarts: int

    @property
    def centroids_(self) -> FloatArray: ...

    def fit(self, X: FloatArray, k: int, seed: int, start: IntArray | None = None) -> FloatArray:
        """Learn k clusters of X (n, d), the largest first; returns the centroids (k, d).

        start: (n,) clusters to start from, −1 for rows in none; ignored by an algorithm that cannot start anywhere,
        and where one of the k has no row. Equal whatever the number of threads. Raises NoClusteringError where X
        does not divide in k.
        """
        ...

    def predict(self, X: FloatArray) -> IntArray:
        """The cluster of least cost for each row, ties to the lowest index; (n,)."""
        ...

    def cost(self, X: FloatArray) -> FloatArray:
        """The cost of each cluster for each row; (n, k)."""
        ...


class AlgorithmMaker(Protocol):
    """Makes an unfitted algorithm; one without random starts ignores `restarts`."""

    # Whether a fit can start from given clusters.
    can_start: bool

    def __call__(self, restarts: int = RESTARTS) -> ClusteringAlgorithm: ...


class _GeometricAlgorithm:
    """What the algorithms share: order, quantising, prediction. Each learns a geometry in `_learn`.

    restarts: how many random starts the best is taken of, where there are any.
    """

    can_start: ClassVar[bool] = False
    geometry_: Geometry
    inliers_: BoolArray
    start_: FloatArray | None

    def __init__(self, restarts: int = RESTARTS) -> None:
        self.restarts = restarts

    @property
    def centroids_(self) -> FloatArray:
        return self.geometry_.centroids

    def fit(self, X: FloatArray, k: int, seed: int, start: IntArray | None = None) -> FloatArray:
        rows = np.ascontiguousarray(X, dtype=np.float64)
        if len(rows) < k:
            raise NoClusteringError(f"{len(rows)} customers are fewer than {k} segments")
        self.inliers_ = np.ones(len(rows), dtype=bool)
        self.start_ = _start_means(rows, start, k) if self.can_start else None
        # The last bits of a centroid depend on how many threads added it up.
        with one_thread():
            learned = self._learn(rows, k, seed, self.start_)
        geometry = Geometry(
            centroids=quantise(learned.centroids),
            maps=tuple(quantise(each) for each in learned.maps),
            offsets=None if learned.offsets is None else quantise(learned.offsets),
        )
        sizes = np.bincount(nearest(geometry.cost(rows)), minlength=k)
        self.geometry_ = geometry.reordered(np.lexsort((*geometry.centroids.T[::-1], -sizes)))
        return self.geometry_.centroids

    def predict(self, X: FloatArray) -> IntArray:
        return nearest(self.cost(X))

    def cost(self, X: FloatArray) -> FloatArray:
        return self.geometry_.cost(X)

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        """The clusters in any order. means: (k, d) to start from, None for random starts."""
        raise NotImplementedError


class KMeansAlgorithm(_GeometricAlgorithm):
    """K-means by Lloyd's iterations from k-means++ starts, or once from given clusters' means."""

    can_start: ClassVar[bool] = True

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        return Geometry(_lloyd(X, k, seed, means, self.restarts))


class BisectingKMeansAlgorithm(_GeometricAlgorithm):
    """Bisecting k-means: the cluster of most inertia is divided in two, again and again (Steinbach et al. 2000).

    Given clusters are kept as they are, with their means as centroids: no division could be started from them.
    """

    can_start: ClassVar[bool] = True

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        if means is not None:
            return Geometry(means)
        from sklearn.cluster import BisectingKMeans

        fitted = BisectingKMeans(n_clusters=k, n_init=self.restarts, random_state=seed).fit(X)
        return Geometry(fitted.cluster_centers_)


class MiniBatchKMeansAlgorithm(_GeometricAlgorithm):
    """K-means on batches (Sculley 2010), for samples that Lloyd's iterations take too long on."""

    can_start: ClassVar[bool] = True

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        from sklearn.cluster import MiniBatchKMeans

        starts = {"init": "k-means++", "n_init": self.restarts} if means is None else {"init": means, "n_init": 1}
        return Geometry(MiniBatchKMeans(n_clusters=k, random_state=seed, **starts).fit(X).cluster_centers_)


class GaussianMixtureAlgorithm(_GeometricAlgorithm):
    """A mixture of normal distributions with full covariances.

    Its cost is −2 log(weight × density) but for a constant that makes the least offset 0: the squared Mahalanobis
    distance and, by component, log det covariance − 2 log weight. The least cost is the greatest posterior.
    """

    can_start: ClassVar[bool] = True

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            n_components=k,
            covariance_type="full",
            reg_covar=MIXTURE_FLOOR,
            n_init=1 if means is not None else min(self.restarts, MIXTURE_RESTARTS),
            means_init=means,
            random_state=seed,
        ).fit(X)
        choleskys = mixture.precisions_cholesky_
        log_determinants = -2 * np.log(np.diagonal(choleskys, axis1=1, axis2=2)).sum(axis=1)
        # A component that lost every row weighs nothing: far, but a number.
        offsets = log_determinants - 2 * np.log(np.maximum(mixture.weights_, np.finfo(np.float64).tiny))
        return Geometry(mixture.means_, tuple(choleskys), offsets - offsets.min())


class WardAlgorithm(_GeometricAlgorithm):
    """Ward's agglomeration (1963) of at most 3,000 rows by the seed; everyone else goes to the nearest centroid."""

    def _learn(self, X: FloatArray, k: int, seed: int, _means: FloatArray | None) -> Geometry:
        from sklearn.cluster import AgglomerativeClustering

        rows = X[sampled_rows(len(X), WARD_ROWS, seed)]
        clusters = AgglomerativeClustering(n_clusters=k, linkage="ward").fit_predict(rows)
        return Geometry(_cluster_means(rows, clusters, k))


class HdbscanAlgorithm(_GeometricAlgorithm):
    """HDBSCAN (Campello, Moulavi & Sander 2013) on at most 2,000 rows by the seed.

    It finds its own number of clusters, so among twelve least cluster sizes, from half the rows down to 5, the largest
    that gives k of them is taken. Rows of the sample that it calls noise are not `inliers_`; a row outside the sample
    is one where it lies no farther out than the farthest inlier of its cluster.
    """

    def _learn(self, X: FloatArray, k: int, seed: int, _means: FloatArray | None) -> Geometry:
        sampled = sampled_rows(len(X), HDBSCAN_ROWS, seed)
        rows = X[sampled]
        sizes = np.geomspace(HDBSCAN_NEIGHBOURS, max(len(rows) // 2, HDBSCAN_NEIGHBOURS), HDBSCAN_SIZES)
        found: set[int] = set()
        for size in np.unique(sizes.round().astype(int))[::-1].tolist():
            # k clusters of the least size are no more than everyone.
            if size * k > len(rows):
                continue
            labels = _dense_regions(rows.tobytes(), rows.shape, size)
            clusters = int(labels.max()) + 1
            found.add(clusters)
            if clusters == k:
                break
        else:
            numbers = ", ".join(str(number) for number in sorted(found)) or "none"
            raise NoClusteringError(
                f"no least cluster size of {HDBSCAN_NEIGHBOURS} customers or more gives {k} dense regions of "
                f"{len(rows)} customers; found were {numbers}"
            )
        centroids = _cluster_means(rows, labels, k)
        self.inliers_ = _inliers(X, Geometry(quantise(centroids)), sampled, labels != -1)
        return Geometry(centroids)


class FamdKMeansAlgorithm(_GeometricAlgorithm):
    """K-means on the leading components of the encoded matrix: factor analysis of mixed data (Pagès 2004).

    The encoded matrix stands in for FAMD's own: there too numbers and categories are centred and a number has variance
    1, but a categorical feature weighs as much as a number whatever its categories, where FAMD gives rare ones more.
    Leading are the components with more variance than an encoded column has on average, two at least.
    """

    can_start: ClassVar[bool] = True

    def _learn(self, X: FloatArray, k: int, seed: int, means: FloatArray | None) -> Geometry:
        loadings = quantise(famd_loadings(X))
        projected = _mapped(X, loadings)
        starts = None if means is None else _mapped(means, loadings)
        centroids = _lloyd(projected, k, seed, starts, self.restarts)
        members = nearest(squared_distances(projected, centroids))
        # A mean of projections is the projection of the mean, and a centroid in the features' space can be read.
        return Geometry(_cluster_means(X, members, k), (loadings,))


ALGORITHMS: dict[str, AlgorithmMaker] = {
    "kmeans": KMeansAlgorithm,
    "bisecting_kmeans": BisectingKMeansAlgorithm,
    "minibatch_kmeans": MiniBatchKMeansAlgorithm,
    "gaussian_mixture": GaussianMixtureAlgorithm,
    "ward": WardAlgorithm,
    "hdbscan": HdbscanAlgorithm,
    "famd_kmeans": FamdKMeansAlgorithm,
}


class RfmCells:
    """The baseline: cells of recency, orders and spend, each cut into quantile groups.

    parts: groups of each of the three; 5 make 125 cells. A cell's cost is the squared distance in groups.
    """

    edges_: tuple[FloatArray, FloatArray, FloatArray]

    def __init__(self, parts: int = RFM_PARTS) -> None:
        self.parts = parts

    def fit(self, X: FloatArray) -> RfmCells:
        """Learn the quantiles. X: (n, 3) recency in days (NaN: never bought), orders, spend."""
        steps = np.arange(1, self.parts) / self.parts
        recency, orders, spend = (quantise(np.quantile(column, steps)) for column in _rfm_numbers(X).T)
        self.edges_ = (recency, orders, spend)
        return self

    def scores(self, X: FloatArray) -> IntArray:
        """The quantile group of each of the three, from 0 (the longest ago, the least) to parts − 1; (n, 3)."""
        numbers = _rfm_numbers(X)
        return np.column_stack(
            [np.searchsorted(edges, numbers[:, index], side="left") for index, edges in enumerate(self.edges_)]
        ).astype(np.int64)

    def predict(self, X: FloatArray) -> IntArray:
        """The cell of each row, (n,) in 0..parts³ − 1."""
        cells: IntArray = self.scores(X) @ np.array([self.parts**2, self.parts, 1], dtype=np.int64)
        return cells

    def cost(self, X: FloatArray) -> FloatArray:
        """The squared distance of each row's cell to each cell, in quantile groups; (n, parts³)."""
        cells = np.stack(np.unravel_index(np.arange(self.parts**3), (self.parts,) * 3), axis=1)
        return squared_distances(self.scores(X).astype(np.float64), cells.astype(np.float64))


class RfmQuintiles(RfmCells):
    """The coarser baseline: quantile groups of the sum of the three scores."""

    sum_edges_: FloatArray

    def fit(self, X: FloatArray) -> RfmQuintiles:
        """Learn the quantiles of the three and of their sum. X: (n, 3) as for the cells."""
        super().fit(X)
        steps = np.arange(1, self.parts) / self.parts
        self.sum_edges_ = quantise(np.quantile(self.scores(X).sum(axis=1), steps))
        return self

    def predict(self, X: FloatArray) -> IntArray:
        """The group of each row, (n,) in 0..parts − 1, the best customers last."""
        groups: IntArray = np.searchsorted(self.sum_edges_, self.scores(X).sum(axis=1), side="left").astype(np.int64)
        return groups

    def cost(self, X: FloatArray) -> FloatArray:
        """The squared distance of each row's group to each group; (n, parts)."""
        groups = np.arange(self.parts, dtype=np.float64)[:, None]
        return squared_distances(self.predict(X)[:, None].astype(np.float64), groups)


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


def sampled_rows(n: int, rows: int, seed: int) -> IntArray:
    """The indices, sorted, of at most so many of n rows, by the seed."""
    if n <= rows:
        return np.arange(n, dtype=np.int64)
    chosen: IntArray = np.sort(np.random.default_rng(seed).choice(n, rows, replace=False)).astype(np.int64)
    return chosen


def famd_loadings(X: FloatArray) -> FloatArray:
    """The leading principal directions of an encoded matrix X (n, d), as columns (d, p).

    Each points to where its greatest entry is positive: the sign of an eigenvector means nothing.
    """
    variances, directions = np.linalg.eigh(np.cov(X, rowvar=False, bias=True).reshape(X.shape[1], X.shape[1]))
    variances, directions = variances[::-1], directions[:, ::-1]
    leading = int((variances > variances.mean()).sum())
    kept = directions[:, : max(leading, min(FAMD_LEAST_COMPONENTS, X.shape[1]))]
    greatest = kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])]
    loadings: FloatArray = kept * np.where(greatest < 0, -1.0, 1.0)
    return loadings


@lru_cache(maxsize=2 * HDBSCAN_SIZES)
def _dense_regions(content: bytes, shape: tuple[int, int], size: int) -> IntArray:
    """HDBSCAN's labels of rows, −1 for noise. Kept, because a search for each k meets the same ones."""
    from sklearn.cluster import HDBSCAN

    rows = np.frombuffer(content, dtype=np.float64).reshape(shape)
    scan = HDBSCAN(min_cluster_size=size, min_samples=HDBSCAN_NEIGHBOURS, algorithm="kd_tree", n_jobs=1, copy=True)
    labels: IntArray = scan.fit_predict(rows).astype(np.int64)
    labels.setflags(write=False)
    return labels


def _lloyd(X: FloatArray, k: int, seed: int, means: FloatArray | None, restarts: int) -> FloatArray:
    from sklearn.cluster import KMeans

    if means is None:
        kmeans = KMeans(n_clusters=k, n_init=restarts, algorithm="lloyd", random_state=seed)
    else:
        kmeans = KMeans(n_clusters=k, n_init=1, init=means, algorithm="lloyd", random_state=seed)
    centroids: FloatArray = kmeans.fit(X).cluster_centers_
    return centroids


def _mapped(X: FloatArray, matrix: FloatArray) -> FloatArray:
    """X (n, d) times a matrix (d, p), added up feature by feature for the same bits in any batch; (n, p)."""
    product = np.zeros((len(X), matrix.shape[1]), dtype=np.float64)
    for index in range(X.shape[1]):
        product += X[:, index, None] * matrix[None, index, :]
    return product


def _start_means(X: FloatArray, start: IntArray | None, k: int) -> FloatArray | None:
    """The means of k clusters to start from; None where there is no start or one of them has no row."""
    if start is None or (np.bincount(start[start >= 0], minlength=k)[:k] == 0).any():
        return None
    return quantise(_cluster_means(X, start, k))


def _cluster_means(X: FloatArray, clusters: IntArray, k: int) -> FloatArray:
    if (np.bincount(clusters[clusters >= 0], minlength=k) == 0).any():
        raise NoClusteringError(f"fewer than {k} clusters have a customer: too few customers differ")
    return np.array([X[clusters == cluster].mean(axis=0) for cluster in range(k)])


def _inliers(X: FloatArray, geometry: Geometry, sampled: IntArray, dense: BoolArray) -> BoolArray:
    """Rows of dense regions, and rows outside the sample that lie no farther out than those of their cluster."""
    costs = geometry.cost(X)
    clusters, least = nearest(costs), costs.min(axis=1)
    farthest = np.zeros(geometry.k)
    np.maximum.at(farthest, clusters[sampled[dense]], least[sampled[dense]])
    inliers: BoolArray = least <= farthest[clusters]
    inliers[sampled] = dense
    return inliers


def _rfm_numbers(X: FloatArray) -> FloatArray:
    """Recency turned round, so that more is better in all three; who never bought is the longest ago, finite."""
    numbers = np.array(X, dtype=np.float64)
    bought = ~np.isnan(numbers[:, 0])
    longest = numbers[bought, 0].max() if bought.any() else 0.0
    numbers[:, 0] = -np.where(bought, numbers[:, 0], longest + 1)
    return np.nan_to_num(numbers)
