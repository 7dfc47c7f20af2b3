import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.unit.gate.gate_warehouse import build_warehouse

Warehouse = Callable[..., Path]


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    folder = tmp_path_factory.mktemp("gate")
    built: dict[int, Path] = {}

    def template(customer_count: int) -> Path:
        if customer_count not in built:
            built[customer_count] = build_warehouse(folder / f"{customer_count}.duckdb", customer_count)
        return built[customer_count]

    return template


@pytest.fixture
def warehouse(_templates: Callable[[int], Path], tmp_path: Path) -> Warehouse:
    """Make a clean warehouse and run the given statements on it."""

    def make(*statements: str, customer_count: int = 60) -> Path:
        path = tmp_path / "warehouse.duckdb"
        shutil.copy(_templates(customer_count), path)
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return make
