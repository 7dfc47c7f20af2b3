"""Follow docs/runbook.md word for word in a copy of the project, and compare what is printed with what stands there.

A `console` block holds commands (`$ …`, continued by `> …`) and what they print. In what they print `…` stands for any
text within a line, a line `…` for any lines. All commands share one shell, so that what one exports the next one has.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PROJECT_DIR = Path(__file__).resolve().parents[2]
RUNBOOK = PROJECT_DIR / "docs" / "runbook.md"
ANY = "…"


@dataclass(frozen=True)
class Command:
    """A command of the runbook: its line number, its text, the lines that it is said to print."""

    line: int
    text: str
    expected: tuple[str, ...]


def read_commands(text: str) -> list[Command]:
    """Return the commands of all console blocks in their order."""
    commands: list[Command] = []
    begun: tuple[int, list[str], list[str]] | None = None
    inside = False

    def end() -> None:
        if begun is not None:
            commands.append(Command(begun[0], "\n".join(begun[1]), tuple(begun[2])))

    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip().startswith("```"):
            end()
            begun = None
            inside = line.strip() == "```console"
        elif inside and line.startswith("$ "):
            end()
            begun = (number, [line.removeprefix("$ ")], [])
        elif inside and begun is not None and line.startswith("> ") and not begun[2]:
            begun[1].append(line.removeprefix("> "))
        elif inside and begun is not None:
            begun[2].append(line)
    end()
    return commands


def matches(expected: tuple[str, ...], printed: tuple[str, ...]) -> bool:
    """Say whether lines are what is expected, `…` standing for anything."""
    parts = []
    for line in expected:
        if line.strip() == ANY:
            parts.append(r"(?:.*\n)*")
        else:
            parts.append(".*".join(re.escape(part) for part in line.rstrip().split(ANY)) + r"[ ]*\n")
    return re.fullmatch("".join(parts), "".join(f"{line.rstrip()}\n" for line in printed)) is not None


class Shell:
    """One bash, to which commands are given one by one."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            # A person's shell is no part of another make, which would say so in what it prints.
            env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, text: str) -> tuple[str, ...]:
        """Run a command to its end and return the lines that it printed."""
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        mark = f"__end_{time.monotonic_ns()}__"
        # What the command would read is empty: the next command is not its input.
        stdin.write(f"{{ {text}\n}} < /dev/null\nprintf '\\n%s\\n' {mark}\n")
        stdin.flush()
        lines = list(_until(stdout, mark))
        # The mark begins a line of its own: the line before it is empty unless the command left one open.
        if lines and not lines[-1]:
            lines.pop()
        return tuple(lines)


def _pipe(pipe: "IO[str] | None") -> "IO[str]":
    if pipe is None:
        raise RuntimeError("the shell has no pipe")
    return pipe


def _until(stdout: "IO[str]", mark: str) -> Iterator[str]:
    for line in stdout:
        if line.rstrip("\n") == mark:
            return
        yield line.rstrip("\n")
    raise RuntimeError("the shell ended before its command did")


def main() -> int:
    """Follow the runbook; exit with 1 where something else is printed than stands there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a clone in which `make install` was run; the commands change it")
    parser.add_argument("--show", action="store_true", help="show what every command printed")
    arguments = parser.parse_args()
    commands = read_commands(RUNBOOK.read_text())
    shell = Shell(arguments.folder.resolve())
    differing = 0
    for command in commands:
        begun = time.monotonic()
        printed = shell.run(command.text)
        is_as_said = matches(command.expected, printed)
        differing += not is_as_said
        verdict = "as said" if is_as_said else "DIFFERS"
        print(f"{verdict} {time.monotonic() - begun:6.1f} s  line {command.line}: {command.text}")
        if arguments.show or not is_as_said:
            print("\n".join(f"    {line}" for line in printed), flush=True)
        sys.stdout.flush()
    print(f"{len(commands)} commands, {differing} printed something else than stands in {RUNBOOK.name}")
    return 1 if differing or not commands else 0


if __name__ == "__main__":
    sys.exit(main())
