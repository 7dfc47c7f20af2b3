"""A session of Spark over Spark Connect, with the SQL that this project is written in."""

import socket
import warnings
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from segmentation_job.errors import MisconfiguredError

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

# About a minute: of a server that has ended no session comes back.
_RETRIES: Final = 7


def connected(address: str) -> "SparkSession":
    """Return a session of the Spark at an address of Spark Connect; raise MisconfiguredError where none answers."""
    try:
        with warnings.catch_warnings():
            # It tells every time that it does not know this pandas: no pandas passes between it and the job.
            warnings.simplefilter("ignore")
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise MisconfiguredError(
            "TARGET=spark needs the packages of the dependency group `spark`: uv sync --frozen --group spark "
            "(`make spark-cluster` does it)."
        ) from error
    _require_answer(address)
    session = SparkSession.builder.remote(address).create()
    session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
    # The SQL of the job quotes columns as the standard has it.
    session.conf.set("spark.sql.ansi.enabled", "true")
    session.conf.set("spark.sql.ansi.doubleQuotedIdentifiers", "true")
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    return session


def _require_answer(address: str) -> None:
    # Spark's client would try for ten minutes.
    parts = urlsplit(address)
    try:
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10).close()
    except OSError as error:
        raise MisconfiguredError(
            f"No Spark answers at {address} (SEGMENTATION_SPARK_CONNECT): start one by `make spark-cluster`, or name "
            "the address of yours."
        ) from error
