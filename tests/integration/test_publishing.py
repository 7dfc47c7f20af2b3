"""The published file: nights kept, leftovers swept, a publisher killed halfway, clients old and new."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from segmentation_job.durable_files import point_link
from segmentation_job.errors import SegmentationError
from segmentation_job.publishing import describe_rollback, kept_files, publish, roll_back, sweep_leftovers
from segmentation_job.reporting import WrittenReport, show_report
from segmentation_job.steps import ExitCode
from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support import every_row
from tests.support.nights import PROJECT_DIR, Nights
from tests.support.rows import differences, published_rows

CLIENTS = PROJECT_DIR / ".venv" / "clients"


class TinyMarts:
    """A warehouse with the marts that publishing needs, of a few customers."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = folder / "warehouse.duckdb"
        self.published = folder / "published"
        self.link = folder / "serving" / "segments.duckdb"
        self.clock = datetime(2018, 1, 1, 2, tzinfo=UTC)

    def fill(self, as_of: date, customers: int = 3) -> None:
        """Let the marts hold one date; every customer is in segment a."""
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("drop schema if exists marts cascade")
            connection.execute("create schema marts")
            connection.execute(
                "create table marts.customer_segments as select cast(? as date) as as_of_date, 'overall' as lens,"
                " cast(range as varchar) as customer_id, 'a' as segment_id from range(?)",
                [as_of, customers],
            )
            connection.execute(
                "create table marts.customer_segment_history as select lens, customer_id, segment_id,"
                " 'name of a' as segment_name, as_of_date as valid_from, cast(null as date) as valid_to"
                " from marts.customer_segments"
            )
            connection.execute(
                "create table marts.segmentation_runs as select cast(? as date) as as_of_date, 'overall' as lens",
                [as_of],
            )

    def publish(self, as_of: date, customers: int = 3, kept_nights: int = 5) -> Path:
        """Publish a date, a minute after the last publication."""
        self.fill(as_of, customers)
        self.clock += timedelta(minutes=1)
        log = self.warehouse.with_name("run_log.jsonl")
        return publish(self.warehouse, self.published, self.link, log, kept_nights=kept_nights, now=self.clock).path

    def show_report(self, words: str, path: Path | None = None) -> WrittenReport:
        """Put a report that says these words beside a published file, by default the served one."""
        night = next(each for each in kept_files(self.published) if each.path == (path or self.link.resolve()))
        return show_report(words.encode(), night, self.link)

    def shown(self) -> tuple[str, str]:
        """Return what the source's latest report and the one of all sources say."""
        return (self.published / "latest.html").read_text(), self.link.with_name("report.html").read_text()

    def kept(self) -> list[str]:
        """Return the dates of the files on disk, oldest file name first."""
        return [path.name.split("_")[1] for path in sorted(self.published.glob("segments_*.duckdb"))]


@pytest.fixture
def tiny_marts(tmp_path: Path) -> TinyMarts:
    return TinyMarts(tmp_path)


def test_the_last_five_nights_are_kept(tiny_marts: TinyMarts) -> None:
    for day in range(1, 8):
        tiny_marts.publish(date(2018, 1, day))
    assert tiny_marts.kept() == [f"2018-01-{day:02d}" for day in range(3, 8)]


def test_of_a_night_published_twice_the_newer_file_is_kept_and_the_older_for_one_publication_more(
    tiny_marts: TinyMarts,
) -> None:
    first, second = (tiny_marts.publish(date(2018, 1, 1)) for _ in range(2))
    # Who has followed the link to it a moment ago opens it now.
    assert first.exists()
    third = tiny_marts.publish(date(2018, 1, 1))
    assert (first.exists(), second.exists()) == (False, True)
    assert tiny_marts.link.resolve() == third


