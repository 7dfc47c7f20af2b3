"""The dashboard's charts, the tabs and rows they stand in, and its filters.

A chart's title is the question it answers. What is drawn how is said in Superset's own words (its form data), which a
chart that somebody has drawn in Superset shows under `…` > View query.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from bi.superset.dataset_definitions import COUNT, MONEY, SHARE

PALETTE: Final = "supersetColors"
DATE_FORMAT: Final = "%Y-%m-%d"
# What is the same in every shop: causes of a change, and what is not known.
COLOURS: Final = {
    "moved": "#1f77b4",
    "by_model": "#b8bfc6",
    "by_both": "#7fa9c9",
    "gone": "#c44e52",
    "unknown": "#d0d5d9",
}


@dataclass(frozen=True)
class Chart:
    """A chart. width: of twelve; height: in units of 8 pixels. over_time: not narrowed by the date that is chosen."""

    title: str
    dataset: str
    kind: str
    form: dict[str, Any]
    width: int = 6
    height: int = 50
    note: str = ""
    over_time: bool = False
    # Rows that the chart is about, as Superset's own condition: column, operator, value.
    where: tuple[tuple[str, str, Any], ...] = ()
    time_range: str = "No filter"


@dataclass(frozen=True)
class Filter:
    """A filter of the dashboard on a column of the dataset segments_by_date, or on the time of charts over time."""

    name: str
    column: str | None
    description: str
    several: bool = False
    first: bool = False
    default: str | None = None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tab:
    """A tab: what it says at its top, and its rows of charts."""

    name: str
    text: str
    rows: tuple[tuple[Chart, ...], ...] = field(default=())


FILTERS: Final = (
    Filter(
        "Date",
        "night",
        "The as-of date that the charts of one date show; the newest when the page is opened.",
        first=True,
    ),
    Filter("Lens", "lens", "The way of looking at customers.", default="overall"),
    Filter("Segment", "segment_name", "None chosen: all of the lens.", several=True, depends_on=("Date", "Lens")),
    Filter("Period", None, "How far back the charts over time go."),
)


def _bars(
    x: str,
    metrics: list[str],
    y_format: str,
    *,
    groupby: list[str] | None = None,
    horizontal: bool = False,
    **more: Any,
) -> dict[str, Any]:
    return {
        "x_axis": x,
        "metrics": metrics,
        "groupby": groupby or [],
        "orientation": "horizontal" if horizontal else "vertical",
        "y_axis_format": y_format,
        "x_axis_sort_asc": not horizontal,
        "show_legend": not groupby,
        "legendOrientation": "top",
        "legendType": "scroll",
        "rich_tooltip": not horizontal,
        "truncateYAxis": False,
        "truncate_metric": True,
        "show_empty_columns": True,
        "row_limit": 1000,
        "xAxisForceCategorical": True,
        **more,
    }


def _by_segment(metric: str, y_format: str, **more: Any) -> dict[str, Any]:
    """Return horizontal bars, one a segment, in the segment's colour, the largest at the top."""
    return _bars(
        "segment",
        [metric],
        y_format,
        groupby=["segment_name"],
        horizontal=True,
        stack="Stack",
        x_axis_sort="sum",
        x_axis_sort_asc=True,
        show_value=True,
        only_total=True,
        **more,
    )


def _bands(title: str, attribute: str) -> Chart:
    """The share of each band of an attribute in each segment."""
    return Chart(
        title,
        "demographic_distribution",
        "echarts_timeseries_bar",
        _bars(
            "segment_name",
            ["share"],
            ".0%",
            groupby=["attribute_value"],
            horizontal=True,
            stack="Expand",
            show_legend=True,
            sort_series_type="name",
            sort_series_ascending=True,
        ),
        6,
        48,
        where=(("attribute", "==", attribute),),
    )


def _lines(metrics: list[str], y_format: str, groupby: list[str], x: str = "as_of_date", **more: Any) -> dict[str, Any]:
    return {
        "x_axis": x,
        "time_grain_sqla": None,
        "metrics": metrics,
        "groupby": groupby,
        "y_axis_format": y_format,
        "x_axis_time_format": DATE_FORMAT,
        "tooltipTimeFormat": DATE_FORMAT,
        "show_legend": True,
        "legendOrientation": "top",
        "legendType": "scroll",
        "rich_tooltip": True,
        "markerEnabled": True,
        "markerSize": 5,
        "truncateXAxis": True,
        "truncate_metric": True,
        "row_limit": 10000,
        **more,
    }


