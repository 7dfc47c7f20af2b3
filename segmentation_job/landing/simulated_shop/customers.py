"""Who the customers are: when they come and go, what kind of people they are, what they tell of themselves."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import ShopCalendar
from segmentation_job.landing.simulated_shop.columns import dates, ids, moments, money, table_of, words
from segmentation_job.landing.simulated_shop.latent_segments import SEGMENT_NAMES, SEGMENTS
from segmentation_job.landing.simulated_shop.randomness import Subject, pick, pick_by_row, random_stream

COUNTRY: Final = "Valoria"
REGIONS: Final = ("Northmark", "Eastvale", "Midlands", "Westmoor", "Southport", "Isles")
CITIES: Final = (
    ("Harrowgate", "Stenmoor", "Kelby", "Ravensholm"),
    ("Lindale", "Orrin", "Castlebridge", "Wexcombe"),
    ("Valor City", "Ashford Green", "Brenton", "Millhaven"),
    ("Dunmoor", "Penrock", "Saltash Bay", "Tarn"),
    ("Port Elara", "Sunhaven", "Marisol", "Granby"),
    ("Skerry", "Holm", "Tidewell", "Farrow"),
)
_REGION_WEIGHTS: Final = (14, 16, 32, 12, 20, 6)
_CITY_WEIGHTS: Final = (50, 25, 15, 10)
GENDERS: Final = ("female", "male", "nonbinary")
LANGUAGES: Final = ("English", "Spanish", "French", "Polish", "Turkish")
PEOPLES: Final = ("Valorian", "Soran", "Marish", "Tesk", "other")
_PEOPLE_BY_REGION: Final = np.array(
    [[80, 6, 6, 3, 5], [62, 22, 6, 4, 6], [60, 13, 12, 7, 8], [76, 6, 10, 3, 5], [52, 12, 24, 5, 7], [85, 3, 6, 1, 5]],
    dtype=np.float64,
)
_LANGUAGE_BY_PEOPLE: Final = np.array(
    [[94, 2, 2, 1, 1], [45, 50, 2, 1, 2], [50, 3, 44, 1, 2], [45, 1, 2, 50, 2], [52, 10, 10, 8, 20]], dtype=np.float64
)
MARITAL_STATUSES: Final = ("single", "married", "divorced", "widowed")
EDUCATIONS: Final = ("secondary", "vocational", "bachelor", "master", "doctorate")
ACQUISITION_CHANNELS: Final = ("organic search", "paid search", "social media", "referral", "store", "marketplace")
_ACQUISITION_WEIGHTS: Final = (
    (18, 8, 4, 30, 32, 8),
    (16, 18, 40, 12, 4, 10),
    (20, 18, 16, 16, 24, 6),
    (26, 18, 8, 18, 14, 16),
    (14, 24, 22, 8, 18, 14),
    (24, 24, 12, 12, 14, 14),
    (14, 26, 18, 6, 18, 18),
)
AGE_BANDS: Final = ("under 25", "25-34", "35-44", "45-54", "55-64", "65 and over")
INCOME_BANDS: Final = ("under 25k", "25k-40k", "40k-60k", "60k-90k", "90k and over")
MISSING_SHARES: Final = {
    "birth_date": 0.06,
    "gender": 0.04,
    "income_amount": 0.22,
    "region": 0.02,
    "city": 0.03,
    "postal_code": 0.05,
    "language": 0.10,
    "ethnicity": 0.45,
    "household_size": 0.15,
    "marital_status": 0.18,
    "education": 0.30,
    "acquisition_channel": 0.02,
}
# Who does not tell the figure itself: how many tell its group.
BAND_SHARE: Final = 0.5
SIGNED_UP_BEFORE_SHARE: Final = 0.65
_LONGEST_TENURE_DAYS: Final = 4 * 365
_FOREVER: Final = 1_000_000
_MOVES_PER_YEAR: Final = 0.07
_INCOME_CHANGES_PER_YEAR: Final = 0.11
_HOUSEHOLD_CHANGES_PER_YEAR: Final = 0.04


@dataclass(frozen=True)
class Traits:
    """What kind of person a customer is, on scales from 0 to 1 except where a unit is named.

    stability: financial. response: to campaigns. talkative: share of orders spoken about. satisfaction: in
    standard deviations of a score. redeems: share of full point accounts that are spent.
    """

    stability: np.ndarray
    response: np.ndarray
    talkative: np.ndarray
    satisfaction: np.ndarray
    redeems: np.ndarray


@dataclass(frozen=True)
class Customers:
    """A chunk of customers; arrays have one entry each. Days are numbers of the calendar and may lie before it.

    segment, later_segment: before and after drifting, equal for who does not drift. begin_day: first day on which
    they may do something within the calendar; end_day: the day on which they have fallen silent. stop_day: from
    when on nothing at all comes from them, for a segment that vanishes. drift_from, drift_to: when they change.
    has_credit, enrols: whether they take the shop's credit and join its programme.
    """

    first_number: int
    segment: np.ndarray
    later_segment: np.ndarray
    signup_day: np.ndarray
    begin_day: np.ndarray
    end_day: np.ndarray
    stop_day: np.ndarray
    drift_from: np.ndarray
    drift_to: np.ndarray
    before: Traits
    after: Traits
    region: np.ndarray
    income: np.ndarray
    has_credit: np.ndarray
    enrols: np.ndarray

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def drifts(self) -> np.ndarray:
        """Who changes segment."""
        return np.asarray(self.segment != self.later_segment)

    def ids(self, customer: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
        """Return the ids of customers of this chunk."""
        return ids("c", customer + self.first_number, 7, missing)

    def changed_share(self, customer: np.ndarray, day: np.ndarray) -> np.ndarray:
        """How far customers have drifted on a day: 0 not yet, 1 all the way."""
        begin, end = self.drift_from[customer], self.drift_to[customer]
        return np.asarray(np.clip((day - begin) / (end - begin), 0.0, 1.0))

    def trait(self, name: str, customer: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Return a trait of customers as it is on a day."""
        before, after = getattr(self.before, name)[customer], getattr(self.after, name)[customer]
        return np.asarray(before + (after - before) * self.changed_share(customer, day))


