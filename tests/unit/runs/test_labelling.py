"""Labels from few, named dates, held against the rule said slowly: customer by customer, date by date."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from segmentation_job.errors import SegmentationError
from segmentation_job.runs.calendar import label_dates
from segmentation_job.runs.feature_matrix import DatedFeatures
from segmentation_job.runs.labelling import Origins, nearest_clusters, origins_at_fit, settled_clusters, settled_labels
from segmentation_job.segments.encoding import VALUE, EncodedColumn, Encoding, FeatureEncoding
from segmentation_job.segments.model import Model
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse

COLUMNS = ("purchase_features.orders", "purchase_features.basket", "financial_features.spend")
CENTROIDS = ((0.0, 0.0, 0.0), (4.0, 0.0, 1.0), (0.0, 4.0, -1.0))
FIT = date(2024, 1, 25)
FIRST_OF_MONTH = date(2024, 2, 1)
LAST = date(2024, 2, 20)
DAYS = tuple(FIT + timedelta(days=number) for number in range((LAST - FIT).days + 1))
SEEDS = range(3)
BATCH_SIZES = (1, 7, 1000)

Point = tuple[float, float, float]


@dataclass(frozen=True)
class World:
    """Customers' features by day: who is missing on a day is not in scope. origins: at the fit."""

    points: dict[date, dict[str, Point]]
    origins: dict[str, int]
    arrivals: tuple[date, ...]


def make_world(seed: int) -> World:
    """Twenty-four customers who wander between the segments; half come after the fit, some are missing on a day."""
    random = Random(seed)
    points: dict[date, dict[str, Point]] = {day: {} for day in DAYS}
    first_days = {}
    for number in range(24):
        customer = f"c{random.randrange(10**6):06}-{number}"
        first = 0 if number % 2 else random.randrange(1, len(DAYS))
        first_days[customer] = DAYS[first]
        # On the way from one centroid to another, so that much happens near the border.
        start, end = random.sample(range(3), 2)
        along = random.random()
        for day in DAYS[first:]:
            if random.random() < 0.15:
                start, end, along = end, random.choice([0, 1, 2]), random.random()
            along = min(1.0, max(0.0, along + random.uniform(-0.12, 0.12)))
            point = [(1 - along) * here + along * there for here, there in zip(*_ends(start, end), strict=True)]
            # A late customer is there on the first Monday; somebody who is lost on a day is found again.
            if day != DAYS[0] and number % 3 == 0 and day.isoweekday() != 1 and random.random() < 0.2:
                continue
            points[day][customer] = (round(point[0], 3), round(point[1], 3), round(point[2], 3))
    origins = {customer: says(point, random.randrange(3)) for customer, point in points[FIT].items()}
    arrivals = tuple(sorted({day - timedelta(days=1) for day in first_days.values()}))
    return World(points, origins, arrivals)


def costs_of(point: Point) -> list[float]:
    return [sum((a - b) ** 2 for a, b in zip(point, centroid, strict=True)) for centroid in CENTROIDS]


def says(point: Point, standing: int) -> int:
    """The standing segment where its cost is at most 1.10 times the smallest, else the nearest."""
    costs = costs_of(point)
    return standing if costs[standing] <= 1.10 * min(costs) else costs.index(min(costs))


def _ends(start: int, end: int) -> tuple[Point, Point]:
    return CENTROIDS[start], CENTROIDS[end]


