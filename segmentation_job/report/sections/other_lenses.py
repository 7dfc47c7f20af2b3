"""The other lenses in short: one table each."""

from __future__ import annotations

from segmentation_job.report.blocks import Column, Listing, Section, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer, PublishedFile
from segmentation_job.report.sections.sizes import sizes_of
from segmentation_job.report.view import view_of


def lenses_section(file: PublishedFile, lenses: Answer) -> Section:
    """Return the segments of every lens but the first."""
    blocks = []
    for row in list(lenses)[1:]:
        view = view_of(file, row)
        found = [size for size in sizes_of(view) if size.number_of("customers")]
        if not found:
            continue
        biggest = max(found, key=lambda size: size.number_of("customers"))
        change = [Column("Since the last run", "change_since_last_run", "change")] if view.last_run is not None else []
        blocks.append(
            Listing(
                f"lens-{row.number}",
                sentence("The lens {lens}", lens=view.lens_figure),
                sentence(
                    "{segments} segments of {customers} customers at {date}. The largest: {name}, {share}.",
                    segments=row.figure("segments", "count"),
                    customers=row.figure("customers", "count"),
                    date=row.figure("as_of_date", "date"),
                    name=biggest.figure("segment_name", "text"),
                    share=biggest.figure("customer_share", "share"),
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