def _table(
    columns: list[str], formats: dict[str, str], order: tuple[str, bool], page: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "query_mode": "raw",
        "all_columns": columns,
        "order_by_cols": [f'["{order[0]}", {"true" if order[1] else "false"}]'],
        "column_config": {name: {"d3NumberFormat": text} for name, text in formats.items()},
        "table_timestamp_format": DATE_FORMAT,
        "server_page_length": 10,
        "page_length": page,
        "row_limit": 10000,
        "show_cell_bars": False,
        "allow_render_html": False,
        "include_search": False,
        "allow_rearrange_columns": False,
        **more,
    }


def _heat(x: str, y: str, metric: str, y_format: str, **more: Any) -> dict[str, Any]:
    return {
        "x_axis": x,
        "groupby": y,
        "metric": metric,
        "y_axis_format": y_format,
        "normalize_across": "heatmap",
        "linear_color_scheme": "schemeRdBu",
        "left_margin": "auto",
        "bottom_margin": "auto",
        "legend_type": "continuous",
        "show_legend": True,
        "show_values": True,
        "show_percentage": False,
        "sort_x_axis": "alpha_asc",
        "sort_y_axis": "alpha_asc",
        "value_bounds": [None, None],
        "xscale_interval": 1,
        "x_axis_label_rotation": 45,
        "yscale_interval": 1,
        "x_axis_time_format": DATE_FORMAT,
        "row_limit": 10000,
        **more,
    }


def _trend(title: str, indicators: tuple[str, ...], y_format: str, note: str) -> Chart:
    return Chart(
        title,
        "market_trends",
        "echarts_timeseries_line",
        _lines(
            ["value"],
            y_format,
            ["indicator"],
            x="indicator_month",
            time_grain_sqla="P1M",
            x_axis_time_format="%b %Y",
        ),
        6,
        52,
        note=note,
        where=(("indicator", "IN", list(indicators)),),
    )


def _number(metric: str, y_format: str, subtitle: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "y_axis_format": y_format,
        "header_font_size": 0.4,
        "subtitle": subtitle,
        "subtitle_font_size": 0.2,
        "time_format": DATE_FORMAT,
    }


SEGMENTS: Final = Tab(
    "Segments",
    "**Click on a segment** in a chart or table: every other chart, and the customers at the bottom, show that segment"
    " alone. Click again to see all. Right-click for *Drill to detail* and *Drill by*.",
    (
        (
            Chart(
                "Customers", "segments_by_date", "big_number_total", _number("customers", COUNT, "at the date"), 3, 22
            ),
            Chart(
                "Segments", "segments_by_date", "big_number_total", _number("segments", COUNT, "with customers"), 3, 22
            ),
            Chart(
                "Spend",
                "segments_by_date",
                "big_number_total",
                _number("spend", MONEY, "net, 365 days before the date"),
                3,
                22,
            ),
            Chart(
                "Spend per customer",
                "segments_by_date",
                "big_number_total",
                _number("spend_per_customer", MONEY, "net, 365 days before the date"),
                3,
                22,
            ),
        ),
        (
            Chart(
                "How many customers has each segment?",
                "segments_by_date",
                "echarts_timeseries_bar",
                _by_segment("customers", COUNT),
                6,
                48,
            ),
            Chart(
                "How much of the spend comes from each segment?",
                "segments_by_date",
                "echarts_timeseries_bar",
                _by_segment("share_of_spend", SHARE),
                6,
                48,
            ),
        ),
        (
            Chart(
                "What is each segment, and what to do with it?",
                "segments_by_date",
                "table",
                _table(
                    [
                        "segment_name",
                        "customer_count",
                        "customer_share",
                        "customer_change",
                        "spend_share_365d",
                        "average_spend_amount_365d",
                        "description",
                        "recommended_action",
                    ],
                    {
                        "customer_count": COUNT,
                        "customer_share": SHARE,
                        "customer_change": "+,d",
                        "spend_share_365d": SHARE,
                        "average_spend_amount_365d": MONEY,
                    },
                    ("spend_share_365d", False),
                ),
                12,
                90,
            ),
        ),
        (
            Chart(
                "Who are the customers of a segment?",
                "customers",
                "table",
                _table(
                    [
                        "customer_id",
                        "segment_name",
                        "segment_since",
                        "confidence",
                        "spend_amount_365d",
                        "order_count_365d",
                        "recency_days",
                        "favourite_category",
                        "age_band",
                        "region",
                        "loyalty_tier",
                        "expected_spend_amount_90d",
                        "active_probability",
                        "next_category",
                    ],
                    {
                        "confidence": ".0%",
                        "spend_amount_365d": MONEY,
                        "order_count_365d": COUNT,
                        "recency_days": COUNT,
                        "expected_spend_amount_90d": MONEY,
                        "active_probability": ".0%",
                    },
                    ("spend_amount_365d", False),
                    server_pagination=True,
                    row_limit=500000,
                ),
                12,
                90,
                note="At the newest date, whichever date is chosen above; those who spent most first.",
            ),
        ),
    ),
)

