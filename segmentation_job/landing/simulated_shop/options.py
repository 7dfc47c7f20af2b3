"""What a simulated shop can be asked for."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from segmentation_job.errors import MisconfiguredError
from segmentation_job.landing.simulated_shop.latent_segments import SEGMENT_NAMES

MOST_CUSTOMERS: Final = 10_000_000
SegmentDate = tuple[str, date]


@dataclass(frozen=True)
class ShopOptions:
    """The shop to simulate; equal options give equal rows.

    customers: how many sign up in all. seed: of every draw. start: first day of orders. days: how many days of
    orders; the default ends on 2025-12-31. dirt_rate: planted rows per clean row of an entity, at least one per
    reason. late_rate: share of rows that arrive 1–10 days after their event instead of within 90 minutes. drift:
    share of customers who slowly turn into members of another segment. appears: a segment whose members sign up
    from that date on only. vanishes: a segment whose members do nothing from that date on. chunk_customers:
    customers made at a time, which bounds memory; another number gives another shop.
    Raises MisconfiguredError naming the option that is wrong.
    """

    customers: int = 20_000
    seed: int = 1
    start: date = date(2024, 1, 1)
    days: int = 731
    dirt_rate: float = 0.005
    late_rate: float = 0.005
    drift: float = 0.0
    appears: SegmentDate | None = None
    vanishes: SegmentDate | None = None
    chunk_customers: int = 5_000

    def __post_init__(self) -> None:
        if not 1 <= self.customers <= MOST_CUSTOMERS:
            raise MisconfiguredError(f"customers={self.customers} must be from 1 to {MOST_CUSTOMERS:,}.")
        if self.seed < 0:
            raise MisconfiguredError(f"seed={self.seed} must not be negative.")
        if not 60 <= self.days <= 3_660:
            raise MisconfiguredError(f"days={self.days} must be from 60 to 3,660.")
        if not date(1980, 1, 1) <= self.start <= date(2080, 1, 1):
            raise MisconfiguredError(f"start={self.start} must lie from 1980-01-01 to 2080-01-01.")
        for name, rate, most in (
            ("dirt_rate", self.dirt_rate, 0.5),
            ("late_rate", self.late_rate, 1.0),
            ("drift", self.drift, 1.0),
        ):
            if not 0 <= rate <= most:
                raise MisconfiguredError(f"{name}={rate} must be from 0 to {most:g}.")
        if not 1 <= self.chunk_customers <= 20_000:
            raise MisconfiguredError(f"chunk_customers={self.chunk_customers} must be from 1 to 20,000.")
        for name, moment in (("appears", self.appears), ("vanishes", self.vanishes)):
            if moment is None:
                continue
            if moment[0] not in SEGMENT_NAMES:
                raise MisconfiguredError(
                    f"{name}: {moment[0]!r} is no latent segment. There are: {', '.join(SEGMENT_NAMES)}."
                )
            if not self.start < moment[1] < self.end:
                raise MisconfiguredError(f"{name}: {moment[1]} must lie after {self.start} and before {self.end}.")
        if (
            self.appears
            and self.vanishes
            and self.appears[0] == self.vanishes[0]
            and self.vanishes[1] <= self.appears[1]
        ):
            raise MisconfiguredError(f"{self.vanishes[0]} cannot vanish before it appears.")

    @property
    def end(self) -> date:
        """The day after the last day of orders."""
        return self.start + timedelta(days=self.days)

    @property
    def chunk_count(self) -> int:
        """Chunks that the customers fall into."""
        return -(-self.customers // self.chunk_customers)
