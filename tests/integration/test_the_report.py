"""The morning report says what the published file says, and nothing else."""

import re
from datetime import date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path

import duckdb
import pytest

from segmentation_job.errors import SegmentationError
from segmentation_job.report.rendering import render_report
from tests.support.nights import Nights
from tests.support.report_pages import HOSTILE_NAMES, Reading, ReportPage, Shown, read_page, report_pages

CASES = ("shop", "past", "bare", "real")
# Windows, scales and limits that our own words name; every other digit on the page comes out of a query.
FIXED_WORDS = re.compile(
    r"\b(30|90|365) days\b|\b30-day\b|\b80%|fewer than 10 (people|carts|answers)|R², 1 would be|1 being the same"
    r"|a year before = 100|next 30 days"
)
NUMBER = re.compile(r"([+−]?)([\d,]+(?:\.\d+)?)(.*)")
TEXT_FORMS = ("text", "word", "feature", "yes")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, first_night: Nights) -> dict[str, ReportPage]:
    return report_pages(tmp_path_factory, first_night)


@pytest.fixture(scope="module")
def readings(pages: dict[str, ReportPage]) -> dict[str, Reading]:
    return {name: read_page(page.html.read_text()) for name, page in pages.items()}


def fresh_answers(published: Path, reading: Reading) -> dict[str, tuple[list[str], list[tuple]]]:
    """Run every query that the page lists, with the parameters that it lists."""
    answers = {}
    with duckdb.connect(str(published), read_only=True) as connection:
        for name, asked in reading.queries.items():
            parameters = {
                key: date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)) else value
                for key, value in asked["parameters"].items()
            }
            result = connection.execute(asked["sql"], parameters or None)
            answers[name] = [column[0] for column in result.description], result.fetchall()
    return answers


def says(shown: Shown, cell: object) -> bool:
    """Say whether a text shows a cell: read back from what stands there, to the digits that are shown."""
    if cell is None:
        return shown.text.startswith("–")
    if shown.form in TEXT_FORMS:
        if shown.form == "yes":
            return shown.text == ("yes" if cell else "")
        if shown.form == "feature":
            return bool(shown.text)
        whole = " ".join((str(cell).replace("_", " ") if shown.form == "word" else str(cell)).split())
        # A chart writes a long name in two lines, or cuts it off where an ellipsis says so.
        is_part = shown.tag == "g" and shown.text.removesuffix("…") in whole
        return shown.text == whole or is_part or (shown.tag == "g" and shown.text.startswith(whole))
    if isinstance(cell, datetime):
        return shown.text == f"{cell.day} {cell:%B %Y %H:%M} UTC"
    if isinstance(cell, date):
        return any(shown.text == cell.strftime(form).lstrip("0").replace(" 0", " ") for form in ("%d %b %Y", "%b %Y"))
    minutes = re.fullmatch(r"(\d+) min (\d+) s", shown.text)
    if minutes:
        return int(minutes[1]) * 60 + int(minutes[2]) == int(float(str(cell)))
    found = NUMBER.fullmatch(shown.text)
    assert found, shown
    assert isinstance(cell, int | float | Decimal)
    number = float(found[2].replace(",", "")) * (-1 if found[1] == "−" else 1)
    digits = len(found[2].partition(".")[2])
    is_percent = found[3].startswith("%") or (shown.form == "points" and "points" in found[3])
    exact = float(cell) * (100 if is_percent else 1)
    # Words may follow the figure of a bar, no other figure.
    return abs(number - exact) <= 0.5000001 * 10**-digits and not re.search(r"\d", FIXED_WORDS.sub("", found[3]))


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_a_cell_of_the_query_that_it_names(
    pages: dict[str, ReportPage], readings: dict[str, Reading], case: str
) -> None:
    reading = readings[case]
    answers = fresh_answers(pages[case].published, reading)
    wrong = []
    for shown in reading.shown:
        columns, rows = answers[shown.query]
        cell = rows[shown.row][columns.index(shown.column)]
        is_stated = shown.value is None or isinstance(cell, date) or float(shown.value) == float(cell)
        if not is_stated or not says(shown, cell):
            wrong.append((shown, cell))
    assert wrong == []
    assert len(reading.shown) > {"shop": 3000, "past": 1000, "bare": 20, "real": 1000}[case]


