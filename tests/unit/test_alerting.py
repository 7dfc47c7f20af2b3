"""What a person is told, and that telling it never stands in a run's way."""

import json
import os
import shlex
import shutil
import threading
import time
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest

from segmentation_job.alerting import Alert, AlertKind, alert_of_step, send_alert, tell_about_night
from segmentation_job.settings import PROJECT_DIR, Settings

ALERT = Alert(kind=AlertKind.FAILED_STEP, as_of="2018-01-05", meaning="it's “broken”", remedy="mend it", exit_code=1)
TODAY = date(2018, 2, 5)


@pytest.fixture
def log() -> list[str]:
    return []


def environment_with(command: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "SEGMENTATION_ALERT_COMMAND": command}


def test_the_command_is_given_the_alert_on_its_standard_input(tmp_path: Path, log: list[str]) -> None:
    told = tmp_path / "told by $HOME; rm -rf"
    assert send_alert(ALERT, environment_with(f"tee {shlex.quote(str(told))}"), log.append)
    assert json.loads(told.read_text()) == {
        "kind": "failed_step",
        "dag": "customer_segmentation",
        "run": None,
        "as_of": "2018-01-05",
        "step": None,
        "exit_code": 1,
        "meaning": "it's “broken”",
        "remedy": "mend it",
        "log_url": None,
        "details": {},
    }


def test_an_alert_is_in_the_log_whether_or_not_anybody_is_told(log: list[str]) -> None:
    assert send_alert(ALERT, {}, log.append)
    assert json.loads(log[0].removeprefix("ALERT ")) == json.loads(ALERT.as_json())
    assert "SEGMENTATION_ALERT_COMMAND is not set" in log[1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-command-anywhere", "No such file"),
        ("sh -c 'echo no such host >&2; exit 6'", "ended with 6: no such host"),
        ("sh -c 'unbalanced", "No closing quotation"),
    ],
)
def test_an_alert_that_cannot_be_told_is_said_in_the_log_and_raises_nothing(
    command: str, said: str, log: list[str]
) -> None:
    assert not send_alert(ALERT, environment_with(command), log.append)
    assert "The alert was not told" in log[-1]
    assert said in log[-1]


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path, log: list[str]) -> None:
    pid_file = tmp_path / "pid"
    command = f"sh -c 'sleep 600 & echo $! > {pid_file}; wait'"
    begun = time.monotonic()
    assert not send_alert(ALERT, environment_with(command), log.append, timeout=0.5)
    assert time.monotonic() - begun < 10
    assert "timed out" in log[-1]
    child = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    until = time.monotonic() + 5
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.02)
    assert not child.exists() or child.read_text().split()[2] == "Z"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example posts by curl")
