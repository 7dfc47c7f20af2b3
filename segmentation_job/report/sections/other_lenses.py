"""The other lenses in short: one table each."""

from __future__ import annotations

from markupsafe import Markup

from segmentation_job.report.blocks import Column, Listing, Section, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer, PublishedFile
from segmentation_job.report.sections.changes import compared_with, new_models_of
from segmentation_job.report.sections.sizes import sizes_of
from segmentation_job.report.view import view_of


def lenses_section(file: PublishedFile, lenses: Answer) -> Section:
    """Return the segments of every lens but the first."""
    blocks = []
    for row in list(lenses)[1:]:
        view = view_of(file, row)
        # Those that ended since the last run hold nobody now, and are told.
        found = [
            size for size in sizes_of(view) if size.number_of("customers") or size.number_of("customers_at_last_run")
        ]
        biggest = max(found, key=lambda size: size.number_of("customers"))
        compared = compared_with(view)[:1] if view.last_run is not None else []
        change = [
            column
            for since in compared
            for column in (
                *([Column("New or ended", "born_or_ended")] if any(size["born_or_ended"] for size in found) else []),
                Column("By customers since the last run", f"by_customers_{since.ending}", "change"),
                Column("By a new model", f"by_model_{since.ending}", "change"),
            )
        ]
        said = sentence(
            "{segments} segments of {customers} customers at {date}. The largest: {name}, {share}.",
            segments=row.figure("segments", "count"),
            customers=row.figure("customers", "count"),
            date=row.figure("as_of_date", "date"),
            name=biggest.figure("segment_name", "text"),
            share=biggest.figure("customer_share", "share"),
        )
        blocks.append(
            Listing(
                f"lens-{row.number}",
                sentence("The lens {lens}", lens=view.lens_figure),
                Markup(" ").join(
                    [
                        said,
                        *(one for since in compared for one in new_models_of(view, since)),
                    ]
                ),
                table_of(
                    found,
                    Column("Segment", "segment_name", segment="segment_id"),
                    Column("Customers", "customers", "count"),
                    Column("Share", "customer_share", "share"),
                    *change,
                    Column("Share of spend, 90 days", "spend_share", "share"),
                    Column("Set apart by", "traits"),
                    Column("What to do", "recommended_action"),
                ),
            )
        )
    absent = () if blocks else (sentence("No other lens was run."),)
    return Section("lenses", "The other lenses", tuple(blocks), absent=absent)
