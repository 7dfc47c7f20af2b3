"""The segments as cards: who they are, how many, what they bring, how they change, what to do."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, swatch, table_of
from segmentation_job.report.charts import Bar, Group, bars
from segmentation_job.report.figures import Figure, sentence
from segmentation_job.report.palette import QUIET, segment_colour
from segmentation_job.report.published_file import Answer, Row
from segmentation_job.report.sections.changes import Since, by_cause, compared_with, grown_and_shrunk
from segmentation_job.report.view import View


@dataclass(frozen=True)
class Share:
    """A share with its bar. percent: the bar's width of what is 0 to 100."""

    label: str
    figure: Figure
    percent: str


@dataclass(frozen=True)
class Card:
    """One segment."""

    name: Figure
    colour: str
    customers: Figure
    trend: Markup
    shares: tuple[Share, ...]
    traits: Figure | None
    action: Figure | None
    origin: Markup
    badges: tuple[Markup, ...]


@dataclass(frozen=True)
class Cards:
    """All of them, with a sentence before."""

    lead: Markup
    cards: tuple[Card, ...]


def cards_of(view: View, sizes: Answer, totals: Answer) -> Cards:
    """Return a card for each segment that holds customers, most spend first."""
    compared = compared_with(view)
    living = [row for row in sizes if row.number_of("customers")]
    badges: dict[str, list[Markup]] = {row.text("segment_id"): [] for row in sizes}
    if living and living[0].number_of("spend_amount_90d") > 0:
        badges[living[0].text("segment_id")].append(Markup("Most valuable in total"))
    if compared:
        grown, shrunk = grown_and_shrunk(sizes, compared[-1])
        for row, word in ((grown, "Grew most"), (shrunk, "Shrank most")):
            if row:
                badges[row.text("segment_id")].append(sentence("{word} since {date}", word=word, date=compared[-1].day))
    lead = sentence(
        "{segments} {word} of {customers} customers at {date}, most spend first. Spend is that of the last"
        " 90 days{margin}, in the shop's currency.",
        margin=", margin that of the last 365 days" if sizes.has("margin_share") else "",
        segments=totals.row(0).figure("segments", "count"),
        word="segment" if totals.row(0)["segments"] == 1 else "segments",
        customers=totals.row(0).figure("customers", "count"),
        date=view.date_figure("as_of_date"),
    )
    return Cards(lead, tuple(_card(row, compared, badges[row.text("segment_id")]) for row in living))


def _card(row: Row, compared: list[Since], badges: list[Markup]) -> Card:
    shares = [
        Share("of customers", row.figure("customer_share", "share"), _percent(row, "customer_share")),
        Share("of spend", row.figure("spend_share", "share"), _percent(row, "spend_share")),
    ]
    if row["margin_share"] is not None:
        shares.append(Share("of margin", row.figure("margin_share", "share"), _percent(row, "margin_share")))
    origin = sentence(
        "{id}, since {date}", id=row.figure("segment_id", "text"), date=row.figure("created_as_of", "date")
    )
    return Card(
        name=row.figure("segment_name", "text"),
        colour=swatch(row, "segment_id"),
        customers=row.figure("customers", "count"),
        trend=_trend(row, compared),
        shares=tuple(shares),
        traits=row.figure("traits", "text") if row["traits"] else None,
        action=row.figure("recommended_action", "text") if row["recommended_action"] else None,
        origin=origin,
        badges=tuple(badges),
    )


def _percent(row: Row, column: str) -> str:
    return f"{max(0.0, min(1.0, row.number_of(column))) * 100:.1f}"


def _trend(row: Row, compared: list[Since]) -> Markup:
    if not compared:
        return Markup("First run: no trend yet")
    parts = []
    for since in compared:
        change, by_model = row.number_of(f"change_{since.ending}"), row.number_of(f"by_model_{since.ending}")
        if not change and not by_model:
            parts.append(sentence('<span aria-hidden="true">=</span> unchanged since {date}', date=since.day))
            continue
        # What a model did is neither growth nor loss: no arrow.
        arrow = "" if by_model else "▲" if change > 0 else "▼"
        parts.append(
            sentence(
                '<span aria-hidden="true">{arrow}</span> since {date}: {change}',
                arrow=arrow,
                date=since.day,
                change=by_cause(row, since),
            )
        )
    return Markup("<br>").join(parts)


def worth_chart(sizes: Answer) -> Chart | None:
    """Return the chart that sets a segment's share of the customers against its share of the spend."""
    living = [row for row in sizes if row.number_of("customers")]
    if not living or living[0]["spend_share"] is None:
        return None
    best = living[0]
    key = "worth"
    groups = [
        Group(
            row.figure("segment_name", "text"),
            (
                Bar(
                    row.number_of("spend_share"),
                    row.figure("spend_share", "share"),
                    segment_colour(row.text("segment_id")),
                    "of the spend",
                ),
                Bar(row.number_of("customer_share"), row.figure("customer_share", "share"), QUIET, "of the customers"),
            ),
        )
        for row in living
    ]
    return Chart(
        key,
        "Which segments bring the money?",
        sentence(
            "{name} are {customers} of the customers and bring {spend} of the spend of the last 90 days.",
            name=best.figure("segment_name", "text"),
            customers=best.figure("customer_share", "share"),
            spend=best.figure("spend_share", "share"),
        ),
        bars(groups, key),
        table_of(
            living,
            Column("Segment", "segment_name", segment="segment_id"),
            Column("Customers", "customers", "count"),
            Column("Share of customers", "customer_share", "share"),
            Column("Spend, 90 days", "spend_amount_90d", "amount"),
            Column("Share of spend", "spend_share", "share"),
            Column("Spend per customer, 90 days", "spend_per_customer", "amount"),
            Column("Share of margin, 365 days", "margin_share", "share"),
        ),
    )
