"""A warehouse that is broken in every way that engines could see differently, and its copy on Spark."""

import json
import re
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa

from segmentation_job import spark_session
from segmentation_job.gate.suites import load_suites
from tests.unit.gate.gate_warehouse import NON_BUYER, SHOPPER, build_warehouse

_OF_EACH_KIND = 3
HOSTILE = """<script>'alert("1")'</script> :name {batch} \\ % 💛"""

DAMAGE = (
    # Keys: nulls, repeats, unknown and hostile ones, and an order that bytes decide.
    "insert into candidate.labels select * replace (null as customer_id) from candidate.labels limit 4",
    "insert into candidate.labels select * from candidate.labels where customer_id between 'c002' and 'c008'",
    f"update candidate.labels set customer_id = '{HOSTILE.replace(chr(39), 2 * chr(39))}' where customer_id = 'c009'",
    "update candidate.labels set customer_id = 'é' where customer_id = 'c010'",
    "update candidate.labels set customer_id = '｡' where customer_id = 'c011'",
    "insert into candidate.purchase_features select * replace (null as as_of_date) from candidate.purchase_features"
    f" where customer_id = '{SHOPPER}'",
    "insert into candidate.purchase_features select * from candidate.purchase_features"
    f" where customer_id = '{SHOPPER}'",
    f"delete from candidate.demographic_features where customer_id = '{NON_BUYER}'",
    # Numbers: beyond their bounds on either side, infinite, none at all, an account that is a cent or a day off.
    "update candidate.labels set confidence = case when customer_id < 'c020' then 'nan'::double else -0.1 end"
    " where customer_id between 'c015' and 'c025'",
    "update candidate.labels set distance = 'inf' where customer_id = 'c030' and lens = 'purchase'",
    "update candidate.purchase_features set items_per_order = 'nan', winter_spend_share = '-inf'"
    " where customer_id = 'c002'",
    "update candidate.purchase_features set recency_days = recency_days + 1,"
    " recurring_next_due_date = date '2030-01-01' where customer_id in ('c003', 'c005')",
    "update candidate.purchase_features set interpurchase_days_mean = interpurchase_days_mean + 0.001,"
    " seasonality_index = seasonality_index + 0.0001, order_count = null where customer_id in ('c006', 'c007')",
    "update candidate.financial_features set spend_amount = spend_amount + 0.01 where customer_id = 'c008'",
    "update candidate.financial_features set credit_score_band = 'none', gross_amount = -1 where customer_id = 'c012'",
    # Distributions: one that shifted a little, one far, one that is null now, one that is null at both dates.
    "update promoted.financial_features set spend_amount_90d = spend_amount_90d + 20",
    "update promoted.purchase_features set order_count_90d = 1000",
    "update candidate.engagement_features set tenure_days = null",
    "update candidate.demographic_features set age_years = null",
    "update promoted.demographic_features set age_years = null",
    # Texts and dates.
    "update candidate.demographic_features set gender = chr(160) || ' ' where customer_id = 'c013'",
    "update candidate.demographic_features set country = chr(9) where customer_id = 'c014'",
    "update candidate.category_demand_forecast set month = month + interval 1 month where category = 'dairy'",
    "update candidate.category_demand_forecast set lower_amount = upper_amount + 0.01 where category = 'produce'",
    "update candidate.customer_forecasts set expected_purchases_90d = 1000 / 3.0, next_category = null",
    # What is not there: a column, a table of facts, rows of an earlier date.
    "alter table candidate.engagement_features drop column points_balance",
    "drop table staging.stg_payments",
    "delete from promoted.engagement_features",
)


def broken_warehouse(path: Path, *more: str) -> Path:
    """Write a small warehouse with all of DAMAGE, and what more statements do to it."""
    build_warehouse(path)
    with duckdb.connect(str(path)) as connection:
        for statement in (*DAMAGE, *more):
            connection.execute(statement)
    return path


# What could mean something else on another engine; plain comparisons of columns are judged by the other subjects.
_TELLING = re.compile(
    r"days_between|is_blank|isfinite\((items_per_order|campaign_response_rate)\) or|points_balance is"
    r"|due_payments|sum\(|2\) / 3|having"
    r"|distribution_shift\('\w+', '(spend_amount_90d|order_count_90d|age_years)'|credit_score_band"
)


def write_telling_suites(expectations: Path, folder: Path) -> Path:
    """Write the suites with the few expectations of features that engines could judge differently; return the folder.

    Every statement costs a cluster a second, whatever the number of rows.
    """
    folder.mkdir()
    for suite in load_suites(expectations):
        document = json.loads((expectations / f"{suite.name}.json").read_text(encoding="utf-8"))
        if suite.name.endswith("_features"):
            kinds: Counter[str] = Counter()
            kept = []
            for written in document["expectations"]:
                query = written["kwargs"].get("unexpected_rows_query", "")
                kinds[written["type"]] += not query
                if _TELLING.search(query) or (not query and kinds[written["type"]] <= _OF_EACH_KIND):
                    kept.append(written)
            document["expectations"] = kept
        (folder / f"{suite.name}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def copy_to_spark(path: Path, address: str, source: str) -> None:
    """Copy every table of a warehouse file into the databases of a source on Spark, in the place of what is there."""
    from pyspark.sql.pandas.types import from_arrow_schema

    session = spark_session.connected(address)
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, name in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                rows: pa.Table = connection.execute(f"select * from {schema}.{name}").to_arrow_table()
                session.sql(f"create database if not exists {source}_{schema}")
                frame = session.createDataFrame(rows, schema=from_arrow_schema(rows.schema)).coalesce(1)
                frame.write.mode("overwrite").saveAsTable(f"{source}_{schema}.{name}")
    finally:
        session.stop()
