"""The dashboard's files in bi/superset: as they are written, on tables and columns that the published file has."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import yaml

from bi.superset import write_assets
from bi.superset.dataset_definitions import DATASETS, words
from tests.support.every_family import night_of_every_family
from tests.support.nights import PROJECT_DIR

BI_DIR = PROJECT_DIR / "bi" / "superset"
LOADED: dict[str, dict[str, Any]] = {
    str(path.relative_to(BI_DIR)): yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for path in sorted(BI_DIR.rglob("*.yaml"))
}
DATASET_FILES = {each["uuid"]: each for path, each in LOADED.items() if path.startswith("datasets/")}
CHART_FILES = {each["uuid"]: each for path, each in LOADED.items() if path.startswith("charts/")}
DASHBOARD = LOADED["dashboards/customer_segments.yaml"]
OPERATORS = {"==": "=", "!=": "<>", ">=": ">=", "<=": "<="}
CURRENT_ALONE = {"customers"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    nights = night_of_every_family(tmp_path_factory)
    with duckdb.connect(str(nights.serving_link), read_only=True) as connection:
        yield connection


def relation(dataset: dict[str, Any]) -> str:
    """Return what stands behind `from`: the table, or the dataset's own query."""
    return f"({dataset['sql']}) as asked" if dataset["sql"] else f'"{dataset["table_name"]}"'


def asked_columns(chart: dict[str, Any]) -> list[str]:
    """Return the columns that a chart groups by or lists."""
    form = chart["params"]
    found = [form.get(key) for key in ("x_axis", "source", "target")]
    grouped = form.get("groupby") or []
    found += grouped if isinstance(grouped, list) else [grouped]
    found += form.get("all_columns") or []
    return [name for name in found if name]


def asked_metrics(chart: dict[str, Any]) -> list[str]:
    """Return the metrics that a chart draws."""
    form = chart["params"]
    return [*(form.get("metrics") or []), *([form["metric"]] if "metric" in form else [])]