@pytest.mark.parametrize("case", CASES)
def test_no_digit_stands_on_the_page_that_no_query_gave(readings: dict[str, Reading], case: str) -> None:
    left = FIXED_WORDS.sub("", " ".join(" ".join(readings[case].other).split()))
    assert re.findall(r".{0,30}\d.{0,30}", left) == []


def figures(reading: Reading, query: str) -> dict[tuple[int, str], Shown]:
    """Return what the page shows of a query outside of charts, which cut names off."""
    return {(shown.row, shown.column): shown for shown in reading.shown if shown.query == query and shown.tag != "g"}


@pytest.mark.parametrize("case", CASES)
def test_the_chief_figures_agree_with_queries_of_our_own(
    pages: dict[str, ReportPage], readings: dict[str, Reading], case: str
) -> None:
    with duckdb.connect(str(pages[case].published), read_only=True) as published:
        sizes = published.execute(
            "select any_value(names.name), count(*), sum(spend_amount_90d) from customer_segments as labels"
            " join customer_360 using (customer_id) join segments as names on labels.segment_id = names.segment_id"
            " where labels.lens = 'overall' group by labels.segment_id order by 3 desc, 2 desc, labels.segment_id"
        ).fetchall()
    customers, spend = sum(row[1] for row in sizes), float(sum(row[2] for row in sizes))
    totals, cards = figures(readings[case], "totals-overall"), figures(readings[case], "segments-overall")
    assert float(totals[0, "customers"].value or "") == customers
    assert float(totals[0, "segments"].value or "") == len(sizes)
    for place, (name, size, spent) in enumerate(sizes):
        assert cards[place, "segment_name"].text == " ".join(name.split())
        assert float(cards[place, "customers"].value or "") == size
        assert float(cards[place, "customer_share"].value or "") == pytest.approx(size / customers)
        if spend:
            assert float(cards[place, "spend_share"].value or "") == pytest.approx(float(spent) / spend)
    if case == "shop":
        assert float(totals[0, "spend_amount_90d"].value or "") == pytest.approx(spend)


def test_who_moved_agrees_with_the_history(pages: dict[str, ReportPage], readings: dict[str, Reading]) -> None:
    with duckdb.connect(str(pages["past"].published), read_only=True) as published:
        causes = dict(
            published.execute(
                "select change_cause, count(*) from customer_segment_history where lens = 'overall'"
                " and valid_from = (select max(as_of_date) from customer_segments) group by 1"
            ).fetchall()
        )
        both = published.execute(
            "select count(*) from customer_segment_history where lens = 'overall' and change_cause = 'both'"
        ).fetchone()
    last_night, last_month = (figures(readings["past"], f"moves-{word}") for word in ("last-run", "month-ago"))
    assert causes["customer_moved"] > 50
    assert {
        column: int(last_night[0, column].value or "") for column in ("customer_moved", "model_changed", "both")
    } == {
        "customer_moved": causes["customer_moved"],
        "model_changed": causes["model_changed"],
        "both": 0,
    }
    assert both
    assert int(last_month[0, "both"].value or "") == both[0]
    changed = figures(readings["past"], "then-and-now-month-ago")[0, "changed"]
    assert int(changed.value or "") == causes["customer_moved"] + causes["model_changed"] + both[0]


def changes_by_cause(published: Path) -> dict[str, tuple[int, int]]:
    """Return by name what customers and what new models changed of a segment in the last night, from the history."""
    with duckdb.connect(str(published), read_only=True) as connection:
        found = connection.execute(
            "with last as (select max(as_of_date) as day from customer_segments), moves as ("
            " select now.segment_id as came, old.segment_id as went, now.change_cause = 'customer_moved' as is_own"
            " from customer_segment_history as now join customer_segment_history as old using (lens, customer_id), last"
            " where lens = 'overall' and now.valid_from = day and old.valid_to = day)"
            " select any_value(name), count(*) filter (where came = segment_id and is_own)"
            " - count(*) filter (where went = segment_id and is_own),"
            " count(*) filter (where came = segment_id and not is_own)"
            " - count(*) filter (where went = segment_id and not is_own)"
            " from segments, moves where lens = 'overall' group by segment_id"
        ).fetchall()
    return {" ".join(name.split()): (own, by_model) for name, own, by_model in found}


