"""Numbers rounded so that equal fits give equal forecasts."""

from __future__ import annotations

SIGNIFICANT_DIGITS = 9


def quantised(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """The number rounded to significant decimal digits; negative zero becomes zero."""
    # Through decimal text: scaling by powers of ten is itself inexact and would not be idempotent.
    return float(f"{value:.{digits - 1}e}") + 0.0
