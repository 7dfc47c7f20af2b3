"""Reports of a whole shop, of one with a past and hostile names, of a bare one, of real data; and what they show."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import duckdb
import pytest

from segmentation_job.report.rendering import render_report
from tests.support.every_family import night_of_every_family
from tests.support.nights import Nights
from tests.support.shared_builds import built_once

SCRIPT: Final = "<script>alert(1)</script> \"quoted\" 'names' & $x^2$"
HOSTILE_NAMES: Final = (SCRIPT, "Überlange Käufer 🛒 " + "sehr " * 36, "a" * 200)

# What the copies are made into: a shop that has run before, a month ago and a night ago, in which a tenth of the
# customers moved last night, and whose 25 segments have the worst of names.
PAST: Final = """
create temp table moved as
select customer_id, row_number() over (order by customer_id) as number
from customer_segments
where lens = 'overall';

create temp table known as
select distinct segment_id, row_number() over (order by segment_id) as place
from customer_segments
where lens = 'overall';

update customer_segments
set
    segment_id = 'overall-' || lpad(cast(1 + number % 25 as varchar), 2, '0'),
    segment_name = 'Shoppers ' || chr(cast(65 + number % 25 as integer))
from moved
where moved.customer_id = customer_segments.customer_id and lens = 'overall';

create temp table named as
select distinct segment_id, segment_name as plain_name,
    case row_number() over (order by segment_id)
        when 1 then $first when 2 then $second when 3 then $third else segment_name
    end as name
from (select distinct segment_id, segment_name from customer_segments where lens = 'overall');

update customer_segments set segment_name = name from named
where named.segment_id = customer_segments.segment_id and lens = 'overall';

create temp table one_segment as select * from segments where lens = 'overall' order by segment_id limit 1;
delete from segments where lens = 'overall';
insert into segments
select one_segment.* replace (
    named.segment_id as segment_id, named.segment_id as segment_key, named.name as name,
    'Give them ' || $first as recommended_action
)
from one_segment, named;

delete from customer_segment_history where lens = 'overall';
insert into customer_segment_history
select
    'overall', labels.customer_id, labels.segment_id, labels.segment_name,
    case
        when number % 10 < 2 then labels.as_of_date
        when number % 10 = 2 then labels.as_of_date - 1
        else labels.as_of_date - interval 1 month
    end,
    null,
    case number % 10 when 0 then 'customer_moved' when 1 then 'model_changed' when 2 then 'both' else 'new' end
from customer_segments as labels
inner join moved on labels.customer_id = moved.customer_id
where labels.lens = 'overall';
insert into customer_segment_history
select
    'overall', labels.customer_id, named.segment_id, named.name, labels.as_of_date - interval 1 month,
    if(number % 10 = 2, labels.as_of_date - 1, labels.as_of_date), 'new'
from customer_segments as labels
inner join moved on labels.customer_id = moved.customer_id
inner join named on named.plain_name = 'Shoppers ' || chr(cast(65 + (number + 1) % 25 as integer))
where labels.lens = 'overall' and number % 10 < 3;

delete from segment_transitions where lens = 'overall';
insert into segment_transitions
select
    now.valid_from, 'overall', before.segment_id, before.segment_name, now.segment_id, now.segment_name, count(*),
    count(*) filter (where now.change_cause = 'customer_moved'),
    count(*) filter (where now.change_cause = 'model_changed'),
    count(*) filter (where now.change_cause = 'both')
from customer_segment_history as now
inner join customer_segment_history as before
    on now.customer_id = before.customer_id and now.valid_from = before.valid_to and before.lens = 'overall'
where now.lens = 'overall'
group by all;

insert into segmentation_runs
select * replace (as_of_date - 1 as as_of_date, 'the one before' as model_version)
from segmentation_runs where lens = 'overall'
union all
select * replace (cast(as_of_date - interval 1 month as date) as as_of_date, 'the first' as model_version)
from segmentation_runs where lens = 'overall';