def segment_values(attribute: str) -> np.ndarray:
    """Return one number, or row of numbers, per latent segment."""
    return np.array([getattr(segment, attribute) for segment in SEGMENTS], dtype=np.float64)


def draw_customers(calendar: ShopCalendar, chunk: int, first_number: int, count: int) -> Customers:
    """Draw a chunk of customers."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.CUSTOMERS, chunk)
    days = options.days
    segment = pick(rng, segment_values("share"), count)
    stop_day = np.full(count, days)
    earliest = np.full(count, -_LONGEST_TENURE_DAYS)
    if options.vanishes:
        stop_day[segment == SEGMENT_NAMES.index(options.vanishes[0])] = calendar.day_number(options.vanishes[1])
    if options.appears:
        earliest[segment == SEGMENT_NAMES.index(options.appears[0])] = calendar.day_number(options.appears[1])

    before = -1 - (rng.random(count) ** 1.3 * _LONGEST_TENURE_DAYS).astype(np.int64)
    low = np.maximum(earliest, 0)
    during = low + (rng.random(count) * (stop_day - low)).astype(np.int64)
    is_before = (rng.random(count) < SIGNED_UP_BEFORE_SHARE) & (earliest < 0)
    signup_day = np.where(is_before, before, during)
    begin_day = np.maximum(signup_day, 0)

    later_segment = _later_segments(calendar, rng, segment)
    room = days - begin_day
    drift_from = np.where(segment == later_segment, _FOREVER, begin_day + rng.uniform(0.10, 0.35, count) * room)
    drift_to = drift_from + np.maximum(rng.uniform(0.30, 0.60, count) * room, 1.0)
    # Who is to change must be there to be seen changing.
    lifetime = rng.exponential(365 * segment_values("lifetime_years")[segment])
    lifetime = np.where(segment == later_segment, lifetime, _FOREVER)
    end_day = np.minimum(np.minimum(begin_day + 1 + lifetime.astype(np.int64), days), stop_day)

    traits = _draw_traits(rng, segment)
    other = _draw_traits(rng, later_segment)
    stays = segment == later_segment
    after = Traits(
        **{name: np.where(stays, getattr(traits, name), getattr(other, name)) for name in Traits.__dataclass_fields__}
    )
    income_median, income_spread = segment_values("income").T
    return Customers(
        first_number=first_number,
        segment=segment,
        later_segment=later_segment,
        signup_day=signup_day,
        begin_day=begin_day,
        end_day=end_day,
        stop_day=stop_day,
        drift_from=drift_from,
        drift_to=drift_to,
        before=traits,
        after=after,
        region=pick(rng, _REGION_WEIGHTS, count),
        income=income_median[segment] * rng.lognormal(0, income_spread[segment]),
        has_credit=rng.random(count) < segment_values("credit_share")[segment],
        enrols=rng.random(count) < segment_values("enrol_share")[segment],
    )


def customer_rows(calendar: ShopCalendar, customers: Customers, chunk: int) -> pa.Table:
    """Return the rows of the entity customers: a version at signup, and one per move or change of circumstances."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.CUSTOMERS, chunk, part=1)
    version = _first_versions(rng, customers)
    born = _birth_dates(rng, calendar, customers)
    told = {name: rng.random(len(customers)) >= share for name, share in MISSING_SHARES.items()}
    tells_band = rng.random(len(customers)) < BAND_SHARE
    gender = pick(rng, (0.53, 0.455, 0.015), len(customers))
    people = pick_by_row(rng, _PEOPLE_BY_REGION[customers.region])
    language = pick_by_row(rng, _LANGUAGE_BY_PEOPLE[people])
    education = np.clip(
        np.round(np.log(customers.income / 30_000) * 1.1 + 1.2 + rng.normal(0, 1.0, len(customers))), 0, 4
    ).astype(np.int64)
    channel = pick_by_row(rng, np.array(_ACQUISITION_WEIGHTS, dtype=np.float64)[customers.segment])
    versions = [version, *_later_versions(rng, customers, version)]
    merged = _Versions(
        **{name: np.concatenate([getattr(v, name) for v in versions]) for name in _Versions.__dataclass_fields__}
    )
    order = np.lexsort((merged.day, merged.customer))
    merged = _Versions(**{name: getattr(merged, name)[order] for name in _Versions.__dataclass_fields__})

    who = merged.customer
    valid_from = calendar.at(merged.day)
    age = ((calendar.dates[0] + merged.day - born[who]).astype(np.int64) / 365.25).astype(np.int64)
    age_band = np.searchsorted([25, 35, 45, 55, 65], age, side="right")
    income_band = np.searchsorted([25_000, 40_000, 60_000, 90_000], merged.income, side="right")
    missing = {name: ~told[name][who] for name in MISSING_SHARES}
    city = merged.region * len(CITIES[0]) + merged.city
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.CUSTOMERS)
    return table_of(
        "customers",
        {
            "customer_id": customers.ids(who),
            "valid_from": moments(valid_from),
            "signup_date": dates(calendar.dates[0] + customers.signup_day[who]),
            "birth_date": dates(born[who], missing["birth_date"]),
            "age_band": words(AGE_BANDS, age_band, ~(missing["birth_date"] & tells_band[who])),
            "gender": words(GENDERS, gender[who], missing["gender"]),
            "income_amount": money(np.round(merged.income / 100).astype(np.int64) * 10_000, missing["income_amount"]),
            "income_band": words(INCOME_BANDS, income_band, ~(missing["income_amount"] & tells_band[who])),
            "country": words((COUNTRY,), np.zeros(len(who), dtype=np.int64)),
            "region": words(REGIONS, merged.region, missing["region"]),
            "city": words([name for names in CITIES for name in names], city, missing["city"]),
            "postal_code": ids("", 10_000 + city * 1_000 + merged.postal, 5, missing["postal_code"]),
            "language": words(LANGUAGES, language[who], missing["language"]),
            "ethnicity": words(PEOPLES, people[who], missing["ethnicity"]),
            "household_size": pa.array(merged.household.astype(np.int32), mask=missing["household_size"]),
            "marital_status": words(MARITAL_STATUSES, merged.marital, missing["marital_status"]),
            "education": words(EDUCATIONS, education[who], missing["education"]),
            "acquisition_channel": words(ACQUISITION_CHANNELS, channel[who], missing["acquisition_channel"]),
            "ingested_at": moments(arrivals(arrival, valid_from, options.late_rate)),
        },
    )