def test_the_example_of_the_documentation_posts_to_a_webhook_whose_address_no_command_line_shows(
    tmp_path: Path, log: list[str]
) -> None:
    posted: list[tuple[str, dict[str, str]]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200 if self.path == "/a-secret" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    address = tmp_path / "webhook"
    environment = environment_with(str(PROJECT_DIR / "docs" / "alert.sh")) | {"ALERT_WEBHOOK_FILE": str(address)}
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address.write_text(f"http://127.0.0.1:{server.server_address[1]}/a-secret\n")
        assert send_alert(ALERT, environment, log.append), log
        address.write_text(f"http://127.0.0.1:{server.server_address[1]}/another\n")
        assert not send_alert(ALERT, environment, log.append)
        server.shutdown()
    said = "customer_segmentation: failed step, 2018-01-05\nit's “broken”\nmend it"
    assert posted == [("/a-secret", {"text": said}), ("/another", {"text": said})]
    assert "404" in log[-1]
    assert "another" not in log[-1]


@pytest.mark.parametrize(
    ("exit_code", "kind", "section"),
    [
        (4, AlertKind.FAILED_GATE, "Gate failure"),
        (3, AlertKind.FAILED_STEP, "Late data"),
        (1, AlertKind.FAILED_STEP, "Nightly failure"),
        (-9, AlertKind.FAILED_STEP, "Nightly failure"),
        (None, AlertKind.FAILED_STEP, "Nightly failure"),
    ],
)
def test_the_remedy_names_the_section_of_the_runbook(exit_code: int | None, kind: AlertKind, section: str) -> None:
    alert = alert_of_step(
        as_of="2018-01-05", step="promote", exit_code=exit_code, meaning="words", run="a run", log_url=None
    )
    assert alert.kind is kind
    assert alert.remedy.endswith(f"docs/runbook.md, section “{section}”.")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings.from_environment({"SEGMENTATION_DATA_DIR": str(tmp_path)})
    found.current_link.parent.mkdir(parents=True)
    return replace(found, late_horizon_days=3)


def serve(settings: Settings, stale: dict[str, str], alarms: tuple[tuple[str, str], ...] = ()) -> None:
    """Publish what the alerts read: a run of every date from January to today, and alarms by date and evidence."""
    settings.current_link.unlink(missing_ok=True)
    with duckdb.connect(str(settings.current_link)) as connection:
        connection.execute(
            "create table segmentation_runs as select cast(range as date) as as_of_date, 'overall' as lens,"
            " cast(null as varchar) as stale_reason from range(date '2018-01-01', date '2018-02-06', interval 1 day)"
        )
        for day, reason in stale.items():
            connection.execute("update segmentation_runs set stale_reason = ? where as_of_date = ?", [reason, day])
        connection.execute(
            "create table segment_alarms (as_of_date date, lens varchar, kind varchar, evidence varchar,"
            " proposal varchar)"
        )
        for day, evidence in alarms:
            connection.execute(
                "insert into segment_alarms values (?, 'overall', 'emerging', ?, 'approve the refit')", [day, evidence]
            )


def night(settings: Settings, log: list[str], as_of: date = TODAY, command: str = "true") -> list[Alert]:
    return tell_about_night(
        settings, as_of, run="a run", log_url=None, environment=environment_with(command), say=log.append
    )


def test_a_night_on_which_all_is_well_tells_nothing(settings: Settings, log: list[str]) -> None:
    serve(settings, {})
    assert night(settings, log) == []
    assert log == []


def test_alarms_of_the_night_are_told_and_those_of_the_past_are_not(settings: Settings, log: list[str]) -> None:
    serve(settings, {}, alarms=(("2018-01-29", "old news"), (str(TODAY), "a group grows")))
    (alert,) = night(settings, log)
    assert (alert.kind, alert.as_of) == (AlertKind.WEEKLY_CHECK, str(TODAY))
    assert alert.meaning == "The weekly check found: overall: a group grows"
    assert alert.remedy.startswith("approve the refit")
    assert night(settings, log, as_of=date(2018, 1, 29)) == []


def test_only_dates_that_the_nightly_run_does_not_repair_by_itself_are_told(settings: Settings, log: list[str]) -> None:
    serve(settings, {"2018-02-01": "rows changed", "2018-02-02": "rows changed"})
    (alert,) = night(settings, log)
    assert alert.kind is AlertKind.STALE_DATES
    assert alert.details == {"dates": {"2018-02-01": "rows changed"}}
    assert alert.meaning == "Stale now, more than 3 days back: 1 dates (2018-02-01), rows changed"


def test_a_date_that_stays_stale_is_told_once_and_again_when_it_has_been_mended_between(
    settings: Settings, log: list[str]
) -> None:
    told = []
    for stale in ({"2018-01-10": "a"}, {"2018-01-10": "a", "2018-01-11": "a"}, {}, {"2018-01-10": "b"}):
        serve(settings, stale)
        told.append([list(alert.details["dates"]) for alert in night(settings, log)])
    assert told == [[["2018-01-10"]], [["2018-01-11"]], [], [["2018-01-10"]]]


def test_what_could_not_be_told_is_told_after_the_next_night(settings: Settings, log: list[str]) -> None:
    serve(settings, {"2018-01-10": "a"})
    assert len(night(settings, log, command="false")) == 1
    assert len(night(settings, log)) == 1
    assert night(settings, log) == []
