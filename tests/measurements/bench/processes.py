"""Whole processes, as a user starts them, with what they took."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
# A virtual environment's own python would read its site packages' .pth files: that is not what is measured here.
LAUNCH: Final = (sys.executable, "-I", "-S", str(LAUNCHER))


class ProcessFailedError(RuntimeError):
    """A process of the benchmark ended with an exit code that was not expected."""


@dataclass(frozen=True)
class Measured:
    """What a process took, its children included. peak_megabytes: of its largest single process."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def measure(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, expected: Sequence[int] = (0,)
) -> tuple[Measured, str]:
    """Run a command to its end; return what it took and what it printed.

    folder: from where it runs. expected: exit codes that are right. Raises ProcessFailedError with the command's last
    words for any other.
    """
    with tempfile.TemporaryDirectory() as place:
        result = Path(place) / "result.json"
        finished = subprocess.run(
            [*LAUNCH, str(result), *command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        found: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {"exit_code": "no exit code"}
    if found["exit_code"] not in expected:
        raise ProcessFailedError(f"{' '.join(command)} ended with {found['exit_code']}:\n{finished.stdout[-6000:]}")
    found.pop("exit_code")
    return Measured(**found), finished.stdout


def plain_environment() -> dict[str, str]:
    """Return this process's environment without what would change a run."""
    left_out = ("SEGMENTATION_", "AIRFLOW_", "DBT_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(left_out) and name not in ("SOURCE", "TARGET", "PYTHONDONTWRITEBYTECODE")
    }