def test_a_backfill_of_earlier_dates_pushes_no_night_out(tiny_marts: TinyMarts) -> None:
    nights = [date(2018, 1, day) for day in range(1, 6)]
    for night in nights:
        tiny_marts.publish(night)
    for backfilled in range(6):
        # A date before them is one more interval of the history: what is current stays the newest night.
        tiny_marts.publish(nights[-1], customers=4 + backfilled)
    assert sorted(set(tiny_marts.kept())) == [str(night) for night in nights]


def test_what_is_served_is_kept_however_old_its_date_is(tiny_marts: TinyMarts) -> None:
    for day in range(2, 5):
        tiny_marts.publish(date(2018, 1, day), kept_nights=2)
    oldest = tiny_marts.publish(date(2018, 1, 1), kept_nights=2)
    assert tiny_marts.link.resolve() == oldest
    assert tiny_marts.kept() == ["2018-01-01", "2018-01-03", "2018-01-04"]


def test_a_file_that_was_opened_before_a_publication_stays_readable(tiny_marts: TinyMarts) -> None:
    tiny_marts.publish(date(2018, 1, 1), customers=3)
    with duckdb.connect(str(tiny_marts.link), read_only=True) as reader:
        tiny_marts.publish(date(2018, 1, 2), customers=4)
        assert reader.execute("select count(*) from customer_segments").fetchone() == (3,)
    with duckdb.connect(str(tiny_marts.link), read_only=True) as reader:
        assert reader.execute("select count(*) from customer_segments").fetchone() == (4,)


def test_the_report_of_a_night_is_shown_once_it_is_written_and_until_then_the_one_before_it(
    tiny_marts: TinyMarts,
) -> None:
    first = tiny_marts.publish(date(2018, 1, 1))
    tiny_marts.show_report("of the first night")
    second = tiny_marts.publish(date(2018, 1, 2))
    assert tiny_marts.shown() == ("of the first night",) * 2
    written = tiny_marts.show_report("of the second night")
    assert tiny_marts.shown() == ("of the second night",) * 2
    assert (written.path, written.is_latest) == (second.with_suffix(".html"), True)
    assert first.with_suffix(".html").read_text() == "of the first night"


def test_a_report_that_comes_after_the_next_publication_lies_beside_its_night_and_is_not_the_latest(
    tiny_marts: TinyMarts,
) -> None:
    first = tiny_marts.publish(date(2018, 1, 1))
    tiny_marts.publish(date(2018, 1, 2))
    tiny_marts.show_report("of the second night")
    assert not tiny_marts.show_report("of the first night", first).is_latest
    assert tiny_marts.shown() == ("of the second night",) * 2
    assert first.with_suffix(".html").exists()


def test_a_rollback_shows_the_report_of_the_night_that_is_served(tiny_marts: TinyMarts) -> None:
    for day in (1, 2):
        tiny_marts.publish(date(2018, 1, day))
        tiny_marts.show_report(f"of {day} January")
    roll_back(tiny_marts.published, tiny_marts.link, None)
    assert tiny_marts.shown() == ("of 1 January",) * 2
    roll_back(tiny_marts.published, tiny_marts.link, "2018-01-02")
    assert tiny_marts.shown() == ("of 2 January",) * 2


def test_a_report_goes_with_its_night_unless_it_is_still_the_latest(tiny_marts: TinyMarts) -> None:
    for day in (1, 2):
        tiny_marts.publish(date(2018, 1, day), kept_nights=2)
        tiny_marts.show_report(f"of {day} January")
    for day in (3, 4, 5):
        tiny_marts.publish(date(2018, 1, day), kept_nights=2)
    # No later night has a report: the file that this one tells of stays with it.
    assert tiny_marts.kept() == ["2018-01-02", "2018-01-04", "2018-01-05"]
    assert tiny_marts.shown() == ("of 2 January",) * 2
    assert [path.name.split("_")[1] for path in tiny_marts.published.glob("segments_*.html")] == ["2018-01-02"]


