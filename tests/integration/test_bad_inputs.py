"""The corpus of broken inputs, each through the command line: stopped with a sentence, set aside, or harmless.

The cases and what must come of them stand in tests/support/bad_inputs.py and docs/bad-input.md. Cases share landings
and nights; a night runs in Europe/Berlin, and is held against one of the same shop without the cases.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from segmentation_job.steps import ExitCode
from tests.conftest import CopyNights
from tests.support.bad_inputs import (
    AROUND_THE_SWITCHES,
    BROKEN_FEEDBACK,
    BUSY_DAY,
    BUSY_DAY_ORDERS,
    CSV_TABLES,
    HOSTILE,
    MIXED_ZONES,
    OUT_OF_SCOPE,
    PARQUET_AS_OF,
    PARQUET_QUARANTINED,
    QUARANTINED,
    STOPS,
    case_count,
    corpus_page,
    land_csv,
    land_equal_customers,
    land_strange_csv,
    land_strange_parquet,
    said,
    stop_cases,
)
from tests.support.example_shop import AS_OF, example_night
from tests.support.nights import COMMAND, PROJECT_DIR, Finished, Nights
from tests.support.published import FEATURE_TABLES

BERLIN = {"SEGMENTATION_TIMEZONE": "Europe/Berlin"}
SETPRIV = shutil.which("setpriv")


def limited(shell: tuple[str, ...], kilobytes: int = 8) -> list[str]:
    """Return the words before a command that take from it what the case takes; skip where they cannot."""
    if "small-disk" in shell:
        return ["bash", "-c", f'ulimit -f {kilobytes} && exec "$@"', "bash"]
    if "without-override" in shell and os.geteuid() == 0:
        # Root may read and write everything, unless it gives that up.
        if SETPRIV is None:
            pytest.skip("run as root, and there is no setpriv to give up root's right to every file")
        return [SETPRIV, "--bounding-set=-dac_override,-dac_read_search", "--"]
    return []


def run_limited(nights: Nights, shell: tuple[str, ...], *arguments: str, kilobytes: int = 8) -> Finished:
    finished = subprocess.run(
        [*limited(shell, kilobytes), str(COMMAND), *arguments],
        cwd=PROJECT_DIR,
        env=nights.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Finished(finished.returncode, finished.stdout)


def project_copy(place: Path) -> Path:
    """Copy what a project runs from, to break it."""
    for folder in ("segmentation_job", "dbt_project", "expectations"):
        shutil.copytree(PROJECT_DIR / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__", "target"))
    return place


# ---------------------------------------------------------------------------------------------------------------
# Stopped before anything is written.

_ENDED: dict[int, tuple[Finished, Path]] = {}


def ended(number: int, factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """Return how the command of a stop ended, and its data folder; run once for all its cases."""
    if number not in _ENDED:
        stop = STOPS[number]
        data_dir = factory.mktemp("stop") / "data"
        source_dir = data_dir / stop.source
        (land_csv if stop.source == "example_csv" else land_strange_parquet)(source_dir)
        (source_dir / "lenses").mkdir()
        stop.spoil(source_dir)
        settings = {name: value.format(source_dir=source_dir) for name, value in stop.settings.items()}
        nights = Nights(data_dir, {"SOURCE": stop.source, **settings})
        _ENDED[number] = run_limited(nights, stop.shell, *stop.arguments), data_dir
    return _ENDED[number]


@pytest.mark.parametrize(("number", "case"), stop_cases(), ids=lambda value: str(value))
def test_a_broken_input_ends_the_check_with_its_exit_code_and_a_sentence(
    number: int, case: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    finished, data_dir = ended(number, tmp_path_factory)
    stop = STOPS[number]
    assert finished.exit_code == stop.exit_code, finished.output
    assert "Traceback" not in finished.output
    told = said(finished.output)
    for words in stop.told[case]:
        assert words in told, told
    assert not (data_dir / "serving").exists()
    assert not (data_dir / stop.source / "published").exists()


def test_a_sources_file_that_is_no_yaml_or_no_sources_file_is_named(tmp_path: Path) -> None:
    project = project_copy(tmp_path / "project")
    nights = Nights(tmp_path / "data", {"SOURCE": "example_csv", "PYTHONPATH": str(project)})
    land_csv(nights.source_dir)
    declaration = project / "dbt_project" / "sources" / "example_csv" / "_example_csv__sources.yml"
    for broken, words in (("sources: [a: b: c", "is not readable as YAML"), ("sources: 7", "is not laid out as")):
        declaration.write_text(broken)
        finished = nights.step("check", AS_OF)
        assert finished.exit_code == ExitCode.MISCONFIGURED
        assert "Traceback" not in finished.output
        assert str(declaration) in finished.output
        assert words in finished.output


# ---------------------------------------------------------------------------------------------------------------
# A night of a shop whose files hold every planted row.


@dataclass(frozen=True)
class StrangeNight:
    """The night, what its steps printed, and how a gate with a broken suite ended in the midst of it."""

    nights: Nights
    steps: dict[str, Finished]
    broken_suite: Finished


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrangeNight]:
    place = tmp_path_factory.mktemp("strange")
    nights = Nights(place / "data", {"SOURCE": "example_csv", **BERLIN})
    land_strange_csv(nights.source_dir)
    steps = nights.run(AS_OF, last="build_features")
    project = project_copy(place / "project")
    (project / "expectations" / "purchase_features.json").write_text('{"name": "purchase_features", "expect')
    broken = Nights(nights.data_dir, {**nights.settings, "PYTHONPATH": str(project)}).step("gate_features", AS_OF)
    steps |= nights.run(AS_OF, first="gate_features")
    yield StrangeNight(nights, steps, broken)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The same shop without any case."""
    return example_night(tmp_path_factory)


