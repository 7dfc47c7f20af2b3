"""What customers say: surveys, reviews and complaints, after late shipments and returns worse ones."""

from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import ids, moments, scores, table_of, words
from segmentation_job.landing.simulated_shop.customers import Customers
from segmentation_job.landing.simulated_shop.orders import ROWS_PER_CHUNK, Orders
from segmentation_job.landing.simulated_shop.randomness import Subject, random_stream

KINDS: Final = ("survey", "review", "complaint")
SURVEY, REVIEW, COMPLAINT = range(3)
SCALES: Final = ("nps_0_10", "csat_1_5", "stars_1_5")
NPS, CSAT, STARS = range(3)
SURVEYED_SHARE: Final = 0.10
_MIDDLE: Final = np.array([7.5, 3.8, 3.9])
_STEP: Final = np.array([1.7, 0.8, 0.9])
_LOWEST: Final = np.array([0, 1, 1])
_HIGHEST: Final = np.array([10, 5, 5])


def feedback_rows(calendar: ShopCalendar, customers: Customers, orders: Orders, chunk: int) -> pa.Table:
    """Return the rows of feedback; a survey without a score was sent and not answered."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.FEEDBACK, chunk)
    count = len(orders)
    day = calendar.day_of(orders.ordered_at)
    talkative = customers.trait("talkative", orders.customer, day)
    satisfaction = customers.trait("satisfaction", orders.customer, day)
    has_return = np.zeros(count, dtype=bool)
    has_return[orders.line_order[orders.return_units > 0]] = True
    experience = satisfaction + rng.normal(0, 0.8, count) - 1.2 * orders.is_late - 0.6 * has_return
    upset = 1 + 1.5 * (orders.is_late | has_return)
    stands = ~orders.is_cancelled

    surveyed = np.flatnonzero(stands & ~orders.is_subscription & (rng.random(count) < SURVEYED_SHARE))
    answers = rng.random(len(surveyed)) < np.minimum(4.5 * talkative * upset, 0.95)[surveyed]
    reviewed = np.flatnonzero(stands & (rng.random(count) < 0.5 * talkative * upset))
    wish = 0.003 + 0.10 * orders.is_late + 0.05 * has_return + 0.03 * orders.is_cancelled
    complained = np.flatnonzero(rng.random(count) < wish * np.exp(-0.4 * satisfaction))

    order = np.concatenate([surveyed, reviewed, complained])
    kind = np.repeat([SURVEY, REVIEW, COMPLAINT], [len(surveyed), len(reviewed), len(complained)])
    is_scored = np.concatenate([answers, np.ones(len(reviewed), bool), np.zeros(len(complained), bool)])
    scale = np.where(kind == REVIEW, STARS, np.where(rng.random(len(order)) < 0.6, NPS, CSAT))
    score = np.round(_MIDDLE[scale] + _STEP[scale] * experience[order])
    score = np.clip(score, _LOWEST[scale], _HIGHEST[scale]).astype(np.int64)
    first_line = np.searchsorted(orders.line_order, order)
    earliest, latest = np.array([3, 6, 2])[kind], np.array([14, 30, 16])[kind]
    # After a late shipment people speak of it when it is there.
    wait = (earliest + rng.random(len(order)) * (latest - earliest)) + np.where(orders.is_late[order], 8, 0)
    occurred_at = orders.ordered_at[order] + (wait * DAY_SECONDS).astype(np.int64)

    who = orders.customer[order]
    keep = occurred_at < calendar.at(customers.stop_day)[who]
    sequence = np.flatnonzero(keep)[np.lexsort((kind[keep], occurred_at[keep], who[keep]))]
    who, kind, scale, score, is_scored, occurred_at, first_line = (
        values[sequence] for values in (who, kind, scale, score, is_scored, occurred_at, first_line)
    )
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.FEEDBACK)
    return table_of(
        "feedback",
        {
            "event_id": ids("fe", np.arange(len(who)) + chunk * ROWS_PER_CHUNK, 11),
            "customer_id": customers.ids(who),
            "feedback_type": words(KINDS, kind),
            "occurred_at": moments(occurred_at),
            "score": scores(score, ~is_scored),
            "score_scale": words(SCALES, scale, kind == COMPLAINT),
            "product_id": ids("p", orders.product[first_line], 4, kind != REVIEW),
            "ingested_at": moments(arrivals(arrival, occurred_at, options.late_rate)),
        },
    )
