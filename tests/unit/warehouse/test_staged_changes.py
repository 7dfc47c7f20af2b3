"""Changes beside the tables count from the journal on, and are put in place once or twice with the same end."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from segmentation_job.warehouse.staged_changes import StagedChanges, condition_of, partition_of

DAY = date(2018, 1, 1)
ROWS = pa.table({"day": [DAY], "name": ["a"]})


def names_in(folder: Path) -> list[str]:
    return sorted(name for file in folder.iterdir() for name in pa.parquet.read_table(file).column("name").to_pylist())


def test_what_is_not_decided_is_forgotten(tmp_path: Path) -> None:
    changes = StagedChanges(tmp_path, "shop")
    changes.write_whole("pipeline.plans", ROWS)
    changes.add_rows("promoted.labels", ROWS)
    again = StagedChanges(tmp_path, "shop")
    assert not again.is_decided
    assert (again.small, again.large) == ({}, {})
    again.clear()
    assert list((tmp_path / "_changes").iterdir()) == []


def test_a_decided_change_is_known_to_the_next_process_and_put_in_place_twice_is_there_once(tmp_path: Path) -> None:
    changes = StagedChanges(tmp_path, "shop")
    changes.write_whole("pipeline.plans", ROWS)
    changes.take_away("promoted.labels", {"as_of_date": DAY, "lens": "overall"})
    changes.add_rows("promoted.labels", ROWS)
    changes.decide()
    for _ in range(2):
        again = StagedChanges(tmp_path, "shop")
        assert again.is_decided
        assert again.large["promoted.labels"].gone == [{"as_of_date": "2018-01-01", "lens": "overall"}]
        # The rows came after what went, and are not concerned by it.
        assert [after for _, after in again.large["promoted.labels"].written] == [1]
        again.put_small_in_place()
        assert names_in(again.folder_of("pipeline.plans")) == ["a"]
    again.clear()
    assert not StagedChanges(tmp_path, "shop").is_decided
    assert names_in(again.folder_of("pipeline.plans")) == ["a"]


def test_a_small_table_is_its_new_file_alone(tmp_path: Path) -> None:
    for name in ("old", "new"):
        changes = StagedChanges(tmp_path, "shop")
        changes.write_whole("pipeline.plans", pa.table({"day": [DAY], "name": [name]}))
        changes.decide()
        changes.put_small_in_place()
        changes.clear()
    assert names_in(changes.folder_of("pipeline.plans")) == ["new"]


def test_two_sources_do_not_meet(tmp_path: Path) -> None:
    changes = StagedChanges(tmp_path, "shop")
    changes.write_whole("pipeline.plans", ROWS)
    changes.decide()
    other = StagedChanges(tmp_path, "other")
    assert not other.is_decided
    other.clear()
    assert StagedChanges(tmp_path, "shop").is_decided


@pytest.mark.parametrize("value", ["a'b", "a b", "x) or (1 = 1", "é", "", 'a"b', "a`b"])
def test_a_value_that_could_be_more_than_a_value_partitions_nothing(tmp_path: Path, value: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        StagedChanges(tmp_path, "shop").take_away("promoted.labels", {"lens": value})


def test_a_key_is_said_as_a_condition_and_as_a_partition() -> None:
    key = {"as_of_date": "2018-01-01", "lens": "overall"}
    assert partition_of(key) == "as_of_date = '2018-01-01', lens = 'overall'"
    assert condition_of([key, {"lens": "b"}]) == (
        "coalesce(cast(as_of_date as string) = '2018-01-01', false) and"
        " coalesce(cast(lens as string) = 'overall', false) or coalesce(cast(lens as string) = 'b', false)"
    )
