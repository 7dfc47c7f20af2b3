"""`make bi` as a user has it: a real Superset, a real browser, and nights that are published meanwhile.

Not part of `make test`, for the installation of Superset takes minutes: `make test-bi`. Pictures of every tab are left
in .venv/bi-pictures, for eyes.
"""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response

from segmentation_job.durable_files import point_link
from segmentation_job.publishing import kept_files
from tests.support.browser import opened_browser
from tests.support.nights import PROJECT_DIR, Nights
from tests.support.simulated_shop import SOURCE, write_small_shop

PICTURES = PROJECT_DIR / ".venv" / "bi-pictures"
FIRST, SECOND = date(2025, 12, 1), date(2026, 1, 1)
SETTINGS = {"SOURCE": SOURCE, "SEGMENTATION_LENSES": "overall,purchase"}
DASHBOARD: Final = "/superset/dashboard/customer-segments/"
# What the weekly checks see in two nights: nothing.
MAY_BE_EMPTY: Final = {"What did the weekly checks see?"}
# Superset's own telemetry, which its Content-Security-Policy stops inside the browser.
STOPPED_TELEMETRY: Final = "https://apachesuperset.gateway.scarf.sh/pixel/"


@dataclass
class Server:
    """A started `make bi`: what it printed until it answered, and how long that took in seconds."""

    process: "subprocess.Popen[str]"
    address: str
    printed: str
    seconds: float

    @property
    def password(self) -> str:
        found = re.search(r"password (\S+) \(printed", self.printed)
        assert found, self.printed
        return found.group(1)


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def make_bi(nights: Nights, port: int) -> Iterator[Server]:
    """Run `make bi` until it says where the dashboard is, and end it with the block."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "--no-print-directory", "bi", f"PORT={port}"],
        cwd=PROJECT_DIR,
        env={**nights.environment, "SOURCE": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            if line.startswith("The dashboard: "):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(400), "".join(printed)
        assert process.poll() is None, "".join(printed)
        yield Server(process, f"http://127.0.0.1:{port}", "".join(printed), time.monotonic() - began)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        reader.join(10)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A shop with one night published, and a second computed up to the step before it is published."""
    place = tmp_path_factory.mktemp("dashboard") / "data"
    write_small_shop(place, customers=900)
    built = Nights(place, SETTINGS)
    built.run(FIRST)
    built.run(SECOND, last="build_marts")
    return built


