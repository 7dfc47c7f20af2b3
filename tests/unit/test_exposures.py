"""The lineage ends at what people look at: each exposure depends on just the published tables that it reads."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from segmentation_job.data_dictionary import read_dictionary
from segmentation_job.fast_yaml import read_yaml
from tests.support.nights import PROJECT_DIR

EXPOSURES: Final = {
    exposure["name"]: exposure
    for exposure in read_yaml((PROJECT_DIR / "dbt_project/models/marts/_marts__exposures.yml").read_text())["exposures"]
}
PUBLISHED: Final = frozenset(table.name for table in read_dictionary())


def tables_in(sql: str) -> set[str]:
    """Return the published tables that a statement reads."""
    return {name for name in re.findall(r"\b(?:from|join)\s+\"?(\w+)", sql) if name in PUBLISHED}


def read_by_modules(folder: Path) -> set[str]:
    """Return what the SQL in a package's Python modules reads; prose with the word from in it is none."""
    texts = (
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {table for text in texts if re.search(r"\bselect\b", text) for table in tables_in(text)}


def read_by_datasets(folder: Path) -> set[str]:
    """Return what Superset's datasets read: a table, or a query."""
    datasets: list[dict[str, Any]] = [read_yaml(path.read_text()) for path in folder.rglob("datasets/**/*.yaml")]
    return {table for each in datasets for table in (tables_in(each["sql"]) if each["sql"] else {each["table_name"]})}


def read_by_notebook(path: Path) -> set[str]:
    """Return what the SQL in a notebook's cells reads."""
    cells = json.loads(path.read_text())["cells"]
    return {table for cell in cells if cell["cell_type"] == "code" for table in tables_in("".join(cell["source"]))}


READERS: Final[dict[str, tuple[Path, Callable[[Path], set[str]]]]] = {
    "morning_report": (PROJECT_DIR / "segmentation_job" / "report", read_by_modules),
    "segment_dashboard": (PROJECT_DIR / "bi" / "superset", read_by_datasets),
    "segment_notebook": (PROJECT_DIR / "notebooks" / "segment_analysis.ipynb", read_by_notebook),
}


def depended_on(exposure: str) -> set[str]:
    return {re.findall(r"'(\w+)'\)$", each)[0] for each in EXPOSURES[exposure]["depends_on"]}


@pytest.mark.parametrize("exposure", READERS)
def test_an_exposure_depends_on_the_published_tables_that_it_reads_and_on_no_other(exposure: str) -> None:
    place, read = READERS[exposure]
    if not place.exists():
        pytest.skip(f"{place.relative_to(PROJECT_DIR)} is not there")
    assert len(read(place)) > 4
    assert depended_on(exposure) == read(place)


def test_every_published_table_is_on_the_way_to_something_that_people_look_at() -> None:
    assert {table for exposure in EXPOSURES for table in depended_on(exposure)} == PUBLISHED


def test_sql_is_told_from_prose(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        '"""What comes from models and segments."""\nSQL = "select a from customer_360 inner join segments on true"\n'
    )
    assert read_by_modules(tmp_path) == {"customer_360", "segments"}
