"""Commands as processes that need not import the libraries of the field: each is the fork of one that has.

A night's thirty commands import duckdb, scikit-learn, Great Expectations and dbt for longer than they compute. Here one
server for each pytest worker imports them, once, and forks for every command. What is ours is imported by the command
itself, from the project that its PYTHONPATH names. What a fork cannot show, that a command loads what it needs and
nothing else and dies with its children, is shown by commands that are started as always: `Nights.start`, Airflow's.
"""

import atexit
import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

BIN: Final = Path(sys.executable).parent
LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "segmentation": (
        "typer.main",
        "rich.console",
        "numpy",
        "pyarrow",
        "duckdb",
        "duckdb_engine",
        "pandas",
        "yaml",
        "scipy.optimize",
        "scipy.stats",
        "scipy.special",
        "sklearn.cluster",
        "sklearn.mixture",
        "sklearn.metrics",
        "sklearn.tree",
        "statsmodels.tsa.api",
        "threadpoolctl",
        "great_expectations.core.expectation_suite",
        "great_expectations.expectations.core",
    ),
    "dbt": ("dbt.cli.main", "dbt.adapters.duckdb"),
}
"""What the server of each command imports beforehand: nothing of ours."""

READ_AT_IMPORT: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")
"""Environment variables of which a process that has imported takes no notice any more."""

_LARGEST_REQUEST: Final = 1 << 20
_SEGMENTATION_READS_GX: Final = {"GX_ANALYTICS_ENABLED": "False"}


class WarmProcesses:
    """The servers of this process, started when they are first needed."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._servers: list[subprocess.Popen[str]] = []

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
        """Run a command of ours to its end; return its exit code and what it printed.

        arguments: the command's name, `segmentation`, and what follows it. environment: all of it. folder: where it
        is run.
        """
        with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as nothing:
            descriptors = (nothing.fileno(), output.fileno(), output.fileno())
            exit_code = _ask(self._places(), arguments, environment, folder, descriptors)
            output.seek(0)
            return exit_code, output.read().decode(errors="replace")

    def put_on_path(self, folder: Path) -> None:
        """Write a `segmentation` into a folder that has the command forked; the folder then goes first on a PATH.

        Whoever ends it ends the command.
        """
        folder.mkdir()
        program = folder / "segmentation"
        program.write_text(
            f"#!{sys.executable} -S\n"
            "import sys\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from warm_processes import pass_on\n"
            f"sys.exit(pass_on({str(self._places())!r}))\n"
        )
        program.chmod(0o755)

    def _places(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
            atexit.register(self._stop)
            for name in LIBRARIES:
                self._servers.append(
                    subprocess.Popen(
                        [sys.executable, __file__, name, str(self._folder)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        env={**os.environ, **_SEGMENTATION_READS_GX},
                    )
                )
            for server in self._servers:
                assert server.stdout is not None
                if server.stdout.readline() != "ready\n":
                    raise AssertionError(f"{server.args!r} did not start")
        return self._folder

    def _stop(self) -> None:
        for server in self._servers:
            assert server.stdin is not None
            server.stdin.close()
        for server in self._servers:
            server.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@cache
def warm_processes() -> WarmProcesses:
    """Return those of this process."""
    return WarmProcesses()


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Tell whether a command in this environment is the same where its libraries were imported in ours."""
    return all(environment.get(name) == os.environ.get(name) for name in READ_AT_IMPORT)


def pass_on(places: str) -> int:
    """Have the command line of this process run in its place; return the exit code."""
    code = _ask(Path(places), ["segmentation", *sys.argv[1:]], os.environ, Path.cwd(), (0, 1, 2))
    return code if code >= 0 else 128 - code


def _ask(
    places: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | str,
    descriptors: Sequence[int],
) -> int:
    """Have a command run by the server of its name; return its exit code, negative where a signal ended it."""
    request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST_REQUEST)
        connection.connect(str(places / arguments[0]))
        socket.send_fds(connection, [json.dumps(request).encode()], list(descriptors))
        answer = connection.recv(64)
    if not answer:
        raise AssertionError(f"the server of {arguments[0]} ended")
    return int(answer)


