"""What customers buy: orders now and then, subscriptions, habits; what becomes of the orders."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import (
    ids,
    moment_texts,
    moments,
    money,
    quantities,
    table_of,
    words,
)
from segmentation_job.landing.simulated_shop.customers import REGIONS, Customers
from segmentation_job.landing.simulated_shop.lives import Lives
from segmentation_job.landing.simulated_shop.products import CATEGORIES, Shelf
from segmentation_job.landing.simulated_shop.randomness import (
    Subject,
    pick,
    pick_by_row,
    position_in_group,
    random_stream,
)

CURRENCY: Final = "EUR"
CHANNELS: Final = ("store", "web", "app")
STORE, WEB, APP = range(3)
# Ids of rows hold their chunk, so that chunks need not know of each other.
ROWS_PER_CHUNK: Final = 10_000_000
_STORES_PER_REGION: Final = 3
_SUBSCRIPTION_RHYTHMS: Final = ((7, 14, 28, 30, 42, 56), (8, 18, 30, 26, 8, 10))
_HABIT_RHYTHMS: Final = ((7, 10, 14, 21, 28), (28, 14, 30, 16, 12))
_LATE_SHIPMENT_SHARE: Final = 0.07
NEVER: Final = np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Orders:
    """A chunk's orders by customer and time, and their lines by order.

    customer, life: indices within the chunk. ordered_at, shipped_at, cancelled_at: seconds since 1970, NEVER where it
    does not happen. is_late: shipped much later than promised. line_order: the order's index; product, units, and
    cents by line, cost of one unit; return_units, returned_at: what of the line comes back. first_number: of the ids.
    """

    customer: np.ndarray
    life: np.ndarray
    ordered_at: np.ndarray
    channel: np.ndarray
    is_subscription: np.ndarray
    store: np.ndarray
    shipped_at: np.ndarray
    cancelled_at: np.ndarray
    is_late: np.ndarray
    line_order: np.ndarray
    product: np.ndarray
    units: np.ndarray
    gross: np.ndarray
    discount: np.ndarray
    cost: np.ndarray
    return_units: np.ndarray
    returned_at: np.ndarray
    first_number: int

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def net(self) -> np.ndarray:
        """Cents received per line."""
        return np.asarray(self.gross - self.discount)

    @property
    def amount(self) -> np.ndarray:
        """Cents to pay per order."""
        total = np.zeros(len(self), dtype=np.int64)
        np.add.at(total, self.line_order, self.net)
        return total

    @property
    def is_cancelled(self) -> np.ndarray:
        """Which orders are cancelled within the calendar."""
        return self.cancelled_at < NEVER

    def ids(self, order: np.ndarray) -> pa.Array:
        """Return the ids of orders of this chunk."""
        return ids("o", order + self.first_number, 11)


def draw_orders(calendar: ShopCalendar, customers: Customers, lives: Lives, shelf: Shelf, chunk: int) -> Orders:
    """Draw the orders of a chunk of customers."""
    rng = random_stream(calendar.options.seed, Subject.ORDERS, chunk)
    plans = [_spontaneous(rng, calendar, customers, lives)]
    plans.append(_standing(rng, calendar, customers, lives, shelf, is_subscription=True))
    plans.append(_standing(rng, calendar, customers, lives, shelf, is_subscription=False))
    life, ordered_at, product, is_subscription, is_habit = (
        np.concatenate([plan[position] for plan in plans]) for position in range(5)
    )
    order = np.lexsort((product, ordered_at, lives.customer[life]))
    life, ordered_at, product, is_subscription, is_habit = (
        values[order] for values in (life, ordered_at, product, is_subscription, is_habit)
    )
    count = len(life)
    day = calendar.day_of(ordered_at)
    is_online = is_subscription | (rng.random(count) < lives.online[life])
    channel = np.where(is_online, np.where(rng.random(count) < lives.by_app[life], APP, WEB), STORE)
    channel = np.where(is_subscription, WEB, channel)
    store = customers.region[lives.customer[life]] * _STORES_PER_REGION + pick(rng, (6, 3, 1), count)

    further = rng.poisson(np.where(is_habit, 0.8, np.where(is_subscription, 0.0, lives.lines_mean[life] - 1)))
    line_count = 1 + further
    line_order = np.repeat(np.arange(count), line_count)
    is_first = position_in_group(line_count) == 0
    line_life, line_day = life[line_order], day[line_order]
    drawn = draw_products(rng, lives, shelf, line_life, line_day)
    standing = product[line_order]
    chosen = np.where(is_first & (standing >= 0), standing, drawn)
    # What goes with the first product of a basket is now and then bought with it.
    first_chosen = chosen[is_first][line_order]
    goes_with = ~is_first & (rng.random(len(chosen)) < 0.16)
    chosen = np.where(goes_with, shelf.on_sale(shelf.complement[first_chosen], line_day), chosen)
    _, kept = np.unique(line_order * len(shelf.tier) + chosen, return_index=True)
    kept = np.sort(kept)
    line_order, chosen, is_first = line_order[kept], chosen[kept], is_first[kept]
    line_life, line_day = line_life[kept], line_day[kept]

    mean_units = np.array([category.units for category in CATEGORIES])[shelf.category_of(chosen)]
    units = 1 + rng.poisson(mean_units - 1)
    units = np.where(is_first & (is_subscription | is_habit)[line_order], 1 + (chosen + line_life) % 2, units)
    gross = units * shelf.list_price[chosen, line_day]
    percent = _percent_off(rng, lives, shelf, line_life, chosen, line_day, is_subscription[line_order])
    discount = np.round(gross * percent / 100).astype(np.int64)

    cancelled_at, shipped_at, is_late = _fulfilment(rng, calendar, ordered_at, channel, is_subscription)
    return_units, returned_at = _returns(
        rng, calendar, customers, lives, shelf, (line_order, line_life, chosen, units), ordered_at, cancelled_at
    )
    return Orders(
        customer=lives.customer[life],
        life=life,
        ordered_at=ordered_at,
        channel=channel,
        is_subscription=is_subscription,
        store=store,
        shipped_at=shipped_at,
        cancelled_at=cancelled_at,
        is_late=is_late,
        line_order=line_order,
        product=chosen,
        units=units,
        gross=gross,
        discount=discount,
        cost=shelf.unit_cost[chosen, line_day],
        return_units=return_units,
        returned_at=returned_at,
        first_number=chunk * ROWS_PER_CHUNK,
    )


def draw_products(
    rng: np.random.Generator, lives: Lives, shelf: Shelf, life: np.ndarray, day: np.ndarray
) -> np.ndarray:
    """Draw what lives want on days: the favourite of a category, a substitute for it, or what is on offer."""
    category = shelf.draw_category(rng, lives.taste[life], day)
    product = shelf.draw(rng, lives.price_class[life], category)
    is_faithful = rng.random(len(life)) < lives.faithful[life]
    product = np.where(is_faithful, lives.favourite[life, category], product)
    offered = shelf.best_offer[category, day // 7]
    takes_offer = (rng.random(len(life)) < 0.75 * lives.deal[life]) & (offered >= 0)
    return shelf.on_sale(np.where(takes_offer, offered, product), day)


def order_tables(calendar: ShopCalendar, customers: Customers, orders: Orders, chunk: int) -> dict[str, pa.Table]:
    """Return the rows of orders, order_lines and order_events."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.ORDERS)
    arrived_at = arrivals(rng, orders.ordered_at, options.late_rate)
    everyone = np.arange(len(orders))
    stores = [f"s{number:03d}" for number in range(len(REGIONS) * _STORES_PER_REGION)]
    line_counts = np.bincount(orders.line_order, minlength=len(orders))
    line_number = position_in_group(line_counts) + 1
    lines = orders.line_order
    return {
        "orders": table_of(
            "orders",
            {
                "order_id": orders.ids(everyone),
                "customer_id": customers.ids(orders.customer),
                "ordered_at": moment_texts(orders.ordered_at),
                "channel": words(CHANNELS, orders.channel),
                "store_id": words(stores, orders.store, orders.channel != STORE),
                "is_subscription": pa.array(orders.is_subscription),
                "currency": words((CURRENCY,), np.zeros(len(orders), dtype=np.int64)),
                "ingested_at": moments(arrived_at),
            },
        ),
        "order_lines": table_of(
            "order_lines",
            {
                "order_id": orders.ids(lines),
                "line_id": ids("", line_number, 1),
                "product_id": ids("p", orders.product, 4),
                "quantity": quantities(orders.units),
                "gross_amount": money(orders.gross),
                "discount_amount": money(orders.discount),
                "net_amount": money(orders.net),
                "unit_cost_amount": money(orders.cost),
                # Lines come with their order, late ones too.
                "ingested_at": moments(arrived_at[lines]),
            },
        ),
        "order_events": _event_table(calendar, orders, line_number, chunk),
    }


