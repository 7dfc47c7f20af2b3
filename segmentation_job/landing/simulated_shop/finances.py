"""How customers pay and what they owe: both follow from a financial stability that no column shows."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import dates, ids, moments, money, table_of, words
from segmentation_job.landing.simulated_shop.customers import Customers
from segmentation_job.landing.simulated_shop.orders import NEVER, ROWS_PER_CHUNK, STORE, Orders
from segmentation_job.landing.simulated_shop.randomness import (
    Subject,
    pick_by_row,
    position_in_group,
    random_stream,
)

METHODS: Final = ("card", "direct debit", "wallet", "invoice", "instalments")
INSTALMENTS = 4
_DUE_DAYS: Final = np.array([0, 5, 0, 14, 30])
_INSTALMENT_COUNT: Final = 3
LOWEST_SCORE: Final = 300
HIGHEST_SCORE: Final = 850


def payment_rows(calendar: ShopCalendar, customers: Customers, orders: Orders, chunk: int) -> pa.Table:
    """Return the rows of payments: one per order that stands, three where it is paid by instalments."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.PAYMENTS, chunk)
    amount = orders.amount
    order = np.flatnonzero(~orders.is_cancelled & (amount > 0))
    who = orders.customer[order]
    stability = customers.trait("stability", who, calendar.day_of(orders.ordered_at[order]))
    method = _methods(rng, orders, order, stability, customers, amount[order])
    parts = np.where(method == INSTALMENTS, _INSTALMENT_COUNT, 1)
    number = position_in_group(parts)
    order, method, stability = (np.repeat(values, parts) for values in (order, method, stability))
    count = np.repeat(parts, parts)
    part_amount = amount[order] // count + np.where(number == 0, amount[order] % count, 0)
    ordered_at = orders.ordered_at[order]
    due_at = ordered_at + _DUE_DAYS[method] * (number + 1) * DAY_SECONDS

    weakness = (1 - stability) ** 2
    fails = rng.random(len(order)) < 0.004 + 0.16 * weakness
    is_late = fails | (rng.random(len(order)) < 0.015 + 0.60 * weakness)
    at_once = _DUE_DAYS[method] == 0
    # What is charged at once is late only where the charge fails.
    is_late = np.where(at_once, fails, is_late)
    failed_at = np.where(fails, due_at + rng.integers(60, 6 * 3_600, len(order)), NEVER)
    early = (rng.uniform(0.0, 0.5, len(order)) * _DUE_DAYS[method] * DAY_SECONDS).astype(np.int64)
    delay = (rng.lognormal(1.6 + 1.2 * (1 - stability), 0.8) * DAY_SECONDS).astype(np.int64) + 6 * 3_600
    paid_at = np.where(is_late, due_at + delay, np.where(at_once, ordered_at + 30, due_at - early))
    never_paid = fails & (rng.random(len(order)) < 0.10 + 0.35 * (1 - stability))
    paid_at = np.where(never_paid | (paid_at >= calendar.end_at), NEVER, paid_at)
    failed_at = np.where(failed_at >= calendar.end_at, NEVER, failed_at)

    # A row is known when the last thing that it tells has happened.
    known_at = np.maximum(ordered_at, np.where(paid_at < NEVER, paid_at, 0))
    known_at = np.maximum(known_at, np.where(failed_at < NEVER, failed_at, 0))
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.PAYMENTS)
    return table_of(
        "payments",
        {
            "payment_id": ids("y", np.arange(len(order)) + chunk * ROWS_PER_CHUNK, 11),
            "order_id": orders.ids(order),
            "customer_id": customers.ids(orders.customer[order]),
            "method": words(METHODS, method),
            "due_at": moments(due_at),
            "paid_at": moments(np.where(paid_at < NEVER, paid_at, 0), paid_at >= NEVER),
            "failed_at": moments(np.where(failed_at < NEVER, failed_at, 0), failed_at >= NEVER),
            "amount": pc.cast(money(part_amount), pa.string()),
            "ingested_at": moments(arrivals(arrival, known_at, options.late_rate)),
        },
    )


def credit_rows(calendar: ShopCalendar, customers: Customers, chunk: int) -> pa.Table:
    """Return the rows of credit: limit, balance and outside score on the first of every month."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.CREDIT, chunk)
    months = (calendar.months - calendar.dates[0]).astype(np.int64)
    holders = np.flatnonzero(customers.has_credit)
    shape = (len(holders), len(months))
    stability = np.stack([customers.trait("stability", holders, month) for month in months], axis=1)
    granted = customers.income[holders] * (0.03 + 0.10 * stability[:, 0]) * rng.lognormal(0, 0.3, len(holders))
    limit = np.maximum(np.round(granted / 100), 2) * 100
    raised = 1 + 0.1 * np.cumsum(rng.random(shape) < 0.02, axis=1)
    limits = np.round(limit[:, None] * raised / 50).astype(np.int64) * 50
    usual = np.clip(1.05 - 1.0 * stability + rng.normal(0, 0.14, len(holders))[:, None], 0.02, 0.97)
    used = np.clip(usual + _wandering(rng, shape, 0.8, 0.06), 0.0, 1.08)
    score = 375 + 430 * stability + rng.normal(0, 38, len(holders))[:, None] + _wandering(rng, shape, 0.9, 7.0)
    score = np.clip(np.round(score), LOWEST_SCORE, HIGHEST_SCORE)
    exists = (months[None, :] > customers.signup_day[holders][:, None]) & (
        months[None, :] < customers.stop_day[holders][:, None]
    )
    holder, month = np.nonzero(exists)
    day = months[month]
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.CREDIT)
    return table_of(
        "credit",
        {
            "customer_id": customers.ids(holders[holder]),
            "credit_date": dates(calendar.dates[0] + day),
            "limit_amount": money(limits[holder, month] * 100),
            "balance_amount": money(np.round(limits * used * 100).astype(np.int64)[holder, month]),
            "external_score": pa.array(score.astype(np.int32)[holder, month]),
            "ingested_at": moments(arrivals(arrival, calendar.at(day), options.late_rate)),
        },
    )


def _methods(
    rng: np.random.Generator,
    orders: Orders,
    order: np.ndarray,
    stability: np.ndarray,
    customers: Customers,
    amount: np.ndarray,
) -> np.ndarray:
    """Draw the means of payment: people have a habit of their own, stores take cards, debt comes by instalments."""
    who = orders.customer[order]
    habit = rng.dirichlet((3.0, 1.2, 2.0, 2.2), len(customers))[who]
    is_store = orders.channel[order] == STORE
    by_instalments = np.where(customers.has_credit[who] & (amount > 8_000), 0.10 + 0.55 * (1 - stability), 0.0)
    weights = np.column_stack([habit, by_instalments / np.maximum(1 - by_instalments, 0.1)])
    weights[:, 1] = np.where(is_store, 0.0, weights[:, 1])
    weights[:, 3] = np.where(is_store, 0.0, weights[:, 3])
    return pick_by_row(rng, weights)


def _wandering(rng: np.random.Generator, shape: tuple[int, int], memory: float, step: float) -> np.ndarray:
    """Return paths that wander about zero, shape (paths, months)."""
    shocks = rng.normal(0, step, shape)
    for month in range(1, shape[1]):
        shocks[:, month] += memory * shocks[:, month - 1]
    return shocks
