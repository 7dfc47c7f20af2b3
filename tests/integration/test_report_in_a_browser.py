"""The report as a browser shows it: on a desk and on a phone, by day and by night, on paper, and read aloud."""

from collections.abc import Iterator
from typing import Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.browser import opened_browser
from tests.support.nights import Nights
from tests.support.report_pages import ReportPage, report_pages

DESK, PHONE = 1280, 375
SCHEMES: Final[tuple[Literal["light"], Literal["dark"]]] = ("light", "dark")
LOOKS: Final[list[tuple[int, Literal["light", "dark"]]]] = [
    (width, scheme) for width in (DESK, PHONE) for scheme in SCHEMES
]
# Contrast goes by the scheme and hardly by the width, and axe-core takes its time: names make no page less accessible.
READ_ALOUD: Final = {"shop": (PHONE, "light"), "bare": (DESK, "dark")}

# Texts of a chart that lie over each other by more than a pixel, or reach beyond the chart.
LABELS_IN_THE_WAY: Final = """
() => [...document.querySelectorAll('svg.chart')].flatMap(svg => {
    const frame = svg.getBoundingClientRect()
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()])
    const chart = svg.closest('[id]').id
    const cut = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
    const over = texts.flatMap(([one, a], place) => texts.slice(place + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
        .map(([other]) => [chart, one, other]))
    return [...cut.map(([text]) => [chart, text, 'is cut off']), ...over]
})
"""
WIDER_THAN_THE_WINDOW: Final = """
() => document.documentElement.scrollWidth > window.innerWidth
    ? [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > window.innerWidth + 1
        && !one.closest('.scroll, pre')).map(one => one.outerHTML.slice(0, 200)) : []
"""
# On paper nothing can be scrolled to.
LOST_ON_PAPER: Final = """
() => [...document.querySelectorAll('main section, .card, .block, .tile, svg.chart')]
    .filter(one => !one.closest('details')).filter(one => {
        const box = one.getBoundingClientRect()
        return box.width < 1 || box.height < 1 || one.scrollWidth > one.clientWidth + 1 && one.tagName !== 'svg'
    }).map(one => one.outerHTML.slice(0, 200))
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, first_night: Nights) -> dict[str, ReportPage]:
    return report_pages(tmp_path_factory, first_night)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_browser() as opened:
        yield opened


@pytest.mark.parametrize("case", ["shop", "past", "bare", "real"])
def test_the_page_is_whole_quiet_and_accessible(pages: dict[str, ReportPage], browser: Browser, case: str) -> None:
    page = browser.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(pages[case].html.as_uri())
        assert page.evaluate(WIDER_THAN_THE_WINDOW) == [], (width, scheme)
        assert page.evaluate(LABELS_IN_THE_WAY) == [], (width, scheme)
        if (width, scheme) == READ_ALOUD.get(case):
            # What is folded away is read, too; one will do, and the list of queries.
            page.evaluate("document.querySelectorAll('#worth details, .queries').forEach(one => one.open = true)")
            assert serious_findings(page) == [], (width, scheme)
    page.close()
    assert {url for url in asked if not url.startswith("data:")} == {pages[case].html.as_uri()}
    assert said == []


def serious_findings(page: Page) -> list[tuple[str, str, str]]:
    """Return what axe-core finds serious or critical: the rule, the element, what is wrong with it."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_nothing_is_lost_on_paper(pages: dict[str, ReportPage], browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 760, "height": 1000}, color_scheme="dark")
    page = context.new_page()
    page.goto(pages["shop"].html.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate(LOST_ON_PAPER) == []
    # Dark paper costs ink.
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 34, 48)"
    context.close()


def test_every_chart_has_a_question_a_finding_and_a_table(pages: dict[str, ReportPage], browser: Browser) -> None:
    page = browser.new_page()
    page.goto(pages["shop"].html.as_uri())
    charts = page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].map(svg => {
            const names = svg.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id))
            const figure = svg.closest('figure')
            return [figure.id, names.map(name => name.textContent.trim()), figure.querySelectorAll('tbody tr').length]
        })"""
    )
    page.close()
    assert len(charts) > 25
    assert [chart for chart, (question, finding), rows in charts if not (question and finding and rows)] == []


def test_labels_that_lie_over_each_other_and_words_that_are_too_pale_are_noticed(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        "<html lang=en><title>t</title><main><figure id=x><svg class=chart width=50 height=20><text x=0 y=12>one two"
        "</text><text x=3 y=12>three</text><text x=40 y=12>four</text></svg></figure><p style=color:#ccc>pale</p>"
    )
    found = page.evaluate(LABELS_IN_THE_WAY)
    assert ["x", "four", "is cut off"] in found
    assert ["x", "one two", "three"] in found
    assert "color-contrast" in [rule for rule, _, _ in serious_findings(page)]
    page.close()
