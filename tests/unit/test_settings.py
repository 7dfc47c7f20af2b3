"""Settings are read once, and a wrong one is named."""

from pathlib import Path

import pytest

from segmentation_job.errors import MisconfiguredError
from segmentation_job.settings import Settings


def test_without_any_setting_the_demonstration_source_lies_in_the_projects_data_folder() -> None:
    settings = Settings.from_environment({})
    assert settings.source == "complete_journey"
    assert settings.warehouse_path == settings.project_dir / "data" / "complete_journey" / "warehouse.duckdb"
    assert settings.threads == 2


def test_two_sources_never_share_a_warehouse(tmp_path: Path) -> None:
    here = {"SEGMENTATION_DATA_DIR": str(tmp_path)}
    one = Settings.from_environment(here)
    other = Settings.from_environment({**here, "SOURCE": "example_csv"})
    assert one.warehouse_path != other.warehouse_path
    assert one.serving_link == other.serving_link


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOURCE", "no_such_shop"),
        ("SOURCE", "../etc"),
        ("TARGET", "oracle"),
        ("SEGMENTATION_THREADS", "0"),
        ("SEGMENTATION_THREADS", "two"),
        ("SEGMENTATION_MEMORY_LIMIT", "lots"),
        ("SEGMENTATION_MEMORY_LIMIT", "4GB'; drop table x"),
        ("SEGMENTATION_TIMEZONE", "Mars/Base"),
        ("SEGMENTATION_MAX_SOURCE_LAG_DAYS", "-1"),
        ("SEGMENTATION_KEPT_NIGHTS", "0"),
        ("SEGMENTATION_KEPT_FEATURE_DAYS", "0"),
        ("SEGMENTATION_KEPT_LOG_DAYS", "ninety"),
        ("SEGMENTATION_SHOP_CUSTOMERS", "0"),
        ("SEGMENTATION_SHOP_SEED", "first"),
        ("SEGMENTATION_LENSES", "overall;purchase"),
        ("SEGMENTATION_LENSES", "overall,"),
        ("SEGMENTATION_LENSES", "overall,overall"),
        ("SEGMENTATION_FORGET_KEY_FILE", str(Settings.from_environment({}).data_dir / "key")),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=name):
        Settings.from_environment({name: value})


def test_the_lenses_to_run_are_a_list_of_names_and_unset_leaves_it_to_their_files() -> None:
    assert Settings.from_environment({"SEGMENTATION_LENSES": "overall, purchase"}).lens_names == ("overall", "purchase")
    assert Settings.from_environment({"SEGMENTATION_LENSES": " "}).lens_names is None
