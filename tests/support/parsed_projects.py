"""What dbt has parsed is lent to the next data folder: to parse the project takes longer than to build a layer."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

# Of the profile and the project alone: with another of these dbt parses anew, and with none of the others.
PARSED_BY = ("SOURCE", "SEGMENTATION_THREADS", "SEGMENTATION_MEMORY_LIMIT", "PYTHONPATH")
_PARSED = "partial_parse.msgpack"
_lent_from: Path | None = None


def share_parses_in(folder: Path) -> None:
    """Keep what is parsed from now on in a folder, and lend it from there."""
    global _lent_from
    folder.mkdir(parents=True, exist_ok=True)
    _lent_from = folder


def lend_parse(source_dir: Path, environment: Mapping[str, str]) -> None:
    """Give a source's data folder what dbt parsed in another with the same settings, unless it has that already."""
    if _lent_from is None:
        return
    target, key = source_dir / "dbt" / "target", _key(environment)
    parsed, mark = _lent_from / f"{key}.msgpack", target / "parsed_by"
    if parsed.exists() and not (mark.exists() and mark.read_text() == key):
        target.mkdir(parents=True, exist_ok=True)
        _copy(parsed, target / _PARSED)
        mark.write_text(key)


def keep_parse(source_dir: Path, environment: Mapping[str, str]) -> None:
    """Keep what dbt parsed in a source's data folder for the next one."""
    target, key = source_dir / "dbt" / "target", _key(environment)
    if _lent_from is None or not (target / _PARSED).exists():
        return
    (target / "parsed_by").write_text(key)
    if not (_lent_from / f"{key}.msgpack").exists():
        _copy(target / _PARSED, _lent_from / f"{key}.msgpack")


def _key(environment: Mapping[str, str]) -> str:
    return hashlib.sha256(repr([environment.get(name) for name in PARSED_BY]).encode()).hexdigest()[:16]


def _copy(origin: Path, destination: Path) -> None:
    """Whole or not at all: another worker may read the destination."""
    unfinished = destination.with_name(f"{destination.name}.{os.getpid()}")
    shutil.copyfile(origin, unfinished)
    unfinished.replace(destination)
