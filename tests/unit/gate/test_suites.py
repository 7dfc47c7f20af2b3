import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segmentation_job.gate import SuiteError, load_suites

EXPECTATIONS = Path(__file__).parents[3] / "expectations"
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = tmp_path / "expectations"
    shutil.copytree(EXPECTATIONS, copied)
    return copied


def edit(folder: Path, change: Edit) -> None:
    path = folder / "financial_features.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_the_shipped_suites_load_with_as_many_expectations_as_the_files_hold() -> None:
    for suite in load_suites(EXPECTATIONS):
        written = json.loads((EXPECTATIONS / f"{suite.name}.json").read_text())["expectations"]
        assert len(suite.expectations) == len(written) > 0


def test_the_shipped_suites_carry_no_ids() -> None:
    for path in EXPECTATIONS.glob("*.json"):
        assert '"id"' not in path.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["expectations"][3].update(type="expect_wonders"), "expectation 4.*knows no type"),
        (lambda d: d["expectations"][3].update(severity="fatal"), "expectation 4.*severity is 'fatal'"),
        (lambda d: d["expectations"][3].update(severity="info"), "expectation 4.*severity is 'info'"),
        (lambda d: d["expectations"][3].pop("severity"), "expectation 4.*severity is None"),
        (lambda d: d["expectations"][3].pop("description"), "expectation 4.*needs a description"),
        (lambda d: d["expectations"][3].update(colour="red"), "expectation 4.*unknown key 'colour'"),
        (lambda d: d["expectations"][3].update(meta={"note": "x"}), "expectation 4.*meta may hold"),
        (lambda d: d["expectations"][1].update(kwargs={}), "expectation 2.*refuses"),
        (lambda d: d["expectations"][1]["kwargs"].update(mostly=7), "expectation 2.*refuses"),
        (lambda d: d["expectations"].append(d["expectations"][1]), "repeats expectation 2"),
        (
            lambda d: d["expectations"].append({**d["expectations"][1], "description": "Said otherwise"}),
            "repeats expectation 2",
        ),
        (
            lambda d: d["expectations"][3]["kwargs"].update(unexpected_rows_query="select 1 where false"),
            "expectation 4.*never reads",
        ),
        (
            lambda d: d["expectations"][3].update(meta={"minimum_history_days": 90}),
            "expectation 4.*means nothing without a previous_ table",
        ),
        (
            lambda d: d["expectations"][3]["kwargs"].update(
                unexpected_rows_query="select * from {batch} cross join distribution_shift(a, b)"
            ),
            "expectation 4.*two names in single quotes",
        ),
        (lambda d: d["expectations"][0]["kwargs"].update(min_value=0), "an empty table would pass"),
        (lambda d: d["expectations"][0].update(severity="warning"), "an empty table would pass"),
        (lambda d: d.update(expectations=[]), "the suite is empty"),
        (lambda d: d.update(name="finances"), "name is 'finances'"),
        (lambda d: d.update(id="3f"), "unknown key 'id'"),
    ],
)
def test_a_faulty_suite_is_refused_with_its_file_and_position(folder: Path, change: Edit, message: str) -> None:
    edit(folder, change)
    with pytest.raises(SuiteError, match=f"financial_features.json.*{message}"):
        load_suites(folder)


def test_a_fault_in_a_label_suite_shows_before_labels_are_made(folder: Path) -> None:
    (folder / "customer_segments.json").write_text("{")
    with pytest.raises(SuiteError, match=r"customer_segments\.json: cannot be read as JSON"):
        load_suites(folder, "features")


def test_a_missing_suite_is_named(folder: Path) -> None:
    (folder / "purchase_features.json").unlink()
    with pytest.raises(SuiteError, match=r"purchase_features\.json: the suite file is missing"):
        load_suites(folder)


def test_a_suite_of_no_table_is_named(folder: Path) -> None:
    (folder / "purchases.json").write_text("{}")
    with pytest.raises(SuiteError, match=r"purchases\.json: no table has a suite of this name"):
        load_suites(folder)


def test_a_gate_loads_the_suites_of_its_subject_only() -> None:
    assert [suite.name for suite in load_suites(EXPECTATIONS, "labels")] == ["customer_segments"]
    assert {suite.table for suite in load_suites(EXPECTATIONS, "features")} == {
        "demographic_features",
        "financial_features",
        "purchase_features",
        "engagement_features",
    }


def test_an_expectation_is_written_anew_once_a_field_of_it_is_set() -> None:
    from segmentation_job.gate.lean_expectations import ExpectColumnValuesToBeBetween

    expectation = ExpectColumnValuesToBeBetween(column="distance", min_value=0)
    assert expectation.configuration is expectation.configuration
    expectation.min_value = 1
    assert expectation.configuration.kwargs["min_value"] == 1