def segment_rows(calendar: ShopCalendar, customers: Customers) -> tuple[pa.Table, pa.Table]:
    """Return the truth: each customer's segment at the end, and the intervals of days in which they have each.

    A customer who drifts counts as a member of the later segment from the middle of the change on.
    """
    everyone = np.arange(len(customers))
    final = pa.table({"customer_id": customers.ids(everyone), "segment": words(SEGMENT_NAMES, customers.later_segment)})
    drifters = np.flatnonzero(customers.drifts)
    middle = np.zeros(len(customers), dtype=np.int64)
    middle[drifters] = ((customers.drift_from + customers.drift_to) / 2)[drifters].astype(np.int64)
    first_day = calendar.dates[0]
    who = np.concatenate([everyone, drifters])
    valid_from = first_day + np.concatenate([customers.signup_day, middle[drifters]])
    valid_to = first_day + np.concatenate([middle, middle[drifters]])
    is_open = np.concatenate([~customers.drifts, np.ones(len(drifters), dtype=bool)])
    segment = np.concatenate([customers.segment, customers.later_segment[drifters]])
    order = np.lexsort((valid_from, who))
    intervals = pa.table(
        {
            "customer_id": customers.ids(who[order]),
            "segment": words(SEGMENT_NAMES, segment[order]),
            "valid_from": dates(valid_from[order]),
            "valid_to": dates(valid_to[order], is_open[order]),
        }
    )
    return final, intervals


