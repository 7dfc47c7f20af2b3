"""The data dictionary: from the YAML that dbt builds by, so that it cannot drift."""

import shutil
from pathlib import Path

import pytest

from segmentation_job.data_dictionary import dictionary_page, duckdb_type, read_dictionary, unit_of
from segmentation_job.errors import MisconfiguredError
from tests.support.nights import PROJECT_DIR


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the dictionary is read from, to be changed."""
    for place in ("dbt_project/models/marts", "dbt_project/models/features", "expectations"):
        shutil.copytree(PROJECT_DIR / place, tmp_path / place)
    shutil.copy(PROJECT_DIR / "README.md", tmp_path)
    return tmp_path


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_page_is_what_the_yaml_says() -> None:
    page = PROJECT_DIR / "docs" / "data-dictionary.md"
    assert page.read_text() == dictionary_page(read_dictionary()), "write it again: make dictionary"


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("dbt_project/models/marts/_marts__models.yml", "Name, unique", "Title, unique"),
        ("dbt_project/models/marts/_marts__models.yml", "name: segment_since", "name: segment_from"),
        ("dbt_project/models/features/_features__models.yml", "Full years of age", "Years of age"),
        ("expectations/demographic_features.json", '"max_value": 120', '"max_value": 119'),
        ("README.md", "| money | payment habits |", "| money | how they pay |"),
    ],
)
def test_a_change_of_what_it_is_made_from_changes_the_page(project: Path, place: str, old: str, new: str) -> None:
    before = dictionary_page(read_dictionary(project))
    replaced(project / place, old, new)
    assert dictionary_page(read_dictionary(project)) != before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "        description: Name, unique among the segments of the lens.\n",
            "",
            "segments.name has no description",
        ),
        ("        data_type: boolean\n", "", "customer_segments.is_outlier has no data_type"),
        ("        grain: lens × segment_id\n", "        note: none\n", "segments has no grain"),
    ],
)
def test_a_column_or_table_that_is_not_described_is_refused(project: Path, old: str, new: str, told: str) -> None:
    replaced(project / "dbt_project/models/marts/_marts__models.yml", old, new)
    with pytest.raises(MisconfiguredError, match=told):
        read_dictionary(project)


def test_a_unit_is_what_the_ending_of_a_name_promises() -> None:
    assert unit_of("spend_amount_90d", "DECIMAL(18,2)") == "currency"
    assert unit_of("payment_delay_days_mean", "DOUBLE") == "days"
    assert unit_of("change_share_12m", "DOUBLE") == "share"
    assert unit_of("is_outlier", "BOOLEAN") == "yes or no"
    assert unit_of("confidence", "DOUBLE") == ""
    assert unit_of("favourite_rate", "VARCHAR") == ""


def test_types_are_named_as_duckdb_names_them() -> None:
    assert [duckdb_type(each) for each in ("string", "decimal(18, 2)", "double[]", "bigint")] == [
        "VARCHAR",
        "DECIMAL(18,2)",
        "DOUBLE[]",
        "BIGINT",
    ]


def test_texts_cannot_break_the_page(project: Path) -> None:
    replaced(
        project / "dbt_project/models/marts/_marts__models.yml",
        "description: Name, unique among the segments of the lens.",
        "description: a | b <script>alert(1)</script>",
    )
    page = dictionary_page(read_dictionary(project))
    assert "<script>" not in page
    assert "a \\| b &lt;script>" in page