def conditions(chart: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield a chart's own conditions: column, operator, value."""
    for each in chart["params"]["adhoc_filters"]:
        yield each["subject"], each["operator"], each["comparator"]


def query_of(chart: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the query that a chart comes to, without the dashboard's filters, and its parameters."""
    dataset = DATASET_FILES[chart["dataset_uuid"]]
    columns = {each["column_name"]: each["expression"] or f'"{each["column_name"]}"' for each in dataset["columns"]}
    metrics = {each["metric_name"]: each["expression"] for each in dataset["metrics"]}
    names = list(dict.fromkeys(asked_columns(chart)))
    selected = [columns[name] for name in names] + [metrics[name] for name in asked_metrics(chart)]
    where, values = [], []
    for column, operator, value in conditions(chart):
        if operator == "TEMPORAL_RANGE":
            assert value == "No filter"
        elif operator == "IS NOT NULL":
            where.append(f"{columns[column]} is not null")
        elif operator == "IN":
            where.append(f"list_contains(?, {columns[column]})")
            values.append(value)
        else:
            where.append(f"{columns[column]} {OPERATORS[operator]} ?")
            values.append(value)
    sql = f"select {', '.join(selected)} from {relation(dataset)}"
    sql += f" where {' and '.join(where)}" if where else ""
    if asked_metrics(chart) and names:
        sql += f" group by {', '.join(columns[name] for name in names)}"
    return f"{sql} limit 5", values


def test_the_files_are_what_the_definitions_and_dbt_say() -> None:
    written = write_assets.files()
    found = {str(path.relative_to(BI_DIR)): path.read_text() for path in BI_DIR.rglob("*.yaml")}
    assert found.keys() == written.keys(), "run `make bi-assets`"
    assert [path for path in written if found[path] != written[path]] == [], "run `make bi-assets`"


def test_every_column_of_every_dataset_is_in_the_published_file(published: duckdb.DuckDBPyConnection) -> None:
    for dataset in DATASET_FILES.values():
        described = {each["column_name"] for each in dataset["columns"] if not each["expression"]}
        rows = published.execute(f"describe select * from {relation(dataset)}").fetchall()
        found = {name: kind for name, kind, *_ in rows}
        assert described == found.keys(), dataset["table_name"]
        for each in dataset["columns"]:
            if not each["expression"] and each["is_dttm"]:
                assert found[each["column_name"]] in ("DATE", "TIMESTAMP"), each
            assert each["description"], each
            assert each["verbose_name"], each


def test_every_metric_is_a_figure_of_the_published_file(published: duckdb.DuckDBPyConnection) -> None:
    for dataset in DATASET_FILES.values():
        columns = {each["column_name"] for each in dataset["columns"]}
        for metric in dataset["metrics"]:
            # A metric named as a column would be taken for it where Superset sorts.
            assert metric["metric_name"] not in columns, (dataset["table_name"], metric["metric_name"])
            published.execute(f"select {metric['expression']} from {relation(dataset)}")


@pytest.mark.parametrize("chart", CHART_FILES.values(), ids=lambda chart: chart["slice_name"])
def test_a_chart_has_something_to_draw_where_the_source_has_all_families(
    published: duckdb.DuckDBPyConnection, chart: dict[str, Any]
) -> None:
    sql, values = query_of(chart)
    rows = published.execute(sql, values).fetchall()
    # Alarms need months of checks, and moves a second night.
    if DATASET_FILES[chart["dataset_uuid"]]["table_name"] not in ("segment_alarms", "segment_moves"):
        assert rows, sql


def test_the_filters_ask_for_columns_that_there_are() -> None:
    filters = {each["name"]: each for each in DASHBOARD["metadata"]["native_filter_configuration"]}
    assert filters.keys() == {"Date", "Lens", "Segment", "Period"}
    ids = {each["id"] for each in filters.values()}
    for each in filters.values():
        assert set(each["cascadeParentIds"]) <= ids
        for target in each["targets"]:
            if target:
                dataset = DATASET_FILES[target["datasetUuid"]]
                assert target["column"]["name"] in {column["column_name"] for column in dataset["columns"]}


def test_a_filter_narrows_every_chart_that_it_does_not_leave_alone() -> None:
    filters = {each["name"]: each for each in DASHBOARD["metadata"]["native_filter_configuration"]}
    numbers = {
        node["meta"]["uuid"]: node["meta"]["chartId"]
        for node in DASHBOARD["position"].values()
        if isinstance(node, dict) and node["type"] == "CHART"
    }
    assert numbers.keys() == CHART_FILES.keys()
    for uuid, chart in CHART_FILES.items():
        dataset = DATASET_FILES[chart["dataset_uuid"]]
        columns = {each["column_name"] for each in dataset["columns"]}
        left_alone = numbers[uuid] in filters["Date"]["scope"]["excluded"]
        assert "night" in columns or dataset["table_name"] in CURRENT_ALONE, chart["slice_name"]
        ranges = [column for column, operator, _ in conditions(chart) if operator == "TEMPORAL_RANGE"]
        # What is not of one date is of a period.
        assert ranges == (["as_of_date"] if left_alone else []), chart["slice_name"]
        assert left_alone == (numbers[uuid] not in filters["Period"]["scope"]["excluded"]), chart["slice_name"]


def test_no_table_draws_markup_that_stands_in_the_data() -> None:
    tables = [each["params"] for each in CHART_FILES.values() if each["viz_type"] == "table"]
    assert tables
    assert all(each["allow_render_html"] is False for each in tables)


def test_the_layout_holds_together() -> None:
    position = DASHBOARD["position"]
    nodes = {key: node for key, node in position.items() if isinstance(node, dict)}
    for key, node in nodes.items():
        for child in node.get("children", []):
            assert nodes[child]["parents"][-1] == key
        if node["type"] == "ROW":
            assert sum(nodes[child]["meta"]["width"] for child in node["children"]) == 12, key


def test_a_column_is_called_by_words() -> None:
    assert words("points_redeemed_share") == "Points redeemed share"
    assert words("margin_amount_365d") == "Margin amount, 365 days"
    assert words("k") == "Segments"


def test_its_environment_is_locked_to_the_public_index() -> None:
    lock = (BI_DIR / "uv.lock").read_text()
    assert set(re.findall(r'"https?://([^/"]+)', lock)) == {"pypi.org", "files.pythonhosted.org"}
    assert "file://" not in lock
    locked = {each["name"]: each["version"] for each in tomllib.loads(lock)["package"]}
    asked = tomllib.loads((BI_DIR / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"apache-superset=={locked['apache-superset']}" in asked
    # What follows the served file's link with every new connection.
    assert int(locked["duckdb"].split(".")[0]) >= 2


def test_every_dataset_is_drawn_or_filters() -> None:
    drawn = {chart["dataset_uuid"] for chart in CHART_FILES.values()}
    assert {DATASET_FILES[uuid]["table_name"] for uuid in drawn} == {each.name for each in DATASETS}
