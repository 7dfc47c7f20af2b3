"""The days of the shop: seasons of the year, days of the week, hours of the day."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segmentation_job.landing.simulated_shop.latent_segments import Season
from segmentation_job.landing.simulated_shop.options import ShopOptions

DAY_SECONDS = 86_400
# How strongly a person follows their segment's season; each profile of days exists in these strengths.
SEASON_STRENGTHS = (0.5, 1.0, 1.4)
_HOURS_OF_DAYTIME = (0.2, 0.1, 0.1, 0.1, 0.1, 0.3, 1, 2, 4, 6, 7, 7, 7, 6, 6, 6, 7, 8, 8, 6, 4, 2, 1, 0.5)
_HOURS_OF_EVENING = (1.5, 0.8, 0.3, 0.1, 0.1, 0.1, 0.3, 0.8, 1.5, 2, 2.5, 3, 4, 3.5, 3, 3, 3.5, 4.5, 6, 8, 10, 10, 8, 4)


@dataclass(frozen=True)
class ShopCalendar:
    """Days are numbered from 0, the first day of orders; moments are seconds since 1970 in UTC."""

    options: ShopOptions

    @cached_property
    def dates(self) -> np.ndarray:
        """Every day as datetime64[D], shape (days,)."""
        return np.datetime64(self.options.start, "D") + np.arange(self.options.days)

    @cached_property
    def start_at(self) -> int:
        """The moment at which day 0 begins."""
        return int(np.datetime64(self.options.start, "s").astype(np.int64))

    @cached_property
    def end_at(self) -> int:
        """The moment at which the last day is over."""
        return self.start_at + self.options.days * DAY_SECONDS

    @cached_property
    def day_of_year(self) -> np.ndarray:
        """1 to 366, shape (days,)."""
        return np.asarray((self.dates - self.dates.astype("datetime64[Y]")).astype(np.int64) + 1)

    @cached_property
    def weekday(self) -> np.ndarray:
        """0 on Mondays, shape (days,); 1970-01-01 was a Thursday."""
        return (self.dates.astype(np.int64) + 3) % 7

    @cached_property
    def months(self) -> np.ndarray:
        """First days of the calendar's months that lie in it, as datetime64[D]."""
        firsts = np.unique(self.dates.astype("datetime64[M]")).astype("datetime64[D]")
        return np.asarray(firsts[firsts >= self.dates[0]])

    def day_number(self, day: object) -> int:
        """Return the number of a date, which may lie outside the calendar."""
        return int((np.datetime64(day, "D") - self.dates[0]).astype(np.int64))  # type: ignore[call-overload]

    def at(self, day: np.ndarray, seconds: np.ndarray | int = 0) -> np.ndarray:
        """Return the moments of day numbers and seconds within the day."""
        return self.start_at + np.asarray(day, dtype=np.int64) * DAY_SECONDS + seconds

    def day_of(self, moments: np.ndarray) -> np.ndarray:
        """Return the day numbers of moments."""
        return (np.asarray(moments) - self.start_at) // DAY_SECONDS

    @cached_property
    def cumulated_activity(self) -> np.ndarray:
        """Expected activity before each day, in average days; shape (seasons × strengths, days + 1)."""
        rows = []
        for season in Season:
            for strength in SEASON_STRENGTHS:
                weights = self._week() * self._year(season) ** strength
                # Over a whole year the average day is 1, whatever the season: a rate stays a yearly rate.
                weights = weights / weights[: min(365, len(weights))].mean()
                rows.append(np.concatenate([[0.0], np.cumsum(weights)]))
        return np.array(rows)

    def draw_days(
        self, rng: np.random.Generator, profile: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """Draw one day in [begin, end) per row, as busy as the row's profile says."""
        table = self.cumulated_activity
        offset = table[:, -1].max() + 1.0
        flat = (table + np.arange(len(table))[:, None] * offset).ravel()
        low, high = table[profile, begin], table[profile, end]
        drawn = low + rng.random(len(profile)) * (high - low)
        found = np.searchsorted(flat, drawn + profile * offset, side="right") - 1 - profile * table.shape[1]
        return np.asarray(np.clip(found, begin, end - 1))

    def draw_seconds(self, rng: np.random.Generator, is_evening: np.ndarray) -> np.ndarray:
        """Draw the second of the day: by day, or for evening people by night."""
        size = len(is_evening)
        uniform = rng.random(size)
        hours = np.empty(size, dtype=np.int64)
        for mask, weights in ((is_evening, _HOURS_OF_EVENING), (~is_evening, _HOURS_OF_DAYTIME)):
            cumulated = np.cumsum(weights) / np.sum(weights)
            hours[mask] = np.minimum(np.searchsorted(cumulated, uniform[mask], side="right"), 23)
        return np.asarray(hours * 3_600 + rng.integers(0, 3_600, size))

    def _week(self) -> np.ndarray:
        return np.asarray(np.array([0.9, 0.88, 0.92, 0.95, 1.1, 1.25, 1.0])[self.weekday])

    def _year(self, season: Season) -> np.ndarray:
        day = self.day_of_year
        if season is Season.GIFTS:
            weights = np.full(len(day), 0.3)
            weights[(day >= 38) & (day <= 45)] = 2.0  # Saint Valentine's
            weights[(day >= 122) & (day <= 134)] = 1.6  # Mother's Day
            weights[(day >= 318) & (day <= 358)] = 5.0
            return weights
        if season is Season.SUMMER_DIP:
            weights = 1.0 - 0.25 * np.exp(-(((day - 215) / 25.0) ** 2))
        else:
            weights = 1.0 + 0.06 * np.cos(2 * np.pi * (day - 20) / 365.25)
        return np.asarray(weights + 0.45 * np.exp(-(((day - 345) / 14.0) ** 2)))
