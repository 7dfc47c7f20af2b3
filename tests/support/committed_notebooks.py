"""Notebooks as they are committed: without outputs, so that no figure and no customer is in git.

`python -m tests.support.committed_notebooks` takes out what an execution or an editor left in them; `make format` does.
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.support.nights import PROJECT_DIR

NOTEBOOKS: Final = sorted((PROJECT_DIR / "notebooks").glob("*.ipynb"))
METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without outputs, counts and an editor's marks."""
    cells = [
        {
            **cell,
            "metadata": {name: held for name, held in cell["metadata"].items() if name == "tags" and held},
            **({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}),
        }
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells, "metadata": METADATA}


def read_notebook(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


if __name__ == "__main__":
    for path in NOTEBOOKS:
        text = json.dumps(cleaned(read_notebook(path)), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        if text != path.read_text():
            path.write_text(text)
            print(f"{path.relative_to(PROJECT_DIR)}: outputs and an editor's marks taken out")