class _Server:
    """Forks for each request, and answers with the exit code of the fork."""

    def __init__(self, place: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(place))
        self._listener.listen()
        self._ended, self._wakeup = socket.socketpair()
        for end in (self._ended, self._wakeup):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup.fileno())
        self._asked: dict[int, socket.socket] = {}
        self._events = selectors.DefaultSelector()
        for source in (self._listener, self._ended, sys.stdin):
            self._events.register(source, selectors.EVENT_READ)

    def next_command(self) -> dict[str, Any] | None:
        """Return, in a fork, what it is to run; return None, in the server, once nobody can ask any more."""
        while True:
            for key, _ in self._events.select():
                if key.fileobj is sys.stdin:
                    self._kill(list(self._asked))
                    return None
                if key.fileobj is self._ended:
                    self._answer()
                elif key.fileobj is self._listener:
                    request = self._accept()
                    if request is not None:
                        return request
                else:
                    # Whoever asked is gone: pytest has given the test up.
                    self._kill([pid for pid, asker in self._asked.items() if asker is key.fileobj])
                    self._events.unregister(key.fileobj)

    def _accept(self) -> dict[str, Any] | None:
        asker, _ = self._listener.accept()
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LARGEST_REQUEST)
        message, descriptors, _, _ = socket.recv_fds(asker, _LARGEST_REQUEST, 3)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._events.close()
            for opened in (self._listener, self._ended, self._wakeup, asker, *self._asked.values()):
                opened.close()
            request: dict[str, Any] = json.loads(message)
            request["descriptors"] = descriptors
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        self._asked[pid] = asker
        self._events.register(asker, selectors.EVENT_READ)
        return None

    def _answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ended.recv(4096)
        for pid in list(self._asked):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                asker = self._asked.pop(pid)
                with contextlib.suppress(KeyError):
                    self._events.unregister(asker)
                with contextlib.suppress(OSError):
                    asker.send(str(os.waitstatus_to_exitcode(status)).encode())
                asker.close()

    @staticmethod
    def _kill(pids: Sequence[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _become(command: dict[str, Any], places: Path) -> None:
    """Turn this process into the one that would have been started: session, streams, environment, folder, arguments."""
    os.setsid()
    for place, descriptor in enumerate(command["descriptors"]):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["folder"])
    name, *arguments = command["arguments"]
    sys.argv = [str(BIN / name), *arguments]
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    started = subprocess.run

    def run(words: Sequence[str], **options: Any) -> Any:
        """Have commands of ours forked, too, and start all others."""
        environment = options.get("env", os.environ)
        program = Path(shutil.which(words[0], path=environment.get("PATH")) or words[0])
        if program.parent != BIN or program.name not in LIBRARIES or not options.keys() <= _UNDERSTOOD:
            return started(words, **options)
        sys.stdout.flush()
        code = _ask(places, [program.name, *words[1:]], environment, options.get("cwd") or Path.cwd(), (0, 1, 2))
        return subprocess.CompletedProcess(list(words), code)

    subprocess.run = run  # type: ignore[assignment]


# That a child dies with its parent is lost: whoever kills a step has started it.
_UNDERSTOOD: Final = {"env", "cwd", "check", "preexec_fn"}


def _run(name: str) -> None:
    if name == "dbt":
        from dbt.cli.main import cli

        sys.exit(cli())
    from segmentation_job.cli import main

    main()


def _serve(name: str, places: Path) -> None:
    # As a console script has it.
    sys.path[0] = str(BIN)
    for library in LIBRARIES[name]:
        import_module(library)
    assert not [module for module in sys.modules if module.partition(".")[0] == "segmentation_job"]
    # A collection in a fork would copy all that it shares.
    gc.collect()
    gc.freeze()
    server = _Server(places / name)
    print("ready", flush=True)
    command = server.next_command()
    if command is None:
        # What Great Expectations holds would be reported as leaks while the interpreter ends, as in `cli.main`.
        os._exit(0)
    _become(command, places)
    _run(name)


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
