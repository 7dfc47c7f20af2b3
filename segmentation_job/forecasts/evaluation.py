"""Whether the forecast of purchases is worth having: its errors beside those of two rules that need no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

FORECAST = "BG/NBD"
OWN_RATE = "own past rate"
POPULATION_MEAN = "population mean"


@dataclass(frozen=True)
class PurchaseForecastError:
    """The errors of one way to forecast, over all customers.

    method: its name · mean_forecast, mean_actual: purchase days per customer · mean_absolute_error,
    root_mean_square_error: purchase days · customers: compared.
    """

    method: str
    mean_forecast: float
    mean_actual: float
    mean_absolute_error: float
    root_mean_square_error: float
    customers: int


def compare_purchase_forecasts(
    predicted: ArrayLike, own_rate: ArrayLike, population_mean: float, actual: ArrayLike
) -> tuple[PurchaseForecastError, ...]:
    """Errors of the model, of each customer's own rate carried on and of one mean for all, in this order.

    predicted: (n,) purchase days that the model expects in the held-out time · own_rate: (n,) past purchase days
    per day, times its length · population_mean: the mean of these, known before that time · actual: (n,) what came.
    Raises ValueError where lengths differ, on no customers and on values that are not finite.
    """
    came = np.asarray(actual, dtype=np.float64)
    if came.ndim != 1 or len(came) == 0:
        raise ValueError(f"expected the purchases of at least one customer, got shape {came.shape}")
    errors = []
    for method, values in (
        (FORECAST, np.asarray(predicted, dtype=np.float64)),
        (OWN_RATE, np.asarray(own_rate, dtype=np.float64)),
        (POPULATION_MEAN, np.full(len(came), float(population_mean))),
    ):
        if values.shape != came.shape:
            raise ValueError(f"{method}: {values.shape} forecasts for {len(came)} customers")
        if not (np.isfinite(values).all() and np.isfinite(came).all()):
            raise ValueError(f"{method}: forecasts and purchases must be finite")
        misses = values - came
        errors.append(
            PurchaseForecastError(
                method=method,
                mean_forecast=float(values.mean()),
                mean_actual=float(came.mean()),
                mean_absolute_error=float(np.abs(misses).mean()),
                root_mean_square_error=float(np.sqrt((misses**2).mean())),
                customers=len(came),
            )
        )
    return tuple(errors)
