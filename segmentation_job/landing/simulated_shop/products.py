"""What the shop sells: categories with substitutes, prices that change, offers of the week."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import ShopCalendar
from segmentation_job.landing.simulated_shop.columns import ids, moments, money, table_of, words
from segmentation_job.landing.simulated_shop.randomness import Subject, pick, pick_by_row, random_stream

PRODUCTS_PER_CATEGORY: Final = 20
PRICE_CLASSES: Final = 5
OWN_BRAND: Final = "Home Choice"
# Before the first day of orders, so that every product on sale then has a version.
_DAYS_KNOWN_BEFORE: Final = 400


@dataclass(frozen=True)
class Category:
    """A kind of thing.

    price: median of its list prices in cents. margin: share of the price that is left after cost. peak: day of the
    year when most is bought; swing: how much more, as a logarithm. feast: extra demand before the end of the year,
    as a logarithm. growth: of demand per year. return_rate: share of lines returned. units: mean quantity of a
    line. is_replenished: whether people run out of it.
    """

    name: str
    department: str
    price: int
    margin: float
    peak: int
    swing: float
    feast: float
    growth: float
    return_rate: float
    units: float
    is_replenished: bool
    brands: tuple[str, str, str]


CATEGORIES: Final = (
    Category("fresh_food", "grocery", 350, 0.26, 190, 0.10, 0.10, 0.02, 0.004, 1.8, True, ("Alba", "Merrow", "Tilth")),
    Category("pantry", "grocery", 420, 0.28, 20, 0.12, 0.15, -0.04, 0.004, 1.9, True, ("Castell", "Nona", "Pell")),
    Category("drinks", "grocery", 690, 0.30, 200, 0.30, 0.30, 0.03, 0.006, 2.0, True, ("Arbor", "Fjell", "Quince")),
    Category("cleaning", "household", 560, 0.33, 100, 0.12, 0.0, 0.0, 0.01, 1.4, True, ("Brisk", "Lumo", "Sora")),
    Category("pet_care", "household", 1290, 0.34, 20, 0.05, 0.05, 0.12, 0.015, 1.5, True, ("Barley", "Mika", "Tuft")),
    Category("personal_care", "health", 740, 0.38, 160, 0.06, 0.1, 0.02, 0.02, 1.4, True, ("Elan", "Noor", "Verbena")),
    Category("wellness", "health", 1690, 0.42, 15, 0.30, 0.0, 0.18, 0.025, 1.2, True, ("Halden", "Ovo", "Tonic")),
    Category("clothing", "fashion", 3400, 0.48, 120, 0.14, 0.2, 0.03, 0.16, 1.2, False, ("Ardent", "Lieu", "Wren")),
    Category("shoes", "fashion", 6200, 0.45, 275, 0.16, 0.1, -0.08, 0.18, 1.0, False, ("Cairn", "Fleet", "Strada")),
    Category(
        "electronics", "home_leisure", 8900, 0.22, 340, 0.12, 0.55, 0.10, 0.08, 1.0, False, ("Ion", "Kessel", "Vanta")
    ),
    Category("garden", "home_leisure", 2400, 0.40, 140, 0.85, 0.0, 0.05, 0.05, 1.3, False, ("Fern", "Loam", "Sorrel")),
    Category("toys", "home_leisure", 2600, 0.41, 330, 0.20, 0.95, 0.0, 0.06, 1.2, False, ("Hopla", "Kite", "Pim")),
)
CATEGORY_NAMES: Final = tuple(category.name for category in CATEGORIES)


def category_demand(dates: np.ndarray, start: np.datetime64) -> np.ndarray:
    """Return each category's demand by day against its level at the start, shape (dates, categories).

    dates: datetime64[D], before the start too. The year's wave, the feast's rush, growth and the week multiply.
    """
    year_day = ((dates - dates.astype("datetime64[Y]")).astype(np.int64) + 1)[:, None].astype(np.float64)
    peak = np.array([category.peak for category in CATEGORIES])
    swing = np.array([category.swing for category in CATEGORIES])
    feast = np.array([category.feast for category in CATEGORIES])
    growth = np.log1p([category.growth for category in CATEGORIES])
    years = (dates - start).astype(np.int64)[:, None] / 365.25
    season = swing * np.cos(2 * np.pi * (year_day - peak) / 365.25)
    before_feast = feast * np.exp(-(((year_day - 343) / 16.0) ** 2))
    # Fresh food and drinks are for the weekend, and so is what is not bought by need.
    is_weekend_trip = np.isin((dates.astype(np.int64) + 3) % 7, (4, 5))[:, None]
    liking = [0.25 if item.department == "grocery" else 0.0 if item.is_replenished else 0.10 for item in CATEGORIES]
    return np.asarray(np.exp(season + before_feast + growth * years + np.where(is_weekend_trip, liking, 0.0)))


@dataclass(frozen=True)
class Shelf:
    """All products, numbered by category.

    tier: 0 cheap, 1 usual, 2 dear. is_own: private label. launch_day: first day on sale. list_price, unit_cost:
    cents by product and day. offer: percent off by product and week. complement: the product often bought with it.
    chance: cumulated chances within a category by price class, shape (classes, categories, products of one).
    """

    calendar: ShopCalendar
    tier: np.ndarray
    is_own: np.ndarray
    brand: np.ndarray
    launch_day: np.ndarray
    list_price: np.ndarray
    unit_cost: np.ndarray
    offer: np.ndarray
    complement: np.ndarray
    chance: np.ndarray

    @cached_property
    def best_offer(self) -> np.ndarray:
        """The product with most off, by category and week; -1 where there is no offer."""
        by_category = self.offer.reshape(len(CATEGORIES), PRODUCTS_PER_CATEGORY, -1)
        best = by_category.argmax(axis=1)
        products = best + np.arange(len(CATEGORIES))[:, None] * PRODUCTS_PER_CATEGORY
        return np.where(by_category.max(axis=1) > 0, products, -1)

    @cached_property
    def demand(self) -> np.ndarray:
        """Demand by day and category, as `category_demand` gives it."""
        return category_demand(self.calendar.dates, self.calendar.dates[0]).astype(np.float32)

    def category_of(self, product: np.ndarray) -> np.ndarray:
        """Return the categories of products."""
        return product // PRODUCTS_PER_CATEGORY

    def draw(self, rng: np.random.Generator, price_class: np.ndarray, category: np.ndarray) -> np.ndarray:
        """Draw a product of each category, as dear as the price class likes it."""
        chance = self.chance[price_class, category]
        found = (chance <= rng.random(len(category), dtype=np.float32)[:, None]).sum(axis=1)
        return np.asarray(category * PRODUCTS_PER_CATEGORY + np.minimum(found, PRODUCTS_PER_CATEGORY - 1))

    def draw_category(self, rng: np.random.Generator, taste: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Draw a category per row from tastes (n, categories) and what the season asks for."""
        return pick_by_row(rng, taste * self.demand[day])

    def on_sale(self, product: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Return the products, and where one is not launched yet the first of its category instead."""
        first = self.category_of(product) * PRODUCTS_PER_CATEGORY
        return np.where(self.launch_day[product] <= day, product, first)


def stock_shelf(calendar: ShopCalendar) -> Shelf:
    """Draw the assortment, its prices and its offers."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.PRODUCTS)
    count = len(CATEGORIES) * PRODUCTS_PER_CATEGORY
    position = np.arange(count) % PRODUCTS_PER_CATEGORY
    category = np.arange(count) // PRODUCTS_PER_CATEGORY
    is_own = position % 4 == 3
    tier = np.where(is_own, 0, np.array([1, 0, 2])[position % 3])
    brand = np.where(is_own, 0, 1 + category * 3 + rng.integers(0, 3, count))
    # The last two of every category come later; the first is always there.
    launch_day = np.where(position >= PRODUCTS_PER_CATEGORY - 2, rng.integers(30, options.days - 20, count), -10_000)

    median = np.array([item.price for item in CATEGORIES])[category]
    level = median * np.array([0.68, 1.0, 1.65])[tier] * rng.lognormal(0, 0.25, count)
    margin = np.array([item.margin for item in CATEGORIES])[category] + np.where(is_own, 0.06, 0.0)
    list_price = _price_by_day(rng, level, options.days, yearly=0.03, changes_per_year=1.6)
    cost = level * (1 - margin) * rng.lognormal(0, 0.05, count)
    unit_cost = _price_by_day(rng, cost, options.days, yearly=0.025, changes_per_year=1.0)

    weeks = -(-options.days // 7)
    is_offered = rng.random((count, weeks)) < np.where(tier == 2, 0.04, 0.09)[:, None]
    offer = np.where(is_offered, rng.choice([10, 15, 20, 25, 30, 40], size=(count, weeks)), 0)

    popularity = 1.0 / (1.0 + rng.permuted(np.tile(np.arange(PRODUCTS_PER_CATEGORY), (len(CATEGORIES), 1)), axis=1))
    likes = np.exp(
        1.6 * (np.arange(PRICE_CLASSES)[:, None] / (PRICE_CLASSES - 1) - 0.5) * np.array([-1.0, 0.0, 1.0])[None, :]
    )
    chance = popularity[None] * likes[:, tier].reshape(PRICE_CLASSES, len(CATEGORIES), PRODUCTS_PER_CATEGORY)
    chance = np.cumsum(chance, axis=2)
    partner = pick(rng, [category.is_replenished + 0.5 for category in CATEGORIES], len(CATEGORIES))
    complement = partner[category] * PRODUCTS_PER_CATEGORY + rng.permutation(count) % (PRODUCTS_PER_CATEGORY - 2)
    return Shelf(
        calendar=calendar,
        tier=tier,
        is_own=is_own,
        brand=brand,
        launch_day=launch_day,
        list_price=list_price,
        unit_cost=unit_cost,
        offer=offer,
        complement=complement,
        chance=(chance / chance[:, :, -1:]).astype(np.float32),
    )


def product_rows(shelf: Shelf) -> pa.Table:
    """Return the rows of the entity products: a version whenever a list price changes."""
    options = shelf.calendar.options
    launched = np.maximum(shelf.launch_day, 0)
    day = np.arange(options.days)
    changed = np.zeros(shelf.list_price.shape, dtype=bool)
    changed[:, 1:] = shelf.list_price[:, 1:] != shelf.list_price[:, :-1]
    changed &= day[None, :] > launched[:, None]
    changed[np.arange(len(launched)), launched] = True
    product, version_day = np.nonzero(changed)
    price = shelf.list_price[product, version_day]
    is_first = (version_day == 0) & (shelf.launch_day[product] < 0)
    valid_from = shelf.calendar.at(np.where(is_first, -_DAYS_KNOWN_BEFORE, version_day))
    category = shelf.category_of(product)
    rng = random_stream(options.seed, Subject.ARRIVAL, part=Subject.PRODUCTS)
    brands = (OWN_BRAND, *(brand for item in CATEGORIES for brand in item.brands))
    return table_of(
        "products",
        {
            "product_id": ids("p", product, 4),
            "valid_from": moments(valid_from),
            "department": words([item.department for item in CATEGORIES], category),
            "category": words(CATEGORY_NAMES, category),
            "brand": words(brands, shelf.brand[product]),
            "is_private_label": pa.array(shelf.is_own[product]),
            "list_price_amount": money(price),
            "ingested_at": moments(arrivals(rng, valid_from, options.late_rate)),
        },
    )


def _price_by_day(
    rng: np.random.Generator, level: np.ndarray, days: int, yearly: float, changes_per_year: float
) -> np.ndarray:
    """Return cents by product and day: a level that steps now and then, upwards on the whole."""
    shape = (len(level), days)
    steps = rng.random(shape) < changes_per_year / 365
    steps[:, 0] = False
    size = rng.normal(yearly / changes_per_year, 0.035, shape)
    drift = np.cumsum(np.where(steps, size, 0.0), axis=1)
    prices = level[:, None] * np.exp(drift)
    # Ten cents are the smallest step of a price tag above one unit, a cent below.
    rounded = np.where(prices >= 1_000, np.round(prices / 10) * 10 - 1, np.round(prices))
    return np.asarray(np.maximum(rounded, 49).astype(np.int64))