_Plan = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _spontaneous(rng: np.random.Generator, calendar: ShopCalendar, customers: Customers, lives: Lives) -> _Plan:
    """Return life, moment, product (-1: still to choose) and two flags of orders that no rhythm rules."""
    activity = calendar.cumulated_activity
    days = activity[lives.profile, lives.end_day] - activity[lives.profile, lives.begin_day]
    life = np.repeat(np.arange(len(lives.customer)), rng.poisson(lives.order_rate / 365 * days))
    day = calendar.draw_days(rng, lives.profile[life], lives.begin_day[life], lives.end_day[life])
    ordered_at = calendar.at(day, calendar.draw_seconds(rng, lives.is_evening[life]))
    lived = lives.is_lived(rng, customers, life, day)
    life, ordered_at = life[lived], ordered_at[lived]
    no = np.zeros(len(life), dtype=bool)
    return life, ordered_at, np.full(len(life), -1), no, no


def _standing(
    rng: np.random.Generator,
    calendar: ShopCalendar,
    customers: Customers,
    lives: Lives,
    shelf: Shelf,
    is_subscription: bool,
) -> _Plan:
    """Return orders of a stable product at a stable rhythm: subscriptions to the hour, habits about the day."""
    has = lives.subscribes if is_subscription else lives.has_habits
    standing = np.repeat(np.arange(len(has)), np.where(has, 1 + rng.binomial(2, 0.3, len(has)), 0))
    count = len(standing)
    rhythms, weights = _SUBSCRIPTION_RHYTHMS if is_subscription else _HABIT_RHYTHMS
    rhythm = np.array(rhythms)[pick(rng, np.array(weights), count)]
    begin, end = lives.begin_day[standing], lives.end_day[standing]
    # Most standing orders of earlier customers are under way when the calendar begins.
    is_old = customers.signup_day[lives.customer[standing]] < 0
    first = begin + np.where(is_old & (rng.random(count) < 0.6), rng.random(count) * rhythm, rng.random(count) * 150)
    replenished = np.array([category.is_replenished for category in CATEGORIES])
    started = np.minimum(first.astype(np.int64), calendar.options.days - 1)
    category = pick_by_row(rng, lives.taste[standing] * replenished * shelf.demand[started])
    product = lives.favourite[standing, category]
    stop = np.minimum(end, first + rng.exponential(2_000, count))
    repeats = np.maximum(np.ceil((stop - first) / rhythm), 0).astype(np.int64)
    plan = np.repeat(np.arange(count), repeats)
    wobble = 0.02 if is_subscription else 0.13
    moment = first[plan] + (position_in_group(repeats) + rng.normal(0, wobble, len(plan))) * rhythm[plan]
    # Nobody is at home for every visit that habit asks for.
    happens = rng.random(len(plan)) < (0.985 if is_subscription else 0.88)
    day = np.floor(moment).astype(np.int64)
    life = standing[plan]
    happens &= (day >= lives.begin_day[life]) & (day < lives.end_day[life])
    plan, day, life = plan[happens], day[happens], life[happens]
    lived = lives.is_lived(rng, customers, life, day)
    plan, day, life = plan[lived], day[lived], life[lived]
    seconds = (
        rng.integers(4 * 3_600, 6 * 3_600, len(life))
        if is_subscription
        else calendar.draw_seconds(rng, lives.is_evening[life])
    )
    flag = np.full(len(life), is_subscription)
    return life, calendar.at(day, seconds), product[plan], flag, ~flag


