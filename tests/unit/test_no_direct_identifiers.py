"""Who a customer is by name, and where to reach them, is neither asked for nor published."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from segmentation_job.settings import PROJECT_DIR

MODELS = PROJECT_DIR / "dbt_project" / "models"
DIRECT = re.compile(
    r"(^|_)(e_?mail|phone|mobile|fax|street|address|house_number|iban|account_number|card_number|passport|ssn|tax_id"
    r"|(first|last|middle|full|given|family|maiden|customer|person)_?name|surname|login|username|ip)(_|$)"
)


def columns_of(layer: Path) -> Iterator[str]:
    for path in sorted(layer.rglob("*.yml")):
        for model in (yaml.safe_load(path.read_text()) or {}).get("models", []):
            for column in model.get("columns", []):
                yield f"{model['name']}.{column['name']}"


@pytest.mark.parametrize("layer", ["input", "staging", "intermediate", "features", "marts"])
def test_no_column_of_a_layer_is_a_direct_identifier(layer: str) -> None:
    columns = list(columns_of(MODELS / layer))
    assert len(columns) > 20
    assert [column for column in columns if DIRECT.search(column.partition(".")[2])] == []


@pytest.mark.parametrize("column", ["email", "customer_e_mail", "first_name", "street_address", "phone_number"])
def test_the_search_would_find_one(column: str) -> None:
    assert DIRECT.search(column)


@pytest.mark.parametrize("column", ["segment_name", "customer_id", "description", "postal_code"])
def test_the_search_leaves_alone_what_is_none(column: str) -> None:
    assert not DIRECT.search(column)