def test_the_report_of_a_night_that_is_gone_is_not_written_and_one_that_was_left_is_swept(
    tiny_marts: TinyMarts,
) -> None:
    first = tiny_marts.publish(date(2018, 1, 1))
    night = kept_files(tiny_marts.published)[0]
    tiny_marts.publish(date(2018, 1, 2))
    first.unlink()
    with pytest.raises(SegmentationError, match="went while its report was drawn"):
        show_report(b"of the first night", night, tiny_marts.link)
    first.with_suffix(".html").write_text("left")
    (tiny_marts.published / ".segments_x.html.unfinished").write_text("cut")
    tiny_marts.publish(date(2018, 1, 3))
    left = [path for pattern in ("*.html", ".*") for path in tiny_marts.published.glob(pattern)]
    assert left == []


def test_the_report_of_another_source_that_bi_opens_stays(tiny_marts: TinyMarts, tmp_path: Path) -> None:
    tiny_marts.publish(date(2018, 1, 1))
    other = TinyMarts(tmp_path / "other")
    other.published.parent.mkdir()
    other.link = tiny_marts.link
    other.publish(date(2018, 1, 1))
    other.show_report("of the other source")
    tiny_marts.show_report("of this source", kept_files(tiny_marts.published)[0].path)
    assert tiny_marts.shown() == ("of this source", "of the other source")


def test_a_lens_that_is_off_or_ran_for_an_earlier_date_only_is_no_disagreement(tiny_marts: TinyMarts) -> None:
    tiny_marts.fill(date(2018, 1, 2))
    with duckdb.connect(str(tiny_marts.warehouse)) as connection:
        for lens in ("off", "late"):
            connection.execute(f"insert into marts.segmentation_runs values (date '2018-01-01', '{lens}')")
            connection.execute(
                "insert into marts.customer_segment_history select * replace"
                f" ('{lens}' as lens, date '2018-01-01' as valid_from) from marts.customer_segment_history"
                " where lens = 'overall'"
            )
        connection.execute("insert into marts.segmentation_runs values (date '2018-01-02', 'off')")
        connection.execute(
            "insert into marts.customer_segments select * replace ('late' as lens, date '2018-01-01' as as_of_date)"
            " from marts.customer_segments"
        )
    log = tiny_marts.warehouse.with_name("run_log.jsonl")
    publication = publish(
        tiny_marts.warehouse, tiny_marts.published, tiny_marts.link, log, kept_nights=5, now=tiny_marts.clock
    )
    assert publication.row_counts["customer_segments"] == 6
    assert tiny_marts.link.resolve() == publication.path


def test_marts_whose_history_disagrees_with_the_current_segments_are_not_served(tiny_marts: TinyMarts) -> None:
    served = tiny_marts.publish(date(2018, 1, 1))
    tiny_marts.fill(date(2018, 1, 2))
    with duckdb.connect(str(tiny_marts.warehouse)) as connection:
        connection.execute("delete from marts.customer_segment_history where customer_id = '1'")
    log = tiny_marts.warehouse.with_name("run_log.jsonl")
    with pytest.raises(SegmentationError, match="not served"):
        publish(tiny_marts.warehouse, tiny_marts.published, tiny_marts.link, log, kept_nights=5, now=tiny_marts.clock)
    assert tiny_marts.link.resolve() == served


def test_a_sweep_takes_unfinished_files_and_stray_logs_and_nothing_else(tiny_marts: TinyMarts) -> None:
    served = tiny_marts.publish(date(2018, 1, 1))
    leftovers = [
        tiny_marts.published / name
        for name in (
            ".unfinished.duckdb",
            ".unfinished.duckdb.wal",
            ".current.duckdb.unfinished",
            f"{served.name}.wal",
            f"{served.name}.wal.checkpoint",
        )
    ]
    for path in leftovers:
        path.write_text("half of something")
    leftovers.append(tiny_marts.published / ".unfinished.spilled")
    leftovers[-1].mkdir()
    (leftovers[-1] / "duckdb_temp_storage-0.tmp").write_text("rows")
    assert sorted(sweep_leftovers(tiny_marts.published)) == sorted(leftovers)
    assert sorted(path.name for path in tiny_marts.published.iterdir()) == ["current.duckdb", served.name]


