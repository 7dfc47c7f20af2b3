"""What must be set aside, written down a second time, straight from the contract and without the generator's words.

Per entity: the reasons in order as SQL conditions, the key of a record, and the natural key whose copies are
duplicates. {name} stands for a cleaned column.
"""

KNOWN_CUSTOMERS = """
select trim(customer_id) as customer_id,
    case when count(*) = count(*) filter (where valid_from >= '1970-01-01' and valid_from < '2100-01-01')
        then min(valid_from) end as known_from
from customers
where nullif(trim(customer_id), '') is not null
group by all
"""


def _impossible(column: str) -> str:
    return f"{column} is not null and not ({column} >= '1970-01-01' and {column} < '2100-01-01')"


def _unknown_customer(moment: str) -> str:
    return (
        "t.customer_id is not null and not exists (select 1 from known_customers k where k.customer_id = t.customer_id"
        f" and (k.known_from is null or cast(k.known_from as date) <= cast({moment} as date)))"
    )


_ORDER_UNKNOWN = "not exists (select 1 from good_orders o where o.order_id = t.order_id)"
_ORDERED_AT = "(select o.ordered_at from good_orders o where o.order_id = t.order_id)"

REASONS: dict[str, dict[str, str]] = {
    "customers": {
        "customer_missing": "customer_id is null",
        "date_impossible": f"({_impossible('valid_from')}) or ({_impossible('signup_date')}) "
        "or birth_date < '1890-01-01' or birth_date >= '2100-01-01'",
        "household_size_not_positive": "household_size < 1",
        "income_negative": "income_amount < 0",
    },
    "products": {
        "product_missing": "product_id is null",
        "date_impossible": _impossible("valid_from"),
        "amount_negative": "list_price_amount < 0",
    },
    "orders": {
        "order_missing": "order_id is null",
        "value_unreadable": "raw_ordered_at is not null and ordered_at is null",
        "customer_missing": "customer_id is null",
        "date_missing": "ordered_at is null",
        "date_impossible": _impossible("ordered_at"),
        "customer_unknown": _unknown_customer("ordered_at"),
    },
    "order_lines": {
        "order_missing": "order_id is null",
        "line_missing": "line_id is null",
        "order_unknown": _ORDER_UNKNOWN,
        "product_missing": "product_id is null",
        "product_unknown": "not exists (select 1 from products p where p.product_id = t.product_id"
        f" and cast(p.valid_from as date) <= cast({_ORDERED_AT} as date) and p.list_price_amount >= 0)",
        "quantity_missing": "quantity is null",
        "quantity_not_positive": "quantity <= 0",
        "quantity_not_a_count": "quantity != floor(quantity) or quantity >= 1000000000",
        "amount_missing": "gross_amount is null and net_amount is null",
        "amount_negative": "net_amount < 0 or discount_amount < 0",
        "amount_too_large": "gross_amount >= 1000000000",
        "amounts_disagree": "gross_amount - discount_amount != net_amount",
        "quantity_not_a_count again": "gross_amount > 0 and gross_amount < quantity * 0.01",
    },
    "order_events": {
        "event_missing": "event_id is null",
        "order_missing": "order_id is null",
        "date_missing": "occurred_at is null",
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": "coalesce(event_type, '') not in ('shipped', 'cancelled', 'returned')",
        "order_unknown": f"{_ORDER_UNKNOWN} or cast(occurred_at as date) < cast({_ORDERED_AT} as date)",
        "quantity_not_positive": "quantity <= 0",
        "amount_negative": "amount < 0",
    },
    "payments": {
        "payment_missing": "payment_id is null",
        "value_unreadable": "raw_amount is not null and amount is null",
        "order_missing": "order_id is null",
        "date_missing": "due_at is null",
        "date_impossible": " or ".join(f"({_impossible(column)})" for column in ("due_at", "paid_at", "failed_at")),
        "order_unknown": _ORDER_UNKNOWN,
        "customer_mismatch": "customer_id != (select o.customer_id from good_orders o where o.order_id = t.order_id)",
        "amount_missing": "amount is null",
        "amount_negative": "amount < 0",
    },
    "credit": {
        "customer_missing": "customer_id is null",
        "date_missing": "credit_date is null",
        "date_impossible": _impossible("credit_date"),
        "customer_unknown": _unknown_customer("credit_date"),
        "limit_negative": "limit_amount < 0",
        "balance_negative": "balance_amount < 0",
        "score_out_of_range": "external_score < 0 or external_score > 1000",
    },
    "loyalty_events": {
        "event_missing": "event_id is null",
        "customer_missing": "customer_id is null",
        "date_missing": "occurred_at is null",
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": "coalesce(event_type, '') not in ('enrol', 'earn', 'redeem', 'tier_change')",
        "customer_unknown": _unknown_customer("occurred_at"),
        "points_not_positive": "event_type in ('earn', 'redeem') and coalesce(points, 0) <= 0",
        "tier_missing": "event_type = 'tier_change' and tier is null",
    },
    "web_events": {
        "event_missing": "event_id is null",
        "session_missing": "session_id is null",
        "date_missing": "occurred_at is null",
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": "coalesce(event_type, '') not in "
        "('view', 'search', 'add_to_cart', 'remove_from_cart', 'checkout', 'purchase')",
        "customer_unknown": _unknown_customer("occurred_at"),
        "product_missing": "event_type in ('add_to_cart', 'remove_from_cart') and product_id is null",
    },
    "feedback": {
        "event_missing": "event_id is null",
        "customer_missing": "customer_id is null",
        "date_missing": "occurred_at is null",
        "date_impossible": _impossible("occurred_at"),
        "feedback_type_unknown": "coalesce(feedback_type, '') not in ('survey', 'review', 'complaint')",
        "customer_unknown": _unknown_customer("occurred_at"),
        "score_scale_unknown": "score is not null and coalesce(score_scale, '') not in "
        "('nps_0_10', 'stars_1_5', 'csat_1_5')",
        "score_out_of_scale": "score_scale = 'nps_0_10' and not (score between 0 and 10) "
        "or score_scale in ('stars_1_5', 'csat_1_5') and not (score between 1 and 5)",
    },
    "campaign_contacts": {
        "customer_missing": "customer_id is null",
        "campaign_missing": "campaign_id is null",
        "date_missing": "contacted_at is null",
        "date_impossible": f"({_impossible('contacted_at')}) or ({_impossible('responded_at')})",
        "response_before_contact": "cast(responded_at as date) < cast(contacted_at as date)",
        "customer_unknown": _unknown_customer("contacted_at"),
    },
    "market_indicators": {
        "indicator_missing": "indicator is null",
        "date_missing": "indicator_month is null or published_at is null",
        "date_impossible": f"({_impossible('indicator_month')}) or ({_impossible('published_at')})",
        "indicator_unknown": "indicator not in ('industry_index', 'technology_adoption', 'category_demand', "
        "'competitor_price_index', 'competitor_share')",
        "value_missing": "indicator_value is null",
        "value_not_finite": "not isfinite(indicator_value)",
    },
}