@dataclass(frozen=True)
class _Versions:
    """What customers' circumstances are from a day on."""

    customer: np.ndarray
    day: np.ndarray
    region: np.ndarray
    city: np.ndarray
    postal: np.ndarray
    income: np.ndarray
    household: np.ndarray
    marital: np.ndarray


def _later_segments(calendar: ShopCalendar, rng: np.random.Generator, segment: np.ndarray) -> np.ndarray:
    """Draw what drifting customers turn into; a segment that appears or vanishes is neither left nor joined."""
    options = calendar.options
    weights = segment_values("share")
    for moment in (options.appears, options.vanishes):
        if moment:
            weights[SEGMENT_NAMES.index(moment[0])] = 0.0
    by_segment = np.tile(weights, (len(SEGMENTS), 1))
    np.fill_diagonal(by_segment, 0.0)
    target = pick_by_row(rng, by_segment[segment])
    drifts = (rng.random(len(segment)) < options.drift) & (weights[segment] > 0)
    return np.where(drifts, target, segment)


def _draw_traits(rng: np.random.Generator, segment: np.ndarray) -> Traits:
    count = len(segment)
    feedback = segment_values("feedback_share")[segment]
    return Traits(
        stability=rng.beta(*segment_values("stability").T[:, segment]),
        response=rng.beta(*segment_values("response").T[:, segment]),
        talkative=feedback * rng.gamma(1.2, 1 / 1.2, count),
        satisfaction=rng.normal(segment_values("satisfaction")[segment], 0.7),
        redeems=rng.beta(2, 2, count),
    )


def _birth_dates(rng: np.random.Generator, calendar: ShopCalendar, customers: Customers) -> np.ndarray:
    mean, spread = segment_values("age").T
    age = np.clip(rng.normal(mean[customers.segment], spread[customers.segment]), 19, 94)
    at_signup = calendar.dates[0] + customers.signup_day
    # Adults sign up: the age is that of the start, or of a later signup.
    return np.asarray(np.minimum(at_signup, calendar.dates[0]) - (age * 365.25).astype(np.int64))


def _first_versions(rng: np.random.Generator, customers: Customers) -> _Versions:
    count = len(customers)
    size = 1 + rng.poisson(segment_values("household_mean")[customers.segment] - 1)
    household = np.minimum(size, 9)
    marital = np.where(
        rng.random(count) < np.where(household >= 2, 0.72, 0.08), 1, pick(rng, (0.72, 0.0, 0.2, 0.08), count)
    )
    return _Versions(
        customer=np.arange(count),
        day=customers.signup_day,
        region=customers.region,
        city=pick(rng, _CITY_WEIGHTS, count),
        postal=rng.integers(1, 40, count),
        income=customers.income,
        household=household,
        marital=marital,
    )


def _later_versions(rng: np.random.Generator, customers: Customers, version: _Versions) -> list[_Versions]:
    """Return what changes in people's lives while the shop watches, at most four times each."""
    rates = np.array([_MOVES_PER_YEAR, _INCOME_CHANGES_PER_YEAR, _HOUSEHOLD_CHANGES_PER_YEAR])
    begin = np.maximum(customers.begin_day, customers.signup_day + 1)
    last = customers.stop_day
    changes = np.minimum(rng.poisson(rates.sum() * np.maximum(last - begin, 0) / 365), 4)
    day = customers.signup_day
    later = []
    for number in range(1, 5):
        day = np.maximum(day, begin) + 1 + (rng.exponential(120, len(customers))).astype(np.int64)
        keep = (changes >= number) & (day < last)
        kind = pick(rng, rates, len(customers))
        moved, earns, grows = (keep & (kind == number_of_kind) for number_of_kind in range(3))
        region = np.where(
            moved & (rng.random(len(customers)) < 0.4), pick(rng, _REGION_WEIGHTS, len(customers)), version.region
        )
        grown = np.clip(version.household + rng.choice([-1, 1, 1], len(customers)), 1, 9)
        version = replace(
            version,
            day=day,
            region=region,
            city=np.where(moved, pick(rng, _CITY_WEIGHTS, len(customers)), version.city),
            postal=np.where(moved, rng.integers(1, 40, len(customers)), version.postal),
            income=np.where(earns, version.income * rng.lognormal(0.06, 0.18, len(customers)), version.income),
            household=np.where(grows, grown, version.household),
            marital=np.where(grows & (grown >= 2) & (version.marital == 0), 1, version.marital),
        )
        later.append(_Versions(**{name: getattr(version, name)[keep] for name in _Versions.__dataclass_fields__}))
    return later
