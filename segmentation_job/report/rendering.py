"""The morning report of a published file."""

from __future__ import annotations

from pathlib import Path

from segmentation_job.report.blocks import Section, present
from segmentation_job.report.figures import sentence
from segmentation_job.report.page import Page, html_of
from segmentation_job.report.published_file import PublishedFile
from segmentation_job.report.sections import (
    behaviour,
    cards,
    changes,
    checks,
    customer_map,
    differences,
    flows,
    history,
    loyalty,
    market,
    money,
    other_lenses,
    people,
    products,
    quality,
    sizes,
)
from segmentation_job.report.view import lenses_in, view_of


def render_report(published: Path) -> str:
    """Return the report of a published file as one self-contained HTML page.

    published: the file, or a link to it; opened read-only, and nothing else is read. The same file gives the same page,
    byte for byte. Raises SegmentationError where it is no published file or holds no customer in a segment.
    """
    with PublishedFile(published) as file:
        return html_of(page_of(file))


def page_of(file: PublishedFile) -> Page:
    """Return everything that the page says of an open published file."""
    lenses = lenses_in(file)
    view = view_of(file, lenses.row(0))
    segments, totals = sizes.sizes_of(view), sizes.totals_of(view)
    opening = changes.opening_of(view, segments, totals)
    waiting = checks.waiting_in(view)
    lead = sentence(
        "{customers} customers in {segments} {word}. Everything before {date} is known. A lens is one"
        " way to look at the same customers: this page looks through the lens {lens}, and in short through the others.",
        lens=view.lens_figure,
        word="segment" if totals.row(0)["segments"] == 1 else "segments",
        customers=totals.row(0).figure("customers", "count"),
        segments=totals.row(0).figure("segments", "count"),
        date=view.date_figure("as_of_date"),
    )
    known = people.known_attributes(view)
    sections = (
        Section(
            "worth",
            "What they are worth, and how they differ",
            present(
                [
                    cards.worth_chart(segments),
                    history.history_chart(view, segments),
                    differences.differences_chart(view, segments),
                    customer_map.map_chart(view),
                ]
            ),
        ),
        flows.flows_section(view),
        people.people_section(view, segments, known),
        people.places_section(view, segments, known),
        money.money_section(view, segments),
        products.products_section(view),
        loyalty.loyalty_section(view, segments),
        behaviour.behaviour_section(view),
        market.market_section(view),
        other_lenses.lenses_section(file, lenses),
        quality.quality_section(view),
        checks.checks_section(view, waiting),
    )
    return Page(
        as_of=view.date_figure("as_of_date"),
        lead=lead,
        notices=checks.notices_of(waiting),
        opening=opening,
        cards=cards.cards_of(view, segments, totals),
        sections=sections,
        questions=tuple(file.questions.values()),
    )
