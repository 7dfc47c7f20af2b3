"""The page of models and lineage: one line from a file of the landing to what people look at."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from segmentation_job.data_dictionary import Column, Table
from segmentation_job.errors import SegmentationError
from segmentation_job.fast_yaml import read_yaml
from segmentation_job.lineage_page import CATALOG_PLACE, MANIFEST_PLACE, catalog_of, joined_manifest, lineage_page
from tests.support.nights import PROJECT_DIR

PROJECT = PROJECT_DIR / "dbt_project"
# What people decide, and what the code itself is: nothing of it lands.
FROM_NOWHERE = {"promoted.decisions", "pipeline.versions", "published.run_log"}


def node(name: str, kind: str, columns: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {
        "unique_id": name,
        "name": name.rpartition(".")[2],
        "resource_type": kind,
        "schema": "main",
        "database": "warehouse",
        "original_file_path": "sources.yml",
        "columns": columns,
        "meta": {},
        **further,
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    """Features, which the job makes labels of, which a mart of two columns reads; the YAML has one of them."""
    written = {"name": "customer_id", "description": "The customer </script>", "data_type": "string"}
    return {
        "nodes": {
            "model.p.features": node("model.p.features", "model", {}),
            "model.p.wide": node("model.p.wide", "model", {"customer_id": written}),
        },
        "sources": {"source.p.labels": node("source.p.labels", "source", {}, meta={"made_of": ["features"]})},
        "parent_map": {"model.p.wide": ["source.p.labels"], "source.p.labels": [], "model.p.features": []},
        "child_map": {"source.p.labels": ["model.p.wide"], "model.p.wide": [], "model.p.features": []},
    }


WIDE = Table(
    "wide",
    "Wide.",
    "customer",
    (
        Column("customer_id", "VARCHAR", "", True, "", "The customer."),
        Column("spend", "DECIMAL(18,2)", "currency", False, "", "Spend."),
    ),
)


def test_what_the_job_makes_of_a_model_comes_after_it(manifest: dict[str, Any]) -> None:
    joined = joined_manifest(manifest, [WIDE])
    assert joined["parent_map"]["source.p.labels"] == ["model.p.features"]
    assert joined["child_map"]["model.p.features"] == ["source.p.labels"]
    assert manifest["parent_map"]["source.p.labels"] == []


def test_columns_that_a_mart_reads_when_it_is_built_stand_beside_those_of_its_yaml(manifest: dict[str, Any]) -> None:
    joined = joined_manifest(manifest, [WIDE])
    columns = joined["nodes"]["model.p.wide"]["columns"]
    assert {name: column["description"] for name, column in columns.items()} == {
        "customer_id": "The customer </script>",
        "spend": "Spend.",
    }
    types = catalog_of(joined)["nodes"]["model.p.wide"]["columns"]
    assert {name: column["type"] for name, column in types.items()} == {
        "customer_id": "VARCHAR",
        "spend": "DECIMAL(18,2)",
    }


def test_a_description_cannot_end_the_script_that_it_stands_in(manifest: dict[str, Any]) -> None:
    page = lineage_page(f"<script>n = [{MANIFEST_PLACE}, {CATALOG_PLACE}]</script>", joined_manifest(manifest, []))
    assert page.count("</script>") == 1
    text = page.removeprefix("<script>n = ").removesuffix("</script>")
    assert json.loads(text)[0]["nodes"]["model.p.wide"]["columns"]["customer_id"]["description"].endswith("</script>")


def test_a_source_of_a_model_that_is_none_and_a_page_without_places_are_refused(manifest: dict[str, Any]) -> None:
    manifest["sources"]["source.p.labels"]["meta"]["made_of"] = ["featurs"]
    with pytest.raises(SegmentationError, match=r"sources.yml: source.p.labels is made of featurs, which is no model"):
        joined_manifest(manifest, [])
    with pytest.raises(SegmentationError, match="no place for its data"):
        lineage_page("<html></html>", manifest)


def project_edges(source: str) -> dict[str, set[str]]:
    """Return what each model, source table and exposure is made of, read from the files: no dbt is needed."""
    edges: dict[str, set[str]] = {}
    reference = re.compile(r"ref\('(\w+)'\)|source\('(\w+)', '(\w+)'\)")

    def named(text: str) -> set[str]:
        return {model or f"{schema}.{table}" for model, schema, table in reference.findall(text)}

    for folder in (PROJECT / "models", PROJECT / "sources" / source):
        edges |= {path.stem: named(path.read_text()) for path in folder.rglob("*.sql")}
    content = read_yaml((PROJECT / "models/marts/_marts__sources.yml").read_text())
    for schema in content["sources"]:
        for table in schema["tables"]:
            made_of = table.get("config", {}).get("meta", {}).get("made_of", ())
            edges[f"{schema['name']}.{table['name']}"] = set(made_of)
    for exposure in read_yaml((PROJECT / "models/marts/_marts__exposures.yml").read_text())["exposures"]:
        edges[exposure["name"]] = named(" ".join(exposure["depends_on"]))
    # What macros and loops refer to by a name that is made up there.
    edges["customer_360"] |= {f"promoted.{table}_features" for table in ("demographic", "financial", "engagement")}
    return edges


def reached_from_the_landing(edges: dict[str, set[str]]) -> set[str]:
    reached = {name for parents in edges.values() for name in parents if name.startswith("landing.")}
    while more := {name for name, parents in edges.items() if parents & reached} - reached:
        reached |= more
    return reached


@pytest.mark.parametrize("source", ["complete_journey", "simulated_shop"])
def test_the_lineage_runs_from_the_landing_to_everything_that_people_look_at(source: str) -> None:
    edges = project_edges(source)
    reached = reached_from_the_landing(edges)
    looked_at = {name for name in edges if name in ("morning_report", "segment_dashboard", "segment_notebook")}
    assert len(looked_at) == 3
    assert looked_at <= reached
    written_by_the_job = {name for name in edges if re.match(r"(promoted|pipeline|published)\.", name)}
    assert written_by_the_job - reached == FROM_NOWHERE
    # Insights read facts; what the job alone makes would come from nowhere without it.
    made_by_the_job = {"customer_segments", "model_sample", "customer_forecasts"}
    assert made_by_the_job <= reached
    without = {name: parents for name, parents in edges.items() if name not in written_by_the_job}
    assert not made_by_the_job & reached_from_the_landing(without)


def test_a_page_is_whole_or_the_one_before(tmp_path: Path, manifest: dict[str, Any]) -> None:
    from segmentation_job.lineage_page import main

    manifest["nodes"]["model.p.wide"]["name"] = "no_published_table"
    target, page = tmp_path / "target", tmp_path / "docs" / "index.html"
    target.mkdir()
    (target / "manifest.json").write_text(json.dumps(manifest))
    (target / "index.html").write_text(f"[{MANIFEST_PLACE}, {CATALOG_PLACE}]")
    main(target, page)
    whole = page.read_text()
    assert json.loads(whole)[1]["nodes"]["model.p.features"]["metadata"]["name"] == "features"
    (target / "index.html").write_text("nothing")
    with pytest.raises(SegmentationError):
        main(target, page)
    assert page.read_text() == whole