def test_who_grew_agrees_with_the_history_and_tells_customers_from_models(
    pages: dict[str, ReportPage], readings: dict[str, Reading]
) -> None:
    changes = changes_by_cause(pages["past"].published)
    shown = figures(readings["past"], "segments-overall")
    told = {
        column: {
            shown[row, "segment_name"].text: int(figure.value or "")
            for (row, name), figure in shown.items()
            if name == f"{column}_since_last_run"
        }
        for column in ("change", "by_customers", "by_model")
    }
    # Where nothing changed the card says so without a figure.
    assert told["change"] == {name: sum(both) for name, both in changes.items() if any(both)}
    assert told["by_model"] == {name: by_model for name, (_, by_model) in changes.items() if by_model}
    assert told["by_customers"].items() >= {name: own for name, (own, by_model) in changes.items() if by_model}.items()
    assert any(own < 0 <= own + by_model for own, by_model in changes.values())


def test_what_a_new_model_did_is_not_called_growth(pages: dict[str, ReportPage]) -> None:
    own = {name: change for name, (change, _) in changes_by_cause(pages["past"].published).items()}
    html = unescape(pages["past"].html.read_text())
    cards = re.findall(r"<article.*?</article>", html, flags=re.DOTALL)
    for words, most in (("Grew most since", max(own.values())), ("Shrank most since", min(own.values()))):
        (card,) = (card for card in cards if words in card)
        name = re.search(r"<h3[^>]*><span[^>]*>(.*?)</span></h3>", card, flags=re.DOTALL)
        assert name
        # The night before brought a model alone: customers moved in the last night only.
        assert own[" ".join(name[1].split())] == most != 0


def test_new_models_are_told_with_whom_they_put_elsewhere(
    pages: dict[str, ReportPage], readings: dict[str, Reading]
) -> None:
    with duckdb.connect(str(pages["past"].published), read_only=True) as published:
        put = published.execute(
            "select lens, valid_from, count(*) filter (where change_cause = 'model_changed'),"
            " count(*) filter (where change_cause = 'both') from customer_segment_history"
            " where lens in ('overall', 'financial') and change_cause in ('model_changed', 'both')"
            " group by all order by all"
        ).fetchall()
    told = [
        (query, {column: figure.value for (_, column), figure in figures(readings["past"], query).items()})
        for query in ("new-models-financial-last-run", "new-models-overall-last-run")
    ]
    assert [(float(row["by_model"] or 0)) for _, row in told] == [put[0][2], put[-1][2]]
    month = figures(readings["past"], "new-models-overall-month-ago")
    assert [month[row, "as_of_date"].value for row in (0, 1)] == [str(day) for _, day, *_ in put[1:]]
    assert float(month[0, "by_both"].value or 0) == put[1][3] > 0


def test_segments_of_other_lenses_that_are_new_or_ended_say_so(
    pages: dict[str, ReportPage], readings: dict[str, Reading]
) -> None:
    with duckdb.connect(str(pages["past"].published), read_only=True) as published:
        gone = published.execute(
            "select count(*) from customer_segment_history where segment_id = 'financial-99'"
        ).fetchone()
    shown = figures(readings["past"], "segments-financial")
    status = {
        shown[row, "segment_name"].text: one.text for (row, name), one in shown.items() if name == "born_or_ended"
    }
    assert gone
    assert status.pop("Payers of old") == "ended"
    assert set(status.values()) == {"new segment"}
    (ended,) = (row for (row, name), one in shown.items() if name == "born_or_ended" and one.text == "ended")
    assert int(shown[ended, "by_model_since_last_run"].value or "") == -gone[0]