@pytest.fixture(scope="module")
def server(nights: Nights) -> Iterator[Server]:
    with make_bi(nights, free_port()) as started:
        yield started


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    assert server.process.poll() is None
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def watched(server: Server, browser: Browser) -> Watched:
    """The dashboard, after a login through the form."""
    page = browser.new_page(viewport={"width": 1500, "height": 1100})
    found = Watched(page)

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error" and STOPPED_TELEMETRY not in message.text:
            found.errors.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith((server.address, "data:", "blob:")):
            found.outside.append(request.url)

    def note_response(response: Response) -> None:
        if response.status >= 400:
            found.errors.append(f"{response.status} {response.url}")

    page.on("console", note_console)
    page.on("request", note_request)
    page.on("requestfailed", lambda request: found.outside.append(f"{request.failure} {request.url}"))
    page.on("response", note_response)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.goto(f"{server.address}/login/")
    page.fill("#username", "admin")
    page.fill("#password", server.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/welcome/**", timeout=60_000)
    page.goto(server.address + DASHBOARD)
    settle(page)
    return found


def settle(page: Page) -> None:
    """Wait until every chart of the tab that is open has been drawn."""
    page.wait_for_selector('[data-test="slice-header"]:visible', timeout=120_000)
    page.wait_for_timeout(1_500)
    page.wait_for_function(
        "() => document.querySelectorAll('[data-test=\"loading-indicator\"], .loading').length === 0", timeout=120_000
    )
    page.wait_for_timeout(1_000)


def open_tab(page: Page, name: str) -> None:
    page.locator(".ant-tabs-tab").filter(has_text=name).first.click()
    settle(page)


def take_picture(page: Page, name: str) -> None:
    """Leave a picture of the whole tab for somebody to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    height = page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(each => each.scrollHeight))")
    page.set_viewport_size({"width": 1500, "height": min(int(height) + 80, 4_500)})
    settle(page)
    page.screenshot(path=PICTURES / f"{re.sub(r'[^a-z]+', '_', name.lower())}.png")
    page.set_viewport_size({"width": 1500, "height": 1100})
    settle(page)


def charts_of(page: Page) -> dict[str, Locator]:
    """Return the charts of the tab that is open by title."""
    shown = page.locator('[data-test="chart-grid-component"]:visible').all()
    return {str(chart.get_attribute("data-test-chart-name")): chart for chart in shown}


def choose(page: Page, name: str, value: str) -> None:
    """Choose a value in a filter of the dashboard, and apply it."""
    page.locator(f'[data-test="NATIVE_FILTER-{name.lower()}"] .ant-select-selector').click()
    page.locator(f'.ant-select-item-option[title="{value}"]:visible').first.click()
    page.get_by_role("button", name="Apply filters").click()
    settle(page)


def click_first_segment(page: Page) -> str:
    """Click on the segment at the top of the table of segments; return its name."""
    cell = charts_of(page)["What is each segment, and what to do with it?"].locator("tbody tr td").first
    name = cell.inner_text().strip()
    cell.click()
    settle(page)
    return name


def big_number(page: Page, title: str) -> str:
    """Return what a figure of the first row says."""
    return str(charts_of(page)[title].locator(".header-line").first.inner_text().strip())


def figures(path: Path, lens: str) -> tuple[str, int, int]:
    """Return of a published file its newest date, the customers of a lens and their segments."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(
            "select cast(max(as_of_date) as varchar), count(*), count(distinct segment_id) from customer_segments"
            " where lens = ?",
            [lens],
        ).fetchall()[0]


def test_the_first_start_prints_a_password_once_and_keeps_its_secrets_to_itself(server: Server, nights: Nights) -> None:
    assert server.printed.count(server.password) == 1
    home = nights.data_dir / "superset"
    assert (home / "secret.key").stat().st_mode & 0o777 == 0o600
    assert (home / "superset.db").stat().st_mode & 0o077 == 0
    command_lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert server.password not in command_lines
    assert (home / "secret.key").read_text() not in command_lines


def test_it_answers_on_the_loopback_alone(server: Server) -> None:
    port = server.address.rpartition(":")[2]
    listening = subprocess.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True, check=False).stdout
    if not listening:
        pytest.skip("ss (iproute2) is not installed here")
    assert {line.split()[3].rpartition(":")[0] for line in listening.splitlines()} == {"127.0.0.1"}


def test_nobody_looks_at_it_without_a_password(server: Server) -> None:
    for path in ("/api/v1/chart/", "/api/v1/dashboard/"):
        answer = subprocess.run(
            ["curl", "--silent", "--max-time", "30", server.address + path], capture_output=True, text=True, check=True
        )
        told = json.loads(answer.stdout)
        assert told.get("count", 0) == 0, told
        assert not told.get("result"), told


def test_every_chart_is_drawn_with_data(watched: Watched) -> None:
    page = watched.page
    tabs = [name.strip() for name in page.locator(".ant-tabs-tab").all_inner_texts()]
    assert len(tabs) == 7
    drawn = 0
    for name in tabs:
        open_tab(page, name)
        take_picture(page, name)
        for title, holder in charts_of(page).items():
            text = holder.inner_text()
            assert "Unexpected error" not in text, (title, text)
            assert holder.locator(".ant-alert-error, [data-test=error-message]").count() == 0, title
            empty = "No results" in text or "No data" in text
            # Nobody has moved at the only date that is published yet.
            assert not empty or title in MAY_BE_EMPTY or name == "Over time", title
            if holder.locator("canvas").count():
                inked = holder.locator("canvas").first.evaluate(
                    "each => new Set(each.getContext('2d').getImageData(0, 0, each.width, each.height).data).size"
                )
                assert inked > 8, f"{title} is blank"
            drawn += not empty
    assert drawn >= 30


def test_another_lens_changes_the_charts(watched: Watched, nights: Nights) -> None:
    page = watched.page
    open_tab(page, "Segments")
    date_shown, customers, segments = figures(nights.serving_link, "overall")
    assert date_shown == str(FIRST)
    assert big_number(page, "Customers") == f"{customers:,}"
    assert big_number(page, "Segments") == str(segments)
    choose(page, "Lens", "purchase")
    _, customers, others = figures(nights.serving_link, "purchase")
    assert others != segments, "the lenses must differ for this test to see a change"
    assert big_number(page, "Segments") == str(others)
    assert big_number(page, "Customers") == f"{customers:,}"
    choose(page, "Lens", "overall")
    assert big_number(page, "Segments") == str(segments)


def test_a_click_on_a_segment_leads_to_its_customers(watched: Watched, nights: Nights) -> None:
    page = watched.page
    open_tab(page, "Segments")
    name = click_first_segment(page)
    customers = charts_of(page)["Who are the customers of a segment?"]
    shown = {row.locator("td").nth(1).inner_text().strip() for row in customers.locator("tbody tr").all()}
    assert shown == {name}
    with duckdb.connect(str(nights.serving_link), read_only=True) as published:
        counted = published.execute(
            "select count(*) from customer_segments where lens = 'overall' and segment_name = ?", [name]
        ).fetchall()[0][0]
    assert big_number(page, "Customers") == f"{counted:,}"
    take_picture(page, "a segment's customers")
    # A second click takes the choice back.
    click_first_segment(page)
    assert big_number(page, "Customers") != f"{counted:,}"


def test_a_night_that_is_published_meanwhile_is_shown_when_the_page_asks_again(
    watched: Watched, server: Server, nights: Nights
) -> None:
    page = watched.page
    before = figures(nights.serving_link, "overall")
    published = threading.Thread(target=lambda: nights.step("publish", SECOND))
    published.start()
    while published.is_alive():
        page.locator(
            '.dashboard-header-container [aria-label="sync"], .header-with-actions [aria-label="sync"]'
        ).first.click()
        settle(page)
        assert page.locator(".ant-alert-error").count() == 0
    published.join()
    after = figures(nights.serving_link, "overall")
    assert (before[0], after[0]) == (str(FIRST), str(SECOND))
    # Its own address holds the filters as they were: the plain one starts with the newest date.
    page.goto(server.address + DASHBOARD)
    settle(page)
    assert big_number(page, "Customers") == f"{after[1]:,}"
    open_tab(page, "Over time")
    take_picture(page, "over time with two dates")
    for title, holder in charts_of(page).items():
        assert "No results" not in holder.inner_text(), title


def test_no_page_has_asked_another_host_or_had_an_error(watched: Watched) -> None:
    # A request that the browser has stopped itself is told twice: as asked for, and as failed of the policy.
    stopped = [url for url in watched.outside if STOPPED_TELEMETRY in url]
    assert [each for each in watched.outside if each not in stopped and "ERR_ABORTED" not in each] == []
    assert len([each for each in stopped if each.startswith("csp ")]) * 2 == len(stopped)
    assert watched.errors == []


def api(server: Server, path: str, content: dict[str, Any] | None, token: str = "") -> Any:
    """Ask Superset's API; raise where it answers with an error."""
    request = urllib.request.Request(
        server.address + path,
        data=None if content is None else json.dumps(content).encode(),
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_no_query_fails_or_mixes_nights_while_nights_are_published(server: Server, nights: Nights) -> None:
    files = [night.path for night in kept_files(nights.published_dir)]
    assert len(files) == 2
    expected = {}
    for path in files:
        with duckdb.connect(str(path), read_only=True) as published:
            rows = published.execute(
                "select cast(max(as_of_date) as varchar), count(*) from customer_segments where lens = 'overall'"
            ).fetchall()
            expected[rows[0][0]] = rows[0][1]
    login = {"username": "admin", "password": server.password, "provider": "db", "refresh": False}
    token = api(server, "/api/v1/security/login", login)["access_token"]
    datasets = {each["table_name"]: each["id"] for each in api(server, "/api/v1/dataset/", None, token)["result"]}
    query = {
        "datasource": {"id": datasets["customers"], "type": "table"},
        "force": True,
        "queries": [
            {
                "columns": [],
                "metrics": [
                    {"expressionType": "SQL", "sqlExpression": "cast(min(as_of_date) as varchar)", "label": "first"},
                    {"expressionType": "SQL", "sqlExpression": "cast(max(as_of_date) as varchar)", "label": "last"},
                    "customers",
                ],
                "filters": [{"col": "lens", "op": "==", "val": "overall"}],
                "row_limit": 10,
            }
        ],
    }
    answers: list[tuple[str, int]] = []
    failures: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                row = api(server, "/api/v1/chart/data", query, token)["result"][0]["data"][0]
                assert row["first"] == row["last"]
                answers.append((row["first"], row["customers"]))
            except Exception as error:
                failures.append(repr(error))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    # As `publish` does it, many times over.
    until = time.monotonic() + 180
    turn = 0
    while len(answers) + len(failures) < 80 and time.monotonic() < until:
        point_link(nights.serving_link, files[turn % 2])
        turn += 1
        time.sleep(0.3)
    point_link(nights.serving_link, files[1])
    ended.set()
    for asker in askers:
        asker.join()
    assert failures == []
    assert set(answers) == set(expected.items())
    assert len(answers) >= 80
    assert turn >= 20
    row = api(server, "/api/v1/chart/data", query, token)["result"][0]["data"][0]
    assert (row["first"], row["customers"]) == (str(SECOND), expected[str(SECOND)])


def test_nothing_is_written_beside_the_published_files(nights: Nights) -> None:
    assert [path.name for path in nights.published_dir.iterdir() if not path.name.startswith("segments_")] == [
        "current.duckdb"
    ]
    assert list(nights.published_dir.glob("*.duckdb.*")) == []
    assert [path.name for path in nights.serving_link.parent.iterdir()] == ["segments.duckdb"]


def test_a_second_start_prints_no_password_and_takes_seconds(server: Server, nights: Nights) -> None:
    with make_bi(nights, free_port()) as again:
        assert server.password not in again.printed
        assert "make bi-password" in again.printed
        assert "Loading" not in again.printed or again.seconds < server.seconds
        login = {"username": "admin", "password": server.password, "provider": "db", "refresh": False}
        assert api(again, "/api/v1/security/login", login)["access_token"]