NATURAL_KEYS = {
    "customers": ("customer_id", "valid_from"),
    "products": ("product_id", "valid_from"),
    "orders": ("order_id",),
    "order_lines": ("order_id", "line_id"),
    "order_events": ("event_id",),
    "payments": ("payment_id",),
    "credit": ("customer_id", "credit_date"),
    "loyalty_events": ("event_id",),
    "web_events": ("event_id",),
    "feedback": ("event_id",),
    "campaign_contacts": ("customer_id", "campaign_id", "channel"),
    "market_indicators": ("indicator_month", "indicator", "category", "entity", "published_at"),
}

RECORD_KEYS = {
    **NATURAL_KEYS,
    "orders": ("order_id", "customer_id"),
    "order_lines": ("order_id", "line_id", "product_id"),
    "order_events": ("event_id", "order_id"),
    "payments": ("payment_id", "order_id"),
    "loyalty_events": ("event_id", "customer_id"),
    "web_events": ("event_id", "session_id"),
    "feedback": ("event_id", "customer_id"),
}
_IDS = ("customer_id", "product_id", "order_id", "line_id", "event_id", "payment_id", "session_id", "campaign_id",
        "indicator", "event_type", "feedback_type", "tier")  # fmt: skip
_READ = {"orders": ("ordered_at", "timestamp"), "payments": ("amount", "decimal(18, 2)")}


def judged(entity: str, columns: list[str]) -> str:
    """Return the query of an entity's rows with reason, null where there is none, and record_key.

    columns: of the entity as landed. Needs the tables known_customers and good_orders where a reason names them.
    """
    cleaned = []
    for column in columns:
        if column in _IDS:
            cleaned.append(f"nullif(trim({column}), '') as {column}")
        elif entity in _READ and column == _READ[entity][0]:
            cleaned.append(f"{column} as raw_{column}, try_cast({column} as {_READ[entity][1]}) as {column}")
        else:
            cleaned.append(column)
    whens = " ".join(f"when {condition} then '{name.split()[0]}'" for name, condition in REASONS[entity].items())
    key = ", ".join(f"coalesce(cast({column} as varchar), '~')" for column in RECORD_KEYS[entity])
    natural = ", ".join(NATURAL_KEYS[entity])
    return f"""
        with t as (select {", ".join(cleaned)} from {entity}),
        own as (select t.*, case {whens} end as own_reason from t),
        counted as (
            select *, row_number() over (partition by {natural} order by own_reason is not null) as copy from own
        )
        select *, coalesce(own_reason, case when copy > 1 then 'duplicate' end) as reason,
            concat_ws('|', {key}) as record_key
        from counted
    """
