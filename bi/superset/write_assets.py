"""Writes the dashboard's files in Superset's import format: datasets from the dbt YAML, charts, filters and layout.

    .venv/bin/python -m bi.superset.write_assets     # after a change here or in the dbt descriptions

Columns and descriptions come from dbt_project/models, so that they cannot drift; a test compares the files in git with
what this writes. Ids are made of names, so that a second import meets what the first has made.
"""

import re
import shutil
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml

from bi.superset.chart_definitions import CHARTS, COLOURS, FILTERS, PALETTE, TABS, Chart, Filter
from bi.superset.dataset_definitions import DATASETS, Dataset, columns_of, described_columns, described_models

BI_DIR = Path(__file__).resolve().parent
VERSION = "1.0.0"
NAMESPACE = uuid5(NAMESPACE_URL, "customer-segmentation-warehouse/bi/superset")
DATABASE = "Customer segments"
DASHBOARD = "Customer segments"
SLUG = "customer-segments"
FILTERED_DATASET = "segments_by_date"
FOLDERS = ("databases", "datasets", "charts", "dashboards")


def stable_id(kind: str, name: str) -> str:
    """Return the same UUID for the same name."""
    return str(uuid5(NAMESPACE, f"{kind}/{name}"))


def files() -> dict[str, str]:
    """Return every file of the dashboard by its path in this folder."""
    contents: dict[str, Any] = {
        # Superset wants a time; one that changes would make every file new.
        "metadata.yaml": {"version": VERSION, "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"},
        "databases/customer_segments.yaml": database(),
        "dashboards/customer_segments.yaml": dashboard(),
    }
    described, models = described_columns(), described_models()
    for each in DATASETS:
        description = each.description or models[each.name]
        contents[f"datasets/customer_segments/{each.name}.yaml"] = dataset(each, description, described)
    for chart in CHARTS:
        contents[f"charts/{file_name(chart.title)}.yaml"] = chart_file(chart)
    return {
        path: yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        for path, content in contents.items()
    }


def file_name(title: str) -> str:
    """Return a title as a file's name."""
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def database() -> dict[str, Any]:
    """Return the connection: serve.py puts the absolute path of the served file's link in."""
    return {
        "database_name": DATABASE,
        "sqlalchemy_uri": "duckdb:////var/lib/segmentation/serving/segments.duckdb?access_mode=read_only",
        "cache_timeout": None,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        "extra": {"allows_virtual_table_explore": True, "metadata_params": {}, "engine_params": {}},
        "uuid": stable_id("database", DATABASE),
        "version": VERSION,
        "is_managed_externally": True,
    }


