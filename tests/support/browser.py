"""A real browser that opens pages: Chromium, which `make test` installs where the system has none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.nights import PROJECT_DIR

BROWSER = PROJECT_DIR / ".venv" / "browser"
# It asks nobody but the page's own hosts, and needs no sandbox of its own: root may start it.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def opened_browser(executable: Path = BROWSER) -> Iterator[Browser]:
    """Start a headless Chromium, and end it with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
