"""docker-compose.yml against the Compose specification, and against what this project asks of it.

There is no container engine where these tests run: they hold the file to the specification's own schema and
to its rules on interpolation, which is less than running it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation_job.steps import POOL

PROJECT_DIR = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT_DIR / "docker-compose.yml"
AIRFLOW_PARTS = {"api-server", "scheduler", "dag-processor"}
SPARK_PARTS = {"redis", "worker"}
SECRET = re.compile(r"password|secret|fernet", re.IGNORECASE)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def check_against_the_specification(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def settings(compose: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for service in compose["services"].values():
        yield from service.get("environment", {}).items()


def test_it_follows_the_compose_specification() -> None:
    finished = check_against_the_specification(COMPOSE)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("condition: service_healthy", "condition: service_is_healthy"),
        ("    healthcheck:", "    health_check:"),
        ("stop_grace_period: 2m", "stop_grace_period: [2]"),
    ],
)
def test_the_specification_notices_a_mistake(tmp_path: Path, right: str, wrong: str) -> None:
    text = COMPOSE.read_text()
    assert right in text
    mistaken = tmp_path / "docker-compose.yml"
    mistaken.write_text(text.replace(right, wrong))
    assert check_against_the_specification(mistaken).returncode != 0


def test_every_secret_is_required_and_none_has_a_value_or_default(compose: dict[str, Any]) -> None:
    secret_settings = {name: value for name, value in settings(compose) if SECRET.search(name)}
    secret_settings.pop("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
    assert len(secret_settings) >= 5
    for name, value in secret_settings.items():
        assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), name
    for text in texts(compose):
        for variable, rest in re.findall(r"\$\{([A-Z_]+)([^}]*)\}", text):
            if SECRET.search(variable):
                assert rest.startswith(":?"), text


def test_no_connection_string_holds_a_password(compose: dict[str, Any]) -> None:
    passwords = [re.search(r"://[^:/]+:(.*)@", text) for text in texts(compose)]
    found = [match.group(1) for match in passwords if match]
    assert found
    assert set(found) == {"${POSTGRES_PASSWORD:?set it in .env}"}


def test_the_example_of_the_env_file_names_every_required_variable_without_a_value() -> None:
    required = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text()))
    lines = [line for line in (PROJECT_DIR / ".env.example").read_text().splitlines() if "=" in line]
    example = {line for line in lines if not line.startswith("#")}
    assert example == {f"{name}=" for name in required}


def test_every_service_that_stays_up_has_a_health_check(compose: dict[str, Any]) -> None:
    staying = {name for name, service in compose["services"].items() if service.get("restart") != "no"}
    assert staying == AIRFLOW_PARTS | {"postgres", "superset"} | SPARK_PARTS
    for name in staying:
        assert compose["services"][name]["healthcheck"]["test"], name


def test_no_part_of_airflow_starts_before_its_metadata_is_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["initialise"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in AIRFLOW_PARTS:
        waits_for = services[name]["depends_on"]
        assert waits_for["initialise"] == {"condition": "service_completed_successfully"}
        assert waits_for["postgres"] == {"condition": "service_healthy"}


def test_what_only_the_profile_spark_needs_starts_with_that_profile_alone(compose: dict[str, Any]) -> None:
    of_profile = {name for name, service in compose["services"].items() if service.get("profiles") == ["spark"]}
    assert of_profile == SPARK_PARTS
    worker = compose["services"]["worker"]
    assert worker["environment"] == compose["services"]["scheduler"]["environment"]
    assert worker["depends_on"]["redis"] == {"condition": "service_healthy"}
    others = [service for name, service in compose["services"].items() if name not in SPARK_PARTS]
    assert not any(SPARK_PARTS & set(service.get("depends_on", {})) for service in others)


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_must_survive_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    assert {mount.split(":")[0] for mount in mounts} == set(compose["volumes"])


def test_the_parts_of_airflow_are_one_image_with_one_configuration(compose: dict[str, Any]) -> None:
    services = [compose["services"][name] for name in sorted(AIRFLOW_PARTS)]
    for service in services[1:]:
        assert service["image"] == services[0]["image"]
        assert service["environment"] == services[0]["environment"]


def test_the_initialisation_creates_the_pool_that_the_tasks_ask_for() -> None:
    script = (PROJECT_DIR / "docker" / "initialise.sh").read_text()
    assert f"airflow pools set {POOL} 1 " in script
    assert script.index("airflow db migrate") < script.index("airflow pools set")


def test_the_image_installs_from_the_lock_and_runs_without_root() -> None:
    lines = (PROJECT_DIR / "docker" / "Dockerfile").read_text().splitlines()
    syncs = [line for line in lines if "uv sync" in line]
    assert syncs
    assert all("--frozen" in line and "--group postgres" in line for line in syncs)
    assert [line for line in lines if line.startswith("USER ")] == ["USER airflow"]


@pytest.mark.parametrize(
    ("dockerfile", "context"), [("docker/Dockerfile", "."), ("bi/superset/Dockerfile", "bi/superset")]
)
def test_an_image_copies_only_what_exists_and_is_sent_to_the_builder(dockerfile: str, context: str) -> None:
    lines = (PROJECT_DIR / dockerfile).read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    ignore = (PROJECT_DIR / context / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert {source.removeprefix("./") for source in sources} == sent
    assert [source for source in sources if not (PROJECT_DIR / context / source).exists()] == []


@pytest.mark.parametrize("path", ["docker/Dockerfile", "bi/superset/Dockerfile"])
def test_an_image_brings_the_uv_that_the_makefile_pins(path: str) -> None:
    dockerfile = (PROJECT_DIR / path).read_text()
    makefile = (PROJECT_DIR / "Makefile").read_text()
    in_image = re.findall(r"^ARG UV_VERSION=(\S+)$", dockerfile, re.MULTILINE)
    in_makefile = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert in_image == in_makefile
    assert len(in_image) == 1


def test_the_dashboard_reads_the_data_and_writes_to_a_volume_of_its_own(compose: dict[str, Any]) -> None:
    superset = compose["services"]["superset"]
    mounts = [mount.split(":") for mount in superset["volumes"]]
    dockerfile = (PROJECT_DIR / "bi" / "superset" / "Dockerfile").read_text()
    assert [name for name, *rest in mounts if rest[1:] != ["ro"]] == ["superset-home"]
    for variable in ("SUPERSET_HOME", "SEGMENTATION_DATA_DIR"):
        folder = re.search(rf"{variable}=(\S+)", dockerfile)
        assert folder
        assert folder.group(1) in {place for _, place, *_ in mounts}
    assert "USER superset" in dockerfile
    assert superset["ports"] == ["127.0.0.1:8088:8088"]


def test_the_lock_points_at_the_public_index_alone() -> None:
    hosts = set(re.findall(r'"https?://([^/"]+)', (PROJECT_DIR / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    assert "file://" not in (PROJECT_DIR / "uv.lock").read_text()
