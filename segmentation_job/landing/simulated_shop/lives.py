"""How customers live with the shop: how often, what, how dear and where they buy; a drifting one has two lives."""

from dataclasses import dataclass

import numpy as np

from segmentation_job.landing.simulated_shop.calendar import SEASON_STRENGTHS, ShopCalendar
from segmentation_job.landing.simulated_shop.customers import Customers, segment_values
from segmentation_job.landing.simulated_shop.products import CATEGORIES, PRICE_CLASSES, Shelf
from segmentation_job.landing.simulated_shop.randomness import Subject, pick, random_stream


@dataclass(frozen=True)
class Lives:
    """One way of shopping of a customer; arrays have one entry per life, the first ones in the customers' order.

    customer: whose life. is_later: whether it is what a drifting customer turns into. begin_day, end_day: when it
    may be active. profile: row of the calendar's cumulated activity. order_rate, session_rate: per year.
    lines_mean: of an order. price_class: 0 cheap to PRICE_CLASSES - 1. deal, online, by_app, abandons, faithful:
    shares from 0 to 1. taste: shares of categories (lives, categories). favourite: product (lives, categories).
    returns: how many times more often than others. subscribes, has_habits: whether it has standing orders.
    """

    customer: np.ndarray
    is_later: np.ndarray
    begin_day: np.ndarray
    end_day: np.ndarray
    profile: np.ndarray
    is_evening: np.ndarray
    order_rate: np.ndarray
    session_rate: np.ndarray
    lines_mean: np.ndarray
    price_class: np.ndarray
    deal: np.ndarray
    online: np.ndarray
    by_app: np.ndarray
    abandons: np.ndarray
    faithful: np.ndarray
    returns: np.ndarray
    subscribes: np.ndarray
    has_habits: np.ndarray
    device: np.ndarray
    taste: np.ndarray
    favourite: np.ndarray

    def is_lived(self, rng: np.random.Generator, customers: Customers, life: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Which events happen: of a drifting customer's two lives the one fades as the other grows."""
        changed = customers.changed_share(self.customer[life], day)
        share = np.where(self.is_later[life], changed, 1 - changed)
        return np.asarray(rng.random(len(life)) < share)


def draw_lives(calendar: ShopCalendar, customers: Customers, shelf: Shelf, chunk: int) -> Lives:
    """Draw the lives of a chunk of customers around their segments'."""
    rng = random_stream(calendar.options.seed, Subject.LIVES, chunk)
    drifters = np.flatnonzero(customers.drifts)
    customer = np.concatenate([np.arange(len(customers)), drifters])
    segment = np.concatenate([customers.segment, customers.later_segment[drifters]])
    count = len(customer)
    is_later = np.arange(count) >= len(customers)
    end_day = np.where(is_later, calendar.options.days, customers.end_day[customer])
    end_day = np.minimum(end_day, customers.stop_day[customer])

    def beta(attribute: str) -> np.ndarray:
        a, b = segment_values(attribute).T[:, segment]
        return np.asarray(rng.beta(a, b))

    price_level = beta("price_level")
    price_class = np.minimum((price_level * PRICE_CLASSES).astype(np.int64), PRICE_CLASSES - 1)
    mean_taste = segment_values("categories")
    mean_taste = mean_taste / mean_taste.sum(axis=1, keepdims=True)
    taste = rng.gamma(mean_taste[segment] * 20.0) + 1e-6
    taste = (taste / taste.sum(axis=1, keepdims=True)).astype(np.float32)
    categories = np.tile(np.arange(len(CATEGORIES)), count)
    favourite = shelf.draw(rng, np.repeat(price_class, len(CATEGORIES)), categories)
    favourite = shelf.on_sale(favourite, np.zeros(len(favourite), dtype=np.int64)).reshape(count, -1)
    season = segment_values("season").astype(np.int64)[segment]
    online = beta("online")
    return Lives(
        customer=customer,
        is_later=is_later,
        begin_day=customers.begin_day[customer],
        end_day=end_day,
        profile=season * len(SEASON_STRENGTHS) + rng.integers(0, len(SEASON_STRENGTHS), count),
        is_evening=rng.random(count) < np.where(online > 0.6, 0.65, 0.25),
        order_rate=segment_values("orders_per_year")[segment] * rng.lognormal(0, 0.42, count),
        session_rate=segment_values("sessions_per_year")[segment] * rng.lognormal(0, 0.5, count),
        lines_mean=1 + (segment_values("lines_per_order")[segment] - 1) * rng.gamma(6, 1 / 6, count),
        price_class=price_class,
        deal=beta("deal"),
        online=online,
        by_app=rng.beta(2 + 4 * online, 3.0),
        abandons=rng.beta(5, 3, count),
        faithful=rng.beta(4, 4, count),
        returns=rng.gamma(1.5, 1 / 1.5, count),
        subscribes=rng.random(count) < segment_values("subscription_share")[segment],
        has_habits=rng.random(count) < segment_values("habit_share")[segment],
        device=pick(rng, (0.62, 0.30, 0.08), count),
        taste=taste,
        favourite=favourite,
    )
