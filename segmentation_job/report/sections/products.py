"""What the segments buy, when, and what they will buy again."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.charts import Scale
from segmentation_job.report.figures import sentence
from segmentation_job.report.palette import DIVERGING, diverging_colour
from segmentation_job.report.sections.forms import bars_of, by_segment, distinct, shares_in_a_grid
from segmentation_job.report.view import View

POPULAR_SQL = """
select
    category || ' · ' || product_id as product,
    customer_count,
    order_count,
    item_count,
    net_amount
from product_popularity
where as_of_date = $as_of and lens = 'all'
order by popularity_rank
limit 10
"""

# The category that a segment prefers most, of those that make at least a fiftieth of its spend and that at
# least ten of its customers buy.
PREFERRED_SQL = """
select
    segment_id,
    segment_name,
    category,
    segment_name || ': ' || category as preference,
    preference_index,
    spend_share,
    population_share
from category_preferences
where as_of_date = $as_of and lens = $lens and spend_share >= 0.02 and customer_count >= 10
    and preference_index is not null
qualify row_number() over (partition by segment_id order by preference_index desc, category) = 1
order by preference_index desc, segment_id
"""

PAIRS_SQL = """
select
    category_a || ' ' || product_a_id || ' + ' || category_b || ' ' || product_b_id as pair,
    order_count,
    support,
    confidence,
    lift
from product_pairs
where as_of_date = $as_of and lens = 'all'
order by lift desc, order_count desc, pair
limit 8
"""

SEASONS_SQL = """
with told as (
    select category, month, net_amount, seasonality_index
    from seasonal_trends
    where as_of_date = $as_of and lens = 'all' and seasonality_index is not null and month < date_trunc('month', $as_of)
        and month >= cast($as_of as date) - interval 13 month
),

months as (select month from told group by month order by month desc limit 12),

largest as (
    select category
    from told
    where month in (select month from months)
    group by category
    order by sum(net_amount) desc, category
    limit 12
)

select category, month, net_amount, seasonality_index
from told
where month in (select month from months) and category in (select category from largest)
order by category, month
"""

RECURRING_SQL = """
select
    category || ' · ' || product_id as product,
    customer_count,
    interval_days_median,
    due_30d_count,
    overdue_count
from recurring_orders
where as_of_date = $as_of and lens = 'all' and due_30d_count > 0
order by due_30d_count desc, product
limit 10
"""


def products_section(view: View) -> Section:
    """Return products, seasons and recurring orders."""
    popular = view.file.ask("popular-products", POPULAR_SQL, as_of=view.as_of)
    preferred = view.file.ask("preferred-categories", PREFERRED_SQL, lens=view.lens, as_of=view.as_of)
    pairs = view.file.ask("product-pairs", PAIRS_SQL, as_of=view.as_of)
    recurring = view.file.ask("recurring-products", RECURRING_SQL, as_of=view.as_of)
    charts: list[Chart | None] = [
        bars_of(
            "popular-products",
            "Which products did most customers buy in the last 90 days?",
            popular,
            ("customer_count", "count"),
            table_of(
                popular,
                Column("Product", "product"),
                Column("Customers", "customer_count", "count"),
                Column("Orders", "order_count", "count"),
                Column("Items", "item_count", "count"),
                Column("Amount", "net_amount", "amount"),
            ),
            label=("product", "text"),
            words="customers",
            is_of_segments=False,
        ),
        bars_of(
            "preferred-categories",
            "What does each segment prefer?",
            preferred,
            ("preference_index", "times"),
            table_of(
                preferred,
                *by_segment(
                    Column("Category", "category"),
                    Column("Share of the segment's spend", "spend_share", "share"),
                    Column("Share of all spend", "population_share", "share"),
                    Column("So many times as much", "preference_index", "times"),
                ),
            ),
            label=("preference", "text"),
            words="the usual share",
        ),
        bars_of(
            "product-pairs",
            "What is bought together?",
            pairs,
            ("lift", "times"),
            table_of(
                pairs,
                Column("Products", "pair"),
                Column("Orders with both", "order_count", "count"),
                Column("Share of orders", "support", "share"),
                Column("With the second, of those with the first", "confidence", "share"),
                Column("So many times as often as by chance", "lift", "times"),
            ),
            label=("pair", "text"),
            words="what chance gives",
            is_of_segments=False,
        ),
        seasons_chart(view),
        bars_of(
            "recurring-products",
            "What is due to be bought again in the next 30 days?",
            recurring,
            ("due_30d_count", "count"),
            table_of(
                recurring,
                Column("Product", "product"),
                Column("Customers who buy it in a rhythm", "customer_count", "count"),
                Column("Rhythm, days", "interval_days_median", "one_digit"),
                Column("Due in 30 days", "due_30d_count", "count"),
                Column("Overdue", "overdue_count", "count"),
            ),
            label=("product", "text"),
            words="customers",
            is_of_segments=False,
        ),
    ]
    found = present(charts)
    return Section(
        "products",
        "Products, seasons and recurring orders",
        found,
        absent=() if found else (sentence("The source tells nothing of products."),),
    )


def seasons_chart(view: View) -> Chart | None:
    """Return the seasons of the largest categories; None where fewer than two whole months are known."""
    found = view.file.ask("seasons", SEASONS_SQL, as_of=view.as_of)
    if len(distinct(found, "month")) < 2:
        return None
    peak = max(found, key=lambda row: row.number_of("seasonality_index"))
    # A shop without seasons is not to look as if it had some.
    limit = max(0.5, *(abs(row.number_of("seasonality_index") - 1) for row in found))
    in_order = sorted(found, key=lambda row: (str(row["month"]), row.text("category")))
    first, last = in_order[0], in_order[-1]
    return shares_in_a_grid(
        "seasons",
        "When is each category bought?",
        found,
        distinct(found, "category"),
        "category",
        ("category", "text"),
        "month",
        "month",
        ("seasonality_index", "one_digit"),
        table_of(
            found,
            Column("Category", "category"),
            Column("Month", "month", "month"),
            Column("Sales", "net_amount", "amount"),
            Column("Times an average month", "seasonality_index", "times"),
        ),
        sentence(
            "The largest categories from {first} to {last}. The highest peak: {category} in {month}, {times} an average"
            " month.",
            first=first.figure("month", "month"),
            last=last.figure("month", "month"),
            category=peak.figure("category", "text"),
            month=peak.figure("month", "month"),
            times=peak.figure("seasonality_index", "times"),
        ),
        colour=lambda value: diverging_colour(value - 1, limit),
        scale=Scale("below", DIVERGING, "above an average month"),
        says_figures=False,
    )
