"""A change of several files is made whole, whatever kills the process that makes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from segmentation_job import prepared_change
from segmentation_job.errors import WarehouseLockedError
from segmentation_job.prepared_change import Move, commit_change, finish_change, sole_change, stamp_of


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, a link to the first, and a change that puts others in their place."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"old {name}")
    (tmp_path / "link").symlink_to("one")
    return tmp_path / "change"


def prepare(folder: Path) -> list[Move]:
    folder.mkdir()
    for name in ("one", "two"):
        (folder / name).write_text(f"new {name}")
    home = folder.parent
    return [
        Move("replace", str(home / "two"), str(folder / "two"), stamp_of(home / "two")),
        Move("replace", str(home / "three"), str(folder / "one")),
        Move("link", str(home / "link"), str(home / "three")),
        Move("remove", str(home / "one")),
    ]


def seen(folder: Path) -> dict[str, str]:
    return {
        path.name: path.read_text() for path in folder.parent.iterdir() if path.is_file() and path.suffix != ".lock"
    }


OLD = {"one": "old one", "two": "old two", "link": "old one"}
NEW = {"two": "new two", "three": "new one", "link": "new one"}


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[Move], None]:
    real = prepared_change._carry_out
    left = [steps]

    def carry_out(move: Move) -> None:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1
        real(move)

    monkeypatch.setattr(prepared_change, "_carry_out", carry_out)
    return real


def test_a_change_that_is_made_leaves_no_folder(folder: Path) -> None:
    with sole_change(folder):
        commit_change(folder, prepare(folder))
    assert seen(folder) == NEW
    assert not folder.exists()


@pytest.mark.parametrize("steps", range(5))
def test_a_change_that_was_cut_off_is_finished_by_the_next_that_comes(
    folder: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = killed_after(steps, monkeypatch)
    if steps < 4:
        with pytest.raises(KilledError), sole_change(folder):
            commit_change(folder, prepare(folder))
        monkeypatch.setattr(prepared_change, "_carry_out", real)
    else:
        with sole_change(folder):
            commit_change(folder, prepare(folder))
    finish_change(folder)
    assert seen(folder) == NEW
    assert not folder.exists()


def test_what_was_not_prepared_to_the_end_changes_nothing(folder: Path) -> None:
    prepare(folder)
    finish_change(folder)
    assert seen(folder) == OLD
    assert not folder.exists()


def test_a_file_that_came_meanwhile_stays(folder: Path) -> None:
    with sole_change(folder):
        moves = prepare(folder)
        (folder.parent / "two").write_text("newer than that")
        commit_change(folder, moves)
    assert seen(folder) == {**NEW, "two": "newer than that"}


def test_only_one_process_changes_at_a_time(folder: Path) -> None:
    with sole_change(folder):
        prepare(folder)
        with pytest.raises(WarehouseLockedError, match="by another process"):
            finish_change(folder)
    assert seen(folder) == OLD
