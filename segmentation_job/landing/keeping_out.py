"""Who is forgotten and lands again is taken out of the landing before anything reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from segmentation_job.landing.declaration import declaration_of
from segmentation_job.landing.forgotten import Forgotten, Kind, read_forgotten, write_forgotten
from segmentation_job.landing.removal import (
    PersonalIds,
    RewrittenFile,
    distinct_ids,
    orders_of,
    require_removable,
    rewrite_landing,
    rewrite_truth,
)
from segmentation_job.prepared_change import Move, commit_change, finish_change, sole_change, stamp_of
from segmentation_job.settings import Settings


@dataclass(frozen=True)
class KeptOut:
    """Forgotten people who had landed again, and the rows that were taken out of the landing."""

    customers: int
    rows: int


def require_forget_key(settings: Settings) -> None:
    """Raise MisconfiguredError where people must be kept out and their key is missing or another one."""
    finish_change(settings.forgetting_dir)
    read_forgotten(settings.forgotten_path, settings.forget_key_path)


def keep_out_forgotten(settings: Settings, now: datetime) -> KeptOut:
    """Take out of the landing whoever is forgotten and has landed again, with their orders; say how many rows.

    Raises MisconfiguredError as `require_forget_key` does.
    """
    finish_change(settings.forgetting_dir)
    forgotten = read_forgotten(settings.forgotten_path, settings.forget_key_path)
    if forgotten is None:
        return KeptOut(0, 0)
    declaration = declaration_of(settings)
    require_removable(declaration, settings.landing_dir)
    with sole_change(settings.forgetting_dir):
        customers, orders = distinct_ids(declaration)
        known = forgotten.among("customer", customers)
        placed = orders_of(declaration, known, {}) if known else frozenset()
        ids = PersonalIds(known, placed | forgotten.among("order", orders))
        if not ids.customers and not ids.orders:
            return KeptOut(0, 0)
        folder = settings.forgetting_dir
        rewritten = rewrite_landing(declaration, ids, folder / "landing")
        rewritten += rewrite_truth(settings.source_data_dir / "truth", ids, folder / "truth")
        commit_change(folder, [list_move(settings, forgotten, ids, now), *landing_moves(rewritten)])
    return KeptOut(len(known), sum(file.rows_removed for file in rewritten))


def landing_moves(rewritten: Sequence[RewrittenFile]) -> list[Move]:
    """Return what puts rewritten files in the place of those that they were written from."""
    return [Move("replace", str(file.path), str(file.replacement), stamp_of(file.path)) for file in rewritten]


def list_move(settings: Settings, forgotten: Forgotten, ids: PersonalIds, now: datetime) -> Move:
    """Prepare the list with further people and orders on it; return what puts it in its place."""
    target = settings.forgetting_dir / settings.forgotten_path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    new: set[tuple[Kind, str]] = {("customer", each) for each in ids.customers}
    new |= {("order", each) for each in ids.orders}
    write_forgotten(settings.forgotten_path, target, forgotten, new, now)
    return Move("replace", str(settings.forgotten_path), str(target))
