"""What the tests of the DAG share: an Airflow home of their own, and the DAG as Airflow parses it."""

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parents[2]

# Importing Airflow writes its configuration into its home: never the developer's own.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-of-the-tests-")
os.environ["AIRFLOW_HOME"] = _HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow.sdk import DAG  # noqa: E402 - reads the environment above

ParseDag = Callable[..., DAG]
FakeCommand = Callable[[str], Path]


@pytest.fixture
def parse_dag() -> ParseDag:
    """Return a function that parses a DAG afresh, the nightly one by default, with the environment of that moment."""

    def parse(name: str = "customer_segmentation") -> DAG:
        path = PROJECT_DIR / "dags" / f"{name}.py"
        specification = importlib.util.spec_from_file_location(f"{name}_dag", path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        dag = module.dag
        assert isinstance(dag, DAG)
        return dag

    return parse


@pytest.fixture
def fake_segmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCommand:
    """Return a function that puts a `segmentation` of these shell lines first on PATH.

    It answers the file to which the command writes its arguments, one call a line.
    """

    def put(lines: str) -> Path:
        bin_dir = tmp_path / "bin"
        bin_dir.mkdir(exist_ok=True)
        calls = tmp_path / "calls"
        command = bin_dir / "segmentation"
        command.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n{lines}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
        return calls

    return put
