"""How soon a segment that emerges is announced, and how often one that does not exist is.

Every world is a simulated shop: real as far as the generator goes, with its seasons, newcomers and noise from week to
week. A third of them are watched from February, June and late August on. The latent segments of the shop itself lie
closer together than 3.25 standard deviations, so an emerging segment is planted beside them: twins of the members of
one latent segment, which live on week by week as those do, all moved by the same vector in the encoded space, in a
random direction, until the nearest latent segment is d′ away. d′ is the distance of the means over the pooled
deviation within, along the line between them. The twins arrive evenly until they are 8% of all customers.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from segmentation_job.landing.simulated_shop.latent_segments import SEGMENT_NAMES
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.segments.algorithms import nearest, squared_distances
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.watching import NIGHTS_BACK, Sample, sample_of, strongest_emergence
from tests.measurements.shops import DEFAULT_CACHE, BuiltFeatures, shipped_lens, shop_features

IntArray = npt.NDArray[np.int64]

# The rule was developed on shops 1 to 11, 301 to 326 and 401 to 423, which are not measured on.
MEASURED_SEEDS = range(441, 471)
OWN_SEEDS = range(431, 438)
CUSTOMERS = 3_000
SEGMENTS = 6
STARTS = (date(2025, 2, 3), date(2025, 6, 2), date(2025, 8, 25))
WEEKS = 16
WEEKS_BEFORE = 9
# Five weeks before the first member may come: a model in effect that knows nothing of them.
FITTED_WEEK = 4
SHARE = 0.08
DISTANCES = (1.5, 2.0, 2.5, 3.0, 3.3, 4.0, 5.0)
ARRIVAL_NIGHTS = 28
SLOW_ARRIVAL_NIGHTS = 56
ANNOUNCED_WITHIN = 35
OWN_WEEKS = 8


@dataclass(frozen=True)
class World:
    """A shop week by week as one model sees it.

    customers: their ids, sorted, by week · encoded: (n, d) by week · centroids: (k, d) of the model · segments: the
    latent segment of each customer of the last week · first_week: of the first check.
    """

    customers: tuple[tuple[str, ...], ...]
    encoded: tuple[FloatArray, ...]
    centroids: FloatArray
    segments: IntArray
    first_week: int


@dataclass(frozen=True)
class Seen:
    """One world's outcome. nights: from the first member to the announcement, None where there was none."""

    distance: float
    arrival_nights: int
    nights: int | None


def mondays(first: date, weeks: int) -> list[date]:
    """The dates that checks from `first` on for so many weeks need."""
    return [first + timedelta(weeks=week) for week in range(-WEEKS_BEFORE, weeks + 1)]


def read_world(features: BuiltFeatures, lens: Lens, dates: Sequence[date]) -> World:
    """The world as a k-means model of the lens sees it that was fitted on the fifth of the dates."""
    _, values = features.lens_values(lens, dates[FITTED_WEEK])
    model = fit_model(values, lens, "kmeans", SEGMENTS, dates[FITTED_WEEK])
    weeks = [features.lens_values(lens, day) for day in dates]
    customers = tuple(tuple(ids) for ids, _ in weeks)
    return World(
        customers=customers,
        encoded=tuple(sample_of(model, week).encoded for _, week in weeks),
        centroids=np.array(model.centroids),
        segments=features.true_segments(customers[-1]),
        first_week=WEEKS_BEFORE,
    )


def separation(one: FloatArray, other: FloatArray) -> float:
    """d′ of two clouds (n, d) and (m, d): distance of the means over the pooled deviation along the line between."""
    line = one.mean(axis=0) - other.mean(axis=0)
    length = float(np.linalg.norm(line))
    along = [(cloud @ (line / length)) for cloud in (one, other)]
    variance = sum(part.var() * len(part) for part in along) / (len(one) + len(other))
    return length / float(np.sqrt(variance))