OVER_TIME: Final = Tab(
    "Over time",
    "Every date that was run, within the *Period* of the filters. A change of segment has a cause: the customer"
    " behaved differently, or a new model drew the lines elsewhere.",
    (
        (
            Chart(
                "How many customers had each segment?",
                "segments_by_date",
                "echarts_timeseries_line",
                _lines(["customers"], COUNT, ["segment_name"]),
                6,
                52,
                over_time=True,
            ),
            Chart(
                "Which share of the customers had each segment?",
                "segments_by_date",
                "echarts_area",
                _lines(["share_of_customers"], ".0%", ["segment_name"], stack="Expand", opacity=0.6),
                6,
                52,
                over_time=True,
            ),
        ),
        (
            Chart(
                "Why did customers change segment?",
                "segment_moves",
                "echarts_timeseries_bar",
                _bars(
                    "night",
                    ["moved", "by_model", "by_both", "gone"],
                    COUNT,
                    stack="Stack",
                    x_axis_title="",
                    truncateXAxis=False,
                ),
                5,
                56,
                over_time=True,
                note="By the date of the change. One change counts once, for the segment that was left.",
                where=(("side", "==", "left"),),
            ),
            Chart(
                "Who moved where, and why?",
                "segment_moves",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["night", "from_label", "to_label"],
                    "metrics": ["changes", "moved", "by_model", "by_both"],
                    "timeseries_limit_metric": "changes",
                    "order_desc": True,
                    "row_limit": 1000,
                    "page_length": 10,
                    "table_timestamp_format": DATE_FORMAT,
                    "show_cell_bars": True,
                    "allow_render_html": False,
                },
                7,
                56,
                over_time=True,
                where=(("side", "==", "left"),),
            ),
        ),
        (
            Chart(
                "From which segment to which did they go?",
                "segment_moves",
                "sankey_v2",
                {"source": "from_label", "target": "to_label", "metric": "changes", "row_limit": 200},
                12,
                72,
                over_time=True,
                note="All changes within the period; new customers and those who left are apart.",
                where=(("side", "==", "left"), ("is_between_segments", "==", True)),
            ),
        ),
    ),
)

PROFILES: Final = Tab(
    "Profiles",
    "A **standardised difference** is how far a segment lies from all customers, in standard deviations of all of them:"
    " 0 as everybody, beyond ±1 far away.",
    (
        (
            Chart(
                "What sets the segments apart?",
                "profiles",
                "heatmap_v2",
                _heat("segment_name", "trait", "difference", "+.1f", value_bounds=[-2, 2]),
                12,
                110,
                note="The three strongest differences of each segment, for all of them; blue is more, red is less.",
                where=(("best_rank", "<=", 3),),
            ),
        ),
        (
            Chart(
                "How does each segment compare with all customers?",
                "profiles",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["segment_name", "trait"],
                    "metrics": ["difference", "in_the_segment", "of_all_customers"],
                    "timeseries_limit_metric": "difference",
                    "order_desc": True,
                    "row_limit": 5000,
                    "page_length": 20,
                    "include_search": True,
                    "show_cell_bars": True,
                    "color_pn": True,
                    "allow_render_html": False,
                },
                12,
                72,
                note="Means of numbers, shares of texts (0 to 1).",
            ),
        ),
    ),
)

