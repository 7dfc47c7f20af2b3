"""The groups of people behind the simulated shop, which no feature names and every family of features hints at.

| segment | who they are | what tells them apart |
|---|---|---|
| affluent_loyalists | older, well off, buy often and dear, in the programme | income, prices paid, points |
| young_digital_browsers | young, online, look at much and buy little | age, sessions, abandoned carts |
| deal_seeking_families | large households, full baskets, whatever is on offer | household, discounts, campaigns |
| subscription_routine_buyers | the same things at the same rhythm, little browsing | subscriptions, regularity |
| credit_strained_occasionals | low income, near their credit limit, pay late | scores, utilisation, late payments |
| seasonal_gift_buyers | a few large baskets before the feasts | seasonal shares, category mix |
| lapsed_low_engagement | bought once or twice, answer nothing | recency, silence |

By demographics alone the last four look much alike but for income; by finances all but the strained and the affluent
do; by purchases the young, the strained and the lapsed overlap; by engagement the gift buyers, the routine buyers and
the lapsed do. Every person draws their own parameters around their segment's, so that neighbours overlap.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Season(IntEnum):
    """When in the year people buy."""

    EVEN = 0
    SUMMER_DIP = 1
    GIFTS = 2


@dataclass(frozen=True)
class LatentSegment:
    """Around what the parameters of a segment's members are drawn.

    share: of all customers. age: mean and standard deviation in years. income: median and standard deviation of the
    logarithm. household_mean: persons. Pairs named by a trait from 0 to 1 are the a and b of a beta distribution.
    orders_per_year: median of those not standing. lines_per_order: mean. categories: weights in the order of
    products.CATEGORIES. subscription_share, habit_share, credit_share, enrol_share: of members who have such.
    sessions_per_year: median of those that lead to no order. feedback_share: of orders that the average member
    speaks about. lifetime_years: mean time until a member falls silent.
    """

    name: str
    share: float
    age: tuple[float, float]
    income: tuple[float, float]
    household_mean: float
    stability: tuple[float, float]
    credit_share: float
    orders_per_year: float
    lines_per_order: float
    price_level: tuple[float, float]
    deal: tuple[float, float]
    categories: tuple[float, ...]
    season: Season
    subscription_share: float
    habit_share: float
    online: tuple[float, float]
    sessions_per_year: float
    enrol_share: float
    response: tuple[float, float]
    feedback_share: float
    satisfaction: float
    lifetime_years: float


# Categories: fresh food, pantry, drinks, cleaning, pet care, personal care, wellness, clothing, shoes, electronics,
# garden, toys.
SEGMENTS: Final = (
    LatentSegment(
        name="affluent_loyalists",
        share=0.14,
        age=(52, 11),
        income=(95_000, 0.36),
        household_mean=2.3,
        stability=(19.5, 3.75),
        credit_share=0.65,
        orders_per_year=13,
        lines_per_order=2.9,
        price_level=(11, 4),
        deal=(3, 13.5),
        categories=(8, 6, 9, 4, 4, 6, 7, 7, 5, 4, 6, 2),
        season=Season.SUMMER_DIP,
        subscription_share=0.12,
        habit_share=0.22,
        online=(6, 7.5),
        sessions_per_year=7,
        enrol_share=0.85,
        response=(4.5, 15),
        feedback_share=0.08,
        satisfaction=0.5,
        lifetime_years=14,
    ),
    LatentSegment(
        name="young_digital_browsers",
        share=0.17,
        age=(27, 5),
        income=(34_000, 0.40),
        household_mean=1.7,
        stability=(9, 5.25),
        credit_share=0.45,
        orders_per_year=8,
        lines_per_order=2.0,
        price_level=(6, 7.5),
        deal=(6, 7.5),
        categories=(4, 4, 6, 2, 2, 7, 5, 10, 8, 8, 1, 2),
        season=Season.EVEN,
        subscription_share=0.08,
        habit_share=0.08,
        online=(15, 3),
        sessions_per_year=24,
        enrol_share=0.45,
        response=(4.5, 18),
        feedback_share=0.10,
        satisfaction=0.0,
        lifetime_years=6,
    ),
    LatentSegment(
        name="deal_seeking_families",
        share=0.19,
        age=(38, 6),
        income=(52_000, 0.35),
        household_mean=4.2,
        stability=(13.5, 6),
        credit_share=0.55,
        orders_per_year=13,
        lines_per_order=3.8,
        price_level=(4.5, 10),
        deal=(12, 6),
        categories=(10, 10, 7, 7, 4, 6, 3, 7, 5, 2, 3, 7),
        season=Season.EVEN,
        subscription_share=0.10,
        habit_share=0.20,
        online=(6, 7.5),
        sessions_per_year=10,
        enrol_share=0.70,
        response=(7.5, 13.5),
        feedback_share=0.06,
        satisfaction=0.1,
        lifetime_years=10,
    ),
    LatentSegment(
        name="subscription_routine_buyers",
        share=0.13,
        age=(45, 12),
        income=(54_000, 0.40),
        household_mean=2.4,
        stability=(16.5, 4.5),
        credit_share=0.50,
        orders_per_year=5.5,
        lines_per_order=2.0,
        price_level=(7.5, 7.5),
        deal=(3, 12),
        categories=(5, 8, 8, 7, 9, 7, 8, 3, 2, 2, 2, 1),
        season=Season.SUMMER_DIP,
        subscription_share=0.90,
        habit_share=0.35,
        online=(9, 6),
        sessions_per_year=4,
        enrol_share=0.50,
        response=(3, 27),
        feedback_share=0.04,
        satisfaction=0.3,
        lifetime_years=11,
    ),
    LatentSegment(
        name="credit_strained_occasionals",
        share=0.14,
        age=(37, 11),
        income=(27_000, 0.36),
        household_mean=2.6,
        stability=(5, 11),
        credit_share=0.80,
        orders_per_year=7,
        lines_per_order=2.3,
        price_level=(4.5, 10.5),
        deal=(7.5, 7.5),
        categories=(7, 9, 6, 5, 3, 5, 2, 6, 5, 6, 2, 4),
        season=Season.EVEN,
        subscription_share=0.05,
        habit_share=0.10,
        online=(6, 9),
        sessions_per_year=6,
        enrol_share=0.35,
        response=(4.5, 21),
        feedback_share=0.07,
        satisfaction=-0.3,
        lifetime_years=7,
    ),
    LatentSegment(
        name="seasonal_gift_buyers",
        share=0.12,
        age=(47, 13),
        income=(55_000, 0.42),
        household_mean=2.2,
        stability=(16.5, 4.5),
        credit_share=0.50,
        orders_per_year=6,
        lines_per_order=3.0,
        price_level=(9, 6),
        deal=(4.5, 10.5),
        categories=(2, 2, 6, 1, 1, 6, 4, 7, 4, 7, 5, 10),
        season=Season.GIFTS,
        subscription_share=0.03,
        habit_share=0.03,
        online=(9, 6),
        sessions_per_year=5.5,
        enrol_share=0.40,
        response=(4.5, 19.5),
        feedback_share=0.05,
        satisfaction=0.2,
        lifetime_years=10,
    ),
    LatentSegment(
        name="lapsed_low_engagement",
        share=0.11,
        age=(43, 14),
        income=(45_000, 0.45),
        household_mean=2.3,
        stability=(12, 6),
        credit_share=0.40,
        orders_per_year=5,
        lines_per_order=2.1,
        price_level=(6, 7.5),
        deal=(6, 9),
        categories=(6, 6, 5, 4, 3, 5, 3, 6, 4, 4, 3, 3),
        season=Season.EVEN,
        subscription_share=0.03,
        habit_share=0.05,
        online=(6, 9),
        sessions_per_year=2.5,
        enrol_share=0.25,
        response=(1.5, 45),
        feedback_share=0.02,
        satisfaction=-0.4,
        lifetime_years=0.5,
    ),
)
SEGMENT_NAMES: Final = tuple(segment.name for segment in SEGMENTS)