-- Another lens, whose new model put a third of the customers elsewhere and ended the segment that they were in.
insert into segmentation_runs
select * replace (as_of_date - 1 as as_of_date, 'the first' as model_version)
from segmentation_runs where lens = 'financial';
insert into segments
select * replace (
    'financial-99' as segment_id, 'financial-99' as segment_key, 'Payers of old' as name,
    cast($as_of - 1 as date) as created_as_of, $as_of as retired_as_of
)
from segments where lens = 'financial' order by segment_id limit 1;
insert into customer_segment_history
select lens, customer_id, 'financial-99', 'Payers of old', cast($as_of - 1 as date), $as_of, 'new'
from customer_segment_history where lens = 'financial' and hash(customer_id) % 3 = 0;
update customer_segment_history set change_cause = 'model_changed'
where lens = 'financial' and hash(customer_id) % 3 = 0 and segment_id <> 'financial-99';
delete from segment_transitions where lens = 'financial';
insert into segment_transitions
select valid_from, lens, 'financial-99', 'Payers of old', segment_id, segment_name, count(*), 0, count(*), 0
from customer_segment_history
where lens = 'financial' and change_cause = 'model_changed'
group by all;

create temp table one_summary as
select * from financial_summary where lens = 'overall' and as_of_date = $as_of order by segment_id limit 1;
delete from financial_summary where lens = 'overall';
insert into financial_summary
select one_summary.* replace (
    days.as_of_date as as_of_date, named.segment_id as segment_id, named.name as segment_name,
    counted.customers as customer_count,
    cast(counted.spend as decimal(18, 2)) as spend_amount_90d
)
from one_summary, named, (
    select unnest([$as_of, $as_of - 1, cast($as_of - interval 1 month as date)]) as as_of_date
) as days,
lateral (
    select count(*) as customers, coalesce(sum(customer_360.spend_amount_90d), 0) as spend
    from customer_segment_history as history
    inner join customer_360 on history.customer_id = customer_360.customer_id
    where
        history.lens = 'overall' and history.segment_id = named.segment_id and history.valid_from <= days.as_of_date
        and (history.valid_to is null or history.valid_to > days.as_of_date)
) as counted;
insert into financial_summary
select * replace (as_of_date - 1 as as_of_date, customer_count - 3 as customer_count) from financial_summary
where lens = 'all'
union all
select * replace (cast(as_of_date - interval 1 month as date) as as_of_date, customer_count - 9 as customer_count)
from financial_summary where lens = 'all';

-- Insights of dates that are not kept go.
delete from financial_summary where lens = 'overall' and as_of_date = $as_of - 1;

create temp table one_profile as
select * from segment_profiles
where lens = 'overall' and segment_id = (select min(segment_id) from segment_profiles where lens = 'overall');
delete from segment_profiles where lens = 'overall';
insert into segment_profiles
select one_profile.* replace (
    named.segment_id as segment_id, named.name as segment_name,
    standardised_difference * (hash(named.segment_id || feature) % 5 - 2.0) as standardised_difference
)
from one_profile, named;

update product_popularity set category = $first where popularity_rank = 1;
update model_sample set segment_id = (select min(segment_id) from named where segment_id >= model_sample.segment_id)
where segment_id like 'overall-%';
insert into segment_alarms
select $as_of, 'overall', 'drifting', null, null, 'financial_features.spend_amount_90d', $first, $second, '{}';
"""

# One lens of one segment, without a sale, a cost, a profile, a sample, a candidate or any family.
BARE: Final = """
delete from customer_segments where lens <> 'overall';
update customer_segments set segment_id = 'overall-01', segment_name = 'Everybody';
delete from segments where segment_id <> 'overall-01';
update segments set name = 'Everybody', description = null, recommended_action = null;
update customer_360 set spend_amount_90d = 0;
delete from financial_summary where lens <> 'all' and segment_id <> 'overall-01';
update financial_summary set
    segment_name = 'Everybody', spend_amount_90d = 0, spend_amount_365d = 0, average_spend_amount_365d = 0,
    median_spend_amount_365d = 0, spend_share_365d = null, discount_share = null, margin_amount_365d = null,
    margin_share = null, average_margin_amount_365d = null, payment_late_share = null, payment_failed_share = null,
    customer_count = (select count(*) from customer_360);
