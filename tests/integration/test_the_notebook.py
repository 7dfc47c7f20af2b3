"""The analysis notebook, executed from top to bottom on a published file of every family."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.every_family import night_of_every_family
from tests.support.nights import PROJECT_DIR, Nights

NOTEBOOK = PROJECT_DIR / "notebooks" / "segment_analysis.ipynb"
VERDICT = re.compile(
    r"(?P<lens>\w+): (?P<algorithm>\w+) with k = (?P<k>\d+) from (?P<start>.+): centroids (?P<centroids>.+), "
    r"off by at most (?P<off>\S+); (?P<elsewhere>\d+) of (?P<customers>\d+) customers in another segment; "
    r"the content (?P<content>.+) to its version\."
)
# Half of the sixth decimal that the published sample is rounded to, and of the ninth digit of a centroid.
ROUNDING = 5.5e-7


@dataclass
class Executed:
    """The notebook after its execution, its kernel still there."""

    published: Path
    notebook: Any
    client: NotebookClient

    def cells(self, tag: str | None = None) -> list[Any]:
        return [
            cell
            for cell in self.notebook.cells
            if cell.cell_type == "code" and (tag is None or tag in cell.metadata.get("tags", ()))
        ]

    def run(self, cells: list[Any]) -> None:
        for cell in cells:
            self.client.execute_cell(cell, self.notebook.cells.index(cell))

    def value(self, expression: str) -> Any:
        """Return what an expression is worth in the kernel, by way of JSON."""
        probe = nbformat.v4.new_code_cell(f"print(json.dumps({expression}))")
        self.notebook.cells.append(probe)
        self.run([probe])
        self.notebook.cells.remove(probe)
        return json.loads(text_of(probe))

    def verdicts(self) -> list[dict[str, str]]:
        """Return what the notebook says of each model that it fitted again."""
        (cell,) = self.cells("verdict")
        matches = [VERDICT.fullmatch(line) for line in text_of(cell).splitlines()]
        return [match.groupdict() if match else {} for match in matches]


def text_of(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return night_of_every_family(tmp_path_factory)


@pytest.fixture(scope="module")
def executed(night: Nights, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executed]:
    published = night.serving_link.resolve(strict=True)
    own = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGMENTATION_PUBLISHED_FILE", str(published))
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(own))
        client.create_kernel_manager()
        with client.setup_kernel(env=dict(os.environ)):
            done = Executed(published, notebook, client)
            done.run(done.cells())
            yield done


def test_the_notebook_runs_from_top_to_bottom_and_draws_every_picture(executed: Executed) -> None:
    drawn = {
        cell.id: sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in executed.cells()
    }
    expected = {cell.id: cell.source.count("plt.show()") for cell in executed.cells()}
    assert sum(expected.values()) >= 8
    assert drawn == expected
    # Nothing warns: a figure that does not fit, an API that goes.
    assert [output.text for cell in executed.cells() for output in cell.outputs if output.get("name") == "stderr"] == []


def test_the_retrace_reproduces_the_model_of_every_lens(executed: Executed) -> None:
    with duckdb.connect(str(executed.published), read_only=True) as published:
        stored = published.execute(
            "select lens, algorithm, k, customers_fitted from models where model_version in"
            " (select model_version from customer_segments) order by lens"
        ).fetchall()
    verdicts = sorted(executed.verdicts(), key=lambda verdict: verdict["lens"])
    assert len(verdicts) == 5
    assert [(v["lens"], v["algorithm"], int(v["k"]), int(v["customers"])) for v in verdicts] == stored
    for verdict in verdicts:
        assert verdict["centroids"] == "equal but for rounding"
        assert 0 < float(verdict["off"]) <= ROUNDING
        assert verdict["elsewhere"] == "0"
        assert verdict["content"] == "hashes"
        assert re.fullmatch(r"10 random starts, seed \d+", verdict["start"])


def test_everybody_scored_from_the_wide_table_has_the_published_confidence_and_gives_the_stored_digits(
    executed: Executed,
) -> None:
    scores = executed.value("scores.to_dict('records')")
    assert len(scores) == 5
    for score in scores:
        assert score["confidence off by at most"] <= 5.1e-7
        assert score["encoding off by at most"] <= 5.1e-7
        assert score["in the nearest segment"] == 1
        same, _, all_of_them = score["centroids equal in 9 digits"].partition(" of ")
        assert same == all_of_them


def test_the_figures_on_fewer_and_more_segments_are_there_for_each_number(executed: Executed) -> None:
    figures = executed.value("what_if.reset_index().to_dict('list')")
    assert figures["index"] == list(range(2, 13))
    assert figures["inertia"] == sorted(figures["inertia"], reverse=True)
    assert len(executed.value("splits")) == 10


def test_a_centroid_that_was_changed_and_a_customer_who_was_put_elsewhere_are_found(
    executed: Executed, tmp_path: Path
) -> None:
    tampered = tmp_path / "tampered.duckdb"
    shutil.copy(executed.published, tampered)
    with duckdb.connect(str(tampered)) as published:
        version, text = published.execute(
            "select model_version, parameters from models where lens = 'overall'"
        ).fetchall()[0]
        content = json.loads(text)
        content["centroids"][1][0] += 0.001
        published.execute("update models set parameters = ? where lens = 'overall'", [json.dumps(content)])
        published.execute(
            "update model_sample set segment_id = (select max(segment_id) from model_sample where model_version = $1)"
            " where model_version = $1 and customer_id = (select min(customer_id) from model_sample"
            " where model_version = $1 and segment_id < (select max(segment_id) from model_sample"
            " where model_version = $1))",
            [version],
        )
    point = nbformat.v4.new_code_cell(f"os.environ['SEGMENTATION_PUBLISHED_FILE'] = {str(tampered)!r}")
    executed.notebook.cells.append(point)

    executed.run([point, *executed.cells("setup"), *executed.cells("retrace")])

    verdicts = {verdict["lens"]: verdict for verdict in executed.verdicts()}
    overall = verdicts.pop("overall")
    assert overall["centroids"] == "NOT EQUAL"
    assert float(overall["off"]) == pytest.approx(0.001, abs=ROUNDING)
    assert overall["elsewhere"] == "1"
    assert overall["content"] == "DOES NOT HASH"
    assert {verdict["centroids"] for verdict in verdicts.values()} == {"equal but for rounding"}
