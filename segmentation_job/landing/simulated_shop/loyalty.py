"""The rewards programme: who joins it, earns, redeems and climbs its tiers."""

from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import ids, moments, table_of, words
from segmentation_job.landing.simulated_shop.customers import Customers
from segmentation_job.landing.simulated_shop.orders import ROWS_PER_CHUNK, Orders
from segmentation_job.landing.simulated_shop.randomness import Subject, random_stream

TIERS: Final = ("bronze", "silver", "gold")
_TIER_POINTS: Final = (600, 1_800)
_POINTS_PER_REWARD: Final = np.array([100, 200, 500])
_REVIEW_DAYS: Final = 91
ENROL, EARN, REDEEM, TIER_CHANGE = range(4)
KINDS: Final = ("enrol", "earn", "redeem", "tier_change")


def loyalty_rows(calendar: ShopCalendar, customers: Customers, orders: Orders, chunk: int) -> pa.Table:
    """Return the rows of loyalty_events; a point is earned per unit of money, a reward spends a round sum of them."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.LOYALTY, chunk)
    count = len(customers)
    # Half join as they sign up, the rest when they have come to know the shop.
    delay = np.where(rng.random(count) < 0.5, 0.0, rng.exponential(90, count)) * DAY_SECONDS
    enrolled_at = (
        calendar.at(customers.signup_day) + rng.integers(6 * 3_600, 22 * 3_600, count) + delay.astype(np.int64)
    )
    stop_at = calendar.at(customers.stop_day)
    enrols = customers.enrols & (enrolled_at < np.minimum(calendar.at(customers.end_day), stop_at))
    members = np.flatnonzero(enrols)

    points = orders.amount // 100
    earns = np.flatnonzero(
        enrols[orders.customer]
        & (orders.ordered_at >= enrolled_at[orders.customer])
        & ~orders.is_cancelled
        & (points > 0)
    )
    earner, earned_at, earned = orders.customer[earns], orders.ordered_at[earns] + 60, points[earns]
    balance = _running_total(earner, earned)
    reward = _POINTS_PER_REWARD[rng.integers(0, 3, count)][earner]
    # A reward can be had whenever the points earned in all pass another multiple of it.
    passed = balance // reward - (balance - earned) // reward
    takes = (passed > 0) & (rng.random(len(earns)) < customers.trait("redeems", earner, calendar.day_of(earned_at)))
    redeemed_at = earned_at + rng.integers(3_600, 30 * DAY_SECONDS, len(earns))
    takes &= redeemed_at < stop_at[earner]
    # Earned with the last order of the calendar: the minute after may be past its end.
    in_time = earned_at < stop_at[earner]

    tier_customer, tier_at, tier = _tier_changes(calendar, customers, enrolled_at, earner, earned_at, earned)
    who = np.concatenate([members, earner[in_time], earner[takes], tier_customer])
    sizes = [len(members), int(in_time.sum()), int(takes.sum()), len(tier_customer)]
    kind = np.repeat([ENROL, EARN, REDEEM, TIER_CHANGE], sizes)
    occurred_at = np.concatenate([enrolled_at[members], earned_at[in_time], redeemed_at[takes], tier_at])
    no_points, no_tier = np.zeros(len(members), dtype=np.int64), np.zeros(len(tier_customer), dtype=np.int64)
    amount = np.concatenate([no_points, earned[in_time], (reward * passed)[takes], no_tier])
    tiers = np.concatenate([np.zeros(sum(sizes[:3]), dtype=np.int64), tier])
    sequence = np.lexsort((kind, occurred_at, who))
    who, kind, occurred_at, amount, tiers = (values[sequence] for values in (who, kind, occurred_at, amount, tiers))
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.LOYALTY)
    return table_of(
        "loyalty_events",
        {
            "event_id": ids("le", np.arange(len(who)) + chunk * ROWS_PER_CHUNK, 11),
            "customer_id": customers.ids(who),
            "event_type": words(KINDS, kind),
            "occurred_at": moments(occurred_at),
            "points": pa.array(amount, mask=(kind != EARN) & (kind != REDEEM)),
            "tier": words(TIERS, tiers, kind != TIER_CHANGE),
            "ingested_at": moments(arrivals(arrival, occurred_at, options.late_rate)),
        },
    )


def _running_total(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return totals so far within groups; equal groups stand together."""
    total = np.cumsum(values)
    is_first = np.ones(len(group), dtype=bool)
    is_first[1:] = group[1:] != group[:-1]
    before = np.where(is_first, total - values, 0)
    return np.asarray(total - np.maximum.accumulate(before))


def _tier_changes(
    calendar: ShopCalendar,
    customers: Customers,
    enrolled_at: np.ndarray,
    earner: np.ndarray,
    earned_at: np.ndarray,
    earned: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who changes tier when and to which: every quarter the points of the last four decide."""
    quarters = calendar.options.days // _REVIEW_DAYS
    points = np.zeros((len(customers), quarters + 1), dtype=np.int64)
    np.add.at(points, (earner, np.minimum(calendar.day_of(earned_at) // _REVIEW_DAYS, quarters)), earned)
    total = np.cumsum(points, axis=1)[:, :quarters]
    year = total.copy()
    year[:, 4:] -= total[:, :-4]
    tier = np.searchsorted(_TIER_POINTS, year, side="right")
    before = np.zeros_like(tier)
    before[:, 1:] = tier[:, :-1]
    who, quarter = np.nonzero(tier != before)
    at = calendar.at((quarter + 1) * _REVIEW_DAYS, 3 * 3_600)
    keep = (at < calendar.at(customers.stop_day)[who]) & (at > enrolled_at[who])
    return who[keep], at[keep], tier[who, quarter][keep]