FAMILIES: Final = Tab(
    "Who they are, what they buy",
    "By segment at the chosen date. What the source has nothing of is left empty.",
    (
        (
            _bands("How old are they?", "age_band"),
            _bands("What do they earn?", "income_band"),
        ),
        (
            Chart(
                "What does a customer spend?",
                "segments_by_date",
                "echarts_timeseries_bar",
                _by_segment("spend_per_customer", MONEY),
                6,
                48,
                note="Net, mean of the 365 days before the date.",
            ),
            Chart(
                "What does each segment earn us?",
                "segments_by_date",
                "echarts_timeseries_bar",
                _by_segment("margin", MONEY),
                6,
                48,
                note="Margin of the 365 days before the date, where unit costs are known.",
                where=(("margin_amount_365d", "IS NOT NULL", None),),
            ),
        ),
        (
            Chart(
                "Which categories does each segment prefer?",
                "category_preferences",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["segment_name", "category"],
                    "metrics": ["preference", "share", "spend"],
                    "timeseries_limit_metric": "preference",
                    "order_desc": True,
                    "row_limit": 2000,
                    "page_length": 12,
                    "include_search": True,
                    "show_cell_bars": True,
                    "allow_render_html": False,
                },
                6,
                72,
                note="1 is as everybody, 2 twice the share of the spend; of categories with 1% of it or more.",
                where=(("spend_share", ">=", 0.01),),
            ),
            Chart(
                "How does the spend move through the year?",
                "seasonal_trends",
                "echarts_timeseries_line",
                _lines(
                    ["spend"], MONEY, ["segment_name"], x="month", time_grain_sqla="P1M", x_axis_time_format="%b %Y"
                ),
                6,
                72,
                note="Complete months, of those who are in the segment at the date.",
            ),
        ),
        (
            Chart(
                "Which products are bought in a rhythm, and are due?",
                "recurring_orders",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["product_id", "category"],
                    "metrics": ["customers", "due", "overdue"],
                    "timeseries_limit_metric": "customers",
                    "order_desc": True,
                    "row_limit": 500,
                    "page_length": 10,
                    "show_cell_bars": True,
                    "allow_render_html": False,
                },
                6,
                60,
            ),
            Chart(
                "How many of each month's new customers still order?",
                "cohort_retention",
                "echarts_timeseries_line",
                _lines(
                    ["retention"],
                    ".0%",
                    ["segment_name"],
                    x="months_since",
                    y_axis_bounds=[0, 1],
                    xAxisForceCategorical=True,
                    x_axis_title="Months since first seen (30 days each)",
                    x_axis_title_margin=30,
                    truncateXAxis=False,
                ),
                6,
                52,
            ),
        ),
    ),
)

ENGAGEMENT: Final = Tab(
    "Loyalty, visits, payments",
    "By segment at the chosen date. What the source has nothing of is left empty.",
    (
        (
            Chart(
                "Who takes part in the rewards programme?",
                "loyalty_summary",
                "echarts_timeseries_bar",
                _bars(
                    "segment_name",
                    ["customers"],
                    COUNT,
                    groupby=["loyalty_tier"],
                    horizontal=True,
                    stack="Stack",
                    show_legend=True,
                ),
                6,
                48,
            ),
            Chart(
                "How many of the best customers are in it?",
                "loyalty_summary",
                "echarts_timeseries_bar",
                _by_segment("high_value", COUNT),
                6,
                48,
                note="High-value customers (of the best tenth by spend) among the members of each segment.",
                where=(("loyalty_tier", "!=", "none"),),
            ),
        ),
        (
            Chart(
                "How far do visits get?",
                "engagement_funnel",
                "echarts_timeseries_bar",
                _bars(
                    "step",
                    ["sessions"],
                    COUNT,
                    groupby=["segment_name"],
                    stack="Stack",
                    show_legend=True,
                    x_axis_sort="name",
                    xAxisLabelInterval="0",
                ),
                6,
                48,
                note="Days with a visit in the 90 days before the date, by how far they got.",
            ),
            Chart(
                "How often is a cart left behind?",
                "cart_abandonment",
                "echarts_timeseries_bar",
                _by_segment("abandoned", SHARE),
                6,
                48,
                note="Share of the carts of the 90 days before the date.",
            ),
        ),
        (
            Chart(
                "Would they recommend us?",
                "satisfaction",
                "echarts_timeseries_bar",
                _by_segment("promoters_less_detractors", "+.0f"),
                6,
                58,
                note="Net promoter score of 365 days, −100 to 100; of segments with ten answers or more.",
                where=(("score_scale", "==", "nps_0_10"), ("response_count", ">=", 10)),
            ),
            Chart(
                "How do they pay?",
                "payment_habits",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["segment_name", "method"],
                    "metrics": ["payments", "on_time", "late", "failed"],
                    "timeseries_limit_metric": "payments",
                    "order_desc": True,
                    "row_limit": 500,
                    "page_length": 10,
                    "show_cell_bars": True,
                    "allow_render_html": False,
                },
                6,
                58,
            ),
        ),
        (
            Chart(
                "How risky is their credit?",
                "credit_risk_bands",
                "echarts_timeseries_bar",
                _bars(
                    "segment_name",
                    ["customers"],
                    ".0%",
                    groupby=["credit_score_band"],
                    horizontal=True,
                    stack="Expand",
                    show_legend=True,
                    sort_series_type="name",
                    sort_series_ascending=True,
                ),
                12,
                48,
            ),
        ),
    ),
)

