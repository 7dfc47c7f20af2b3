"""A Spark cluster for the tests of one file, and the settings of a source on it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from segmentation_job.settings import Settings
from segmentation_job.spark_cluster import ClusterSize, RunningCluster, running_cluster

# Two workers, so that one can be killed; as little memory as they start with.
SMALL = ClusterSize(workers=2, cores=1, memory_mb=1024, driver_memory_mb=1024)


@contextmanager
def small_cluster(folder: Path) -> Iterator[RunningCluster]:
    """Start a small cluster with its tables, logs and metastore in a folder."""
    with running_cluster(folder, size=SMALL) as cluster:
        yield cluster


def settings_on(cluster: RunningCluster, data_dir: Path, **others: str) -> Settings:
    """Return the settings of a source in a data folder on a cluster. others: further environment variables."""
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SEGMENTATION_")},
        **cluster.environment,
        "SEGMENTATION_DATA_DIR": str(data_dir),
        **others,
    }
    return Settings.from_environment(environment)
