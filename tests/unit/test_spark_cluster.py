"""What the cluster says when it cannot start: no cluster is needed to see it."""

import fcntl
import socket
from pathlib import Path

import pytest

from segmentation_job import spark_cluster
from segmentation_job.errors import MisconfiguredError
from segmentation_job.spark_cluster import ClusterPorts, java_command, running_cluster


def java_of(folder: Path, version: str) -> Path:
    """A Java that only says its version, where Java does: on standard error."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"""#!/bin/sh\necho 'openjdk version "{version}" 2018-10-16' >&2\n""", encoding="utf-8")
    java.chmod(0o755)
    return java


def test_without_java_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"no java on PATH\. Install Java 17 or newer"):
        java_command({"PATH": str(tmp_path)})
    with pytest.raises(MisconfiguredError, match=r"JAVA_HOME=.* has no bin/java"):
        java_command({"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)})


def test_a_java_that_is_too_old_is_refused_and_a_newer_one_taken(tmp_path: Path) -> None:
    java_of(tmp_path / "old", "11.0.2")
    with pytest.raises(MisconfiguredError, match=r'Spark wants Java 17, and .*/old/bin/java says .*version "11'):
        java_command({"PATH": "/bin", "JAVA_HOME": str(tmp_path / "old")})
    newer = java_of(tmp_path / "new", "21.0.1")
    assert java_command({"PATH": f"{newer.parent}:/bin"}) == str(newer)


@pytest.fixture
def startable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a cluster whose parts nobody starts: Java and Spark seem to be there."""
    java = java_of(tmp_path / "java", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(java.parent.parent))
    monkeypatch.setattr(spark_cluster, "spark_home", lambda: tmp_path / "pyspark")

    def start(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(spark_cluster, "_start", start)
    return tmp_path / "spark"


def test_a_port_in_use_is_named_with_the_option_that_changes_it(startable: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = ClusterPorts.free()
        ports = ClusterPorts(free.master, taken.getsockname()[1], free.connect, free.thrift)
        with (
            pytest.raises(MisconfiguredError, match=rf"Port {ports.master_page} .* --master-page-port"),
            running_cluster(startable, ports=ports),
        ):
            pass


def test_a_folder_whose_metastore_is_in_use_is_refused(startable: Path) -> None:
    startable.mkdir()
    with (startable / "cluster.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(MisconfiguredError, match="A cluster already runs in"), running_cluster(startable):
            pass


def test_the_scratch_files_of_a_killed_cluster_go_and_its_tables_stay(startable: Path) -> None:
    for name in ("scratch/blocks", "work/worker-1", "warehouse/shop_marts.db"):
        (startable / name).mkdir(parents=True)
    with pytest.raises(AssertionError), running_cluster(startable):
        pass
    assert [path.name for path in (startable / "warehouse").iterdir()] == ["shop_marts.db"]
    assert not [*(startable / "scratch").iterdir(), *(startable / "work").iterdir()]