def served_date(tiny_marts: TinyMarts) -> str:
    with duckdb.connect(str(tiny_marts.link), read_only=True) as reader:
        return str(reader.execute("select max(as_of_date) from customer_segments").fetchall()[0][0])


def test_a_rollback_serves_the_publication_before_and_the_next_one_serves_the_new_night_again(
    tiny_marts: TinyMarts,
) -> None:
    first, second, third = (tiny_marts.publish(date(2018, 1, day)) for day in (1, 2, 3))
    with duckdb.connect(str(tiny_marts.link), read_only=True) as reader:
        before, now = roll_back(tiny_marts.published, tiny_marts.link, None)
        assert reader.execute("select max(as_of_date) from customer_segments").fetchall() == [(date(2018, 1, 3),)]
    assert (before.night.path, now.night.path) == (third, second)
    assert [night.path for night in now.newer] == [third]
    assert abs(datetime.now(UTC) - now.since) < timedelta(minutes=1)
    assert served_date(tiny_marts) == "2018-01-02"
    assert (tiny_marts.published / "current.duckdb").resolve() == second
    roll_back(tiny_marts.published, tiny_marts.link, None)
    assert served_date(tiny_marts) == "2018-01-01"
    said = describe_rollback(tiny_marts.published)
    assert said is not None
    assert f"{first.name} since" in said
    assert f"--to {third.name}" in said

    tiny_marts.publish(date(2018, 1, 4), kept_nights=1)

    assert served_date(tiny_marts) == "2018-01-04"
    assert describe_rollback(tiny_marts.published) is None
    # What was served until then stays for one publication more, though it is the oldest.
    assert tiny_marts.kept() == ["2018-01-01", "2018-01-04"]


def test_a_rollback_takes_a_night_or_a_file_and_goes_forward_too(tiny_marts: TinyMarts) -> None:
    first, second, third = (tiny_marts.publish(date(2018, 1, day)) for day in (1, 2, 3))
    for wanted, expected in (("2018-01-01", first), (third.name, third), (str(second), second)):
        roll_back(tiny_marts.published, tiny_marts.link, wanted)
        assert tiny_marts.link.resolve() == expected
        assert tiny_marts.link.resolve() == (tiny_marts.published / "current.duckdb").resolve()


