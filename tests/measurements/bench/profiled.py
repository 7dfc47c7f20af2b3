"""Run one `segmentation` command under Python's profiler, and print where its own time went as JSON.

python profiled.py segment --as-of 2025-12-30
"""

import cProfile
import json
import os
import pstats
import sys
from pathlib import Path
from typing import Any, Final

from segmentation_job.cli import app

SHOWN: Final = 6

# What is imported while the command runs belongs to its start.
IMPORTING: Final = (
    "importlib",
    "_frozen",
    "marshal",
    "posix.stat",
    "builtins.",
    "_imp.",
    "typing",
    "BufferedReader",
    "collections",
    "enum.py",
    "dataclasses.py",
    "re/_",
)


def name_of(function: tuple[str, int, str]) -> str:
    """Return a function as a reader finds it: module and name, or what is built in."""
    file, _, name = function
    if file == "~":
        return name.strip("<>").removeprefix("built-in method ").removeprefix("method ")
    return f"{Path(file).parent.name}/{Path(file).name} {name}"


def main() -> None:
    profile = cProfile.Profile()
    output = os.dup(1)
    # What the command says is not asked for.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    profile.enable()
    try:
        app(args=sys.argv[1:], standalone_mode=False)
    except SystemExit:
        pass
    finally:
        profile.disable()
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    own = sorted(((taken[2], name_of(function)) for function, taken in stats.items()), reverse=True)
    shown = [[name, round(seconds, 2)] for seconds, name in own if not any(word in name for word in IMPORTING)]
    os.write(output, json.dumps(shown[:SHOWN]).encode())
    # As the command line does: Great Expectations keeps references that make noise while the interpreter ends.
    os._exit(0)


if __name__ == "__main__":
    main()
