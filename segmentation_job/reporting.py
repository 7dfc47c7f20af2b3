"""The report of a published file: drawn from it alone, put beside it, and shown as the latest once it is whole."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from segmentation_job.durable_files import one_at_a_time, written_whole
from segmentation_job.errors import SegmentationError
from segmentation_job.publishing import KeptNight, point_reports, report_beside, served_night
from segmentation_job.report.rendering import render_report


@dataclass(frozen=True)
class WrittenReport:
    """A report on disk. as_of: the latest date in it. size: bytes. is_latest: the links lead to it."""

    path: Path
    as_of: date
    size: int
    is_latest: bool


def write_report(published_dir: Path, serving_link: Path) -> WrittenReport:
    """Write the report of what a source serves beside it, and let `latest.html` and the serving report point to it.

    Readers of the report before it meet that one or the new one, never none. Raises SegmentationError where nothing is
    served, or where the file went while it was drawn.
    """
    night = served_night(published_dir).night
    return show_report(render_report(night.path).encode(), night, serving_link)


def show_report(page: bytes, night: KeptNight, serving_link: Path) -> WrittenReport:
    """Put a report beside its published file, and point the links to the report of what is served by now.

    Raises SegmentationError where the file went meanwhile.
    """
    published_dir = night.path.parent
    target = report_beside(night.path)
    with one_at_a_time(published_dir.parent):
        if not night.path.exists():
            raise SegmentationError(f"{night.path} went while its report was drawn: a newer one is served by now.")
        with written_whole(target) as unfinished:
            unfinished.write_bytes(page)
        point_reports(published_dir, serving_link)
        is_latest = served_night(published_dir).night == night
    return WrittenReport(target, night.as_of, len(page), is_latest)