delete from segmentation_runs where as_of_date < (select max(as_of_date) from customer_segments);
update segmentation_runs set held_out_value = null, choice_reason = null, missing_shares = '{}';
update customer_segment_history set segment_id = 'overall-01', segment_name = 'Everybody' where lens = 'overall';
"""
EMPTIED: Final = (
    "cart_abandonment", "category_demand_forecast", "category_preferences", "cohort_retention", "competitor_position",
    "credit_risk_bands", "customer_forecasts", "demographic_disparity", "demographic_distribution", "engagement_funnel",
    "forecast_models", "loyalty_summary", "market_trends", "model_candidates", "model_sample", "payment_habits",
    "product_pairs", "product_popularity", "recurring_orders", "row_accounts", "run_log", "satisfaction",
    "seasonal_trends", "segment_profiles", "segment_transitions",
)  # fmt: skip


@dataclass(frozen=True)
class ReportPage:
    """A published file and the report of it."""

    published: Path
    html: Path


@dataclass(frozen=True)
class Shown:
    """What an element shows of an answer. text: as it is read, with every blank as one."""

    query: str
    row: int
    column: str
    form: str
    tag: str
    text: str
    value: str | None


@dataclass
class Reading(HTMLParser):
    """What a report shows, apart from the list of its queries: figures, and all text that is none."""

    shown: list[Shown] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    queries: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, dict]] = []
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag in ("meta", "img", "br"):
            return
        self._open.append((tag, dict(attrs)))
        if "data-query" in dict(attrs):
            self._text = []

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            opened, attributes = self._open.pop()
            if "data-query" in attributes:
                row, column = attributes["data-cell"].split(" ")
                stated = attributes.get("value") or attributes.get("datetime")
                text = " ".join("".join(self._text).split())
                query, form = attributes["data-query"], attributes["data-form"]
                self.shown.append(Shown(query, int(row), column, form, opened, text, stated))
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if tags[-1:] == ["script"]:
            self.queries = json.loads(data)
        elif any("data-query" in attributes for _, attributes in self._open):
            self._text.append(data)
        elif not {"style", "title"} & set(tags) and not any(
            attributes.get("class") == "queries" for _, attributes in self._open
        ):
            self.other.append(data)


def read_page(html: str) -> Reading:
    """Return what a report shows."""
    reading = Reading()
    reading.feed(html)
    return reading


def report_pages(factory: pytest.TempPathFactory, real: Nights) -> dict[str, ReportPage]:
    """Return a report of the whole shop, of one with a past, of a bare one and of the real data, written once.

    real: a night on the real data, with the report that it left.
    """
    nights = night_of_every_family(factory)
    made: dict[str, Callable[[duckdb.DuckDBPyConnection, date], None]] = {
        "shop": lambda *_: None,
        "past": _give_a_past,
        "bare": _strip,
    }

    def build(place: Path) -> None:
        place.mkdir(parents=True)
        for name, change in made.items():
            path = place / f"{name}.duckdb"
            shutil.copyfile(nights.serving_link.resolve(), path)
            with duckdb.connect(str(path)) as published:
                as_of = published.execute("select max(as_of_date) from customer_segments").fetchone()
                assert as_of
                change(published, as_of[0])
            (place / f"{name}.html").write_text(render_report(path))

    place = built_once(factory, "report_pages", build)
    pages = {name: ReportPage(place / f"{name}.duckdb", place / f"{name}.html") for name in made}
    return {**pages, "real": ReportPage(real.serving_link.resolve(), real.published_dir / "latest.html")}


def _give_a_past(published: duckdb.DuckDBPyConnection, as_of: date) -> None:
    values = {"as_of": as_of, "first": HOSTILE_NAMES[0], "second": HOSTILE_NAMES[1], "third": HOSTILE_NAMES[2]}
    for statement in PAST.split(";\n"):
        if statement.strip():
            named = {name: value for name, value in values.items() if f"${name}" in statement}
            published.execute(statement, named or None)


def _strip(published: duckdb.DuckDBPyConnection, _: date) -> None:
    for statement in BARE.split(";\n"):
        if statement.strip():
            published.execute(statement)
    for table in EMPTIED:
        published.execute(f"delete from {table}")
