"""Which logs go: by their age alone, and never a line that somebody still writes or cannot be read."""

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from segmentation_job.old_logs import KEPT_RUN_LOG_DAYS, find_old_logs, remove_old_logs
from segmentation_job.run_log import logged_step, read_run_log
from segmentation_job.settings import Settings

NOW = datetime(2026, 6, 7, 5, tzinfo=UTC)
DAY = date(2025, 1, 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    read = Settings.from_environment({"SEGMENTATION_DATA_DIR": str(tmp_path), "SEGMENTATION_KEPT_LOG_DAYS": "90"})
    read.source_data_dir.mkdir()
    return read


def log_file(path: Path, days_old: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line\n")
    written = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(path, (written, written))
    return path


def event(days_old: float, kind: str, step: str, attempt: int = 1) -> str:
    at = (NOW - timedelta(days=days_old)).replace(tzinfo=None).isoformat()
    return json.dumps({"as_of": str(DAY), "step": step, "attempt": attempt, "event": kind, "at": at, "outcome": "done"})


def remove_what_is_old(settings: Settings) -> None:
    remove_old_logs(settings, find_old_logs(settings, NOW), NOW)


def test_files_older_than_the_setting_go_with_their_empty_folders_and_younger_ones_stay(settings: Settings) -> None:
    airflow = settings.data_dir / "airflow" / "logs"
    old = [
        log_file(settings.source_data_dir / "logs" / "dag_2025-01-01.log", 91),
        log_file(settings.source_data_dir / "dbt" / "logs" / "dbt.log.3", 200),
        log_file(airflow / "dag_id=a" / "run_id=1" / "attempt=1.log", 91),
    ]
    young = [
        log_file(settings.source_data_dir / "logs" / "dag_2025-01-02.log", 89),
        log_file(airflow / "dag_id=a" / "run_id=2" / "attempt=1.log", 1),
    ]
    found = find_old_logs(settings, NOW)
    assert sorted(path for logs in found for path in logs.files) == sorted(old)
    assert sum(logs.size for logs in found) == 3 * len("a line\n")
    assert all(path.exists() for path in old)
    remove_what_is_old(settings)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)
    assert not (airflow / "dag_id=a" / "run_id=1").exists()
    assert (settings.source_data_dir / "dbt" / "logs").is_dir()


def test_what_a_link_points_to_outside_the_logs_stays(settings: Settings, tmp_path: Path) -> None:
    elsewhere = log_file(tmp_path / "elsewhere" / "diary.log", 900)
    logs = settings.source_data_dir / "logs"
    logs.mkdir()
    (logs / "linked").symlink_to(elsewhere.parent)
    (logs / "diary").symlink_to(elsewhere)
    remove_what_is_old(settings)
    assert elsewhere.exists()


def test_only_logs_go_from_the_data_folder(settings: Settings) -> None:
    others = [
        log_file(settings.landing_dir / "orders.parquet", 900),
        log_file(settings.published_dir / "segments_2025-01-01_20250101T000000000000Z.duckdb", 900),
        log_file(settings.decisions_path, 900),
        log_file(settings.data_dir / "airflow" / "airflow.db", 900),
        log_file(settings.source_data_dir / "dbt" / "target" / "manifest.json", 900),
    ]
    remove_what_is_old(settings)
    assert all(path.exists() for path in others)


def test_steps_older_than_the_run_log_keeps_go_and_half_lines_stay(settings: Settings) -> None:
    limit = KEPT_RUN_LOG_DAYS
    old = [event(limit + 2, "started", "check"), event(limit + 1, "ended", "check")]
    kept = [
        '{"as_of": "2025-01-01", "st',
        # It began long ago and ended since, so that its start is needed.
        event(limit + 1, "started", "promote"),
        event(limit - 1, "ended", "promote"),
        event(1, "started", "check", attempt=2),
    ]
    settings.run_log_path.write_text("\n".join([old[0], kept[0], old[1], *kept[1:]]) + "\n")
    (found,) = find_old_logs(settings, NOW)
    assert (found.lines, found.size) == (2, sum(len(line) + 1 for line in old))
    remove_what_is_old(settings)
    assert settings.run_log_path.read_text().splitlines() == kept
    assert find_old_logs(settings, NOW) == []


def test_attempts_are_numbered_on_where_the_first_ones_are_dropped(settings: Settings) -> None:
    settings.run_log_path.write_text(event(500, "started", "check") + "\n" + event(1, "started", "check", 2) + "\n")
    remove_what_is_old(settings)
    with logged_step(settings.run_log_path, DAY, "check"):
        pass
    assert [(entry.attempt, entry.outcome) for entry in read_run_log(settings.run_log_path)] == [
        (2, "unfinished"),
        (3, "done"),
    ]


def test_without_any_folder_there_is_nothing_to_remove(settings: Settings) -> None:
    nowhere = replace(settings, data_dir=settings.data_dir / "nowhere")
    assert find_old_logs(nowhere, NOW) == []
    remove_old_logs(nowhere, [], NOW)
