"""The benchmark on a small shop: the alternatives compute our features, and the page says what was measured."""

import json
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pytest

from segmentation_job.settings import PROJECT_DIR
from segmentation_job.steps import STEPS
from tests.measurements.bench import figures, floors
from tests.measurements.bench.page import page_of
from tests.measurements.bench.processes import Measured, ProcessFailedError, measure, plain_environment
from tests.measurements.bench.scenario import (
    IMPORTS,
    IMPORTS_OF_STEP,
    Deployment,
    measure_night,
    measure_pandas,
    measure_shop,
)
from tests.measurements.bench.shop import DAYS, FIRST_DATE, NIGHTS, BenchShop, bench_shop
from tests.support.nights import Nights
from tests.support.shared_builds import built_once
from tests.support.simulated_shop import SOURCE

CUSTOMERS = 250


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> BenchShop:
    """A shop of a few hundred customers."""

    def build(place: Path) -> None:
        bench_shop(place, CUSTOMERS)

    return bench_shop(built_once(tmp_path_factory, "bench_shop", build), CUSTOMERS)


@pytest.fixture(scope="module")
def night(shop: BenchShop, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The shop with the features of its second date as candidates."""

    def build(place: Path) -> None:
        landing = place / SOURCE / "landing"
        shop.land_base(landing)
        shop.land_day(landing, FIRST_DATE)
        Nights(place, {"SOURCE": SOURCE}).run(NIGHTS[0], last="build_features")

    return Deployment(built_once(tmp_path_factory, "bench_night", build), settings={"SEGMENTATION_THREADS": "1"})


def floor(what: str, **options: object) -> dict[str, float]:
    """Measure a floor in this process, which has imported all that it needs."""
    given = {"threads": 1, "memory_limit": "1GB", "schema": "candidate", "as_of": NIGHTS[0], **options}
    return floors.COMMANDS[what](Namespace(**given))


def test_a_day_lands_what_was_not_known_before_it(shop: BenchShop, tmp_path: Path) -> None:
    shop.land_base(tmp_path)
    shop.land_day(tmp_path, FIRST_DATE)
    with duckdb.connect() as connection:
        orders = connection.execute(
            "select order_date, count(*) from (select cast(cast(ordered_at as timestamp) as date) as order_date"
            f" from '{tmp_path}/orders/part-{FIRST_DATE}.parquet') group by 1"
        ).fetchall()
        later = connection.execute(
            f"select max(cast(ordered_at as timestamp)) < '{FIRST_DATE}' from '{tmp_path}/orders/part-0*.parquet'"
        ).fetchall()
        twice = connection.execute(
            f"select count(*) - count(distinct payment_id) from '{tmp_path}/payments/*.parquet'"
        ).fetchall()
    assert [day for day, _ in orders] == [FIRST_DATE]
    assert later == [(True,)]
    assert twice == [(0,)]


def test_sql_by_hand_and_pandas_compute_the_features_that_dbt_builds(night: Deployment) -> None:
    scratch = night.data_dir / "recomputed.duckdb"
    assert floor("recompute", landing=night.landing, scratch=scratch)["cpu_seconds"] > 0
    agrees = floor("compare", warehouse=night.warehouse, scratch=scratch)
    assert agrees["different"] == 0, agrees
    assert agrees["columns"] >= 115
    assert agrees["values"] >= agrees["columns"] * CUSTOMERS * 0.9
    pandas = measure_pandas(night, NIGHTS[0], schema="candidate")
    assert pandas["agrees"]["different"] == 0, pandas
    assert pandas["agrees"]["columns"] == pandas["features"] >= 75
    assert 0 < pandas["features_peak_megabytes"] <= pandas["peak_megabytes"]


def test_a_recomputation_that_is_wrong_is_seen(night: Deployment, tmp_path: Path) -> None:
    scratch = tmp_path / "wrong.parquet"
    with duckdb.connect(str(night.warehouse), read_only=True) as connection:
        connection.execute(
            "copy (select customer_id,"
            " order_count + cast(row_number() over (order by customer_id) <= 3 as integer) as order_count"
            f" from candidate.purchase_features where as_of_date = '{NIGHTS[0]}') to '{scratch}' (format parquet)"
        )
    assert floor("compare", warehouse=night.warehouse, scratch=scratch)["different"] == 3


def test_every_floor_is_measured_on_a_night(night: Deployment) -> None:
    expectations = PROJECT_DIR / "expectations"
    found = {
        "scan-landing": floor("scan-landing", landing=night.landing),
        "scan-facts": floor("scan-facts", warehouse=night.warehouse),
        "gate": floor("gate", warehouse=night.warehouse, expectations=expectations),
        "matrix": floor("matrix", warehouse=night.warehouse),
    }
    assert all(each["cpu_seconds"] > 0 for each in found.values())
    assert found["gate"]["unexpected"] == 0
    assert found["gate"]["checks"] == sum(
        len(json.loads(path.read_text())["expectations"]) for path in expectations.glob("*_features.json")
    )
    assert found["matrix"]["customers"] > CUSTOMERS * 0.9


def test_a_process_is_measured_with_its_children_and_without_who_started_it() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7)); bytearray(10**8)'])"
    taken, _ = measure([sys.executable, "-c", child], plain_environment(), PROJECT_DIR)
    assert taken.cpu_seconds > 0.05
    assert 95 < taken.peak_megabytes < 140
    idle, _ = measure([sys.executable, "-S", "-c", "pass"], plain_environment(), PROJECT_DIR)
    assert idle.peak_megabytes < 40


def test_what_is_taken_off_as_start_up_is_there_to_be_imported() -> None:
    assert set(IMPORTS_OF_STEP) == {step.name for step in STEPS}
    assert set(IMPORTS_OF_STEP.values()) == set(IMPORTS)
    named = {word for statement in IMPORTS.values() for word in re.findall(r"segmentation_job[\w.]*", statement)}
    assert len(named) > len(IMPORTS)
    for module in named:
        import_module(module)
    assert "evaluation._prepare_great_expectations()" in IMPORTS["gate"]
    assert callable(import_module("segmentation_job.gate.evaluation")._prepare_great_expectations)


def test_a_process_that_fails_ends_the_benchmark_with_its_words() -> None:
    with pytest.raises(ProcessFailedError, match="no such thing"):
        measure([sys.executable, "-c", "raise SystemExit('no such thing')"], plain_environment(), PROJECT_DIR)


@dataclass
class CannedDeployment(Deployment):
    """A deployment whose commands take what is written here, times a factor: only the benchmark itself is real."""

    factor: float = 1.0

    def command(
        self,
        *arguments: str,
        expected: Sequence[int] = (0,),  # noqa: ARG002
        settings: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> tuple[Measured, str]:
        self.warehouse.parent.mkdir(parents=True, exist_ok=True)
        self.warehouse.touch()
        printed = "Features are computed for 2025-12-15, 2025-12-16.\n" if "features" in arguments else ""
        if arguments[0] == "build":
            printed += (
                "12:00:00  Running with dbt=1.11\n"
                "12:00:01  1 of 2 OK created sql table model staging.stg_orders ....... [OK in 1.50s]\n"
                "12:00:02  2 of 2 OK created sql incremental model candidate.purchase_features .. [OK in 2.50s]\n"
            )
        return Measured(4 * self.factor, 8 * self.factor, 300.0), printed

    def profile(self, name: str, as_of: date) -> list[list[Any]]:  # noqa: ARG002
        return [["duckdb execute", 1.5]]

    def floor(self, what: str, **options: object) -> dict[str, Any]:  # noqa: ARG002
        found = {"cpu_seconds": 0.5 * self.factor, "seconds": 0.5, "peak_megabytes": 80.0, "checks": 201, "queries": 40}
        return {**found, "columns": 120, "values": 1200, "different": 0}


@pytest.fixture
def _canned(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {"cpu_seconds": 0.2, "seconds": 0.2, "peak_megabytes": 30.0}
    scenario = "tests.measurements.bench.scenario."
    monkeypatch.setattr(
        f"{scenario}measure_start_up",
        lambda _: {
            "python": started,
            "segmentation --help": started,
            "imports": dict.fromkeys(IMPORTS, started),
            "dbt, nothing selected": {**started, "cpu_seconds": 1.0},
        },
    )
    monkeypatch.setattr(
        f"{scenario}measure_pandas",
        lambda *_: {
            "cpu_seconds": 20.0,
            "segments_cpu_seconds": 2.0,
            "features_peak_megabytes": 900.0,
            "features": 81,
            "agrees": {"values": 810, "different": 0},
        },
    )
    monkeypatch.setattr(
        f"{scenario}measure_orchestration",
        lambda *_: {"seconds": 70.0, "own_seconds": 52.0, "task_seconds": 61.0, "prepare_seconds": 12.0},
    )
    monkeypatch.setattr(
        f"{scenario}facts_about",
        lambda deployment, _: {
            "rows": {"order_lines": 5_000, "web_events": 9_000},
            "in_scope": 400,
            "active": int(300 * deployment.factor),
        },
    )


@pytest.mark.usefixtures("_canned")
def test_a_run_has_every_ratio_and_the_page_says_which_target_is_missed(shop: BenchShop, tmp_path: Path) -> None:
    found = [
        measure_shop(
            BenchShop(customers, DAYS, shop.folder), CannedDeployment(tmp_path / "run", factor=factor), lambda _: None
        )
        for customers, factor in ((100_000, 1.0), (1_000_000, 10.0))
    ]
    for days, factor in ((365, 2.0), (1_096, 3.0)):
        small = BenchShop(100_000, days, shop.folder)
        found.append(measure_night(small, CannedDeployment(tmp_path / "run", factor=factor), lambda _: None))
    # As they come back from where they are kept.
    results = json.loads(json.dumps(found))
    targets = figures.targets_of(results)
    assert len(targets) == 11
    assert all(target.value is not None and target.value > 0 for target in targets)
    by_name = {target.what: target for target in targets}
    # Two steps of 80 CPU seconds, without 0.2 of imports and 1.0 of dbt each, against a scan of 5.
    assert by_name["one more night's features ÷ bare scan"].value == pytest.approx(2 * 78.8 / 5)
    assert by_name["one more night's features ÷ bare scan"].is_met is False
    assert by_name["growth of a night"].value == pytest.approx(1.0, abs=0.05)
    assert by_name["growth of a night"].is_met is True
    assert by_name["a night after three years ÷ after one"].is_met is False
    assert by_name["Airflow's overhead of a night"].value == pytest.approx(18.0)
    assert by_name["pandas' memory for the features ÷ ours"].value == pytest.approx(3.0)
    page = page_of(results)
    assert (
        "| one more night's features ÷ bare scan | 1,000,000 customers | at most 10 × | 31.52 × | **missed** |" in page
    )
    assert "`candidate.purchase_features` | 2.5 |" in page
    for heading in ("## The shops", "## Floors and alternatives", "## Growth", "## Start-up", "## Orchestration"):
        assert heading in page


@pytest.mark.usefixtures("_canned")
def test_a_page_of_a_small_shop_judges_nothing_that_is_asked_of_a_large_one(shop: BenchShop, tmp_path: Path) -> None:
    result = measure_shop(BenchShop(CUSTOMERS, DAYS, shop.folder), CannedDeployment(tmp_path / "run"), lambda _: None)
    targets = {target.what: target for target in figures.targets_of([result])}
    assert targets["growth of a night"].value is None
    assert targets["one more night's features ÷ bare scan"].is_met is None
    assert targets["Airflow's overhead of a night"].is_met is True
    assert "not judged" in page_of([result])
    assert "Nothing has been measured yet." in page_of([])


@pytest.mark.usefixtures("_canned")
def test_a_brief_run_says_that_the_rest_was_not_measured(shop: BenchShop, tmp_path: Path) -> None:
    small = BenchShop(CUSTOMERS, DAYS, shop.folder)
    result = measure_shop(small, CannedDeployment(tmp_path / "run"), lambda _: None, is_brief=True)
    targets = {target.what: target for target in figures.targets_of([result])}
    assert targets["a backfilled date ÷ recompute"].shown == "not measured"
    assert targets["one more night's features ÷ bare scan"].value is not None
    page = page_of([result])
    assert "one more night" in page
    assert "backfilled date: CPU s" not in page
