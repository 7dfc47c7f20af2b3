"""Small lenses and populations whose segments are known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import yaml

from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.lenses import Lens, parse_lens

LensText = Callable[..., str]
MakeLens = Callable[..., Lens]


@pytest.fixture
def lens_text() -> LensText:
    """The YAML of a lens of three features, with keys replaced (or, given None, left out)."""

    def write(**changes: object) -> str:
        content: dict[str, object] = {
            "name": "shop",
            "title": "A small shop",
            "noun": "shoppers",
            "objective": {"description": "sell more"},
            "k_min": 3,
            "k_max": 5,
            "smallest_share": 0.05,
            "algorithms": ["kmeans"],
            "seed": 7,
            "features": [
                feature("purchases.order_count", "log", "frequency", "frequent", "rare", "orders", "count"),
                feature("purchases.basket_amount", "log", "basket", "big-basket", "small-basket", "order amount"),
                {
                    **feature("money.deal_share", "as_is", "deals", "deal-seeking", "full-price", "deals", "share"),
                    "high_noun": "deal seekers",
                },
            ],
            "actions": [
                {"when": {"column": "money.deal_share", "is": "high"}, "action": "Send deals."},
                {
                    "when": [
                        {"column": "purchases.order_count", "is": "high"},
                        {"column": "purchases.basket_amount", "is": "high"},
                    ],
                    "action": "Say thank you.",
                },
            ],
            "default_action": "Say hello.",
        }
        content.update(changes)
        return str(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))

    return write


@pytest.fixture
def make_lens(lens_text: LensText) -> MakeLens:
    """The same lens, parsed."""
    return lambda **changes: parse_lens(lens_text(**changes), "lenses/shop.yaml")


@pytest.fixture
def lens(make_lens: MakeLens) -> Lens:
    return make_lens()


@pytest.fixture
def shop() -> FloatArray:
    """300 customers, 100 each: frequent with small baskets · rare with big ones · deal seekers."""
    random = np.random.default_rng(11)
    groups = [(40, 10, 0.1), (4, 90, 0.1), (12, 30, 0.8)]
    return np.vstack(
        [
            np.column_stack(
                [
                    random.poisson(orders, 100),
                    np.round(basket * np.exp(random.normal(0, 0.15, 100)), 2),
                    np.clip(random.normal(deals, 0.05, 100), 0, 1),
                ]
            )
            for orders, basket, deals in groups
        ]
    )


def feature(
    column: str, encoding: str, family: str, high: str, low: str, label: str, unit: str = "amount"
) -> dict[str, str]:
    names = ("column", "encoding", "family", "high", "low", "label", "unit")
    return dict(zip(names, (column, encoding, family, high, low, label, unit), strict=True))
