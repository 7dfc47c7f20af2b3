"""dbt's page of models and lineage, whole: with what the job does between two models, and the columns' types.

dbt sees the tables that the job writes as sources that come from nowhere, and knows types only of tables that it finds
in a warehouse. `made_of` in the sources' meta says what the job makes a table of, and the YAML says the types.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segmentation_job.data_dictionary import Table, duckdb_type, read_dictionary
from segmentation_job.durable_files import written_whole
from segmentation_job.errors import SegmentationError

# What dbt puts the two files in place of, where it makes a static page itself.
MANIFEST_PLACE = '"MANIFEST.JSON INLINE DATA"'
CATALOG_PLACE = '"CATALOG.JSON INLINE DATA"'


def joined_manifest(manifest: Mapping[str, Any], tables: Sequence[Table]) -> dict[str, Any]:
    """Return dbt's manifest with an edge from what a source is made of to the source, and every published column.

    tables: the data dictionary; where the YAML leaves columns to the building, they are its. Raises SegmentationError
    where a source is made of a model that does not exist.
    """
    parents = {name: list(found) for name, found in manifest["parent_map"].items()}
    children = {name: list(found) for name, found in manifest["child_map"].items()}
    models = {node["name"]: name for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    for name, source in manifest["sources"].items():
        for origin in source["meta"].get("made_of", ()):
            if origin not in models:
                raise SegmentationError(
                    f"{source['original_file_path']}: {name} is made of {origin}, which is no model."
                )
            parents.setdefault(name, []).append(models[origin])
            children.setdefault(models[origin], []).append(name)
    nodes = dict(manifest["nodes"])
    for table in tables:
        if table.name in models:
            node = nodes[models[table.name]]
            described = {
                column.name: {"name": column.name, "description": column.description, "data_type": column.type}
                for column in table.columns
            }
            nodes[node["unique_id"]] = {**node, "columns": {**described, **node["columns"]}}
    return {**manifest, "nodes": nodes, "parent_map": parents, "child_map": children}


def catalog_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the types of all columns that the manifest has them of, as dbt would find them in a warehouse."""
    return {
        "metadata": {},
        "errors": None,
        **{kind: {name: _entry(node) for name, node in manifest[kind].items()} for kind in ("nodes", "sources")},
    }


def lineage_page(template: str, manifest: Mapping[str, Any]) -> str:
    """Return the page with the manifest and its catalog in it. template: dbt's page, which would fetch the two."""
    if MANIFEST_PLACE not in template or CATALOG_PLACE not in template:
        raise SegmentationError(
            "dbt's index.html has no place for its data: this dbt makes another page than 1.11 did."
        )
    page = template.replace(MANIFEST_PLACE, _script(manifest))
    return page.replace(CATALOG_PLACE, _script(catalog_of(manifest)))


def _entry(node: Mapping[str, Any]) -> dict[str, Any]:
    described = {"type": "table", "schema": node["schema"], "name": node["name"], "database": node["database"]}
    return {
        "unique_id": node["unique_id"],
        "metadata": {**described, "comment": None, "owner": None},
        "columns": {
            name: {"name": name, "index": place, "type": duckdb_type(column["data_type"]), "comment": None}
            for place, (name, column) in enumerate(node["columns"].items(), start=1)
            if column.get("data_type")
        },
        "stats": {},
    }


def _script(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the script it stands in, whatever a description says."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def main(target: Path, page: Path) -> None:
    """Write the page from what `dbt docs generate` left behind. target: dbt's target folder · page: the file."""
    manifest = json.loads((target / "manifest.json").read_text())
    joined = joined_manifest(manifest, read_dictionary())
    page.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(page) as unfinished:
        unfinished.write_text(lineage_page((target / "index.html").read_text(), joined))
    print(f"Open {page}; the button at the lower right shows the lineage.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
