"""How well the lens `overall` finds the latent segments of simulated shops, beside StandardScaler and k-means.

Prints one table over shops by seed. The lens was made on the shops of seeds 1 to 6; what it is worth is told by others.
"""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from segmentation_job.landing.simulated_shop.latent_segments import SEGMENTS
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.segments.algorithms import ALGORITHMS
from segmentation_job.segments.choice import choose_model
from segmentation_job.segments.encoding import FeatureValues, encode, fit_encoding
from segmentation_job.segments.lenses import Lens
from tests.measurements.past import OUTCOME_DAYS, past_of
from tests.measurements.shops import DEFAULT_CACHE, shipped_lens, shop_features

MEASURED_SEEDS = range(201, 221)
CUSTOMERS = 3_000
TRUE_NUMBER = len(SEGMENTS)


@dataclass(frozen=True)
class Recovery:
    """Adjusted Rand indices against the latent segments of one shop, 1 where they are found whole and 0 by chance.

    lens: the lens's encoding and first algorithm, with the true number of segments. standard: StandardScaler and
    k-means on the same features, with the same number. chosen: what the full choice picks, chosen_algorithm with
    chosen_number segments.
    """

    seed: int
    customers: int
    lens: float
    standard: float
    chosen: float
    chosen_algorithm: str
    chosen_number: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences and its 95% interval by Student's t."""

    mean: float
    low: float
    high: float


def paired_difference(differences: Sequence[float]) -> PairedDifference:
    """Return the mean of the differences and its 95% interval; raise ValueError for fewer than two."""
    if len(differences) < 2:
        raise ValueError(f"an interval needs two differences or more, got {len(differences)}")
    mean = float(np.mean(differences))
    half = float(stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences))
    return PairedDifference(mean, mean - half, mean + half)


def lens_clusters(values: FeatureValues, lens: Lens, algorithm: str, k: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each customer (n,) by the lens's encoding and an algorithm."""
    X = encode(values, fit_encoding(values, lens))
    fitted = ALGORITHMS[algorithm]()
    fitted.fit(X, k, lens.seed)
    return fitted.predict(X)


def standard_clusters(values: FeatureValues, k: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each customer (n,) as the textbook has it: medians, StandardScaler, the best of 10 k-means.

    Raises ValueError where a feature is a text, which StandardScaler cannot take.
    """
    if values.texts:
        raise ValueError(f"features {sorted(values.texts)} are texts: compare a lens of numbers alone")
    filled = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(values.numbers)
    clusters = KMeans(k, n_init=10, random_state=seed).fit_predict(StandardScaler().fit_transform(filled))
    return np.asarray(clusters, dtype=np.int64)


def recovery_in_shop(seed: int, customers: int, cache: Path) -> Recovery:
    """Return how well the latent segments of one shop are found at its end, from features of that date."""
    lens = shipped_lens("overall")
    options = ShopOptions(customers=customers, seed=seed)
    as_of = options.end
    features = shop_features(cache, options, [as_of - timedelta(days=OUTCOME_DAYS), as_of])
    ids, values = features.lens_values(lens, as_of)
    truth = features.true_segments(ids)
    # Two processes share the cores: one thread each.
    with threadpool_limits(limits=1):
        choice = choose_model(values, lens, past_of(features, lens, as_of), None)
        return Recovery(
            seed=seed,
            customers=len(ids),
            lens=_index(truth, lens_clusters(values, lens, lens.algorithms[0], TRUE_NUMBER)),
            standard=_index(truth, standard_clusters(values, TRUE_NUMBER, lens.seed)),
            chosen=_index(truth, lens_clusters(values, lens, choice.algorithm, choice.k)),
            chosen_algorithm=choice.algorithm,
            chosen_number=choice.k,
        )


def measure(seeds: Sequence[int], customers: int, cache: Path, processes: int) -> list[Recovery]:
    """Return the recovery in the shop of each seed, in their order."""
    # Spawned: a forked process would share what DuckDB and OpenMP had begun.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
        return list(pool.map(partial(recovery_in_shop, customers=customers, cache=cache), seeds))


def table_of(recoveries: Sequence[Recovery]) -> Table:
    """Return a row for each shop and one of the means."""
    table = Table(title=f"Adjusted Rand index against the {TRUE_NUMBER} latent segments of {len(recoveries)} shops")
    for heading in ("shop", "customers", "lens", "standard", "difference", "full choice", "it picks"):
        table.add_column(heading, justify="right")
    for shop in recoveries:
        figures = (shop.lens, shop.standard, shop.lens - shop.standard, shop.chosen)
        picked = f"{shop.chosen_algorithm} {shop.chosen_number}"
        table.add_row(str(shop.seed), f"{shop.customers:,}", *(f"{figure:.3f}" for figure in figures), picked)
    table.add_section()
    means = [
        np.mean([getattr(shop, name) for shop in recoveries]) for name in ("customers", "lens", "standard", "chosen")
    ]
    table.add_row(
        "mean",
        f"{means[0]:,.0f}",
        f"{means[1]:.3f}",
        f"{means[2]:.3f}",
        f"{means[1] - means[2]:.3f}",
        f"{means[3]:.3f}",
        f"k {np.mean([shop.chosen_number for shop in recoveries]):.1f}",
    )
    return table


def main() -> None:
    """Print the table and the mean paired difference with its interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(MEASURED_SEEDS))
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    given = parser.parse_args()
    began = time.monotonic()
    recoveries = measure(given.seeds, given.customers, given.cache, given.processes)
    console = Console(width=100)
    console.print(table_of(recoveries))
    difference = paired_difference([shop.lens - shop.standard for shop in recoveries])
    console.print(
        f"lens: encoding and k-means of `overall`, k = {TRUE_NUMBER}. standard: StandardScaler and KMeans (n_init 10), "
        "same features, same k.\n"
        f"Mean paired difference {difference.mean:+.3f}, 95% interval {difference.low:+.3f} to {difference.high:+.3f} "
        f"(Student's t, {len(recoveries)} shops). {time.monotonic() - began:.0f} seconds.",
        soft_wrap=True,
    )


def _index(truth: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64]) -> float:
    return float(adjusted_rand_score(truth, clusters))


if __name__ == "__main__":
    main()
