"""What the market does, where competitors stand, and what comes next."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.charts import Spark, sparks
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Row
from segmentation_job.report.sections.forms import bars_of, by_segment
from segmentation_job.report.view import View

TRENDS_SQL = """
with told as (
    select
        indicator,
        category,
        entity,
        coalesce(nullif(concat_ws(' · ', category, entity), ''), replace(indicator, '_', ' ')) as series,
        indicator_month,
        indicator_value,
        unit,
        change_share_12m
    from market_trends
    where
        as_of_date = $as_of and indicator = $indicator and indicator_value is not null
        and indicator_month >= cast($as_of as date) - interval 25 month
),

largest as (
    select series
    from told
    group by series
    having count(*) >= 2
    order by arg_max(indicator_value, indicator_month) desc, series
    limit 6
)

select series, indicator_month, indicator_value, unit, change_share_12m
from told
where series in (select series from largest)
order by series, indicator_month
"""

INDICATORS = (
    ("industry_index", "How does the industry do?"),
    ("technology_adoption", "Which technology spreads?"),
    ("category_demand", "Which demand grows in the market?"),
)

COMPETITORS_SQL = """
select
    category || ' · ' || competitor as place,
    price_month,
    own_price_index,
    competitor_price_index,
    price_index_gap,
    competitor_share,
    competitor_share_change_12m
from competitor_position
where as_of_date = $as_of and lens = 'all' and price_index_gap is not null
order by price_index_gap desc, place
limit 12
"""

SHARES_SQL = """
select
    category || ' · ' || competitor as place,
    share_month,
    own_spend_share,
    competitor_share,
    competitor_share_change_12m
from competitor_position
where as_of_date = $as_of and lens = 'all' and competitor_share is not null
order by competitor_share desc, place
limit 12
"""

DEMAND_SQL = """
with ahead as (
    select category, month, months_ahead, expected_amount, lower_amount, upper_amount, method
    from category_demand_forecast
    where as_of_date = $as_of and expected_amount is not null
)

select category, month, expected_amount, lower_amount, upper_amount, method
from ahead
where month = (select min(month) from ahead where month >= $as_of)
order by expected_amount desc, category
limit 10
"""

EXPECTED_SQL = """
select
    labels.segment_id,
    labels.segment_name,
    count(*) as customers,
    sum(forecasts.expected_spend_amount_90d) as expected_spend,
    sum(forecasts.expected_spend_amount_90d) / count(*) as expected_spend_per_customer,
    round(avg(forecasts.active_probability), 6) as active_probability,
    round(avg(forecasts.expected_purchases_90d), 6) as expected_purchases
