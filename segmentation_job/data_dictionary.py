"""The published tables and what their columns mean, from the YAML that dbt builds them by.

`python -m segmentation_job.data_dictionary` prints docs/data-dictionary.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from segmentation_job.errors import MisconfiguredError
from segmentation_job.fast_yaml import read_yaml
from segmentation_job.settings import PROJECT_DIR

WIDE_TABLE: Final = "customer_360"
# Made of the marts when they are published, and described as sources, which dbt does not build.
PUBLISHED_SOURCE: Final = "published"
FEATURE_TABLES: Final = ("demographic_features", "financial_features", "purchase_features", "engagement_features")
# Stands for the name of each lens that runs.
LENS: Final = "<lens>"
LENS_COLUMNS: Final = {
    f"{LENS}_segment_id": "Durable id of the customer's segment in this lens, a column for each lens that runs; null"
    " where the lens has none for the customer at its own newest date.",
    f"{LENS}_segment_name": "Its name.",
}
# What a suite calls its table where the published one is called otherwise.
GATED_AS: Final = dict.fromkeys(FEATURE_TABLES, WIDE_TABLE)

# The order in which a reader asks; what is not named here follows by its name.
FIRST_TABLES: Final = (
    "customer_segments",
    "customer_segment_history",
    "customer_segments_daily",
    WIDE_TABLE,
    "segments",
    "segment_profiles",
    "segment_transitions",
    "segment_alarms",
    "customer_forecasts",
    "category_demand_forecast",
    "forecast_models",
)
_DUCKDB_TYPES: Final = {"string": "VARCHAR"}
_WINDOW: Final = re.compile(r"_(\d+d|\d+m)$|_(mean|median|deviation)$")
_UNITS: Final = {
    "amount": "currency",
    "share": "share",
    "rate": "share",
    "probability": "share",
    "count": "count",
    "days": "days",
    "months": "months",
    "at": "UTC",
}


@dataclass(frozen=True)
class Column:
    """A column of a published table.

    type: as DuckDB names it · unit: what its name promises by its ending; empty where that is nothing · is_required:
    never null · allowed: the values or bounds that a test or a gate holds it to, as a text; empty where none does.
    """

    name: str
    type: str
    unit: str
    is_required: bool
    allowed: str
    description: str


@dataclass(frozen=True)
class Table:
    """A published table. grain: what a row is of · questions: that the README sends to it."""

    name: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    questions: tuple[str, ...] = ()


def read_dictionary(project_dir: Path = PROJECT_DIR) -> tuple[Table, ...]:
    """Return the published tables in the order of the page.

    project_dir: holds dbt_project, expectations and the README. Raises MisconfiguredError where a table or column has
    no description, type or grain.
    """
    models = project_dir / "dbt_project" / "models"
    limits = _limits(project_dir / "expectations")
    tables = []
    for place, written in _published(models / "marts"):
        table = _table(place, written, limits.get(written["name"], {}))
        if table.name == WIDE_TABLE:
            table = replace(table, columns=(*table.columns, *_wide_columns(models / "features", limits[WIDE_TABLE])))
        tables.append(replace(table, questions=tuple(_questions(project_dir / "README.md", table.name))))
    first = {name: position for position, name in enumerate(FIRST_TABLES)}
    return tuple(sorted(tables, key=lambda table: (first.get(table.name, len(first)), table.name)))


def column_descriptions(project_dir: Path = PROJECT_DIR) -> dict[str, dict[str, str]]:
    """Return by table and column what is written of it, under no name what is written of the table.

    What is not described is left out: a night is published whether or not somebody has found the words.
    """
    models = project_dir / "dbt_project" / "models"
    features = read_yaml((models / "features" / "_features__models.yml").read_text())["models"]
    wide = [column for model in features if model["name"] in FEATURE_TABLES for column in model["columns"]]
    found: dict[str, dict[str, str]] = {}
    for _, written in _published(models / "marts"):
        columns = [*(wide if written["name"] == WIDE_TABLE else ()), *written["columns"]]
        texts = {column["name"]: _written(column) for column in columns} | {"": _written(written)}
        found[written["name"]] = {name: text for name, text in texts.items() if text}
    found[WIDE_TABLE] |= LENS_COLUMNS
    return found


def dictionary_page(tables: Sequence[Table]) -> str:
    """Return the dictionary as a page in Markdown."""
    lines = [
        "# Data dictionary",
        "",
        "Every table and column of the published file, `data/serving/segments.duckdb`. `make dictionary` writes this"
        " page from what dbt and the gates hold the tables to (`dbt_project/models/`, `expectations/`); to change a"
        " word here, change it there.",
        "",
        "**unit**: *currency* is the source's own; a *share* is a part of 1; times are UTC. **values**: what a test or"
        " a gate enforces; *required* is never null. A window `_90d` holds the 90 days before the as-of date.",
        "",
        "| table | one row per | columns |",
        "|---|---|---|",
    ]
    lines += [f"| [`{table.name}`](#{table.name}) | {table.grain} | {len(table.columns)} |" for table in tables]
    for table in tables:
        lines += ["", f"## {table.name}", "", table.description, "", f"One row per: {table.grain}."]
        if table.questions:
            lines += ["", f"Answers: {'; '.join(table.questions)}."]
        lines += ["", "| column | type | unit | values | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{column.name}` | {column.type} | {column.unit} | {_values(column)} | {_cell(column.description)} |"
            for column in table.columns
        ]
    return "\n".join(lines) + "\n"


def duckdb_type(data_type: str) -> str:
    """Return a type of the YAML as DuckDB names it."""
    name = data_type.strip()
    is_list = name.endswith("[]")
    plain = name.removesuffix("[]").lower()
    return re.sub(r",\s*", ",", _DUCKDB_TYPES.get(plain, plain.upper())) + ("[]" if is_list else "")


def unit_of(name: str, data_type: str) -> str:
    """Return the unit that the ending of a column's name promises; empty where it promises none."""
    if data_type == "BOOLEAN":
        return "yes or no"
    while (shorter := _WINDOW.sub("", name)) != name:
        name = shorter
    return _UNITS.get(name.rpartition("_")[2], "") if data_type not in ("VARCHAR", "DATE") else ""


