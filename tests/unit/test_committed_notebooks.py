"""Notebooks are committed as they were written: without outputs, so that no figure and no customer is in git."""

import json
import re
from typing import Any

import nbformat
import pytest

from tests.support.nights import PROJECT_DIR

NOTEBOOKS = sorted((PROJECT_DIR / "notebooks").glob("*.ipynb"))


def left_behind(notebook: dict[str, Any]) -> list[str]:
    """Return the ids of cells that carry what an execution or an editor left in them."""
    return [
        cell["id"]
        for cell in notebook["cells"]
        if cell.get("outputs") or cell.get("execution_count") is not None or set(cell["metadata"]) - {"tags"}
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.name))
def test_a_notebook_is_committed_without_outputs_and_under_ids_that_stay(path: Any) -> None:
    notebook = json.loads(path.read_text())
    assert left_behind(notebook) == []
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) > 10
    # Words of ours: an editor that makes ids anew would change every cell in git.
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", each) or len(each) > 24] == []
    nbformat.validate(nbformat.from_dict(notebook))


def test_outputs_counts_and_marks_of_an_editor_are_found() -> None:
    clean: dict[str, Any] = {"id": "clean", "metadata": {"tags": ["setup"]}, "outputs": [], "execution_count": None}
    cells = [
        clean,
        {**clean, "id": "output", "outputs": [{"output_type": "stream"}]},
        {**clean, "id": "count", "execution_count": 3},
        {**clean, "id": "editor", "metadata": {"scrolled": True}},
    ]
    assert left_behind({"cells": cells}) == ["output", "count", "editor"]
