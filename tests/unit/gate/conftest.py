import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.unit.gate.gate_warehouse import build_warehouse

Warehouse = Callable[..., Path]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that gives a clean warehouse of so many customers; copy it before anything writes to it."""
    folder = tmp_path_factory.mktemp("gate")
    built: dict[int, Path] = {}

    def template(customer_count: int) -> Path:
        if customer_count not in built:
            built[customer_count] = build_warehouse(folder / f"{customer_count}.duckdb", customer_count)
        return built[customer_count]

    return template


@pytest.fixture
def warehouse(templates: Callable[[int], Path], tmp_path: Path) -> Warehouse:
    """Make a clean warehouse and run the given statements on it."""

    def make(*statements: str, customer_count: int = 60) -> Path:
        path = tmp_path / "warehouse.duckdb"
        shutil.copy(templates(customer_count), path)
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return make
