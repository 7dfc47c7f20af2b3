"""The list of who is to be kept out tells nothing without its key."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from segmentation_job.errors import MisconfiguredError
from segmentation_job.landing.forgotten import Forgotten, read_forgotten, read_or_make_key, write_forgotten

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "forget.key"


@pytest.fixture
def list_path(tmp_path: Path, key_path: Path) -> Path:
    path = tmp_path / "forgotten.jsonl"
    write_forgotten(path, path, Forgotten(read_or_make_key(key_path), frozenset()), [("customer", "c-1")], NOW)
    return path


def test_a_key_is_made_once_and_only_its_owner_reads_it(key_path: Path) -> None:
    key = read_or_make_key(key_path)
    assert len(key) == 32
    assert read_or_make_key(key_path) == key
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert [path.name for path in key_path.parent.iterdir()] == [key_path.name]


def test_the_list_knows_who_is_forgotten_and_holds_no_id(list_path: Path, key_path: Path) -> None:
    forgotten = read_forgotten(list_path, key_path)
    assert forgotten is not None
    assert forgotten.among("customer", ["c-1", "c-2", "1"]) == {"c-1"}
    # An order of the same name is another thing.
    assert forgotten.among("order", ["c-1"]) == set()
    assert "c-1" not in list_path.read_text()


def test_who_is_forgotten_twice_stands_in_the_list_once(list_path: Path, key_path: Path) -> None:
    before = list_path.read_text()
    forgotten = read_forgotten(list_path, key_path)
    assert forgotten is not None
    write_forgotten(list_path, list_path, forgotten, [("customer", "c-1")], NOW)
    assert list_path.read_text() == before
    write_forgotten(list_path, list_path, forgotten, [("customer", "c-2"), ("order", "o-1")], NOW)
    assert [json.loads(line).get("kind") for line in list_path.read_text().splitlines()] == [
        None,
        "customer",
        "customer",
        "order",
    ]


def test_without_a_list_no_key_is_needed(tmp_path: Path, key_path: Path) -> None:
    assert read_forgotten(tmp_path / "none.jsonl", key_path) is None


def test_a_missing_key_is_an_error(list_path: Path, key_path: Path) -> None:
    key_path.unlink()
    with pytest.raises(MisconfiguredError, match="their key is not at"):
        read_forgotten(list_path, key_path)


def test_another_key_is_an_error(list_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    read_or_make_key(other)
    with pytest.raises(MisconfiguredError, match="is not the one"):
        read_forgotten(list_path, other)


@pytest.mark.parametrize("text", ["", "no key\n", "00ff\n"])
def test_a_file_that_is_no_key_is_an_error(list_path: Path, key_path: Path, text: str) -> None:
    key_path.write_text(text)
    with pytest.raises(MisconfiguredError, match="key"):
        read_forgotten(list_path, key_path)


def test_a_list_that_cannot_be_read_keeps_runs_from_beginning(list_path: Path, key_path: Path) -> None:
    with list_path.open("a") as file:
        file.write('{"kind": "cust')
    with pytest.raises(MisconfiguredError, match="line 3 cannot be read"):
        read_forgotten(list_path, key_path)