def _published(marts: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The YAML of every published table, with its file.

    A mart whose contract is switched off in its YAML is a step on the way; the wide table's is off in its SQL, for its
    columns are read when it is built.
    """
    for path in sorted(marts.rglob("*.yml")):
        content = read_yaml(path.read_text())
        for model in content.get("models", ()):
            if model.get("config", {}).get("contract", {}).get("enforced", True):
                yield path, model
        for source in content.get("sources", ()):
            if source["name"] == PUBLISHED_SOURCE:
                yield from ((path, table) for table in source["tables"])


def _table(path: Path, written: Mapping[str, Any], limits: Mapping[str, str]) -> Table:
    name = written["name"]
    grain = written.get("config", {}).get("meta", {}).get("grain", "")
    description = _written(written)
    if not description or not grain:
        raise MisconfiguredError(f"{path}: {name} has no {'grain' if description else 'description'}: write one.")
    return Table(name, description, grain, tuple(_columns(path, written, limits)))


def _columns(path: Path, written: Mapping[str, Any], limits: Mapping[str, str]) -> Iterator[Column]:
    for column in written["columns"]:
        name = column["name"]
        description = _written(column)
        if not description or not column.get("data_type"):
            missing = "data_type" if description else "description"
            raise MisconfiguredError(f"{path}: {written['name']}.{name} has no {missing}: write one.")
        tests = column.get("data_tests", ())
        accepted = [test["accepted_values"] for test in tests if isinstance(test, dict) and "accepted_values" in test]
        allowed = ", ".join(str(value) for test in accepted for value in test["arguments"]["values"])
        found = duckdb_type(column["data_type"])
        is_required = "not_null" in tests or {"type": "not_null"} in column.get("constraints", ())
        yield Column(name, found, unit_of(name, found), is_required, allowed or limits.get(name, ""), description)


def _written(content: Mapping[str, Any]) -> str:
    """A description on one line; empty where there is none."""
    return " ".join(str(content.get("description") or "").split())


def _wide_columns(features: Path, limits: Mapping[str, str]) -> Iterator[Column]:
    """What the wide table takes from the lenses and from the four feature tables, as its SQL lays it out."""
    for name, description in LENS_COLUMNS.items():
        yield Column(name, "VARCHAR", "", False, "", description)
    path = features / "_features__models.yml"
    written = {model["name"]: model for model in read_yaml(path.read_text())["models"]}
    for table in FEATURE_TABLES:
        yield from (
            column
            for column in _columns(path, written[table], limits)
            if column.name not in ("as_of_date", "customer_id")
        )


def _limits(expectations: Path) -> dict[str, dict[str, str]]:
    """By published table and column the bounds that a gate enforces, as a text."""
    limits: dict[str, dict[str, str]] = {}
    for path in sorted(expectations.glob("*.json")):
        suite = json.loads(path.read_text())
        mine = limits.setdefault(GATED_AS.get(path.stem, path.stem), {})
        for expectation in suite["expectations"]:
            is_bound = expectation["type"] == "expect_column_values_to_be_between"
            if is_bound and expectation["severity"] == "critical":
                bounds = expectation["kwargs"]
                mine[bounds["column"]] = _bounds(bounds.get("min_value"), bounds.get("max_value"))
    return limits


def _bounds(least: float | None, most: float | None) -> str:
    if most is None:
        return f"{least} or more"
    return f"{most} or less" if least is None else f"{least} to {most}"


def _questions(readme: Path, table: str) -> Iterator[str]:
    """What the README's table of questions sends to a table."""
    for line in readme.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[3] == f"`{table}`":
            yield cells[2]


def _values(column: Column) -> str:
    return "; ".join(part for part in ("required" if column.is_required else "", _cell(column.allowed)) if part)


def _cell(text: str) -> str:
    """A text as a cell of a table in Markdown, where neither a bar nor a bracket means anything."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(dictionary_page(read_dictionary()), end="")