def test_a_rollback_works_while_a_run_writes_the_warehouse(tiny_marts: TinyMarts) -> None:
    for day in (1, 2):
        tiny_marts.publish(date(2018, 1, day))
    with duckdb.connect(str(tiny_marts.warehouse)):
        roll_back(tiny_marts.published, tiny_marts.link, "2018-01-01")
    assert served_date(tiny_marts) == "2018-01-01"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("2018-01-09", "is not kept"),
        ("../warehouse.duckdb", "is not kept"),
        ("2018-01-03", "is served already"),
        ("2018-01-01", "labelled twice"),
        ("2018-01-02", "cannot be read"),
    ],
)
def test_a_rollback_refuses_what_is_not_kept_or_not_sound_and_changes_nothing(
    tiny_marts: TinyMarts, wanted: str, said: str
) -> None:
    first, second, third = (tiny_marts.publish(date(2018, 1, day)) for day in (1, 2, 3))
    with duckdb.connect(str(first)) as connection:
        connection.execute("insert into customer_segments select * from customer_segments limit 1")
    os.truncate(second, second.stat().st_size // 2)
    with pytest.raises(SegmentationError, match=said):
        roll_back(tiny_marts.published, tiny_marts.link, wanted)
    assert tiny_marts.link.resolve() == third
    assert served_date(tiny_marts) == "2018-01-03"


def test_a_rollback_leaves_a_serving_link_that_leads_to_another_source(tiny_marts: TinyMarts) -> None:
    for day in (1, 2):
        tiny_marts.publish(date(2018, 1, day))
    other = tiny_marts.link.parent / "of_another_source.duckdb"
    other.touch()
    point_link(tiny_marts.link, other)
    _, now = roll_back(tiny_marts.published, tiny_marts.link, None)
    assert now.night.as_of == date(2018, 1, 1)
    assert tiny_marts.link.resolve() == other


def test_where_the_oldest_file_is_served_there_is_nothing_to_go_back_to(tiny_marts: TinyMarts) -> None:
    with pytest.raises(SegmentationError, match="nothing is published"):
        roll_back(tiny_marts.published, tiny_marts.link, None)
    tiny_marts.publish(date(2018, 1, 1))
    with pytest.raises(SegmentationError, match="published before it"):
        roll_back(tiny_marts.published, tiny_marts.link, None)


def test_a_night_with_nothing_to_do_leaves_a_rollback_and_says_so(first_night: Nights, copy_nights: CopyNights) -> None:
    nights = copy_nights(first_night, "rolled_back")
    nights.run(FIRST_NIGHT, first="publish")
    newest = nights.serving_link.resolve()
    rolled_back = nights.command("rollback")
    assert rolled_back.exit_code == 0, rolled_back.output
    earlier = nights.serving_link.resolve()
    assert earlier != newest
    assert "The next publication serves the new night again" in rolled_back.output
    check = nights.step("check", FIRST_NIGHT)
    assert check.exit_code == ExitCode.NOTHING_TO_DO
    assert f"{earlier.name} since" in check.output
    assert nights.serving_link.resolve() == earlier
    assert f"{earlier.name} since" in nights.command("summary").output
    listed = nights.command("rollback", "--list").output.splitlines()
    assert [earlier.name in line and "served since" in line for line in listed] == [True, False]


def kill_in_mid_write(nights: Nights, after: float) -> bool:
    """Start publishing and kill it some seconds after its file appears; return whether it died of that."""
    unfinished = nights.published_dir / ".unfinished.duckdb"
    with nights.start("publish", "--as-of", str(FIRST_NIGHT)) as publisher:
        while not unfinished.exists() and publisher.poll() is None:
            time.sleep(0.0005)
        time.sleep(after)
        if publisher.poll() is None:
            os.killpg(publisher.pid, signal.SIGKILL)
        publisher.wait()
    return publisher.returncode == -signal.SIGKILL


def test_a_publisher_killed_in_mid_write_leaves_the_old_file_served_and_the_next_one_sweeps(
    first_night: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(first_night, "killed_publisher")
    unfinished = nights.published_dir / ".unfinished.duckdb"
    served = nights.serving_link.resolve(strict=True)
    content, rows = served.read_bytes(), published_rows(nights.serving_link)

    for after in (0.0, 0.02, 0.06):
        assert kill_in_mid_write(nights, after)
        assert unfinished.exists()
        assert nights.serving_link.resolve(strict=True) == served
        assert served.read_bytes() == content
        assert published_rows(nights.serving_link) == rows

    nights.run(FIRST_NIGHT, first="publish")

    assert nights.serving_link.resolve(strict=True) != served
    assert differences(published_rows(nights.serving_link), rows) == {}
    assert [path.name for path in nights.published_dir.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_every_published_table_and_view_reads_the_same_in_duckdb(version: str, first_night: Nights) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if version != duckdb.__version__:
        client = CLIENTS / f"duckdb-{version}"
        assert client.is_dir(), f"{client} is missing: `make test` brings it along, or make it by its name"
        environment["PYTHONPATH"] = str(client)
    finished = subprocess.run(
        [sys.executable, every_row.__file__, str(first_night.serving_link)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    assert answer["version"] == version
    expected = {name: len(rows) - 1 for name, rows in published_rows(first_night.serving_link).items()}
    assert set(answer["tables"]) == {*expected, "run_log", "registry_events"}
    assert {name: answer["tables"][name][0] for name in expected} == expected
    with duckdb.connect(str(first_night.serving_link), read_only=True) as connection:
        assert answer["tables"] == every_row.digests(connection)
