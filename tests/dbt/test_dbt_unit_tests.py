"""dbt's own unit tests, what they cannot reach, and what the project's YAML promises.

Unit tests compile a model away from its relations, so a model that reads its own columns, its own earlier rows or a
hook is built here instead: once, from rows written by hand into a warehouse of the tests.
"""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from segmentation_job.runs.dbt import LAYERS
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES

PROJECT_DIR = Path(__file__).resolve().parents[2]
DBT_PROJECT_DIR = PROJECT_DIR / "dbt_project"
SOURCE = "complete_journey"
LANDING_YML = DBT_PROJECT_DIR / "sources" / SOURCE / f"_{SOURCE}__sources.yml"
BUILT_BY_HAND = (
    "path:sources",
    "stg_order_lines",
    "int_changed_days",
    "int_customer_days",
    "int_customer_product_days",
    "int_loaded_days",
    "profile_dates",
    "insight_dates",
    "segment_profiles",
    "profiled_dates",
    "customer_360",
)


@dataclass(frozen=True)
class DbtProject:
    """The dbt project against a warehouse of its own. data_dir: where that lies."""

    data_dir: Path

    @property
    def warehouse_path(self) -> Path:
        return self.data_dir / SOURCE / "warehouse.duckdb"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dbt and return how it ended; `arguments` begin with the subcommand."""
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("dbt")),
                *arguments,
                "--project-dir",
                str(DBT_PROJECT_DIR),
                "--profiles-dir",
                str(DBT_PROJECT_DIR),
                "--target-path",
                str(self.data_dir / "target"),
                "--log-path",
                str(self.data_dir / "logs"),
            ],
            env={
                **os.environ,
                "SOURCE": SOURCE,
                "TARGET": "duckdb",
                "SEGMENTATION_DATA_DIR": str(self.data_dir),
                "SEGMENTATION_THREADS": "1",
                "SEGMENTATION_TIMEZONE": "UTC",
                "SEGMENTATION_FACTS_VERSION": "v2",
                "SEGMENTATION_LENS_NAMES": "overall,purchase",
                "DO_NOT_TRACK": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def manifest(self) -> dict[str, Any]:
        """Return what dbt parsed."""
        parsed: dict[str, Any] = json.loads((self.data_dir / "target" / "manifest.json").read_text())
        return parsed

    def execute(self, sql: str) -> None:
        """Run statements in the warehouse."""
        with duckdb.connect(str(self.warehouse_path)) as connection:
            connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query finds in the warehouse."""
        with duckdb.connect(str(self.warehouse_path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()


def write_landing(landing_dir: Path) -> None:
    """Write a landing of a few rows. A table that is not spelled out is empty."""
    rows = {
        "transactions": """
            select * from (values
                ('h1', 's1', 'b1', 'p1', 2, 3.00, 0.50, 0.10, 0.25, timestamp '2017-06-01 08:00:00'),
                ('h1', 's1', 'b1', 'p2', 1, 1.00, 0.00, 0.00, 0.00, timestamp '2017-06-01 08:00:00')
            ) as rows (household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, coupon_disc,
                       coupon_match_disc, transaction_timestamp)""",
        "products": """
            select * from (values
                ('p1', 'm1', 'GROCERY', 'Private', 'TEA'), ('p2', 'm2', 'GROCERY', 'National', 'COFFEE')
            ) as rows (product_id, manufacturer_id, department, brand, product_category)""",
        "demographics": """
            select * from (values
                ('h1', '45-54', '50-74K', '5+', 'Married'), ('h2', '25-34', 'Under 15K', 'many', 'Unmarried')
            ) as rows (household_id, age, income, household_size, marital_status)""",
        "campaigns": "select * from (values ('c1', 'h1'), ('c1', 'h3')) as rows (campaign_id, household_id)",
        "campaign_descriptions": """
            select 'c1' as campaign_id, timestamp '2017-06-02 00:00:00' as start_date""",
        "coupon_redemptions": """
            select * from (values
                ('h1', 'c1', timestamp '2017-06-09 00:00:00'), ('h1', 'c1', timestamp '2017-06-05 00:00:00'),
                ('h1', 'c2', timestamp '2017-06-03 00:00:00')
            ) as rows (household_id, campaign_id, redemption_date)""",
    }
    landing_dir.mkdir(parents=True)
    declared = yaml.safe_load(LANDING_YML.read_text())["sources"][0]["tables"]
    assert {table["name"] for table in declared} == set(rows)
    with duckdb.connect() as connection:
        for table, sql in rows.items():
            connection.execute(f"copy ({sql}) to '{landing_dir / table}.parquet' (format parquet)")


@pytest.fixture(scope="module")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """Every relation of the project, without rows: unit tests take the types of their inputs from these."""
    project = DbtProject(tmp_path_factory.mktemp("dbt"))
    write_landing(project.data_dir / SOURCE / "landing")
    with DuckDBWarehouse(project.warehouse_path, threads=1, memory_limit="1GB"):
        pass
    features = yaml.safe_load((DBT_PROJECT_DIR / "models" / "features" / "_features__models.yml").read_text())
    for model in features["models"]:
        columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
        project.execute(f"create table promoted.{model['name']} ({columns})")
    finished = project.command("run", "--empty")
    assert finished.returncode == 0, finished.stdout
    return project


@pytest.fixture(scope="module")
def manifest(empty_project: DbtProject) -> dict[str, Any]:
    """What dbt parsed."""
    return empty_project.manifest()


@pytest.fixture(scope="module")
def second_night(empty_project: DbtProject) -> DbtProject:
    """Facts and profiles of an earlier night, and what has changed since, after the models that build on them ran.

    Rows of the night before carry 111: where they still stand, nothing was built anew.
    """
    empty_project.execute(
        """
        insert into intermediate.int_input_hashes (entity, event_date, row_count, content_hash) values
            ('order_lines', '2017-06-01', 1, 'same'), ('order_lines', '2017-06-02', 1, 'changed'),
            ('order_lines', '2017-06-03', 1, 'same'), ('order_lines', '2017-06-05', 1, 'late'),
            ('orders', '2017-06-06', 1, 'other entity');
        insert into intermediate.int_loaded_days (order_date, content_hash, facts_version) values
            ('2017-06-01', 'same', 'v2'), ('2017-06-02', 'before', 'v2'), ('2017-06-03', 'same', 'v1'),
            ('2017-06-04', 'gone', 'v2');
        insert into intermediate.int_customer_days (customer_id, order_date, net_amount)
            select 'anna', order_date, 111 from intermediate.int_loaded_days;
        insert into intermediate.int_customer_product_days (customer_id, product_id, order_date, net_amount)
            select 'anna', 'p1', order_date, 111 from intermediate.int_loaded_days;
        insert into staging.stg_order_lines_checked
            (order_id, line_id, customer_id, order_date, product_id, category, quantity, gross_amount, discount_amount,
             net_amount, is_private_label)
            select 'o' || day(order_date), 'l1', 'anna', order_date, 'p1', 'tea', 1, 5, 0, 5, false
            from (values (date '2017-06-01'), (date '2017-06-02'), (date '2017-06-03'), (date '2017-06-05'))
                as days (order_date);

        -- Customers 1 to 10 are in s1, 11 to 20 in s2; number 21 has a label and no features.
        insert into promoted.dates values
            ('2017-12-30', true, 'h'), ('2017-12-31', true, 'h'), ('2018-01-01', true, 'h'), ('2018-01-02', false, 'h');
        insert into promoted.runs by name
            select as_of_date, 'overall' as lens, 'm1' as model_version, 'kmeans' as algorithm, 2 as k, 21 as customers,
                   1 as mean_squared_distance, 0.4 as smallest_share, 0 as outlier_share, 0 as imputed_share,
                   '{}' as missing_shares, '' as choice_reason, date '2017-12-01' as lineage_start, 'h' as features_hash
            from (values (date '2017-12-30'), (date '2017-12-31'), (date '2018-01-01')) as dates (as_of_date);
        insert into pipeline.versions values ('lens overall', 'v');
        insert into promoted.labels
            select as_of_date, 'overall', cast(number as varchar), 'm1', 0,
                   case when number <= 10 then 'k1' else 'k2' end, 0.5, false, 1
            from range(1, 22) as numbers (number)
            cross join (values (date '2017-12-30'), (date '2017-12-31'), (date '2018-01-01'), (date '2018-01-02'))
                as dates (as_of_date);
        insert into promoted.segments
            select 'overall', segment_key, segment_id, null, name, '', '', 1, 1, '', 'm1', date '2017-12-01', 'new'
            from (values ('k1', 's1', 'Loyal'), ('k2', 's2', 'Lost')) as segments (segment_key, segment_id, name);
        insert into promoted.label_history
            select 'overall', customer_id, date '2017-12-30', null, segment_key, 'new'
            from promoted.labels where as_of_date = '2017-12-30';
        insert into promoted.financial_features (as_of_date, customer_id, spend_amount)
            select as_of_date, cast(number as varchar),
                   case when number <= 9 then 2 when number = 10 then 22 when number <= 20 then 8 end
            from range(1, 22) as numbers (number)
            cross join (values (date '2017-12-31'), (date '2018-01-01'), (date '2018-01-02')) as dates (as_of_date);
        insert into promoted.demographic_features (as_of_date, customer_id, age_band, city, has_demographics)
            select date '2018-01-01', cast(number as varchar),
                   case when number <= 8 or number in (11, 12) then 'young' when number <= 18 then 'old' end,
                   'city ' || lpad(cast(number as varchar), 2, '0'), null
            from range(1, 22) as numbers (number);
        insert into promoted.purchase_features (as_of_date, customer_id)
            select as_of_date, customer_id from promoted.financial_features where as_of_date = '2018-01-01';
        insert into promoted.engagement_features (as_of_date, customer_id, is_repeat_customer)
            select date '2018-01-01', cast(number as varchar), number <= 5 from range(1, 21) as numbers (number);
        insert into marts.customer_segments (as_of_date, lens, customer_id, segment_id, segment_name) values
            ('2018-01-01', 'overall', '1', 's1', 'Loyal'), ('2018-01-01', 'purchase', '2', 's9', 'Weekly');
        """
    )
    # The view of what profiles rest on was made empty: what the night before saw is said once it is a real one.
    assert empty_project.command("run", "--select", "profile_dates").returncode == 0
    empty_project.execute(
        """
        insert into marts.profiled_dates
            select as_of_date, content_hash from pipeline.profile_dates where as_of_date = '2017-12-30'
            union all select date '2017-12-29', 'no longer labelled'
            union all select date '2018-01-01', 'other labels or features';
        insert into marts.segment_profiles (as_of_date, lens, segment_id, feature, segment_mean)
            select as_of_date, 'overall', 's1', 'spend_amount', 111 from marts.profiled_dates;
        """
    )
    finished = empty_project.command("run", "--select", *BUILT_BY_HAND)
    assert finished.returncode == 0, finished.stdout
    return empty_project


# --- dbt's unit tests -------------------------------------------------------------------------------------------------


def test_every_dbt_unit_test_passes(empty_project: DbtProject, manifest: Mapping[str, Any]) -> None:
    finished = empty_project.command("test", "--select", "test_type:unit")
    assert finished.returncode == 0, finished.stdout
    # dbt counts what it does before the first of them, too.
    hooks = [name for name in manifest["nodes"] if name.startswith("operation.")]
    assert f"PASS={len(manifest['unit_tests']) + len(hooks)} WARN=0 ERROR=0 SKIP=0" in finished.stdout


def expected_rows(unit_test: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that a unit test expects; none where they are SQL."""
    expect = unit_test["expect"]
    if expect["format"] == "csv" and isinstance(expect["rows"], str):
        return list(csv.DictReader(io.StringIO(expect["rows"])))
    return list(expect["rows"]) if isinstance(expect["rows"], list) else []


@pytest.mark.parametrize("table", FEATURE_TABLES)
def test_every_column_of_a_feature_table_is_expected_with_a_value_in_a_unit_test(
    manifest: Mapping[str, Any], table: str
) -> None:
    asserted = {
        column
        for unit_test in manifest["unit_tests"].values()
        if unit_test["model"] == table
        for row in expected_rows(unit_test)
        for column, value in row.items()
        if value not in (None, "")
    }
    columns = set(manifest["nodes"][f"model.customer_segmentation.{table}"]["columns"])
    assert columns - asserted == set()


def test_every_row_of_a_unit_test_expects_the_columns_of_the_first_in_their_order(manifest: Mapping[str, Any]) -> None:
    # dbt compares by position, and only the columns of the first row.
    for unit_test in manifest["unit_tests"].values():
        rows = expected_rows(unit_test)
        assert {tuple(row) for row in rows} == ({tuple(rows[0])} if rows else set()), unit_test["name"]


def test_every_date_of_a_unit_test_can_be_read(manifest: Mapping[str, Any]) -> None:
    # dbt casts with try_cast: a date that is none would be a null, and the test would prove something else.
    for unit_test in manifest["unit_tests"].values():
        for part in (*unit_test["given"], unit_test["expect"]):
            rows = expected_rows({"expect": part})
            for row in rows:
                for column, value in row.items():
                    is_date = column.endswith(("_date", "_at", "_from", "_to", "_as_of", "_since"))
                    if value and is_date and column != "months_since":
                        datetime.fromisoformat(str(value))


# --- what unit tests cannot reach -------------------------------------------------------------------------------------


def test_only_days_that_changed_are_built_again(second_night: DbtProject) -> None:
    changed = [row[0] for row in second_night.rows("from intermediate.int_changed_days order by order_date")]
    # 2 June has other content, 3 June other logic, 4 June no rows any more, 5 June rows for the first time.
    assert changed == [date(2017, 6, 2), date(2017, 6, 3), date(2017, 6, 4), date(2017, 6, 5)]
    for table in ("int_customer_days", "int_customer_product_days"):
        found = second_night.rows(f"select day(order_date), net_amount from intermediate.{table} order by order_date")
        assert found == [(1, Decimal(111)), (2, Decimal(5)), (3, Decimal(5)), (5, Decimal(5))], table


def test_loaded_days_are_those_of_today_once_the_facts_are_built(second_night: DbtProject) -> None:
    assert second_night.rows("from intermediate.int_loaded_days order by order_date") == [
        (date(2017, 6, 1), "same", "v2"),
        (date(2017, 6, 2), "changed", "v2"),
        (date(2017, 6, 3), "same", "v2"),
        (date(2017, 6, 5), "late", "v2"),
    ]


def test_only_dates_whose_labels_or_features_changed_are_profiled_again(second_night: DbtProject) -> None:
    found = second_night.rows(
        "select as_of_date, segment_mean from marts.segment_profiles"
        " where feature = 'spend_amount' and segment_id = 's1' order by as_of_date"
    )
    # 29 December lost its labels, 30 December is as it was, 31 December is new, 1 January changed,
    # 2 January has no labels yet.
    assert found == [(date(2017, 12, 30), 111), (date(2017, 12, 31), 4), (date(2018, 1, 1), 4)]
    assert second_night.rows("select as_of_date, content_hash from marts.profiled_dates order by 1") == (
        second_night.rows("select as_of_date, content_hash from pipeline.profile_dates order by 1")
    )


def test_profiles_compare_each_segment_with_all_customers(second_night: DbtProject) -> None:
    """s1: nine spend 2 and one 22, mean 4, median 2. s2: ten spend 8.

    All twenty: mean 120 / 20 = 6, median 8, squares 1160 / 20 = 58, deviation sqrt(58 - 36) = 4.690416; s1 lies
    (4 - 6) / 4.690416 = -0.426401 off. Five of s1 and of all twenty are repeat customers: mean 0.5 against 0.25,
    deviation sqrt(0.25 - 0.0625), 0.57735 off. Age bands: 8 of s1's 10 are young, 2 of s2's 8 who are known, of all
    10 / 18; s1 lies (0.8 - 0.555556) / sqrt(0.555556 * 0.444444) = 0.491935 off. Of s2's eight, fewer than ten,
    nothing is said.
    """
    found = second_night.rows(
        """
        select segment_id, segment_name, feature, feature_value, segment_mean, segment_median, segment_share,
               population_mean, population_median, population_share, standardised_difference
        from marts.segment_profiles
        where as_of_date = '2018-01-01' and feature != 'city' order by segment_id, feature, feature_value
        """
    )
    assert found == [
        ("s1", "Loyal", "age_band", "old", None, None, 0.2, None, None, 0.444444, -0.491935),
        ("s1", "Loyal", "age_band", "young", None, None, 0.8, None, None, 0.555556, 0.491935),
        ("s1", "Loyal", "is_repeat_customer", None, 0.5, 0.5, None, 0.25, 0, None, 0.57735),
        ("s1", "Loyal", "spend_amount", None, 4, 2, None, 6, 8, None, -0.426401),
        ("s2", "Lost", "age_band", "old", None, None, 0.75, None, None, 0.444444, None),
        ("s2", "Lost", "age_band", "young", None, None, 0.25, None, None, 0.555556, None),
        ("s2", "Lost", "is_repeat_customer", None, 0, 0, None, 0.25, 0, None, -0.57735),
        ("s2", "Lost", "spend_amount", None, 8, 8, None, 6, 8, None, 0.426401),
    ]


def test_profiles_rank_by_the_size_of_the_difference_then_by_name(second_night: DbtProject) -> None:
    ranks = second_night.rows(
        """
        select feature, feature_value, rank from marts.segment_profiles
        where as_of_date = '2018-01-01' and segment_id = 's1' and feature != 'city' order by rank
        """
    )
    assert [(feature, value) for feature, value, _ in ranks] == [
        ("is_repeat_customer", None),
        ("age_band", "old"),
        ("age_band", "young"),
        ("spend_amount", None),
    ]
    every = second_night.rows(
        "select rank from marts.segment_profiles where as_of_date = '2018-01-01' and segment_id = 's1' order by 1"
    )
    assert every == [(rank,) for rank in range(1, len(every) + 1)]


def test_profiles_keep_the_twenty_most_frequent_values(second_night: DbtProject) -> None:
    cities = second_night.rows(
        "select distinct feature_value from marts.segment_profiles"
        " where as_of_date = '2018-01-01' and feature = 'city' order by 1"
    )
    assert cities == [(f"city {number:02}",) for number in range(1, 21)]


def test_customer_360_sets_the_families_of_the_current_date_side_by_side(second_night: DbtProject) -> None:
    found = second_night.rows(
        """
        select as_of_date, customer_id, age_band, spend_amount, is_repeat_customer, overall_segment_id,
               overall_segment_name, purchase_segment_id, purchase_segment_name
        from marts.customer_360 where customer_id in ('1', '2', '18') order by cast(customer_id as integer)
        """
    )
    assert found == [
        (date(2018, 1, 1), "1", "young", Decimal(2), True, "s1", "Loyal", None, None),
        (date(2018, 1, 1), "2", "young", Decimal(2), True, None, None, "s9", "Weekly"),
        (date(2018, 1, 1), "18", "old", Decimal(8), False, None, None, None, None),
    ]
    assert second_night.rows("select count(*), count(distinct customer_id) from marts.customer_360") == [(20, 20)]


def test_customer_360_holds_every_feature_with_its_type_and_two_columns_of_every_lens_that_runs(
    second_night: DbtProject,
) -> None:
    columns = (
        "select column_name, data_type from information_schema.columns"
        " where column_name not in ('as_of_date', 'customer_id') and table_schema ="
    )
    features = second_night.rows(f"{columns} 'promoted' and table_name in {FEATURE_TABLES}")
    wide = second_night.rows(f"{columns} 'marts' and table_name = 'customer_360'")
    assert len(features) > 50
    segments = [(f"{lens}_segment_{what}", "VARCHAR") for lens in ("overall", "purchase") for what in ("id", "name")]
    assert sorted(wide) == sorted([*features, *segments])


def test_an_order_line_of_the_demonstration_adds_the_shops_discounts_to_what_it_received(
    second_night: DbtProject,
) -> None:
    found = second_night.rows(
        "select order_id, line_id, product_id, quantity, gross_amount, discount_amount, net_amount, unreadable_columns"
        " from input.input_order_lines order by line_id"
    )
    # The manufacturer's coupon of 0.10 was refunded to the shop: it is no discount of the shop's.
    assert found == [
        ("b1", "p1", "p1", Decimal(2), Decimal("3.75"), Decimal("0.75"), Decimal(3), ""),
        ("b1", "p2", "p2", Decimal(1), Decimal(1), Decimal(0), Decimal(1), ""),
    ]


def test_a_basket_of_the_demonstration_is_one_order(second_night: DbtProject) -> None:
    found = second_night.rows(
        "select order_id, customer_id, cast(ordered_at as varchar), channel, store_id, currency from input.input_orders"
    )
    assert found == [("b1", "h1", "2017-06-01 08:00:00", "store", "s1", "USD")]


def test_every_household_that_the_demonstration_names_is_a_customer(second_night: DbtProject) -> None:
    found = second_night.rows(
        "select customer_id, age_band, income_band, household_size, marital_status, unreadable_columns"
        " from input.input_customers order by customer_id"
    )
    # A size that is no number is named, so that staging sets the row aside; a missing one is not.
    assert found == [
        ("h1", "45-54", "50-74K", 5, "Married", ""),
        ("h2", "25-34", "Under 15K", None, "Unmarried", "household_size"),
        ("h3", None, None, None, None, ""),
    ]


def test_the_first_redemption_of_a_campaigns_coupon_is_its_response(second_night: DbtProject) -> None:
    found = second_night.rows(
        "select customer_id, campaign_id, channel, cast(contacted_at as varchar), response,"
        " cast(responded_at as varchar)"
        " from input.input_campaign_contacts order by customer_id"
    )
    assert found == [
        ("h1", "c1", "mail", "2017-06-02 00:00:00", "coupon redeemed", "2017-06-05 00:00:00"),
        ("h3", "c1", "mail", "2017-06-02 00:00:00", None, None),
    ]


def test_a_private_brand_of_the_demonstration_is_a_private_label(second_night: DbtProject) -> None:
    found = second_night.rows(
        "select product_id, department, category, brand, is_private_label from input.input_products order by product_id"
    )
    assert found == [("p1", "GROCERY", "TEA", "m1", True), ("p2", "GROCERY", "COFFEE", "m2", False)]


# --- what the YAML promises -------------------------------------------------------------------------------------------


def models(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the models of the project."""
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def test_every_model_says_what_it_is_and_what_a_row_of_it_is(manifest: Mapping[str, Any]) -> None:
    assert [model["name"] for model in models(manifest) if not model["description"].strip()] == []
    assert [model["name"] for model in models(manifest) if not model["config"]["meta"].get("grain")] == []


def test_every_column_that_a_model_has_is_described(empty_project: DbtProject, manifest: Mapping[str, Any]) -> None:
    described = {
        (model["schema"], model["name"], name)
        for model in models(manifest)
        for name, column in model["columns"].items()
        if column["description"].strip()
    }
    # The columns of customer_360 are those of the feature tables, described there; a test of its own says so.
    generated = ("marts", "customer_360")
    built = {(model["schema"], model["name"]) for model in models(manifest)} - {generated}
    existing = {
        row
        for row in empty_project.rows("select table_schema, table_name, column_name from information_schema.columns")
        if row[:2] in built
    }
    assert existing - described == set()
    named = {(model["schema"], model["name"], name) for model in models(manifest) for name in model["columns"]}
    assert named - described == set()


@pytest.mark.parametrize("folder", ["features", "marts"])
def test_what_others_read_has_an_enforced_contract(manifest: Mapping[str, Any], folder: str) -> None:
    # What is not published may change its columns as it likes; customer_360 has those of tables with a contract.
    inner = {
        "segment_aliases",
        "current_as_of_date",
        "profile_dates",
        "profiled_dates",
        "insight_dates",
        "insight_members",
        "insight_products",
        "customer_360",
    }
    without = {
        model["name"]
        for model in models(manifest)
        if model["fqn"][1] == folder and not model["config"]["contract"]["enforced"]
    }
    assert without == (inner if folder == "marts" else set())


def test_no_mart_takes_a_null_where_its_contract_refuses_one(
    empty_project: DbtProject, manifest: Mapping[str, Any]
) -> None:
    refused = {
        (model["name"], name)
        for model in models(manifest)
        if model["fqn"][1] == "marts" and model["config"]["contract"]["enforced"]
        for name, column in model["columns"].items()
        if any(constraint["type"] == "not_null" for constraint in column["constraints"])
    }
    assert len(refused) > 100
    held = empty_project.rows(
        "select table_name, column_name from duckdb_columns() where schema_name = 'marts' and not is_nullable"
    )
    assert set(held) == refused
    with pytest.raises(duckdb.ConstraintException, match=r"customer_segments\.segment_id"):
        empty_project.execute(
            "insert into marts.customer_segments (as_of_date, lens, customer_id, segment_name)"
            " values ('2018-01-01', 'overall', '1', 'Loyal')"
        )


def test_every_data_test_of_its_own_stays_within_one_layer(manifest: Mapping[str, Any]) -> None:
    # `segmentation build LAYER` runs a test where any of its models is selected: one across layers would read
    # what is not built yet.
    layer_of = {
        folder.removeprefix("path:").split("/")[-1]: layer for layer, folders in LAYERS.items() for folder in folders
    }
    nodes = manifest["nodes"]
    singular = [
        node
        for node in nodes.values()
        if node["resource_type"] == "test" and node["original_file_path"].startswith("tests/")
    ]
    assert len(singular) == len(list((DBT_PROJECT_DIR / "tests").glob("*.sql")))
    for test in singular:
        parents = [nodes[name] for name in test["depends_on"]["nodes"] if name in nodes]
        folders = {Path(parent["original_file_path"]).parts[0:2] for parent in parents}
        layers = {layer_of["sources" if parts[0] == "sources" else parts[1]] for parts in folders}
        assert len(layers) == 1, test["name"]