def plant(world: World, distance: float, arrival_nights: int, rng: np.random.Generator) -> tuple[World, int]:
    """The world with a segment that emerges so far from its nearest neighbour; and nights from its first member to
    the first check."""
    segment_of = dict(zip(world.customers[-1], world.segments, strict=True))
    ids, X = np.array(world.customers[world.first_week]), world.encoded[world.first_week]
    segments = np.array([segment_of[customer] for customer in ids])
    clouds = [X[segments == segment] for segment in np.unique(segments)]
    host = int(rng.integers(len(clouds)))
    direction = rng.normal(size=X.shape[1]) * (X.std(axis=0) > 0)
    direction /= np.linalg.norm(direction)
    shift = _shift(clouds, host, direction, distance) * direction
    members = round(SHARE / (1 - SHARE) * len(X))
    donors = rng.choice(ids[segments == np.unique(segments)[host]], members)
    arrivals = np.sort(rng.random(members)) * arrival_nights
    arrivals[0] = 0.0
    nights_before = int(rng.integers(1, 8))
    encoded = []
    for week, (customers, rows) in enumerate(zip(world.customers, world.encoded, strict=True)):
        night = (week - world.first_week) * 7 + nights_before
        place = {customer: index for index, customer in enumerate(customers)}
        twins = [place[donor] for donor in donors[arrivals < night] if donor in place] if night > 0 else []
        encoded.append(np.vstack([rows, rows[twins] + shift]))
    return World(world.customers, tuple(encoded), world.centroids, world.segments, world.first_week), nights_before


