"""When rows become known to the landing: mostly at once, some of them days late."""

import numpy as np

from segmentation_job.landing.simulated_shop.calendar import DAY_SECONDS


def arrivals(rng: np.random.Generator, known_at: np.ndarray, late_rate: float) -> np.ndarray:
    """Return the moments at which rows arrive: within 90 minutes, or a share of them 1 to 10 days late."""
    size = len(known_at)
    delay = rng.integers(60, 90 * 60, size)
    late = rng.integers(DAY_SECONDS, 10 * DAY_SECONDS, size)
    return np.asarray(known_at + np.where(rng.random(size) < late_rate, late, delay))
