"""What changes the version of the facts' logic, and what does not."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.settings import PROJECT_DIR, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(
        PROJECT_DIR / "dbt_project", tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs")
    )
    return replace(Settings.from_environment({"SOURCE": "example_csv"}), project_dir=tmp_path)


def declaration(settings: Settings) -> Path:
    return settings.source_dir / "_example_csv__sources.yml"


def test_saying_whose_the_rows_of_a_table_are_makes_no_date_stale(settings: Settings) -> None:
    before = read_logic_versions(settings)
    said = "        config:\n          meta:\n            personal: {order: order_no}\n"
    text = declaration(settings).read_text()
    assert said in text
    declaration(settings).write_text(text.replace(said, ""))
    assert read_logic_versions(settings) == before


def test_reading_the_landing_from_elsewhere_is_other_logic(settings: Settings) -> None:
    before = read_logic_versions(settings)
    text = declaration(settings).read_text()
    declaration(settings).write_text(text.replace("all_varchar = true", "all_varchar = true, skip = 1"))
    assert read_logic_versions(settings).facts != before.facts
