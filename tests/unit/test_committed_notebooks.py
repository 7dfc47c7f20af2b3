"""Notebooks are committed as they were written: without outputs, under ids that stay."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.committed_notebooks import METADATA, NOTEBOOKS, cleaned, read_notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.name))
def test_a_notebook_is_committed_without_outputs_and_under_ids_that_stay(path: Path) -> None:
    notebook = read_notebook(path)
    assert notebook == cleaned(notebook), "take them out: make format"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) > 10
    # Words of ours: an editor that makes ids anew would change every cell in git.
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", each) or len(each) > 24] == []
    nbformat.validate(nbformat.from_dict(notebook))


def test_outputs_counts_and_marks_of_an_editor_are_taken_out() -> None:
    clean: dict[str, Any] = {"id": "clean", "cell_type": "code", "metadata": {"tags": ["setup"]}, "source": "1"}
    clean |= {"outputs": [], "execution_count": None}
    words = {"id": "words", "cell_type": "markdown", "metadata": {}, "source": "Words."}
    for left in (
        {"outputs": [{"output_type": "stream", "name": "stdout", "text": "customer 7"}]},
        {"execution_count": 3},
        {"metadata": {"tags": ["setup"], "scrolled": True}},
    ):
        dirty = {"cells": [{**clean, **left}, words], "metadata": {**METADATA, "widgets": {}}}
        assert cleaned(dirty) == {"cells": [clean, words], "metadata": METADATA} != dirty