def rule_said_slowly(world: World, customer: str, as_of: date) -> int:
    """The segment of a customer at a date, from design.md's words: "Labels depend on few, named dates"."""

    def nearest(day: date) -> int:
        costs = costs_of(world.points[day][customer])
        return costs.index(min(costs))

    @cache
    def origin() -> tuple[int, date] | None:
        if customer in world.origins:
            return world.origins[customer], FIT
        in_scope = [day for day in DAYS if customer in world.points[day]]
        monday = next((day for day in DAYS if day >= in_scope[0] and day.isoweekday() == 1), LAST + timedelta(days=1))
        return (nearest(monday), monday) if monday <= LAST else None

    def label(day: date) -> int:
        settled = origin()
        if settled is None or settled[1] > day:
            return nearest(day)
        standing, since = settled
        # There is one first of a month in this world: what stands before it is the origin.
        if FIT < FIRST_OF_MONTH < day and since <= FIRST_OF_MONTH:
            standing = moved(FIRST_OF_MONTH, standing)
        return moved(day, standing)

    def moved(day: date, standing: int) -> int:
        days = [day - timedelta(days=2), day - timedelta(days=1), day]
        # Within two days of the fit there are no three days to agree.
        if days[0] < FIT or any(customer not in world.points[each] for each in days):
            return standing
        (said, *others) = {says(world.points[each][customer], standing) for each in days}
        return standing if others else said

    return label(as_of)


def write(warehouse: DuckDBWarehouse, world: World) -> None:
    """Every third day is a candidate, the others are promoted."""
    for schema in ("candidate", "promoted"):
        days = [day for number, day in enumerate(world.points) if (number % 3 == 0) == (schema == "candidate")]
        rows = [(day, customer, *point) for day in days for customer, point in world.points[day].items()]
        Random(len(rows)).shuffle(rows)
        columns = list(zip(*rows, strict=True))
        key = {"as_of_date": pa.array(columns[0], pa.date32()), "customer_id": pa.array(columns[1], pa.string())}
        purchases = pa.table({**key, "orders": columns[2], "basket": columns[3]})
        money = pa.table({**key, "spend": columns[4]}).take(list(reversed(range(len(rows)))))
        for table, content in (("purchase_features", purchases), ("financial_features", money)):
            kinds = ", ".join(
                f"{name} {'double' if kind == pa.float64() else 'varchar' if kind == pa.string() else 'date'}"
                for name, kind in zip(content.schema.names, content.schema.types, strict=True)
            )
            warehouse.rows(f"create table {schema}.{table} ({kinds})")
            warehouse.append(f"{schema}.{table}", content)
        if schema == "promoted":
            for day in days:
                warehouse.rows("insert into promoted.dates values (?, false, '')", (day,))


def plain(column: str) -> FeatureEncoding:
    """An encoding that leaves a number as it is."""
    return FeatureEncoding(
        column, "as_is", (), 0.0, (EncodedColumn(VALUE, "", -1e9, 1e9, mean=0.0, scale=1.0, weight=1.0),), False
    )


def model_of(centroids: tuple[Point, ...], fitted_as_of: date = FIT) -> Model:
    k = len(centroids)
    return Model(
        lens_name="shop",
        lens_version="v",
        algorithm="kmeans",
        k=k,
        fitted_as_of=fitted_as_of,
        parent_version=None,
        encoding=Encoding(tuple(plain(column) for column in COLUMNS)),
        centroids=centroids,
        segment_keys=tuple(f"key-{cluster}" for cluster in range(k)),
        relations=("new",) * k,
        outlier_cost=(5.0,) * k,
    )


MODEL = model_of(CENTROIDS)


Shop = tuple[World, DuckDBWarehouse]


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Shop]]:
    with ExitStack() as stack:
        opened = []
        for world in map(make_world, SEEDS):
            path: Path = tmp_path_factory.mktemp("labelling") / "warehouse.duckdb"
            warehouse = stack.enter_context(DuckDBWarehouse(path, threads=1, memory_limit="500MB"))
            write(warehouse, world)
            opened.append((world, warehouse))
        yield opened


@pytest.fixture
def shop(shops: list[Shop]) -> Shop:
    return shops[0]


def features_of(world: World, warehouse: DuckDBWarehouse, batch_size: int = 1000) -> DatedFeatures:
    return DatedFeatures(warehouse, frozenset(list(world.points)[::3]), batch_size, world.arrivals)


def origins_of(world: World) -> Origins:
    ids = sorted(world.origins)
    return Origins(pa.array(ids, pa.string()), np.array([world.origins[customer] for customer in ids]))


