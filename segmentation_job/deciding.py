"""Decisions that people make on the command line: checked against the published file, appended to the source's file."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.runs.calendar import refit_date_for, refit_dates_between
from segmentation_job.runs.decisions import Decision, DecisionKind


def decide_rename(
    link: Path, segment_id: str, name: str, *, now: datetime, decided_by: str, reason: str, earlier: Sequence[Decision]
) -> Decision:
    """Return the decision to call a segment otherwise; raise MisconfiguredError where that cannot be.

    link: to the published file. now: UTC, without zone. earlier: decisions made already, applied or not.
    """
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise MisconfiguredError(f"{name!r} is no name: give one to 80 characters.")
    rows = _rows(link, "select lens, segment_id, segment_key, name, superseded_by from segments")
    by_id = {row[1]: row for row in rows}
    if segment_id not in by_id:
        known = ", ".join(sorted(row[1] for row in rows if row[4] is None))
        raise MisconfiguredError(f"There is no segment {segment_id!r}. There are: {known}.")
    lens, _, key, _, superseded_by = by_id[segment_id]
    if superseded_by is not None:
        raise MisconfiguredError(f"{segment_id} is superseded by {superseded_by}: rename that one.")
    # Those that it stands for itself are not in its way: often one segment was born twice and named alike.
    names = {row[1]: str(row[3]) for row in rows if row[0] == lens and row[4] != segment_id}
    for decision in earlier:
        if decision.kind is DecisionKind.RENAME and decision.segment_id in names:
            names[decision.segment_id] = str(decision.name)
    holder = next((other for other, its in names.items() if its.casefold() == name.casefold()), None)
    if holder is not None and holder != segment_id:
        raise MisconfiguredError(f"{holder} is called {name!r} already: names of a lens differ.")
    return Decision(
        decided_at=now,
        kind=DecisionKind.RENAME,
        lens=lens,
        segment_key=key,
        segment_id=segment_id,
        name=name,
        decided_by=decided_by,
        reason=reason,
    )


def decide_about_model(
    link: Path,
    kind: DecisionKind,
    lens: str,
    refit_date: date | None,
    *,
    now: datetime,
    decided_by: str,
    reason: str,
    refit_months: int,
) -> Decision:
    """Return the decision to hold, approve or reject the model of a refit date; it counts from the next date on.

    refit_date: by default the one that waits, and of a hold or a rejection where none waits, the next one. Raises
    MisconfiguredError where there is no such model, or where it is decided so already.
    """
    newest = dict(_rows(link, "select lens, max(as_of_date) from segmentation_runs group by lens"))
    if lens not in newest:
        raise MisconfiguredError(f"Lens {lens!r} has no published date. There are: {', '.join(sorted(newest))}.")
    found = _rows(
        link, "select fitted_as_of, status, model_version from models where lens = ? order by fitted_as_of", [lens]
    )
    models = {day: str(status) for day, status, _ in found}
    versions = {day: str(version) for day, _, version in found}
    waiting = [day for day, status in models.items() if status == "held"]
    following = refit_dates_between(newest[lens] + timedelta(days=1), newest[lens] + timedelta(days=366), refit_months)[
        0
    ]
    if refit_date is None:
        if kind is DecisionKind.APPROVE and not waiting:
            raise MisconfiguredError(f"No model of lens {lens} waits for approval.")
        # What waits is held already: a further hold is of the next refit.
        refit_date = waiting[-1] if waiting and kind is not DecisionKind.HOLD else following
    if refit_date_for(refit_date, refit_months) != refit_date:
        raise MisconfiguredError(f"{refit_date} is no refit date: the next one of lens {lens} is {following}.")
    if refit_date <= newest[lens] and refit_date not in models:
        known = ", ".join(str(day) for day in models)
        raise MisconfiguredError(f"Lens {lens} has no model of {refit_date}. It has those of {known}.")
    status = models.get(refit_date)
    newer = [day for day, its in models.items() if its == "in_effect" and day > refit_date]
    if kind is DecisionKind.APPROVE and newer:
        raise MisconfiguredError(
            f"The model of {newer[0]} is in effect, and newer than that of {refit_date}: approving changes nothing. "
            f"Reject the newer one first."
        )
    if kind is DecisionKind.APPROVE and status is None:
        raise MisconfiguredError(f"The refit of {refit_date} is still to come: nothing is to be approved yet.")
    if (kind, status) in (
        (DecisionKind.APPROVE, "in_effect"),
        (DecisionKind.APPROVE, "replaced"),
        (DecisionKind.REJECT, "rejected"),
        (DecisionKind.HOLD, "held"),
    ):
        raise MisconfiguredError(
            f"The model of {refit_date} of lens {lens} is {str(status).replace('_', ' ')} already."
        )
    if kind is not DecisionKind.APPROVE and models and refit_date == min(models):
        raise MisconfiguredError(
            f"The model of {refit_date} is the first of lens {lens}: no other could take its place."
        )
    return Decision(
        decided_at=now,
        kind=kind,
        lens=lens,
        refit_date=refit_date,
        model_version=versions.get(refit_date) if kind is DecisionKind.APPROVE else None,
        effective_from=newest[lens] + timedelta(days=1),
        decided_by=decided_by,
        reason=reason,
    )


def _rows(link: Path, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    if not link.exists():
        raise SegmentationError(f"{link} does not exist: nothing is published yet. Run `make run` first.")
    with duckdb.connect(str(link), read_only=True) as connection:
        try:
            return connection.execute(sql, list(parameters)).fetchall()
        except duckdb.BinderException as error:
            raise SegmentationError(
                f"{link} was published by an older version, which does not say what a decision needs: run a date first."
            ) from error