from customer_segments as labels
inner join customer_forecasts as forecasts on labels.customer_id = forecasts.customer_id
where labels.lens = $lens and forecasts.expected_spend_amount_90d is not null
group by labels.segment_id, labels.segment_name
order by expected_spend desc, labels.segment_id
"""

NOTES_SQL = """
select model, note from forecast_models where as_of_date = $as_of and note is not null order by model
"""


def market_section(view: View) -> Section:
    """Return market, competitors and forecast."""
    charts: list[Chart | None] = [trend_chart(view, indicator, question) for indicator, question in INDICATORS]
    competitors = view.file.ask("competitor-prices", COMPETITORS_SQL, as_of=view.as_of)
    shares = view.file.ask("competitor-shares", SHARES_SQL, as_of=view.as_of)
    charts += [
        bars_of(
            "competitor-prices",
            "Where did we become dearer than competitors?",
            competitors,
            ("price_index_gap", "signed_digit"),
            table_of(
                competitors,
                Column("Category · competitor", "place"),
                Column("Month", "price_month", "month"),
                Column("Our prices, a year before = 100", "own_price_index", "one_digit"),
                Column("Theirs", "competitor_price_index", "one_digit"),
                Column("Difference, points", "price_index_gap", "signed_digit"),
            ),
            label=("place", "text"),
            words="points in twelve months",
            is_of_segments=False,
        ),
        bars_of(
            "competitor-shares",
            "Which competitors hold most of the market?",
            shares,
            ("competitor_share", "two_digits"),
            table_of(
                shares,
                Column("Category · competitor", "place"),
                Column("Month", "share_month", "month"),
                Column("Their market share, in the source's unit", "competitor_share", "two_digits"),
                Column("Change in twelve months", "competitor_share_change_12m", "two_digits"),
                Column("The category's share of our sales", "own_spend_share", "share"),
            ),
            label=("place", "text"),
            is_of_segments=False,
        ),
    ]
    absent = []
    if not present(charts):
        absent.append(sentence("Market and competitors are not known: the source has no indices."))
    demand = view.file.ask("demand", DEMAND_SQL, as_of=view.as_of)
    expected = view.file.ask("expected-spend", EXPECTED_SQL, lens=view.lens)
    charts += [
        bars_of(
            "demand",
            "What will be sold in the next month?",
            demand,
            ("expected_amount", "amount"),
            table_of(
                demand,
                Column("Category", "category"),
                Column("Month", "month", "month"),
                Column("Expected sales", "expected_amount", "amount"),
                Column("At least, 80%", "lower_amount", "amount"),
                Column("At most, 80%", "upper_amount", "amount"),
                Column("Method", "method", "word"),
            ),
            label=("category", "text"),
            finding=sentence(
                "Expected sales in {month}; the line spans the interval that holds with a probability of 80%. Most:"
                " {category}, {amount}.",
                month=demand.row(0).figure("month", "month"),
                category=demand.row(0).figure("category", "text"),
                amount=demand.row(0).figure("expected_amount", "amount"),
            )
            if demand
            else None,
            is_of_segments=False,
            interval=("lower_amount", "upper_amount"),
        ),
        bars_of(
            "expected-spend",
            "What will each segment spend in the next 90 days?",
            expected,
            ("expected_spend", "amount"),
            table_of(
                expected,
                *by_segment(
                    Column("Customers with a forecast", "customers", "count"),
                    Column("Expected spend, next 90 days", "expected_spend", "amount"),
                    Column("Per customer", "expected_spend_per_customer", "amount"),
                    Column("Purchase days, mean", "expected_purchases", "one_digit"),
                    Column("Still active, mean probability", "active_probability", "share"),
                ),
            ),
        ),
    ]
    if not demand and not expected:
        absent.append(sentence("The history is too short for forecasts."))
    absent += [
        sentence("{model}: {note}", model=row.figure("model", "word"), note=row.figure("note", "text"))
        for row in view.file.ask("forecast-notes", NOTES_SQL, as_of=view.as_of)
    ]
    return Section("market", "Market, competitors and forecast", present(charts), absent=tuple(absent))


def trend_chart(view: View, indicator: str, question: str) -> Chart | None:
    """Return the series of an indicator over the last two years; None where none has two months."""
    key = indicator.replace("_", "-")
    found = view.file.ask(key, TRENDS_SQL, as_of=view.as_of, indicator=indicator)
    series: dict[str, list[Row]] = {}
    for row in found:
        series.setdefault(row.text("series"), []).append(row)
    if not series:
        return None
    months = sorted({str(row["indicator_month"]) for row in found})
    in_time = sorted(found, key=lambda row: (str(row["indicator_month"]), row.text("series")))
    newest = [rows[-1] for rows in series.values()]
    most = max(newest, key=lambda row: row.number_of("change_share_12m"))
    finding = (
        sentence(
            "Fastest in twelve months: {series}, {change}. Each line has a scale of its own.",
            series=most.figure("series", "text"),
            change=most.figure("change_share_12m", "share_change"),
        )
        if most["change_share_12m"] is not None
        else sentence(
            "The newest: {series}, {value}. Each line has a scale of its own.",
            series=most.figure("series", "text"),
            value=most.figure("indicator_value", "one_digit"),
        )
    )
    # Indices stand around a hundred, shares below one.
    form = "one_digit" if max(row.number_of("indicator_value") for row in found) > 2 else "two_digits"
    lines = []
    for rows in series.values():
        values = {str(row["indicator_month"]): row.number_of("indicator_value") for row in rows}
        lines.append(
            Spark(
                rows[0].figure("series", "text"),
                tuple(values.get(month) for month in months),
                rows[0].figure("indicator_value", form),
                rows[-1].figure("indicator_value", form),
            )
        )
    begin, end = in_time[0].figure("indicator_month", "month"), in_time[-1].figure("indicator_month", "month")
    return Chart(
        key,
        question,
        finding,
        sparks(lines, begin, end, key),
        table_of(
            found,
            Column("Series", "series"),
            Column("Month", "indicator_month", "month"),
            Column("Value", "indicator_value", "two_digits"),
            Column("Unit", "unit", "word"),
            Column("Change in twelve months", "change_share_12m", "share_change"),
        ),
    )