def _percent_off(
    rng: np.random.Generator,
    lives: Lives,
    shelf: Shelf,
    life: np.ndarray,
    product: np.ndarray,
    day: np.ndarray,
    is_subscription: np.ndarray,
) -> np.ndarray:
    """Return per cent off each line: the offer of the week, a coupon, or the subscriber's five."""
    percent = shelf.offer[product, day // 7]
    has_coupon = rng.random(len(life)) < 0.22 * lives.deal[life]
    percent = np.where(has_coupon, np.minimum(percent + rng.choice([5, 10, 15], len(life)), 50), percent)
    return np.where(is_subscription, 5, percent)


def _fulfilment(
    rng: np.random.Generator,
    calendar: ShopCalendar,
    ordered_at: np.ndarray,
    channel: np.ndarray,
    is_subscription: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return when orders are cancelled and shipped, and which ones are shipped late."""
    count = len(ordered_at)
    is_online = channel != STORE
    cancelled_at = ordered_at + rng.integers(1_800, DAY_SECONDS, count)
    is_cancelled = is_online & (rng.random(count) < np.where(is_subscription, 0.006, 0.028))
    cancelled_at = np.where(is_cancelled & (cancelled_at < calendar.end_at), cancelled_at, NEVER)
    # The weeks before the feasts are too much for the warehouse.
    day_of_year = calendar.day_of_year[calendar.day_of(ordered_at)]
    busy = np.where((day_of_year > 325) & (day_of_year < 360), 2.2, 1.0)
    is_late = is_online & (rng.random(count) < _LATE_SHIPMENT_SHARE * busy)
    days = np.where(is_late, rng.uniform(5, 12, count), rng.uniform(0.6, 2.8, count))
    shipped_at = ordered_at + (days * DAY_SECONDS).astype(np.int64)
    ships = is_online & (cancelled_at == NEVER) & (shipped_at < calendar.end_at)
    return cancelled_at, np.where(ships, shipped_at, NEVER), is_late & (cancelled_at == NEVER)


def _returns(
    rng: np.random.Generator,
    calendar: ShopCalendar,
    customers: Customers,
    lives: Lives,
    shelf: Shelf,
    lines: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    ordered_at: np.ndarray,
    cancelled_at: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many units of each line come back, and when: one to five weeks after the order."""
    line_order, line_life, product, units = lines
    rate = np.array([category.return_rate for category in CATEGORIES])[shelf.category_of(product)]
    returned_at = ordered_at[line_order] + rng.integers(7 * DAY_SECONDS, 35 * DAY_SECONDS, len(units))
    stop_at = calendar.at(customers.stop_day)[lives.customer[line_life]]
    comes_back = rng.random(len(units)) < np.minimum(rate * lives.returns[line_life], 0.6)
    comes_back &= (cancelled_at[line_order] == NEVER) & (returned_at < stop_at)
    some = np.where(rng.random(len(units)) < 0.7, units, 1 + rng.integers(0, units))
    return np.where(comes_back, some, 0), np.where(comes_back, returned_at, NEVER)


def _event_table(calendar: ShopCalendar, orders: Orders, line_number: np.ndarray, chunk: int) -> pa.Table:
    shipped = np.flatnonzero(orders.shipped_at < NEVER)
    cancelled = np.flatnonzero(orders.is_cancelled)
    returned = np.flatnonzero(orders.return_units > 0)
    order = np.concatenate([shipped, cancelled, orders.line_order[returned]])
    kind = np.repeat([0, 1, 2], [len(shipped), len(cancelled), len(returned)])
    occurred_at = np.concatenate(
        [orders.shipped_at[shipped], orders.cancelled_at[cancelled], orders.returned_at[returned]]
    )
    total_units = np.zeros(len(orders), dtype=np.int64)
    np.add.at(total_units, orders.line_order, orders.units)
    nothing = np.zeros(len(shipped), dtype=np.int64)
    units = np.concatenate([nothing, total_units[cancelled], orders.return_units[returned]])
    back = np.round(orders.net[returned] * orders.return_units[returned] / orders.units[returned]).astype(np.int64)
    amount = np.concatenate([nothing, orders.amount[cancelled], back])
    line = np.concatenate([nothing, np.zeros(len(cancelled), dtype=np.int64), line_number[returned]])
    sequence = np.lexsort((kind, occurred_at, order))
    order, kind, occurred_at, units, amount, line = (
        values[sequence] for values in (order, kind, occurred_at, units, amount, line)
    )
    rng = random_stream(calendar.options.seed, Subject.ARRIVAL, chunk, Subject.ORDER_EVENTS)
    return table_of(
        "order_events",
        {
            "event_id": ids("oe", np.arange(len(order)) + orders.first_number, 11),
            "order_id": orders.ids(order),
            "line_id": ids("", line, 1, kind != 2),
            "event_type": words(("shipped", "cancelled", "returned"), kind),
            "occurred_at": moments(occurred_at),
            "quantity": quantities(units, kind == 0),
            "amount": money(amount, kind == 0),
            "ingested_at": moments(arrivals(rng, occurred_at, calendar.options.late_rate)),
        },
    )
