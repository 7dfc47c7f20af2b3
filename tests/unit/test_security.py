"""What must not be in the code, the repository or a process list: no run is needed to see it."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segmentation_job import airflow_environment as airflow

PROJECT_DIR = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(PROJECT_DIR / "segmentation_job").rglob("*.py"), *(PROJECT_DIR / "dags").rglob("*.py")])
FORBIDDEN_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "to_pickle", "unsafe_load", "full_load"}

SQL = re.compile(
    r"\s*\(*(select|insert into|delete from|update \S+ set|create (or replace|table|view|schema|temp)|drop (table|view)"
    r"|alter table|attach|detach|copy|comment on|describe|set \w+ =|inner join|left join|cast\(|coalesce\()",
    re.IGNORECASE,
)
# Reviewed: what code of ours puts into the text of a statement. Each is a name from a list in the code, from a catalog
# or from a checked declaration, a fragment made of such, or a path; a value of a row travels as a parameter.
IDENTIFIERS = {
    "table", "schema", "column", "columns", "name", "names", "kind", "source", "origin", "destination", "tables[0]",
    "suite.table", "self.schema(day)", "TABLES_VERSION_TABLE", "RESOLVED_SEGMENTS", "RHYTHM_COLUMNS",
    "name.partition('.')[2]", "table.partition('.')[0]", "new", "by", "definitions",
    "self._full(table)", "self._full(destination)", "self._relation(table)",
}  # fmt: skip
FRAGMENTS = {
    "expressions", "joins", "condition", "known", "known_days", "query", "key", "event", "read", "options", "SAMPLE",
    "', '.join(texts)", "STORAGE_VERSION", "_SHOWN_KEYS", "table.location",
    "dates",  # a table's name, as the store of the gate spells it
    "counts", "rows",  # conditions and tables of a suite in expectations/, which is code
    "months", "theirs",  # a table's name and a condition, both spelled out beside the statement
    "'varchar' if name in text_columns else 'double'",
    "'string' if f'{table}.{column}' in text_columns else 'double'",
    "fixed",  # a key as a condition, its values as parameters
    # A key as a partition or as a condition on one, which take no parameters: staged_changes lets letters, digits, _, -
    # and . through and raises for the rest.
    "gone", "partition_of(key)", "value",
    "day",  # a date's own text: views take no parameters
    "_doubled(text)",  # a description of our own YAML: comments take no parameters either
}  # fmt: skip
PATHS = {
    "folder",  # of Spark's tables, of which settings.py refuses quotes
    "quoted", "_quoted(path)", "_quoted(target)", "_quoted(warehouse_path)",
    "reading", "_reading(table, path)", "_reading(table, target)",  # a declared reader, with the path of one file
}  # fmt: skip

SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of AWS": r"\bAKIA[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a fernet key": r"(?<![\w+/=-])[A-Za-z0-9_-]{43}=(?![\w=])",
    # `a-password` and `word` stand for one in examples.
    "a password in a connection string": r"\w+://[^\s:/@'\"{$]+:(?!(?:a-password|word)@)[^\s@'\"{$]{3,}@",
    "a password that is assigned": r"(?i)\b(password|passwd|secret_key|api_key)\s*[=:]\s*['\"][\w+/-]{8,}['\"]",
}
ADVISORIES = "api.osv.dev"


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Yield every import and call in a module that could run what a file holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            # re.compile and the like are methods; the builtins are names.
            if name in FORBIDDEN_CALLS and (isinstance(called, ast.Name) or name not in ("compile", "eval", "exec")):
                yield name
            if name == "load" and isinstance(called, ast.Attribute) and ast.unparse(called) == "yaml.load":
                loaders = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "Loader"]
                if loaders not in (["yaml.SafeLoader"], ["getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"]):
                    yield "yaml.load"
            if any(
                keyword.arg in ("shell", "allow_pickle")
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value
                for keyword in node.keywords
            ):
                yield f"{name} with {', '.join(str(keyword.arg) for keyword in node.keywords)}"


def pasted(tree: ast.AST) -> Iterator[str]:
    """Yield what the module's SQL texts are put together from, as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            if SQL.match(text):
                yield from (ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            if isinstance(node.func.value, ast.Constant) and SQL.match(str(node.func.value.value)):
                yield ast.unparse(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            left = node.left
            if isinstance(left, ast.Constant) and isinstance(left.value, str) and SQL.match(left.value):
                yield ast.unparse(node)


def tracked_files() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (PROJECT_DIR / ".git").exists():
        pytest.skip("no git, or no repository: what is tracked cannot be listed")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=PROJECT_DIR, capture_output=True, text=True, check=True).stdout
    return [PROJECT_DIR / name for name in listed.split("\0") if name and (PROJECT_DIR / name).is_file()]


def secrets_in(text: str) -> list[str]:
    return [what for what, pattern in SECRETS.items() if re.search(pattern, text)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT_DIR)))