def dataset(each: Dataset, description: str, described: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return a dataset with its columns as dbt describes them."""
    columns = columns_of(each, described)
    return {
        "table_name": each.name,
        "main_dttm_col": each.main_date if each.main_date in {column.name for column in columns} else None,
        "description": description,
        "offset": 0,
        "cache_timeout": None,
        "catalog": None,
        "schema": None if each.sql else "main",
        "sql": each.sql.strip() or None,
        "filter_select_enabled": True,
        "uuid": stable_id("dataset", each.name),
        "database_uuid": stable_id("database", DATABASE),
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.label,
                "type": column.data_type,
                "is_dttm": column.data_type in ("DATE", "TIMESTAMP"),
                "is_active": True,
                "groupby": True,
                "filterable": True,
                "expression": column.expression,
                "description": column.description,
            }
            for column in columns
        ],
        "metrics": [
            {
                "metric_name": metric.name,
                "verbose_name": metric.label,
                "metric_type": None,
                "expression": metric.expression,
                "description": metric.description or None,
                "d3format": metric.d3format,
            }
            for metric in each.metrics
        ],
        "version": VERSION,
        "is_managed_externally": True,
    }


def chart_file(chart: Chart) -> dict[str, Any]:
    """Return a chart: its form data, and the dataset it is drawn from."""
    conditions = [
        {
            "clause": "WHERE",
            "expressionType": "SIMPLE",
            "subject": column,
            "operator": operator,
            "comparator": value,
            "filterOptionName": f"condition_{place}",
        }
        for place, (column, operator, value) in enumerate(chart.where)
    ]
    dated = next(each for each in DATASETS if each.name == chart.dataset)
    if chart.over_time and dated.main_date == "as_of_date":
        conditions.append(
            {
                "clause": "WHERE",
                "expressionType": "SIMPLE",
                "subject": "as_of_date",
                "operator": "TEMPORAL_RANGE",
                "comparator": "No filter",
                "filterOptionName": "condition_period",
            }
        )
    return {
        "slice_name": chart.title,
        "description": chart.note or None,
        "viz_type": chart.kind,
        "params": {
            "viz_type": chart.kind,
            "adhoc_filters": conditions,
            "color_scheme": PALETTE,
            "extra_form_data": {},
            "annotation_layers": [],
            **chart.form,
        },
        "cache_timeout": None,
        "uuid": stable_id("chart", chart.title),
        "version": VERSION,
        "dataset_uuid": stable_id("dataset", chart.dataset),
        "is_managed_externally": True,
    }


def dashboard() -> dict[str, Any]:
    """Return the dashboard: tabs, rows, charts, filters, and the colours that do not depend on the data."""
    return {
        "dashboard_title": DASHBOARD,
        "description": "Who the customers are, how the segments change, and what to do with each.",
        "css": "",
        "slug": SLUG,
        "uuid": stable_id("dashboard", DASHBOARD),
        "published": True,
        "position": positions(),
        "metadata": {
            "color_scheme": PALETTE,
            "color_scheme_domain": [],
            "label_colors": dict(COLOURS),
            "shared_label_colors": [],
            "map_label_colors": {},
            "cross_filters_enabled": True,
            "refresh_frequency": 0,
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "default_filters": "{}",
            "chart_configuration": {},
            "global_chart_configuration": {"scope": {"rootPath": ["ROOT_ID"], "excluded": []}},
            "native_filter_configuration": [native_filter(each) for each in FILTERS],
        },
        "version": VERSION,
        "is_managed_externally": True,
    }


def positions() -> dict[str, Any]:
    """Return the layout as Superset keeps it: a flat tree of tabs, rows, charts and texts."""
    found: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": ["TABS-all"], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": DASHBOARD}},
        "TABS-all": {"type": "TABS", "id": "TABS-all", "children": [], "meta": {}, "parents": ["ROOT_ID", "GRID_ID"]},
    }

    def put(kind: str, name: str, parent: str, meta: dict[str, Any]) -> str:
        key = f"{kind}-{name}"
        found[parent]["children"].append(key)
        found[key] = {
            "type": kind,
            "id": key,
            "children": [],
            "meta": meta,
            "parents": [*found[parent]["parents"], parent],
        }
        return key

    for tab in TABS:
        name = file_name(tab.name)
        tab_key = put(
            "TAB", name, "TABS-all", {"text": tab.name, "defaultText": "Tab title", "placeholder": "Tab title"}
        )
        text_row = put("ROW", f"{name}-text", tab_key, {"background": "BACKGROUND_TRANSPARENT"})
        put("MARKDOWN", name, text_row, {"code": tab.text, "width": 12, "height": 7})
        for place, row in enumerate(tab.rows):
            row_key = put("ROW", f"{name}-{place}", tab_key, {"background": "BACKGROUND_TRANSPARENT"})
            for chart in row:
                meta = {
                    "chartId": chart_number(chart),
                    "uuid": stable_id("chart", chart.title),
                    "sliceName": chart.title,
                    "width": chart.width,
                    "height": chart.height,
                }
                put("CHART", file_name(chart.title), row_key, meta)
        # Superset keeps a chart's description, and shows it nowhere on a dashboard.
        notes = [f"- *{chart.title}* {chart.note}" for row in tab.rows for chart in row if chart.note]
        if notes:
            notes_row = put("ROW", f"{name}-notes", tab_key, {"background": "BACKGROUND_TRANSPARENT"})
            meta = {"code": "\n".join(notes), "width": 12, "height": 4 + 3 * len(notes)}
            put("MARKDOWN", f"{name}-notes", notes_row, meta)
    return found


def chart_number(chart: Chart) -> int:
    """Return the number by which filters name a chart; the import puts Superset's own in its place."""
    return CHARTS.index(chart) + 1


def filter_id(name: str) -> str:
    """Return the id of a filter."""
    return f"NATIVE_FILTER-{name.lower()}"


def native_filter(each: Filter) -> dict[str, Any]:
    """Return a filter: its column, what it starts with, and the charts that it leaves alone."""
    period = each.column is None
    excluded = [chart_number(chart) for chart in CHARTS if chart.over_time != period and (period or each.first)]
    target: dict[str, Any] = {}
    if each.column:
        target = {"datasetUuid": stable_id("dataset", FILTERED_DATASET), "column": {"name": each.column}}
    mask: dict[str, Any] = {"extraFormData": {}, "filterState": {}, "ownState": {}}
    if each.default:
        mask = {
            "extraFormData": {"filters": [{"col": each.column, "op": "IN", "val": [each.default]}]},
            "filterState": {"value": [each.default], "label": each.default},
            "ownState": {},
        }
    controls: dict[str, Any] = {"enableEmptyFilter": False}
    if each.column:
        controls = {
            "enableEmptyFilter": not each.several,
            "defaultToFirstItem": each.first,
            "multiSelect": each.several,
            "searchAllOptions": each.several,
            "inverseSelection": False,
            "sortAscending": not each.first,
        }
    return {
        "id": filter_id(each.name),
        "name": each.name,
        "filterType": "filter_time" if period else "filter_select",
        "type": "NATIVE_FILTER",
        "targets": [target],
        "controlValues": controls,
        # The charts wait until it has found its first value.
        "requiredFirst": each.first,
        "defaultDataMask": mask,
        "cascadeParentIds": [filter_id(name) for name in each.depends_on],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": excluded},
        "description": each.description,
    }


def main() -> None:
    """Write the files, and remove those that are no longer written."""
    for folder in FOLDERS:
        shutil.rmtree(BI_DIR / folder, ignore_errors=True)
    for path, content in files().items():
        (BI_DIR / path).parent.mkdir(parents=True, exist_ok=True)
        (BI_DIR / path).write_text(content)


if __name__ == "__main__":
    main()
