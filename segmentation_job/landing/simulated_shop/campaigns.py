"""Whom campaigns reach, and who answers them."""

from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS, ShopCalendar
from segmentation_job.landing.simulated_shop.columns import ids, moments, table_of, words
from segmentation_job.landing.simulated_shop.customers import Customers
from segmentation_job.landing.simulated_shop.randomness import Subject, pick, random_stream

CHANNELS: Final = ("email", "push", "mail", "sms")
RESPONSES: Final = ("clicked", "coupon redeemed", "unsubscribed")
_DAYS_BETWEEN: Final = 24


def contact_rows(calendar: ShopCalendar, customers: Customers, chunk: int) -> pa.Table:
    """Return the rows of campaign_contacts: every few weeks a campaign reaches a part of the customers."""
    options = calendar.options
    plan = random_stream(options.seed, Subject.CAMPAIGNS)
    campaigns = options.days // _DAYS_BETWEEN
    campaign_day = np.arange(campaigns) * _DAYS_BETWEEN + plan.integers(1, _DAYS_BETWEEN, campaigns)
    channel = pick(plan, (5, 2, 2, 1), campaigns)
    reach = plan.uniform(0.12, 0.45, campaigns)
    appeal = plan.uniform(0.6, 1.5, campaigns)

    rng = random_stream(options.seed, Subject.CONTACTS, chunk)
    is_there = (customers.signup_day[:, None] < campaign_day) & (customers.stop_day[:, None] > campaign_day)
    # The programme's members are written to more often.
    chance = reach[None, :] * np.where(customers.enrols, 1.25, 0.85)[:, None]
    who, campaign = np.nonzero(is_there & (rng.random((len(customers), campaigns)) < chance))
    day = campaign_day[campaign]
    contacted_at = calendar.at(day, rng.integers(7 * 3_600, 19 * 3_600, len(who)))
    answers = rng.random(len(who)) < np.minimum(customers.trait("response", who, day) * appeal[campaign], 0.95)
    delay = np.minimum(rng.exponential(1.8, len(who)), 14.0)
    responded_at = contacted_at + 300 + (delay * DAY_SECONDS).astype(np.int64)
    # Who has fallen silent answers nothing.
    silent_at = calendar.at(np.minimum(customers.end_day, customers.stop_day))[who]
    answers &= responded_at < silent_at
    known_at = np.where(answers, responded_at, contacted_at)
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.CONTACTS)
    return table_of(
        "campaign_contacts",
        {
            "customer_id": customers.ids(who),
            "campaign_id": ids("k", campaign, 3),
            "channel": words(CHANNELS, channel[campaign]),
            "contacted_at": moments(contacted_at),
            "response": words(RESPONSES, pick(rng, (56, 40, 4), len(who)), ~answers),
            "responded_at": moments(responded_at, ~answers),
            "ingested_at": moments(arrivals(arrival, known_at, options.late_rate)),
        },
    )