def labels(world: World, warehouse: DuckDBWarehouse, day: date, batch_size: int = 1000) -> dict[str, int]:
    ids, clusters = settled_clusters(features_of(world, warehouse, batch_size), MODEL, origins_of(world), day)
    assert ids.to_pylist() == sorted(ids.to_pylist())
    return dict(zip(ids.to_pylist(), clusters.tolist(), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_are_those_of_the_rule_said_slowly(shops: list[Shop], seed: int) -> None:
    world, warehouse = shops[seed]
    # Each world has a third of the days, which keeps this fast.
    for day in DAYS[seed :: len(SEEDS)]:
        expected = {customer: rule_said_slowly(world, customer, day) for customer in sorted(world.points[day])}
        assert labels(world, warehouse, day) == expected, day


@pytest.mark.parametrize("day", [DAYS[1], date(2024, 2, 5), LAST])
def test_labels_are_the_same_whatever_the_batch(shop: Shop, day: date) -> None:
    world, warehouse = shop
    found = [labels(world, warehouse, day, size) for size in BATCH_SIZES]
    assert found[0] == found[1] == found[2]


def test_a_batch_carries_values_and_costs_of_its_own_customers(shop: Shop) -> None:
    world, warehouse = shop
    batches = list(settled_labels(features_of(world, warehouse, 7), MODEL, origins_of(world), LAST))
    assert [len(batch.customer_ids) for batch in batches[:-1]] == [7] * (len(batches) - 1)
    for batch in batches:
        for place, customer in enumerate(batch.customer_ids.to_pylist()):
            point = world.points[LAST][customer]
            assert tuple(batch.values.numbers[place]) == point
            costs = costs_of(point)
            own = costs[batch.assignment.cluster[place]]
            assert batch.assignment.distance[place] == pytest.approx(own, abs=1e-6)
            assert batch.nearest[place] == costs.index(min(costs))


def test_the_worlds_hold_all_that_the_rule_tells_apart() -> None:
    seen = {"stays though another is nearer": 0, "moves": 0, "moves by the first": 0, "lost on a voting day": 0}
    seen |= {"unsettled": 0, "settles": 0}
    for world in map(make_world, SEEDS):
        for day, customer in [(each, customer) for each in DAYS[3:] for customer in world.points[each]]:
            label, costs = rule_said_slowly(world, customer, day), costs_of(world.points[day][customer])
            days = [each for each in DAYS if each <= day and customer in world.points[each]]
            settled = any(each.isoweekday() == 1 for each in days)
            old = customer in world.origins
            seen["stays though another is nearer"] += costs[label] > min(costs)
            seen["moves"] += old and label != world.origins[customer]
            seen["moves by the first"] += old and day == FIRST_OF_MONTH and label != world.origins[customer]
            seen["lost on a voting day"] += len(days) > 3 and day - timedelta(days=1) not in days
            seen["unsettled"] += not old and not settled
            seen["settles"] += not old and settled
    assert all(count >= 5 for count in seen.values()), seen


def test_the_order_in_which_dates_are_labelled_does_not_matter(shop: Shop) -> None:
    world, warehouse = shop
    alone = labels(world, warehouse, LAST)
    for day in (DAYS[5], DAYS[-2], DAYS[1]):
        labels(world, warehouse, day)
    assert labels(world, warehouse, LAST) == alone


def test_a_date_that_is_needed_and_not_there_fails_and_weakens_nothing(shop: Shop) -> None:
    world, warehouse = shop
    lost = LAST - timedelta(days=1)
    assert lost not in DAYS[::3]
    refused = pytest.raises(SegmentationError, match=f"features of {lost} are needed")
    with warehouse_without(warehouse, lost), refused:
        labels(world, warehouse, LAST)


def test_a_label_stands_on_every_first_of_a_month_since_the_fit_and_on_no_other_date(tmp_path: Path) -> None:
    fit, as_of = date(2023, 12, 1), date(2024, 2, 10)
    # By cost: exactly 1 · nearer to 0, but 1 is within 1.10 of it · exactly 0.
    at_one, between, at_zero = CENTROIDS[1], (1.98, 0.0, 0.495), CENTROIDS[0]
    december, january, february = (
        [day - timedelta(days=days) for days in (2, 1, 0)] for day in (date(2024, 1, 1), date(2024, 2, 1), as_of)
    )
    paths = {
        "kept": (at_one, between, between),
        "never moved": (at_zero, between, between),
        "went and came": (at_one, at_zero, between),
    }
    points = {
        day: {customer: path[part] for customer, path in paths.items()}
        for part, days in enumerate((december, january, february))
        for day in days
    }
    world = World(points, dict.fromkeys(paths, 0), (date(2023, 11, 1),))
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb", threads=1, memory_limit="500MB") as warehouse:
        write(warehouse, world)
        assert set(points) == label_dates(fit, as_of, world.arrivals)
        ids, clusters = settled_clusters(
            features_of(world, warehouse), model_of(CENTROIDS, fit), origins_of(world), as_of
        )
        assert dict(zip(ids.to_pylist(), clusters.tolist(), strict=True)) == {
            "kept": 1,
            "never moved": 0,
            "went and came": 0,
        }


@contextmanager
def warehouse_without(warehouse: DuckDBWarehouse, day: date) -> Iterator[None]:
    """Within, a promoted date is not kept."""
    warehouse.rows("delete from promoted.dates where as_of_date = ?", (day,))
    yield
    warehouse.rows("insert into promoted.dates values (?, false, '')", (day,))


def test_the_first_model_s_origins_are_the_nearest_segments(shop: Shop) -> None:
    world, warehouse = shop
    features = features_of(world, warehouse, 7)
    origins = origins_at_fit(features, MODEL, None, None)
    ids, nearest = nearest_clusters(features, MODEL, FIT)
    assert origins.customer_ids.to_pylist() == ids.to_pylist() == sorted(world.points[FIT])
    assert origins.cluster.tolist() == nearest.tolist()


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_a_refit_keeps_the_predecessor_s_segments_that_are_near_enough(shop: Shop, batch_size: int) -> None:
    world, warehouse = shop
    features = features_of(world, warehouse, batch_size)
    # Renumbered: 0 is 2 now, 1 is 0, and what was 2 is gone.
    continued = {0: 2, 1: 0, 2: None}
    kept_though_another_is_nearer = 0
    for number, fit in enumerate(DAYS):
        random = Random(number)
        earlier = {customer: random.randrange(3) for customer in sorted(world.points[fit])}
        model = model_of((CENTROIDS[1], CENTROIDS[2], CENTROIDS[0]), fit)
        origins = origins_at_fit(features, model, np.array(list(earlier.values())), np.array([2, 0, -1]))
        expected = []
        for customer, before in earlier.items():
            at_one, at_two, at_zero = (costs_of(world.points[fit][customer])[cluster] for cluster in (1, 2, 0))
            costs, stood = [at_one, at_two, at_zero], continued[before]
            keeps = stood is not None and costs[stood] <= 1.10 * min(costs)
            expected.append(stood if keeps else costs.index(min(costs)))
            kept_though_another_is_nearer += keeps and stood != costs.index(min(costs))
        assert origins.customer_ids.to_pylist() == list(earlier)
        assert origins.cluster.tolist() == expected
    assert kept_though_another_is_nearer >= 3


def test_at_its_fit_a_model_says_what_the_origins_say(shop: Shop) -> None:
    world, warehouse = shop
    assert labels(world, warehouse, FIT) == world.origins


def test_a_date_without_customers_has_no_labels(shop: Shop) -> None:
    world, warehouse = shop
    features = DatedFeatures(warehouse, frozenset([*DAYS[::3], date(2023, 1, 1)]), 7, world.arrivals)
    ids, clusters = nearest_clusters(features, MODEL, date(2023, 1, 1))
    assert (ids.to_pylist(), clusters.tolist()) == ([], [])
    nobody = model_of(CENTROIDS, date(2023, 1, 1))
    ids, clusters = settled_clusters(features, nobody, origins_of(world), date(2023, 1, 1))
    assert (ids.to_pylist(), clusters.tolist()) == ([], [])