def test_the_same_file_gives_the_same_page(pages: dict[str, ReportPage]) -> None:
    page = pages["shop"]
    assert render_report(page.published) == page.html.read_text()


def test_names_that_look_like_markup_stay_names(pages: dict[str, ReportPage], readings: dict[str, Reading]) -> None:
    html = pages["past"].html.read_text()
    assert re.findall(r"<script[^>]*>", html) == ['<script type="application/json" id="queries-of-the-report">']
    shown = {one.text for one in readings["past"].shown}
    assert {" ".join(name.split()) for name in HOSTILE_NAMES} <= shown


@pytest.mark.parametrize("case", CASES)
def test_no_customer_is_named(pages: dict[str, ReportPage], case: str) -> None:
    html = pages[case].html.read_text()
    with duckdb.connect(str(pages[case].published), read_only=True) as published:
        customers = [row[0] for row in published.execute("select customer_id from customer_360").fetchall()]
    assert len(customers) > 200
    words = set(re.findall(r"[\w-]+", re.sub(r"base64,[^\"]+", "", html)))
    # What is nothing but digits may be a figure as well.
    assert not words & {name for name in customers if not name.isdigit()}


def test_groups_of_fewer_than_ten_people_are_not_shown(readings: dict[str, Reading]) -> None:
    queries = {"age-band", "gender", "income-band", "region", "country", "cities"}
    counts = [
        int(shown.value)
        for shown in readings["shop"].shown
        if shown.query in queries and shown.column == "customer_count" and shown.value
    ]
    assert len(counts) > 50
    assert min(counts) >= 10


def test_figures_of_fewer_than_ten_answers_are_not_shown(
    pages: dict[str, ReportPage], readings: dict[str, Reading]
) -> None:
    with duckdb.connect(str(pages["past"].published), read_only=True) as published:
        carts = dict(
            published.execute(
                "select segment_id, sum(cart_count) from cart_abandonment where lens = 'overall' group by 1"
            ).fetchall()
        )
        answers = dict(
            published.execute(
                "select segment_id, response_count from satisfaction"
                " where lens = 'overall' and score_scale = 'nps_0_10'"
            ).fetchall()
        )
    counted = {
        "carts-by-segment": ("carts", "abandonment_rate", carts),
        "promoters": ("response_count", "net_promoter_score", answers),
    }
    for query, (base, figure, expected) in counted.items():
        shown = figures(readings["past"], query)
        known = {int(shown[row, base].value or 0): shown[row, figure].value for row, name in shown if name == base}
        assert sorted(known) == sorted(set(expected.values())), query
        assert {count for count, value in known.items() if value is None} == {n for n in known if n < 10}, query
        assert min(known) < 10 <= max(known), query


@pytest.mark.parametrize("case", CASES)
def test_the_page_asks_no_host_and_runs_nothing(pages: dict[str, ReportPage], case: str) -> None:
    html = pages[case].html.read_text()
    tags = " ".join(re.findall(r"<[a-z][^>]*>|<style>.*?</style>", html, flags=re.DOTALL))
    outside = re.findall(r"(?:\b(?:src|href|srcset|action)=\"|url\(|@import)(?!#|data:image/png;base64).{1,60}", tags)
    assert outside == []
    assert "default-src 'none'" in html
    assert not re.search(r"\son\w+=", tags)
    assert len(html) < 5_000_000


def test_families_that_the_source_lacks_are_said_in_a_line(readings: dict[str, Reading]) -> None:
    text = " ".join(readings["bare"].other).lower()
    for words in ("age, gender and income", "where they live", "costs", "payments", "products", "loyalty programme",
                  "browsing", "surveys", "indices", "too short for forecasts"):  # fmt: skip
        assert words in text


def test_a_first_run_says_that_there_is_nothing_to_compare_with(readings: dict[str, Reading]) -> None:
    assert "first run" in " ".join(readings["bare"].other)
    assert "first run" not in " ".join(readings["past"].other)


def test_what_is_no_published_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="does not exist"):
        render_report(tmp_path / "nothing.duckdb")
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).close()
    with pytest.raises(SegmentationError, match="lacks the tables"):
        render_report(other)
