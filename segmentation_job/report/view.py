"""What a page looks at: one lens at one date, and the dates that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from segmentation_job.errors import SegmentationError
from segmentation_job.report.figures import Figure
from segmentation_job.report.published_file import Answer, PublishedFile, Row

FIRST_LENS = "overall"

LENSES_SQL = """
select lens, max(as_of_date) as as_of_date, count(*) as customers, count(distinct segment_id) as segments
from customer_segments
group by lens
order by lens <> 'overall', lens
"""

DATES_SQL = """
with runs as (
    select distinct
        as_of_date,
        abs(date_diff('day', as_of_date, cast(cast($as_of as date) - interval 1 month as date))) as days_from_month_ago
    from segmentation_runs
    where lens = $lens and as_of_date <= $as_of
)

select
    cast($as_of as date) as as_of_date,
    max(as_of_date) filter (where as_of_date < $as_of) as last_run,
    arg_min(as_of_date, (days_from_month_ago, as_of_date)) filter (where days_from_month_ago <= 10) as month_ago,
    count(*) as runs
from runs
"""


@dataclass(frozen=True)
class View:
    """One lens at one date.

    last_run: the date before it that was run; None on the first. month_ago: the date that was run nearest to a month
    before it; None where none was within ten days of that.
    """

    file: PublishedFile
    lens: str
    as_of: date
    last_run: date | None
    month_ago: date | None
    dates: Answer
    lens_figure: Figure

    def date_figure(self, column: str) -> Figure:
        """Return one of the dates as a figure."""
        return self.dates.row(0).figure(column, "date")


def lenses_in(file: PublishedFile) -> Answer:
    """Return the lenses of the file's newest labels, the first one to be shown in full.

    Raises SegmentationError where the file holds no labels.
    """
    lenses = file.ask("lenses", LENSES_SQL)
    if not lenses:
        raise SegmentationError(
            f"{file.path} holds no customer in a segment: there is nothing to report. Run a date, then make the report."
        )
    return lenses


def view_of(file: PublishedFile, lens_row: Row) -> View:
    """Return a lens, given its row of lenses_in, at its newest date, with the dates that it is compared with."""
    lens, as_of = str(lens_row["lens"]), lens_row["as_of_date"]
    assert isinstance(as_of, date)
    dates = file.ask(f"dates-{lens}", DATES_SQL, lens=lens, as_of=as_of)
    row = dates.row(0)
    last_run, month_ago = row["last_run"], row["month_ago"]
    assert last_run is None or isinstance(last_run, date)
    assert month_ago is None or isinstance(month_ago, date)
    return View(file, lens, as_of, last_run, month_ago, dates, lens_row.figure("lens", "text"))