def test_no_module_unpickles_or_runs_text(path: Path) -> None:
    assert list(forbidden(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "frame.to_pickle('x')",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run('ls', shell=True)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_a_module_that_does_is_noticed(text: str) -> None:
    assert list(forbidden(ast.parse(text)))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT_DIR)))
def test_statements_are_put_together_from_reviewed_names_alone(path: Path) -> None:
    unknown = set(pasted(ast.parse(path.read_text()))) - IDENTIFIERS - FRAGMENTS - PATHS
    assert not unknown, f"{sorted(unknown)}: give values as parameters; review a name, then add it to the list above"


@pytest.mark.parametrize(
    "text",
    [
        "rows(f\"select * from customers where customer_id = '{customer_id}'\")",
        "rows('select * from customers where customer_id = %s' % customer_id)",
        'rows("delete from customers where customer_id = \'" + customer_id)',
        "rows('insert into customers values ({})'.format(customer_id))",
    ],
)
def test_a_value_that_is_pasted_into_a_statement_is_noticed(text: str) -> None:
    assert set(pasted(ast.parse(text))) - IDENTIFIERS - FRAGMENTS - PATHS


def test_no_tracked_file_holds_a_secret() -> None:
    found = {
        str(path.relative_to(PROJECT_DIR)): what
        for path in tracked_files()
        if path.suffix not in (".parquet", ".duckdb", ".png") and path != Path(__file__)
        if (what := secrets_in(path.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1B2" * 9,
        "postgresql://airflow:" + "hunter22@db/airflow",
        "password = '" + "correct-horse'",
        "fernet_key = " + "A" * 43 + "=",
    ],
)
def test_a_secret_is_noticed(text: str) -> None:
    assert secrets_in(text)


def test_only_containers_listen_on_all_interfaces() -> None:
    found = {
        str(path.relative_to(PROJECT_DIR))
        for path in tracked_files()
        if path.suffix in (".py", ".yml", ".yaml", ".sh", "") and path != Path(__file__)
        if "0.0.0.0" in path.read_text(errors="replace")
    }
    # The ports of the containers are published on loopback only: tests/integration/test_compose.py.
    assert found <= {"docker-compose.yml", "bi/superset/Dockerfile", "tests/dags/test_airflow_environment.py"}


def test_what_starts_airflow_has_its_secrets_neither_on_command_lines_nor_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append((command, env))
        Path(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")).touch()
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    environment = airflow.airflow_environment(data_dir=tmp_path, project_dir=PROJECT_DIR, inherited=os.environ)
    airflow.prepare_airflow(environment)
    home = Path(environment["AIRFLOW_HOME"])
    secrets = re.findall(r"^\w+ = (\S+)$", (home / "airflow.cfg").read_text(), re.MULTILINE)
    secrets += json.loads((home / airflow.PASSWORDS_FILE).read_text()).values()
    assert len(secrets) == 4
    commands = [command for command, _ in started]
    commands += [airflow.airflow_command(*arguments) for arguments in airflow.COMPONENTS.values()]
    seen = "\n".join([*(word for command in commands for word in command), *environment.values()])
    assert not [secret for secret in secrets if secret in seen]
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    for path in (home / "airflow.cfg", home / airflow.PASSWORDS_FILE):
        assert path.stat().st_mode & 0o077 == 0


def test_every_locked_package_is_held_to_the_hashes_of_its_files() -> None:
    packages = tomllib.loads((PROJECT_DIR / "uv.lock").read_text())["package"]
    fetched = [package for package in packages if "registry" in package["source"]]
    assert len(fetched) >= len(packages) - 1 > 100
    for package in fetched:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file.get("hash", "")) for file in files), package["name"]


def test_no_locked_package_has_a_known_vulnerability() -> None:
    uv = shutil.which("uv") or str(PROJECT_DIR / ".uv" / "bin" / "uv")
    if not Path(uv).exists():
        pytest.skip("there is no uv to ask with")
    try:
        socket.create_connection((ADVISORIES, 443), timeout=5).close()
    except OSError as error:
        pytest.skip(f"{ADVISORIES} cannot be reached ({error}): nothing was audited. `make audit` where it can.")
    audited = subprocess.run([uv, "audit", "--frozen"], cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert audited.returncode == 0, audited.stdout + audited.stderr
