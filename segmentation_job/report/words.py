"""How the columns of the published tables are called on the page."""

from __future__ import annotations

import re
from typing import Final

_ENDINGS: Final = (
    (r"_(30|90|365)d$", r", last \1 days"),
    (r"_12m$", ", twelve months"),
)
_WHOLE: Final = {
    "recency_days": "days since the last order",
    "tenure_days": "days as a customer",
    "interpurchase_days_mean": "days between orders",
    "interpurchase_days_cv": "irregularity of orders",
    "active_window_share": "share of months with an order",
    "average_order_amount": "amount per order",
    "external_credit_score": "credit score",
    "age_years": "age",
    "has_demographics": "demographics known",
    "is_loyalty_member": "loyalty members",
    "is_repeat_customer": "repeat customers",
    "private_label_share": "share of store brands",
    "relative_price_index": "price level bought",
    "category_mix_distance": "distance from the usual mix",
    "category_count": "product categories bought",
    "payment_on_time_share": "payments on time",
    "credit_utilisation_share": "credit limit used",
    "seasonality_index": "seasonality of spend",
    "points_redeemed_share": "points redeemed",
    "household_size": "persons in the household",
    "discounted_line_share": "share of discounted items",
    "discount_share": "share of prices saved",
}


def feature_words(column: str) -> str:
    """Return a feature's name in plain words, from its column and the endings that columns have here."""
    if column in _WHOLE:
        return _WHOLE[column]
    tail = ""
    for pattern, words in _ENDINGS:
        found = re.search(pattern, column)
        if found:
            tail, column = found.expand(words), column[: found.start()]
    column = re.sub(r"_(amount|score)$", "", column)
    counted = re.fullmatch(r"(.+)_count", column)
    if counted:
        column = f"{counted[1]}s" if not counted[1].endswith("y") else f"{counted[1][:-1]}ies"
    shared = re.fullmatch(r"(.+)_(share|rate)", column)
    if shared:
        column = f"{shared[2]} of {shared[1]}"
    return column.replace("_", " ") + tail
