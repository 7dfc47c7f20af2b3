"""The weekly check of a lens between refits, and where its alarms go."""

import hashlib
import json
from collections.abc import Callable, Collection
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.segments.lenses import Lens
from segmentation_job.segments.model import Model
from segmentation_job.segments.watching import (
    NIGHTS_BACK,
    Alarm,
    Emergence,
    Sample,
    drifting_alarms,
    emerging_alarm,
    retiring_alarms,
    sample_of,
    strongest_emergence,
)
from segmentation_job.warehouse.interface import Warehouse

WATCHED_CUSTOMERS = 8_000
"""The thresholds of growth are for about as many: of more customers, ever smaller changes would be significant."""

_MONDAY = 0
_WEEK = timedelta(days=7)

Read = Callable[[date], tuple[list[str], FeatureValues]]
"""Gives the ids, sorted, and the features of a date's customers, in the order of the model's encoding."""


def watch_dates(as_of: date, lineage_start: date) -> tuple[date, ...]:
    """Return the dates whose features a check leans on beside the model's fit date, ascending; none where none is due.

    A check is due on Mondays from 63 days after the lineage's start on: a week ago was checked against 56 days before.
    """
    checks = (as_of, as_of - _WEEK)
    days = {day for check in checks for day in (check, *(check - timedelta(days=nights) for nights in NIGHTS_BACK))}
    if as_of.weekday() != _MONDAY or min(days) < lineage_start:
        return ()
    return tuple(sorted(days))


def watch_lens(lens: Lens, model: Model, as_of: date, read: Read) -> list[Alarm]:
    """Return the alarms of a check: what emerges, what empties, which features drift; in this order.

    model: in effect at `as_of`; it sees every date. read: is asked for the `watch_dates` and for the model's fit date.
    """
    today_ids, today = read(as_of)
    _, at_fit = read(model.fitted_as_of)
    found: list[Alarm] = []
    if len(today):
        watched = today.customers(_watched(today_ids))
        now = sample_of(model, watched)
        emerging = emerging_alarm(
            _check(model, as_of, now, read),
            _check(model, as_of - _WEEK, _sample(model, as_of - _WEEK, read), read),
            model,
            lens,
            watched,
            now,
        )
        found += [emerging] if emerging else []
    found += retiring_alarms(model.cost(at_fit), model.cost(today), model, lens)
    found += drifting_alarms(at_fit, today, model, lens)
    return found


def write_alarms(warehouse: Warehouse, as_of: date, lens_name: str, alarms: Collection[Alarm]) -> None:
    """Write the candidate alarms of a lens at a date in place of those that an earlier attempt left."""
    warehouse.rows("delete from candidate.segment_alarms where as_of_date = ? and lens = ?", (as_of, lens_name))
    if not alarms:
        return
    schema = pa.schema(
        [
            ("as_of_date", pa.date32()),
            *((name, pa.string()) for name in ("lens", "kind", "segment_key", "feature")),
            *((name, pa.string()) for name in ("evidence", "proposal", "figures")),
        ]
    )
    rows = [
        {
            "as_of_date": as_of,
            "lens": lens_name,
            "kind": alarm.kind,
            "segment_key": alarm.segment_key,
            "feature": alarm.feature,
            "evidence": alarm.evidence,
            "proposal": alarm.proposal,
            "figures": json.dumps(alarm.figures, sort_keys=True, allow_nan=False),
        }
        for alarm in alarms
    ]
    warehouse.append("candidate.segment_alarms", pa.Table.from_pylist(rows, schema))


def _check(model: Model, day: date, now: Sample, read: Read) -> Emergence:
    earlier = {nights: _sample(model, day - timedelta(days=nights), read) for nights in NIGHTS_BACK}
    return strongest_emergence(now, earlier, model.k)


def _sample(model: Model, day: date, read: Read) -> Sample:
    ids, values = read(day)
    return sample_of(model, values.customers(_watched(ids)))


def _watched(ids: list[str]) -> np.ndarray:
    """The places of at most 8,000 customers, the same on every date: those whose ids have the smallest hashes."""
    if len(ids) <= WATCHED_CUSTOMERS:
        return np.arange(len(ids))
    hashes = [hashlib.sha256(customer.encode()).digest() for customer in ids]
    chosen = sorted(range(len(ids)), key=hashes.__getitem__)[:WATCHED_CUSTOMERS]
    return np.array(sorted(chosen))
