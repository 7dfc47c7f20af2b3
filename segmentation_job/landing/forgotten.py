"""Who is to be kept out: keyed hashes of their ids, the key kept elsewhere."""

import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from segmentation_job.errors import MisconfiguredError

KEY_BYTES: Final = 32
_CHECKED_TEXT: Final = "check"

Kind = Literal["customer", "order"]


@dataclass(frozen=True)
class Forgotten:
    """The hashes of forgotten customers and of their orders, with the key that tells whether an id is among them."""

    key: bytes
    hashes: frozenset[str]

    def hash_of(self, kind: Kind, identifier: str) -> str:
        """Return the keyed hash (HMAC-SHA256) of an id."""
        return keyed_hash(self.key, f"{kind}:{identifier}")

    def among(self, kind: Kind, identifiers: Iterable[str]) -> frozenset[str]:
        """Return those of some ids that are forgotten."""
        return frozenset(each for each in identifiers if self.hash_of(kind, each) in self.hashes)


def keyed_hash(key: bytes, text: str) -> str:
    """Return HMAC-SHA256 of a text in hexadecimal."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def read_forgotten(list_path: Path, key_path: Path) -> Forgotten | None:
    """Return who is forgotten, None where nobody is; raise MisconfiguredError where the key is missing or another."""
    if not list_path.exists():
        return None
    key = _read_key(key_path)
    if key is None:
        raise MisconfiguredError(
            f"{list_path} holds people who must be kept out, and their key is not at {key_path}: no run can keep them "
            "out without it. Put the key back, or name its place in SEGMENTATION_FORGET_KEY_FILE."
        )
    hashes, check = set(), ""
    for number, line in enumerate(list_path.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
            if "check" in entry:
                check = str(entry["check"])
            else:
                hashes.add(str(entry["hash"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise MisconfiguredError(
                f"{list_path}, line {number} cannot be read, so that nobody knows who must be kept out: restore the "
                "file from a copy."
            ) from error
    if not hmac.compare_digest(check, keyed_hash(key, _CHECKED_TEXT)):
        raise MisconfiguredError(
            f"The key in {key_path} is not the one that {list_path} was made with: put that one back, or name its "
            "place in SEGMENTATION_FORGET_KEY_FILE."
        )
    return Forgotten(key, frozenset(hashes))


def read_or_make_key(key_path: Path) -> bytes:
    """Return the key, made (readable by its owner alone) where there is none yet."""
    key = _read_key(key_path)
    if key is not None:
        return key
    key_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_bytes(KEY_BYTES)
    unfinished = key_path.with_name(f".{key_path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # Never over a key that another process has made meanwhile.
        os.link(unfinished, key_path)
    except FileExistsError:
        return read_or_make_key(key_path)
    finally:
        unfinished.unlink()
    return key


def write_forgotten(
    origin: Path, target: Path, forgotten: Forgotten, new: Iterable[tuple[Kind, str]], now: datetime
) -> frozenset[str]:
    """Write the list with further ids to another file; return all hashes that are in it then.

    origin: the list as it is, which may not exist. forgotten: it, with the key. new: kinds and ids.
    """
    lines = (
        origin.read_text().splitlines()
        if origin.exists()
        else [json.dumps({"check": keyed_hash(forgotten.key, _CHECKED_TEXT)})]
    )
    hashes = set(forgotten.hashes)
    for kind, identifier in sorted(new):
        content = forgotten.hash_of(kind, identifier)
        if content not in hashes:
            hashes.add(content)
            lines.append(json.dumps({"kind": kind, "hash": content, "forgotten_at": now.isoformat(timespec="seconds")}))
    target.write_text("".join(f"{line}\n" for line in lines))
    return frozenset(hashes)


def _read_key(key_path: Path) -> bytes | None:
    if not key_path.exists():
        return None
    try:
        key = bytes.fromhex(key_path.read_text().strip())
    except (ValueError, OSError) as error:
        raise MisconfiguredError(
            f"{key_path} is no readable key: it must hold {2 * KEY_BYTES} hexadecimal digits."
        ) from error
    if len(key) != KEY_BYTES:
        raise MisconfiguredError(f"{key_path} holds {len(key)} bytes; a key has {KEY_BYTES}.")
    return key
