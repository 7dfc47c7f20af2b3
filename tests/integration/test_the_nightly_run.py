"""The whole DAG on a slice of real data, through Airflow, and what a run again changes: nothing."""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Finished, Nights
from tests.support.published import PROMISED_COLUMNS, columns_of, customers_in_scope, features_of
from tests.support.rows import Rows, differences, published_rows


@dataclass(frozen=True)
class Served:
    """The served file, as it was at one moment."""

    path: Path
    changed_ns: int
    content: bytes

    @classmethod
    def of(cls, nights: Nights) -> "Served":
        path = nights.serving_link.resolve(strict=True)
        return cls(path, path.stat().st_mtime_ns, path.read_bytes())


@dataclass(frozen=True)
class ThreeRuns:
    """A run, the same run again, and the same run forced, with what was served after each."""

    nights: Nights
    runs: list[Finished]
    seconds: list[float]
    served: list[Served]
    rows: list[Rows]


@pytest.fixture(scope="module")
def three_runs(sliced_landing: Path, copy_nights: CopyNights) -> ThreeRuns:
    nights = copy_nights(Nights(sliced_landing), "through_airflow")
    three = ThreeRuns(nights, [], [], [], [])
    for options in ((), (), ("--force",)):
        begun = time.monotonic()
        finished = nights.command("run", "--as-of", str(FIRST_NIGHT), *options)
        three.seconds.append(time.monotonic() - begun)
        assert finished.exit_code == 0, finished.output[-4000:]
        three.runs.append(finished)
        three.served.append(Served.of(nights))
        three.rows.append(published_rows(nights.serving_link))
    return three


def test_every_promised_table_and_column_is_published(three_runs: ThreeRuns) -> None:
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        found = columns_of(published)
    missing = {
        table: sorted(columns - found.get(table, set()))
        for table, columns in PROMISED_COLUMNS.items()
        if columns - found.get(table, set())
    }
    assert missing == {}


def test_every_customer_in_scope_has_one_segment_in_every_lens(three_runs: ThreeRuns, sliced_landing: Path) -> None:
    in_scope = customers_in_scope(sliced_landing, FIRST_NIGHT)
    assert len(in_scope) > 200
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        labels = published.execute("select lens, customer_id, as_of_date from customer_segments").fetchall()
        lenses = {row[0] for row in published.execute("select distinct lens from segmentation_runs").fetchall()}
    assert "overall" in lenses
    assert sorted(labels) == sorted((lens, customer, FIRST_NIGHT) for lens in lenses for customer in in_scope)


def test_overall_has_3_to_12_segments_none_under_1_percent_each_with_its_own_name(three_runs: ThreeRuns) -> None:
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        segments = published.execute(
            "select segment_id, segment_name, count(*) / sum(count(*)) over () from customer_segments"
            " where lens = 'overall' group by all"
        ).fetchall()
        named = dict(published.execute("select segment_id, name from segments where lens = 'overall'").fetchall())
    assert 3 <= len(segments) <= 12
    assert all(share >= 0.01 for _, _, share in segments)
    names = [name for _, name, _ in segments]
    assert all(names)
    assert len(set(names)) == len(names)
    assert {segment: name for segment, name, _ in segments} == {segment: named[segment] for segment, _, _ in segments}


def test_customer_360_holds_every_feature_and_the_segment_of_each_customer_once(three_runs: ThreeRuns) -> None:
    features = features_of(three_runs.nights)
    assert len(features) > 50
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        assert features <= columns_of(published)["customer_360"]
        wide = published.execute(
            "select customer_id, as_of_date, overall_segment_id from customer_360 order by all"
        ).fetchall()
        labels = published.execute(
            "select customer_id, as_of_date, segment_id from customer_segments where lens = 'overall' order by all"
        ).fetchall()
    assert wide == labels


def test_the_run_shows_each_step_the_rows_and_the_segments(three_runs: ThreeRuns) -> None:
    output = three_runs.runs[0].output
    for words in (
        *("Check the sources", "Build the facts", "Gate the labels", "Publish the segments"),
        "in = kept + quarantined + out of scope",
        "overall-01",
        str(three_runs.nights.serving_link),
    ):
        assert words in output


def test_the_same_run_again_leaves_the_published_file_as_it_is(three_runs: ThreeRuns) -> None:
    assert three_runs.served[1] == three_runs.served[0]
    assert "othing to do" in three_runs.runs[1].output
    assert three_runs.seconds[1] < three_runs.seconds[0] / 2


def test_a_forced_run_publishes_a_new_file_with_the_same_rows(three_runs: ThreeRuns) -> None:
    assert three_runs.served[2].path != three_runs.served[0].path
    assert differences(three_runs.rows[0], three_runs.rows[2]) == {}


def test_one_thread_and_a_run_without_airflow_publish_the_same_rows_as_two_threads_with_it(
    three_runs: ThreeRuns, first_night: Nights
) -> None:
    assert differences(three_runs.rows[0], published_rows(first_night.serving_link)) == {}


def test_the_run_log_has_every_step_of_every_run(three_runs: ThreeRuns) -> None:
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        logged = published.execute(
            "select step, attempt, outcome from run_log where as_of_date = ? order by started_at", [FIRST_NIGHT]
        ).fetchall()
    first = [(step, outcome) for step, attempt, outcome in logged if attempt == 1]
    assert [step for step, _ in first][:2] == ["check", "build_facts"]
    assert {outcome for step, outcome in first if step != "publish"} == {"done"}


def test_the_export_holds_the_current_segments(three_runs: ThreeRuns, tmp_path: Path) -> None:
    target = tmp_path / "segments.csv"
    assert three_runs.nights.command("export", str(target)).exit_code == 0
    with duckdb.connect(str(three_runs.nights.serving_link), read_only=True) as published:
        different = published.execute(
            f"(from customer_segments except from read_csv('{target}'))"
            f" union all (from read_csv('{target}') except from customer_segments)"
        ).fetchall()
        exported = published.execute(f"select count(*) from read_csv('{target}')").fetchone()
    assert different == []
    assert exported is not None
    assert exported[0] > 200


def test_a_date_far_past_the_newest_row_is_refused_and_nothing_changes(three_runs: ThreeRuns) -> None:
    before = Served.of(three_runs.nights)
    refused = three_runs.nights.step("check", date(2018, 3, 1))
    assert refused.exit_code == 3
    assert "transactions" in refused.output
    assert Served.of(three_runs.nights) == before
