"""The client of Airflow's API, against a server on loopback that answers what a test has written down."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from segmentation_job.airflow_client import (
    AirflowClient,
    BackfillDeadlineError,
    BackfillIsOpenError,
    Reprocess,
    read_password,
)
from segmentation_job.airflow_environment import PASSWORDS_FILE, AirflowError

DAG = "a_dag"
JANUARY = (date(2018, 1, 1), date(2018, 1, 30))
ROW = {
    "id": 7,
    "dag_id": DAG,
    "from_date": "2018-01-01T00:00:00Z",
    "to_date": "2018-01-30T23:59:59Z",
    "reprocess_behavior": "failed",
    "is_paused": False,
    "completed_at": None,
}
COMPLETED = {**ROW, "completed_at": "2018-02-01T00:00:00Z"}


def run_row(run_id: str, logical_date: str | None, state: str, moment: str, **more: object) -> dict[str, object]:
    row: dict[str, object] = {"dag_run_id": run_id, "run_type": "scheduled", "state": state, "queued_at": None}
    return row | {"logical_date": logical_date, "run_after": moment, "start_date": moment} | more


@dataclass
class StandInAirflow:
    """What a server answers, and what it was asked.

    answers: by method and path, the answers in order; the last one is repeated. asked: method, path, query, body.
    """

    url: str
    answers: dict[tuple[str, str], list[tuple[int, object]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, list[str]], Any]] = field(default_factory=list)

    def will_answer(self, method: str, path: str, *answers: tuple[int, object]) -> None:
        self.answers[method, path] = list(answers)

    def asked_with(self, method: str, path: str) -> list[Any]:
        return [body for verb, where, _, body in self.asked if (verb, where) == (method, path)]


@pytest.fixture
def airflow() -> Iterator[StandInAirflow]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = parts.path.removeprefix("/api/v2/")
            stand_in.asked.append((self.command, path, parse_qs(parts.query), body))
            answers = stand_in.answers.get((self.command, path), [(404, {"detail": "Not Found"})])
            code, content = answers.pop(0) if len(answers) > 1 else answers[0]
            if self.headers.get("Authorization") == "Bearer outdated":
                code, content = 401, {"detail": "outdated"}
            payload = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - the names that the server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in = StandInAirflow(url=f"http://127.0.0.1:{server.server_address[1]}")
    stand_in.will_answer("POST", "/auth/token", (201, {"access_token": "a token"}))
    stand_in.will_answer("GET", f"dags/{DAG}", (200, {"is_paused": False}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield stand_in
    server.shutdown()
    server.server_close()


def client_of(airflow: StandInAirflow, **options: Any) -> AirflowClient:
    return AirflowClient(airflow.url + "/", "admin", "a password", sleep=lambda _: None, **options)


def test_a_backfill_runs_its_last_date_too_and_one_date_at_a_time(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (200, ROW))
    backfill = client_of(airflow).create_backfill(DAG, *JANUARY, Reprocess.FAILED)
    assert (backfill.id, backfill.first_date, backfill.last_date, backfill.reprocess) == (7, *JANUARY, Reprocess.FAILED)
    (body,) = airflow.asked_with("POST", "backfills")
    assert body == {
        "dag_id": DAG,
        "from_date": "2018-01-01T00:00:00Z",
        "to_date": "2018-01-30T23:59:59Z",
        "reprocess_behavior": "failed",
        "run_backwards": False,
        "max_active_runs": 1,
        "dag_run_conf": {},
    }


def test_a_backfill_of_a_paused_dag_is_refused_before_it_waits_for_ever(airflow: StandInAirflow) -> None:
    airflow.will_answer("GET", f"dags/{DAG}", (200, {"is_paused": True}))
    with pytest.raises(AirflowError, match=f"airflow dags unpause {DAG}"):
        client_of(airflow).create_backfill(DAG, *JANUARY)
    assert airflow.asked_with("POST", "backfills") == []


def test_a_second_open_backfill_is_an_error_of_its_own(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (409, {"detail": "There is already a running backfill"}))
    with pytest.raises(BackfillIsOpenError, match="already a running backfill"):
        client_of(airflow).create_backfill(DAG, *JANUARY)


def test_a_locked_database_is_asked_again(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (503, {"detail": "Database is locked"}), (200, ROW))
    assert client_of(airflow).create_backfill(DAG, *JANUARY).id == 7
    assert len(airflow.asked_with("POST", "backfills")) == 2


def test_a_database_that_stays_locked_names_the_remedy(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (503, {"detail": "Database is locked"}))
    with pytest.raises(AirflowError, match="PostgreSQL"):
        client_of(airflow, patience=0.0).create_backfill(DAG, *JANUARY)


def test_what_may_have_been_done_is_not_done_again(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (500, {"detail": "Internal Server Error"}), (200, ROW))
    with pytest.raises(AirflowError, match="500"):
        client_of(airflow).create_backfill(DAG, *JANUARY)


def test_a_refused_range_is_told_in_airflows_words(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "backfills", (422, {"detail": "Backfill cannot be executed for future dates."}))
    with pytest.raises(AirflowError, match="future dates"):
        client_of(airflow).create_backfill(DAG, *JANUARY)


def test_the_open_backfill_is_found_on_any_page(airflow: StandInAirflow) -> None:
    first = [{**COMPLETED, "id": number} for number in range(100)]
    airflow.will_answer("GET", "backfills", (200, {"backfills": first}), (200, {"backfills": [{**ROW, "id": 100}]}))
    assert [backfill.id for backfill in client_of(airflow).open_backfills(DAG)] == [100]
    assert [query["offset"] for _, path, query, _ in airflow.asked if path == "backfills"] == [["0"], ["100"]]


def test_waiting_ends_when_airflow_has_completed_the_backfill(airflow: StandInAirflow) -> None:
    airflow.will_answer("GET", "backfills/7", (200, ROW), (200, ROW), (200, COMPLETED))
    ended = client_of(airflow).wait_for_backfill(7, deadline=60.0)
    assert ended.completed_at == datetime(2018, 2, 1, tzinfo=UTC)


def test_a_deadline_names_the_dates_that_wait(airflow: StandInAirflow) -> None:
    airflow.will_answer("GET", "backfills/7", (200, ROW))
    runs = [
        run_row("done", "2018-01-01T02:00:00Z", "success", "2018-02-01T00:00:00Z"),
        run_row("waits", "2018-01-02T02:00:00Z", "queued", "2018-02-01T00:00:00Z"),
    ]
    airflow.will_answer("GET", f"dags/{DAG}/dagRuns", (200, {"dag_runs": runs}))
    ticks = iter(range(100))
    with pytest.raises(BackfillDeadlineError, match="2018-01-02 queued") as raised:
        client_of(airflow, monotonic=lambda: float(next(ticks))).wait_for_backfill(7, deadline=2.0)
    assert "2018-01-01" not in str(raised.value).partition("had not ended")[2]


def test_the_state_of_a_date_is_that_of_its_newest_run(airflow: StandInAirflow) -> None:
    runs = [
        run_row("backfill", "2018-01-05T02:00:00Z", "success", "2018-02-03T00:00:00Z"),
        run_row("scheduled", "2018-01-05T02:00:00Z", "failed", "2018-01-05T02:00:01Z"),
        run_row("asked without a date", None, "running", "2018-01-05T09:00:00Z"),
    ]
    airflow.will_answer("GET", f"dags/{DAG}/dagRuns", (200, {"dag_runs": runs}))
    client = client_of(airflow)
    assert client.dag_run_state(DAG, date(2018, 1, 5)) == "success"
    assert [run.run_id for run in client.dag_runs(DAG, date(2018, 1, 5), date(2018, 1, 5))] == [
        "scheduled",
        "asked without a date",
        "backfill",
    ]


def test_a_date_without_a_run_has_no_state(airflow: StandInAirflow) -> None:
    airflow.will_answer("GET", f"dags/{DAG}/dagRuns", (200, {"dag_runs": []}))
    assert client_of(airflow).dag_run_state(DAG, date(2018, 1, 5)) is None


def test_a_token_that_has_ended_is_renewed(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "/auth/token", (201, {"access_token": "outdated"}), (201, {"access_token": "new"}))
    assert client_of(airflow).is_paused(DAG) is False
    assert len(airflow.asked_with("POST", "/auth/token")) == 2


def test_a_wrong_password_is_named_without_being_shown(airflow: StandInAirflow) -> None:
    airflow.will_answer("POST", "/auth/token", (401, {"detail": "Invalid credentials"}))
    client = client_of(airflow)
    with pytest.raises(AirflowError, match="SEGMENTATION_AIRFLOW_PASSWORD") as raised:
        client.is_paused(DAG)
    assert "a password" not in str(raised.value)
    assert "a password" not in repr(client)


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    client = AirflowClient("http://127.0.0.1:9", "admin", "a password", patience=1e6)
    with pytest.raises(AirflowError, match=r"does not answer at http://127\.0\.0\.1:9 .*make airflow"):
        client.is_paused(DAG)


def test_an_unknown_dag_is_told_from_an_unknown_backfill(airflow: StandInAirflow) -> None:
    with pytest.raises(AirflowError, match="list-import-errors"):
        client_of(airflow).is_paused("no_dag")
    with pytest.raises(AirflowError, match="answered 404 to GET backfills/8"):
        client_of(airflow).backfill(8)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://admin:word@127.0.0.1"])
def test_an_address_that_is_none_or_holds_a_password_is_refused(url: str) -> None:
    with pytest.raises(AirflowError):
        AirflowClient(url, "admin", "a password")


def test_the_password_comes_from_the_environment_else_from_the_generated_file(tmp_path: Path) -> None:
    with pytest.raises(AirflowError, match="SEGMENTATION_AIRFLOW_PASSWORD is not set"):
        read_password({}, tmp_path)
    (tmp_path / PASSWORDS_FILE).write_text(json.dumps({"admin": "generated"}))
    assert read_password({}, tmp_path) == "generated"
    assert read_password({"SEGMENTATION_AIRFLOW_PASSWORD": "given"}, tmp_path) == "given"
    with pytest.raises(AirflowError, match="no password for somebody"):
        read_password({}, tmp_path, user="somebody")
