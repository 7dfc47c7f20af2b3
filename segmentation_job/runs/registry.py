"""The registry of models and segments as events: appended when a run is promoted, never changed, never taken away."""

import json
from collections.abc import Sequence
from datetime import date

from segmentation_job.runs.decisions import ABOUT_MODELS, Decision
from segmentation_job.warehouse.interface import Warehouse

MODEL = "model"
SEGMENT = "segment"


def append_events(
    warehouse: Warehouse,
    run_date: date,
    new_versions: Sequence[str],
    new_segment_keys: Sequence[str],
    new_decisions: Sequence[Decision],
    withdrawn: Sequence[Decision] = (),
) -> None:
    """Append what the promotion of a run brought: models fitted, segments born, decisions applied or withdrawn.

    new_versions: models promoted now. new_segment_keys: segments registered now. withdrawn: decisions that are in the
    file no more.
    """
    events: list[tuple[str, str, str, str, date, dict[str, object]]] = []
    for version in new_versions:
        lens, fitted_as_of, algorithm, k, parent = warehouse.rows(
            "select lens, fitted_as_of, algorithm, k, parent_version from promoted.models where model_version = ?",
            (version,),
        )[0]
        details = {"algorithm": algorithm, "k": k, "parent_version": parent}
        events.append((lens, MODEL, version, "fitted", fitted_as_of, details))
    for key in new_segment_keys:
        lens, segment_id, name, relation, created_as_of = warehouse.rows(
            "select lens, segment_id, name, relation, created_as_of from promoted.segments where segment_key = ?",
            (key,),
        )[0]
        parents = [
            parent
            for (parent,) in warehouse.rows(
                "select parent_segment_key from promoted.segment_parents where segment_key = ? order by 1", (key,)
            )
        ]
        details = {"segment_id": segment_id, "name": name, "relation": relation, "parent_segment_keys": parents}
        events.append((lens, SEGMENT, key, "born", created_as_of, details))
    for decision in new_decisions:
        details = {"decision_id": decision.decision_id}
        if decision.kind in ABOUT_MODELS:
            day = decision.effective_from or run_date
            events.append((decision.lens, MODEL, str(decision.refit_date), decision.kind.value, day, details))
        else:
            details |= {"segment_id": decision.segment_id, "name": decision.name}
            events.append((decision.lens, SEGMENT, str(decision.segment_key), "renamed", run_date, details))
    for decision in withdrawn:
        subject, key = (
            (MODEL, str(decision.refit_date)) if decision.kind in ABOUT_MODELS else (SEGMENT, str(decision.segment_key))
        )
        details = {"decision_id": decision.decision_id, "kind": decision.kind.value}
        events.append((decision.lens, subject, key, "decision_withdrawn", run_date, details))
    newest = int(warehouse.rows("select coalesce(max(event_number), 0) from promoted.registry_events")[0][0])
    for number, (lens, subject, subject_key, event, happened_as_of, details) in enumerate(events, start=newest + 1):
        warehouse.rows(
            "insert into promoted.registry_events values (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, run_date, lens, subject, subject_key, event, happened_as_of, json.dumps(details, sort_keys=True)),
        )
