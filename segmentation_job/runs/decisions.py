"""What people decide about segments and models: appended to a file, applied by the next run.

The file is one JSON object a line. It is the only thing that a person writes; everything else follows from the data.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from segmentation_job.errors import MisconfiguredError, SegmentationError


class DecisionKind(StrEnum):
    """What can be decided."""

    RENAME = "rename"
    HOLD = "hold"
    APPROVE = "approve"
    REJECT = "reject"


ABOUT_MODELS = (DecisionKind.HOLD, DecisionKind.APPROVE, DecisionKind.REJECT)


@dataclass(frozen=True)
class Decision:
    """One decision.

    decided_at: UTC, without zone. refit_date, effective_from: of decisions about the model of a refit date, and the
    as-of date from which they count; earlier dates stay what they are. model_version: that an approval is of: a model
    that is fitted anew for the date is another, which nobody has seen. segment_key, segment_id, name: of a rename.
    decided_by, reason: as the person wrote them.
    """

    decided_at: datetime
    kind: DecisionKind
    lens: str
    refit_date: date | None = None
    effective_from: date | None = None
    model_version: str | None = None
    segment_key: str | None = None
    segment_id: str | None = None
    name: str | None = None
    decided_by: str = ""
    reason: str = ""

    @property
    def decision_id(self) -> str:
        """Sixteen hex digits of what was decided and when."""
        return hashlib.sha256(_line(self).encode()).hexdigest()[:16]


class ModelStatus(StrEnum):
    """Whether the model of a refit date may be in effect at a date."""

    PROMOTED = "promoted"
    HELD = "held"
    REJECTED = "rejected"


_STATUS_BY_KIND = {
    DecisionKind.HOLD: ModelStatus.HELD,
    DecisionKind.APPROVE: ModelStatus.PROMOTED,
    DecisionKind.REJECT: ModelStatus.REJECTED,
}


def append_decision(path: Path, decision: Decision) -> None:
    """Append a decision to the file, whole or not at all, and wait until it is on the disk.

    Half a line at the end, which a killed command left behind, gives way: it never was a decision, and in the midst
    of the file it would be an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # Until it is closed: whoever else decides now waits, and what they wrote is not taken for half a line.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        whole, _, rest = os.pread(descriptor, size, 0).rpartition(b"\n")
        line = f"{_line(decision)}\n".encode()
        if rest.strip() and _is_decision(rest):
            # Somebody edited the file and left out the last line break.
            line = b"\n" + line
        elif rest:
            size = len(whole) + 1 if whole or size > len(rest) else 0
            os.ftruncate(descriptor, size)
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, size)
            raise SegmentationError(f"{path}: the disk is full; the decision is not made.")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Return the decisions of the file, in the order in which they were made; none where there is no file.

    Raises MisconfiguredError naming file and line where a line cannot be read; half a line at the end, which a killed
    command left behind, is no decision.
    """
    if not path.exists():
        return ()
    # Not splitlines: a reason may hold one of the other characters at which that divides.
    *lines, rest = path.read_bytes().split(b"\n")
    if _is_decision(rest):
        lines.append(rest)
    decisions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            decisions.append(parse_decision(line.decode()))
        except (ValueError, KeyError, TypeError) as error:
            raise MisconfiguredError(
                f"{path}, line {number}: no decision can be read from it ({error}). Mend or remove the line."
            ) from error
    # A line that was copied is one decision; two of one instant stand as they will once they are promoted.
    return tuple(sorted(set(decisions), key=lambda decision: (decision.decided_at, decision.decision_id)))


def parse_decision(line: str) -> Decision:
    """Return the decision of a line; raise ValueError, KeyError or TypeError where there is none in it."""
    content: Any = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    kind = DecisionKind(content.pop("kind"))
    decided_at = datetime.fromisoformat(content.pop("decided_at"))
    if decided_at.tzinfo is not None:
        raise ValueError("decided_at is UTC, written without a zone")
    for name in ("refit_date", "effective_from"):
        content[name] = date.fromisoformat(content[name]) if content.get(name) else None
    decision = Decision(decided_at=decided_at, kind=kind, **content)
    lacking = ("refit_date", "effective_from") if kind in ABOUT_MODELS else ("segment_key", "name")
    for name in lacking:
        if getattr(decision, name) is None:
            raise ValueError(f"a {kind} needs {name}")
    return decision


def _is_decision(line: bytes) -> bool:
    try:
        parse_decision(line.decode())
    except (ValueError, KeyError, TypeError):
        return False
    return True


def write_decision(decision: Decision) -> str:
    """Return the line that `parse_decision` reads."""
    return _line(decision)


def model_status(
    lens: str,
    refit_date: date,
    as_of: date,
    *,
    model_version: str | None,
    is_stable: bool,
    decisions: Iterable[Decision],
) -> ModelStatus:
    """Return whether the model of a refit date may be in effect at a date.

    The newest decision that counts by then says so; without one it is promoted where its stability passed (is_stable)
    and waits where it did not. A hold or a rejection is of whatever model the date has, an approval of the one that was
    seen (model_version). decisions: in the order in which they were made.
    """
    status = ModelStatus.PROMOTED if is_stable else ModelStatus.HELD
    for decision in decisions:
        if decision.kind not in ABOUT_MODELS or (decision.lens, decision.refit_date) != (lens, refit_date):
            continue
        if decision.kind is DecisionKind.APPROVE and decision.model_version not in (None, model_version):
            continue
        if decision.effective_from is not None and decision.effective_from <= as_of:
            status = _STATUS_BY_KIND[decision.kind]
    return status


def decision_dates(lens: str, decisions: Sequence[Decision]) -> list[date]:
    """Return the dates from which decisions about a lens's models count, ascending."""
    return sorted(
        {
            decision.effective_from
            for decision in decisions
            if decision.lens == lens and decision.effective_from is not None
        }
    )


def _line(decision: Decision) -> str:
    content = {key: value for key, value in asdict(decision).items() if value not in (None, "")}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, default=_text)


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in a decision")
