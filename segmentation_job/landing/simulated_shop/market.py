"""What the market does, as it is published: weeks later, and now and then corrected."""

from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import dates, moments, table_of, words
from segmentation_job.landing.simulated_shop.products import CATEGORIES, CATEGORY_NAMES, category_demand
from segmentation_job.landing.simulated_shop.randomness import Subject, random_stream

COMPETITORS: Final = ("Bazaro", "Kontor", "Mercado Uno")
TECHNOLOGIES: Final = ("mobile payment", "voice shopping", "augmented reality")
INDICATORS: Final = (
    "industry_index",
    "technology_adoption",
    "category_demand",
    "competitor_price_index",
    "competitor_share",
)
UNITS: Final = ("index", "share")
_MONTHS_BEFORE: Final = 12
_PUBLISHED_AFTER_DAYS: Final = (10, 40)
_REVISED_SHARE: Final = 0.2
_REVISED_AFTER_DAYS: Final = (25, 60)
_NONE: Final = -1


def market_rows(calendar: ShopCalendar) -> pa.Table:
    """Return the rows of market_indicators: a year before the calendar and its own, as far as published by its end."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.MARKET)
    first = calendar.dates[0].astype("datetime64[M]")
    months = np.arange(first - _MONTHS_BEFORE, calendar.dates[-1].astype("datetime64[M]") + 1)
    indicator, category, entity, unit, values = _series(rng, calendar, months)

    shape = values.shape
    series, month = (index.ravel() for index in np.indices(shape))
    over_at = (months + 1).astype("datetime64[s]").astype(np.int64)[month]
    low, high = _PUBLISHED_AFTER_DAYS
    published_at = over_at + rng.integers(low, high, len(month)) * DAY_SECONDS + 9 * 3_600
    value = values.ravel()
    revised = np.flatnonzero(rng.random(len(month)) < _REVISED_SHARE)
    again_at = published_at[revised] + rng.integers(*_REVISED_AFTER_DAYS, len(revised)) * DAY_SECONDS
    corrected = value[revised] * rng.lognormal(0, 0.012, len(revised))

    series, month = np.concatenate([series, series[revised]]), np.concatenate([month, month[revised]])
    published_at, value = np.concatenate([published_at, again_at]), np.concatenate([value, corrected])
    keep = np.flatnonzero(published_at < calendar.end_at)
    keep = keep[np.lexsort((published_at[keep], month[keep], series[keep]))]
    series, month, published_at, value = series[keep], month[keep], published_at[keep], value[keep]
    arrival = random_stream(options.seed, Subject.ARRIVAL, part=Subject.MARKET)
    return table_of(
        "market_indicators",
        {
            "indicator_month": dates(months.astype("datetime64[D]")[month]),
            "indicator": words(INDICATORS, indicator[series]),
            "category": words(CATEGORY_NAMES, np.maximum(category[series], 0), category[series] == _NONE),
            "entity": words((*COMPETITORS, *TECHNOLOGIES), np.maximum(entity[series], 0), entity[series] == _NONE),
            "published_at": moments(published_at),
            "indicator_value": pa.array(np.round(value, 4)),
            "unit": words(UNITS, unit[series]),
            "ingested_at": moments(arrivals(arrival, published_at, options.late_rate)),
        },
    )


def _series(
    rng: np.random.Generator, calendar: ShopCalendar, months: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return indicator, category, entity and unit of each series, and its values (series, months)."""
    count = len(months)
    time = np.arange(count)
    rows: list[tuple[int, int, int, int]] = []
    values: list[np.ndarray] = []

    def add(indicator: str, category: int, entity: int, unit: str, path: np.ndarray) -> None:
        rows.append((INDICATORS.index(indicator), category, entity, UNITS.index(unit)))
        values.append(path)

    add("industry_index", _NONE, _NONE, "index", 100 * np.exp(0.0016 * time + np.cumsum(rng.normal(0, 0.008, count))))
    for number, (middle, speed) in enumerate(((6.0, 0.07), (44.0, 0.09), (58.0, 0.10))):
        adoption = 1 / (1 + np.exp(-speed * (time - middle))) + rng.normal(0, 0.006, count)
        add("technology_adoption", _NONE, len(COMPETITORS) + number, "share", np.clip(adoption, 0.001, 0.999))
    demand = _monthly_demand(calendar, months)
    for number in range(len(CATEGORIES)):
        noise = rng.lognormal(0, 0.018, count)
        add("category_demand", number, _NONE, "index", 100 * demand[:, number] * noise)
    shares = rng.dirichlet((9.0, 6.0, 4.0, 16.0), len(CATEGORIES))
    for number in range(len(CATEGORIES)):
        paths = np.log(shares[number])[:, None] + np.cumsum(rng.normal(0, 0.02, (len(COMPETITORS) + 1, count)), axis=1)
        together = np.exp(paths) / np.exp(paths).sum(axis=0)
        for competitor, level in enumerate((93.0, 101.0, 108.0)):
            walk = rng.normal(0, 0.04) + 0.0022 * time + np.cumsum(rng.normal(0, 0.011, count))
            add("competitor_price_index", number, competitor, "index", level * np.exp(walk))
            add("competitor_share", number, competitor, "share", together[competitor])
    indicator, category, entity, unit = np.array(rows).T
    return indicator, category, entity, unit, np.array(values)


def _monthly_demand(calendar: ShopCalendar, months: np.ndarray) -> np.ndarray:
    """Return the mean demand by month and category, 1 being the usual level at the start."""
    days = np.arange(months[0].astype("datetime64[D]"), (months[-1] + 1).astype("datetime64[D]"))
    by_day = category_demand(days, calendar.dates[0])
    month = (days.astype("datetime64[M]") - months[0]).astype(np.int64)
    total = np.zeros((len(months), by_day.shape[1]))
    np.add.at(total, month, by_day)
    return total / np.bincount(month)[:, None]