MARKET: Final = Tab(
    "Market and forecast",
    "At the chosen date. What the source has nothing of is left empty.",
    (
        (
            Chart(
                "What will each category sell?",
                "category_demand_forecast",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["category", "month"],
                    "metrics": ["expected", "lower", "upper"],
                    "timeseries_limit_metric": "expected",
                    "order_desc": True,
                    "row_limit": 1000,
                    "page_length": 12,
                    "include_search": True,
                    "show_cell_bars": True,
                    "table_timestamp_format": "%b %Y",
                    "allow_render_html": False,
                },
                6,
                70,
                note="Net sales of the month of the date and the two after it; the interval holds four months of five.",
            ),
            Chart(
                "Where did we become dearer than competitors?",
                "competitor_position",
                "echarts_timeseries_bar",
                _bars("category", ["price_gap"], "+.1f", groupby=["competitor"], horizontal=True, show_legend=True),
                6,
                70,
                note="Our price change of twelve months less theirs; above 0 we became dearer.",
            ),
        ),
        (
            _trend(
                "Where does the market go?",
                ("industry_index", "category_demand", "competitor_price_index"),
                ",.0f",
                "Indices, each the mean over its categories and competitors; what 100 is the source says.",
            ),
            _trend(
                "How far are technologies and competitors?",
                ("technology_adoption", "competitor_share"),
                ",.2f",
                "Adoption and market share, each the mean over its categories and entities, in the source's unit.",
            ),
        ),
    ),
)

DATA: Final = Tab(
    "Data",
    "What the figures rest on. A date is **stale** where a run today would rest on something else; `make repair` runs"
    " it again.",
    (
        (
            Chart(
                "Dates",
                "segmentation_runs",
                "big_number_total",
                _number("dates", COUNT, "with segments"),
                3,
                22,
                over_time=True,
            ),
            Chart(
                "Stale dates",
                "segmentation_runs",
                "big_number_total",
                _number("stale_dates", COUNT, "wait for a repair"),
                3,
                22,
                over_time=True,
            ),
            Chart(
                "Rows",
                "row_accounts",
                "big_number_total",
                _number("rows", COUNT, "of the source, before the date"),
                3,
                22,
            ),
            Chart(
                "Alarms",
                "segment_alarms",
                "big_number_total",
                _number("alarms", COUNT, "of the weekly checks, ever"),
                3,
                22,
                over_time=True,
            ),
        ),
        (
            Chart(
                "Which dates are there, and is one stale?",
                "segmentation_runs",
                "table",
                _table(
                    [
                        "night",
                        "lens",
                        "state",
                        "customers",
                        "k",
                        "algorithm",
                        "jaccard_stability",
                        "held_out_value",
                        "rows_kept",
                        "rows_quarantined",
                        "stale_reason",
                    ],
                    {
                        "customers": COUNT,
                        "jaccard_stability": ".2f",
                        "held_out_value": ".2f",
                        "rows_kept": COUNT,
                        "rows_quarantined": COUNT,
                    },
                    ("night", False),
                    page=15,
                ),
                12,
                60,
                over_time=True,
            ),
        ),
        (
            Chart(
                "What became of the source's rows?",
                "row_accounts",
                "table",
                {
                    "query_mode": "aggregate",
                    "groupby": ["entity", "outcome"],
                    "metrics": ["rows"],
                    "timeseries_limit_metric": "rows",
                    "order_desc": True,
                    "row_limit": 200,
                    "page_length": 15,
                    "show_cell_bars": True,
                    "allow_render_html": False,
                },
                5,
                52,
                note="Kept, or the reason why they were set aside.",
            ),
            Chart(
                "What did the weekly checks see?",
                "segment_alarms",
                "table",
                _table(
                    ["night", "lens", "kind", "segment_name", "evidence", "proposal"], {}, ("night", False), page=10
                ),
                7,
                52,
                over_time=True,
                note="Empty where nothing emerged, emptied or drifted.",
            ),
        ),
    ),
)

TABS: Final = (SEGMENTS, OVER_TIME, PROFILES, FAMILIES, ENGAGEMENT, MARKET, DATA)
CHARTS: Final = tuple(chart for tab in TABS for row in tab.rows for chart in row)
