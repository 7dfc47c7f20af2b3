"""What takes long to build is built once, whichever of pytest's workers needs it first."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def session_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all of pytest's workers share."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "built-once"
    folder.mkdir(exist_ok=True)
    return folder


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that `build` has filled, once per test session; the others wait for it."""
    place = session_folder(factory) / name
    done = place.with_name(f"{name}.done")
    with place.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            # Half of what a worker that failed has left is worth nothing.
            shutil.rmtree(place, ignore_errors=True)
            build(place)
            done.touch()
    return place