def announcement(world: World, weeks: int) -> int | None:
    """The first week, counted from the first check, at which hot cells are hot for the second check running."""
    hot_before = False
    samples = [Sample(X, nearest(squared_distances(X, world.centroids))) for X in world.encoded]
    for week in range(weeks + 1):
        at = world.first_week + week
        earlier = {nights: samples[at - nights // 7] for nights in NIGHTS_BACK}
        hot = strongest_emergence(samples[at], earlier, SEGMENTS).is_hot
        if hot and hot_before:
            return week
        hot_before = hot
    return None


def planted_outcomes(world: World, seed: int, distances: Sequence[float] = DISTANCES) -> list[Seen]:
    """What becomes of a planted segment, by d′ and by how fast its members arrive."""
    outcomes = []
    kinds = [(distance, ARRIVAL_NIGHTS) for distance in distances] + [(3.3, SLOW_ARRIVAL_NIGHTS)]
    for number, (distance, arrival) in enumerate(kinds):
        planted, nights_before = plant(world, distance, arrival, np.random.default_rng([seed, number]))
        week = announcement(planted, ANNOUNCED_WITHIN // 7 + 1)
        outcomes.append(Seen(distance, arrival, None if week is None else 7 * week + nights_before))
    return outcomes


def measure_shop(task: tuple[Path, Lens, int]) -> tuple[bool, list[Seen]]:
    """Whether a shop without an emerging segment had one announced in 16 weeks; and what became of planted ones."""
    cache, lens, seed = task
    dates = mondays(STARTS[seed % len(STARTS)], WEEKS)
    world = read_world(shop_features(cache, ShopOptions(customers=CUSTOMERS, seed=seed), dates), lens, dates)
    return announcement(world, WEEKS) is not None, planted_outcomes(world, seed)


def measure_own_segment(task: tuple[Path, Lens, int]) -> tuple[str, float, float, int | None]:
    """A latent segment of the shop itself that appears: its name, its share in the end, d′, and when it is announced.

    Its members sign up evenly over eight weeks.
    """
    cache, lens, seed = task
    name = SEGMENT_NAMES[seed % len(SEGMENT_NAMES)]
    first = STARTS[1]
    dates = mondays(first, OWN_WEEKS)
    days = (dates[-1] - ShopOptions().start).days + 1
    options = ShopOptions(customers=CUSTOMERS, seed=seed, days=days, appears=(name, first))
    world = read_world(shop_features(cache, options, dates), lens, dates)
    clouds = {segment: world.encoded[-1][world.segments == segment] for segment in np.unique(world.segments)}
    own = sorted(SEGMENT_NAMES).index(name)
    nearest_of = min(separation(clouds[own], cloud) for segment, cloud in clouds.items() if segment != own)
    week = announcement(world, OWN_WEEKS)
    return name, len(clouds[own]) / len(world.segments), nearest_of, None if week is None else 7 * week


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder that built shops are kept in")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    lens = shipped_lens("overall")
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        shops = []
        tasks = [(given.cache, lens, seed) for seed in MEASURED_SEEDS]
        for seed, outcome in zip(MEASURED_SEEDS, pool.map(measure_shop, tasks), strict=True):
            print(
                f"shop {seed}: {'a false announcement' if outcome[0] else 'none'}; "
                f"planted: {[one.nights for one in outcome[1]]}",
                flush=True,
            )
            shops.append(outcome)
        _print_shops(lens, shops)
        own = list(pool.map(measure_own_segment, [(given.cache, lens, seed) for seed in OWN_SEEDS]))
    print("\nThe shop's own latent segments, appearing as new customers over eight weeks (one shop each):")
    print("   segment                        share   d′     announced after")
    for name, share, distance, nights in own:
        print(f"   {name:30} {share:5.1%}   {distance:.2f}   {'never' if nights is None else f'{nights} nights'}")


def _print_shops(lens: Lens, shops: Sequence[tuple[bool, list[Seen]]]) -> None:
    false = [seed for seed, (announced, _) in zip(MEASURED_SEEDS, shops, strict=True) if announced]
    seeds = f"{MEASURED_SEEDS[0]}–{MEASURED_SEEDS[-1]}"
    which = f" (seeds {', '.join(map(str, false))})" if false else ""
    print(
        f"\nLens {lens.name}, {len(shops)} shops of {CUSTOMERS} customers (seeds {seeds}), one model of {SEGMENTS} "
        f"segments, weekly checks."
    )
    print(f"\nWithout an emerging segment: announced in {len(false)} of {len(shops)} shops in {WEEKS} weeks{which}.")
    print(f"\nPlanted beside the shop's own segments, {SHARE:.0%} of customers in the end:")
    print("   d′   arrives within   announced within 35 nights        median nights   within 49 nights")
    seen = [outcome for _, outcomes in shops for outcome in outcomes]
    for distance, arrival in dict.fromkeys((outcome.distance, outcome.arrival_nights) for outcome in seen):
        _print_row([one for one in seen if (one.distance, one.arrival_nights) == (distance, arrival)])


def _print_row(outcomes: Sequence[Seen]) -> None:
    nights = sorted(outcome.nights for outcome in outcomes if outcome.nights is not None)
    timely = sum(one <= ANNOUNCED_WITHIN for one in nights)
    interval = binomtest(timely, len(outcomes)).proportion_ci(method="wilson")
    # Of all worlds: those without an announcement are later than any.
    median = f"{nights[len(outcomes) // 2]}" if len(nights) > len(outcomes) // 2 else "–"
    print(
        f"   {outcomes[0].distance:.1f}   {outcomes[0].arrival_nights:>6} nights   {timely:>5} of {len(outcomes)}"
        f" ({timely / len(outcomes):>4.0%}, 95%: {interval.low:.0%}–{interval.high:.0%})"
        f"   {median:>12}   {len(nights):>6} of {len(outcomes)}",
        flush=True,
    )


def _shift(clouds: Sequence[FloatArray], host: int, direction: FloatArray, distance: float) -> float:
    """How far along a direction the host's twins are `distance` away from the nearest cloud."""
    means = [cloud.mean(axis=0) for cloud in clouds]
    covariances = [np.cov(cloud.T) for cloud in clouds]
    sizes = [len(cloud) for cloud in clouds]
    twins = SHARE / (1 - SHARE) * sum(sizes)

    def nearest_at(length: float) -> float:
        separations = []
        for mean, covariance, size in zip(means, covariances, sizes, strict=True):
            line = means[host] + length * direction - mean
            along = line / np.linalg.norm(line)
            pooled = (covariances[host] * twins + covariance * size) / (twins + size)
            separations.append(float(np.linalg.norm(line) / np.sqrt(along @ pooled @ along)))
        return min(separations)

    low, high = 1e-6, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if nearest_at(middle) < distance else (low, middle)
    return high


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