def quarantine(nights: Nights) -> Counter[tuple[Any, ...]]:
    return Counter(nights.query("select entity, reason, record_key from staging.quarantine"))


def order_days(nights: Nights, customer: str) -> dict[Any, int]:
    return dict(
        nights.query(
            "select order_date, cast(order_count as integer) from intermediate.int_customer_days"
            " where customer_id = ? order by order_date",
            (customer,),
        )
    )


def served(nights: Nights, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(nights.serving_link), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("case", QUARANTINED)
def test_a_broken_row_is_set_aside_with_its_reason(strange: StrangeNight, case: str) -> None:
    found = quarantine(strange.nights)
    for key in QUARANTINED[case].quarantined:
        assert found[key], (key, sorted(other for other in found if other[0] == key[0]))


def test_nothing_is_set_aside_but_what_is_broken(strange: StrangeNight, plain: Nights) -> None:
    planted = Counter(key for case in QUARANTINED.values() for key in case.quarantined)
    assert quarantine(strange.nights) == quarantine(plain) + planted


def test_rows_in_are_kept_or_set_aside_or_out_of_scope(strange: StrangeNight) -> None:
    (logged,) = served(
        strange.nights,
        "select details from run_log where step = 'build_features'",
    )
    with duckdb.connect() as connection:
        (rows,) = connection.execute("select cast(? as json) -> 'rows'", [logged[0]]).fetchall()[0]
        for table in CSV_TABLES:
            path = strange.nights.source_dir / "landing" / f"{table}.csv"
            (landed,) = connection.execute(
                f"select count(*) from read_csv('{path}', header = true, all_varchar = true, delim = ',', quote = '\"')"
            ).fetchall()[0]
            counted = connection.execute(
                f"select cast(a ->> 'in' as int), cast(a ->> 'kept' as int), cast(a ->> 'out_of_scope' as int),"
                f" list_sum([cast(json_extract(a, '$.quarantined.' || k) as int) for k in"
                f" json_keys(a -> 'quarantined')]) from (select cast(? as json) -> '{table}' as a)",
                [rows],
            ).fetchall()[0]
            rows_in, kept, out_of_scope, set_aside = counted
            assert rows_in == landed
            assert rows_in == kept + out_of_scope + (set_aside or 0)
            assert out_of_scope == OUT_OF_SCOPE.get(table, 0)


@pytest.mark.parametrize(("text"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_a_text_like_any_other(strange: StrangeNight, text: str) -> None:
    with duckdb.connect(str(strange.nights.serving_link), read_only=True) as connection:
        found = connection.execute(
            "select city, language, acquisition_channel, favourite_category, order_count,"
            " overall_segment_id is not null from customer_360 where customer_id = ?",
            [text],
        ).fetchall()
        assert found == [(text, text, text, text, 1, True)]
        labels = connection.execute("select count(*) from customer_segments where customer_id = ?", [text]).fetchall()
    assert labels == [(1,)]


@pytest.mark.parametrize("table", FEATURE_TABLES)
def test_everybody_elses_features_are_what_they_are_without_the_cases(
    strange: StrangeNight, plain: Nights, table: str
) -> None:
    # These two hold a customer against all others, of whom there are more.
    relative = "exclude (relative_price_index, category_mix_distance)" if table == "purchase_features" else ""
    sql = (
        f"select * {relative} from promoted.{table} where regexp_full_match(customer_id, 'C\\d\\d') and as_of_date = ?"
        " order by customer_id"
    )
    assert strange.nights.query(sql, (AS_OF,)) == plain.query(sql, (AS_OF,)) != []


def test_every_customer_in_scope_is_promoted_once_and_nobody_who_was_set_aside(strange: StrangeNight) -> None:
    labels = [
        customer
        for (customer,) in strange.nights.query(
            "select customer_id from promoted.labels where as_of_date = ? and lens = 'overall'", (AS_OF,)
        )
    ]
    assert len(labels) == len(set(labels))
    expected = {f"C{number:02d}" for number in range(1, 25)} | {f"T{number:02d}" for number in range(1, 6)}
    assert set(labels) == expected | {"K01"} | set(HOSTILE.values())


@pytest.mark.parametrize(
    ("customer", "moments"),
    [("T03", AROUND_THE_SWITCHES), ("T04", MIXED_ZONES)],
    ids=["days of 23 and of 25 hours", "several time zones in one column"],
)
def test_an_order_counts_on_its_business_day_once(strange: StrangeNight, customer: str, moments: Any) -> None:
    assert order_days(strange.nights, customer) == dict(sorted(Counter(moments.values()).items()))


def test_a_day_with_ten_times_the_data_is_a_day(strange: StrangeNight) -> None:
    assert order_days(strange.nights, "T05") == {BUSY_DAY: BUSY_DAY_ORDERS}


def test_a_day_without_data_has_no_facts_and_the_days_around_it_have(strange: StrangeNight) -> None:
    days = [day for (day,) in strange.nights.query("select distinct order_date from intermediate.int_customer_days")]
    gaps = [
        day
        for (day,) in strange.nights.query(
            "select cast(day as date) from range(date '2024-01-10', date '2024-06-30', interval 1 day) as days(day)"
            " where cast(day as date) not in (select order_date from intermediate.int_customer_days)"
        )
    ]
    assert gaps
    assert not set(gaps) & set(days)


def test_an_order_before_its_customers_signup_counts_where_the_source_keeps_no_history(strange: StrangeNight) -> None:
    assert len(order_days(strange.nights, "T02")) == 1


def test_rows_of_the_as_of_date_and_later_are_not_used(strange: StrangeNight) -> None:
    (row,) = served(strange.nights, "select order_count, recency_days from customer_360 where customer_id = 'T01'")
    # T01-1 of 2 May; T06-1 of 1 July 00:30 in Berlin and T06-2 of 8 July are T01's, too.
    assert row == (1, 60)


def test_an_unknown_code_of_a_customer_is_a_value_of_its_own(strange: StrangeNight) -> None:
    assert served(strange.nights, "select gender from customer_360 where customer_id = 'T01'") == [("some new code",)]


@pytest.mark.parametrize(
    ("table", "first_bytes"),
    [
        ("customers", b"customer_no,joined_on,born_on,sex,yearly_income,town,language,people_at_home,found_us_by,loy"),
        ("orders", b"channel,placed_at,customer_no,order_no"),
        ("order_lines", b"\xef\xbb\xbforder_no,line_no,sku,units,full_price,rebate,paid\r\n"),
        ("products", b'"sku","product_group"'),
    ],
    ids=["extra column", "columns in another order", "byte order mark, CRLF and blank lines", "quotes everywhere"],
)
def test_a_file_that_is_written_in_another_way_is_read_all_the_same(
    strange: StrangeNight, table: str, first_bytes: bytes
) -> None:
    # That nobody else's features change is held by the test above.
    path = strange.nights.source_dir / "landing" / f"{table}.csv"
    assert path.read_bytes().startswith(first_bytes)
    printed = strange.steps["check"].output
    assert f"{table}: " in printed


def test_a_suite_that_is_no_json_ends_the_gate_and_nothing_is_promoted_by_it(strange: StrangeNight) -> None:
    assert strange.broken_suite.exit_code == ExitCode.MISCONFIGURED
    assert "purchase_features.json: cannot be read as JSON" in strange.broken_suite.output
    assert "Traceback" not in strange.broken_suite.output


@pytest.mark.parametrize(
    ("shell", "exit_code", "words"),
    [
        (("small-disk",), ExitCode.UNEXPECTED, "The disk is full"),
        (("without-override",), ExitCode.MISCONFIGURED, "Permission denied"),
    ],
    ids=["disk that fills while publishing", "published folder that is read-only"],
)
def test_a_publication_that_cannot_be_written_leaves_what_is_served(
    strange: StrangeNight,
    copy_nights: CopyNights,
    shell: tuple[str, ...],
    exit_code: ExitCode,
    words: str,
) -> None:
    nights = copy_nights(strange.nights, "publishing")
    before = nights.serving_link.resolve().read_bytes()
    if "without-override" in shell:
        nights.published_dir.chmod(0o555)
    finished = run_limited(nights, shell, "publish", "--as-of", str(AS_OF), kilobytes=512)
    nights.published_dir.chmod(0o755)
    assert finished.exit_code == exit_code, finished.output
    assert "Traceback" not in finished.output
    assert words in finished.output
    assert nights.serving_link.resolve().read_bytes() == before


# ---------------------------------------------------------------------------------------------------------------
# Parquet of other types, and a delivery that is broken as a whole.


@dataclass(frozen=True)
class StrangeParquet:
    nights: Nights
    features: Finished


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> StrangeParquet:
    nights = Nights(tmp_path_factory.mktemp("parquet") / "data", {"SOURCE": "simulated_shop", **BERLIN})
    land_strange_parquet(nights.source_dir)
    nights.run(PARQUET_AS_OF, last="build_facts")
    return StrangeParquet(nights, nights.step("build_features", PARQUET_AS_OF))


@pytest.mark.parametrize("case", PARQUET_QUARANTINED)
def test_a_broken_row_of_a_typed_file_is_set_aside_with_its_reason(parquet: StrangeParquet, case: str) -> None:
    found = quarantine(parquet.nights)
    for key in PARQUET_QUARANTINED[case]:
        assert found[key], (key, sorted(found))


def test_nothing_of_the_typed_files_is_set_aside_but_what_is_broken(parquet: StrangeParquet) -> None:
    planted = Counter(key for keys in PARQUET_QUARANTINED.values() for key in keys)
    feedback = Counter(("feedback", "score_scale_unknown", f"f{number}|c1") for number in range(BROKEN_FEEDBACK))
    assert quarantine(parquet.nights) == planted + feedback


def test_a_moment_with_a_zone_counts_on_the_business_day(parquet: StrangeParquet) -> None:
    assert parquet.nights.query("select event_date from staging.stg_web_events") == [(PARQUET_AS_OF.replace(2025, 7),)]


def test_an_unknown_payment_method_and_a_table_of_no_rows_do_no_harm(parquet: StrangeParquet) -> None:
    assert parquet.nights.query("select method from staging.stg_payments") == [("seashells",)]
    assert parquet.nights.query("select count(*) from staging.stg_credit") == [(0,)]


def test_a_table_whose_rows_are_nearly_all_broken_stops_the_date(parquet: StrangeParquet) -> None:
    assert parquet.features.exit_code == ExitCode.SOURCE_NOT_READY
    told = said(parquet.features.output)
    assert f"feedback: {BROKEN_FEEDBACK} of {BROKEN_FEEDBACK} rows are set aside (score_scale_unknown" in told
    assert "SEGMENTATION_MAX_QUARANTINED_SHARE" in told
    assert "Traceback" not in told


# ---------------------------------------------------------------------------------------------------------------
# The rest.


@pytest.mark.skipif("BAD_INPUTS_SLOW" not in os.environ, reason="a minute each: set BAD_INPUTS_SLOW=1")
@pytest.mark.parametrize("count", [1, 30], ids=["one customer only", "all customers equal"])
def test_customers_who_do_not_differ_end_the_run_before_anything_is_promoted(tmp_path: Path, count: int) -> None:
    nights = Nights(tmp_path / "data", {"SOURCE": "example_csv"})
    land_equal_customers(nights.source_dir, count)
    nights.run(AS_OF, last="gate_forecasts")
    finished = nights.step("segment", AS_OF)
    assert finished.exit_code == ExitCode.MISCONFIGURED, finished.output
    assert "Traceback" not in finished.output
    assert "No lens has a model for 2024-07-01" in finished.output
    assert nights.query("select count(*) from promoted.labels") == [(0,)]


def test_a_run_log_with_lines_that_are_none_keeps_no_night_from_running(tmp_path: Path) -> None:
    nights = Nights(tmp_path / "data", {"SOURCE": "example_csv"})
    land_csv(nights.source_dir)
    log = nights.source_dir / "run_log.jsonl"
    log.write_bytes(b'{"event": "started"\n\xff\xfe\n[]\n7\n{"as_of": "soon", "step": "check", "attempt": 1}\n')
    finished = nights.step("check", AS_OF)
    assert finished.exit_code == ExitCode.OK, finished.output
    assert '"outcome": "done"' in log.read_text(errors="replace")


def test_the_page_of_the_corpus_is_what_the_corpus_is() -> None:
    assert case_count() >= 60
    assert (PROJECT_DIR / "docs" / "bad-input.md").read_text() == corpus_page()
