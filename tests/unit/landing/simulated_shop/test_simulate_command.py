"""`segmentation simulate` makes the shop that it is asked for."""

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from segmentation_job.cli import app
from segmentation_job.errors import MisconfiguredError


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SOURCE", "SEGMENTATION_SHOP_SEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGMENTATION_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SEGMENTATION_SHOP_CUSTOMERS", "40")
    return tmp_path


def simulate(*arguments: str) -> str:
    finished = CliRunner().invoke(app, ["simulate", "--days", "90", *arguments], catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.output


def test_it_lands_where_the_source_looks_for_it_with_the_settings_customers(data_dir: Path) -> None:
    said = simulate()
    assert "40 of 40 customers" in said
    assert "as-of date 2024-03-31" in said
    segments = pq.read_table(data_dir / "simulated_shop" / "truth" / "segments")
    assert segments.num_rows == 40
    assert (data_dir / "simulated_shop" / "landing" / "orders" / "part-00000.parquet").is_file()


def test_the_command_line_goes_before_the_settings(data_dir: Path) -> None:
    here = data_dir / "elsewhere"
    simulate(
        *("--customers", "150", "--seed", "9", "--dirt-rate", "0", "--drift", "0.5", "--target", str(here)),
        *("--appears", "lapsed_low_engagement=2024-02-01", "--vanishes", "seasonal_gift_buyers=2024-02-20"),
    )
    assert not (data_dir / "simulated_shop").exists()
    assert pq.read_table(here / "truth" / "planted_dirt").num_rows == 0
    intervals = pq.read_table(here / "truth" / "segment_intervals").to_pylist()
    assert len(intervals) > 190
    assert min(row["valid_from"] for row in intervals if row["segment"] == "lapsed_low_engagement") >= date(2024, 2, 1)


def test_a_segment_without_a_date_is_refused() -> None:
    refused = CliRunner().invoke(app, ["simulate", "--appears", "seasonal_gift_buyers"])
    assert refused.exit_code == 2
    assert "names no date" in refused.output


def test_an_unknown_segment_is_a_wrong_setting(data_dir: Path) -> None:
    with pytest.raises(MisconfiguredError, match="no latent segment"):
        simulate("--vanishes", "gnomes=2024-02-01")
    assert list(data_dir.iterdir()) == []
