"""For each expectation of each suite, the smallest damage that breaks it and no other."""

from dataclasses import dataclass
from itertools import chain, zip_longest

from tests.unit.gate.gate_warehouse import NON_BUYER, ONE_DAY_SHOPPER, PROMPT_PAYER, SHOPPER

CUSTOMERS_NUMBER = (
    "Customers number at least 98% of those at the previous promoted date, "
    "and at most 200% where that lies no more than 31 days back"
)
LABELS_NUMBER = (
    "The labels of a lens number at least 98% of those at the previous promoted date, "
    "and at most 200% where that lies no more than 31 days back"
)


@dataclass(frozen=True)
class Corruption:
    """Damage done by `statements` to a clean warehouse, and the one expectation that must notice.

    A larger warehouse where the rule only begins at a certain size (`customer_count`).
    """

    suite: str
    description: str
    statements: tuple[str, ...]
    customer_count: int = 60

    @property
    def id(self) -> str:
        return f"{self.suite}: {self.description}"


_DATE = "date '2018-01-01'"


def _change(table: str, assignments: str, customer: str = SHOPPER) -> str:
    return f"update {table} set {assignments} where customer_id = '{customer}'"


def _copy(table: str, replacements: str, customer: str = NON_BUYER) -> str:
    replaced = f" replace ({replacements})" if replacements else ""
    return f"insert into {table} select *{replaced} from {table} where customer_id = '{customer}'"


def _one_label(assignments: str) -> str:
    return f"update candidate.labels set {assignments} where customer_id = '{SHOPPER}' and lens = 'overall'"


def _keys(table: str) -> list[Corruption]:
    candidate = f"candidate.{table}"
    copies = (
        f"insert into promoted.{table} select * exclude (i) replace (customer_id || '-' || i as customer_id)"
        f" from promoted.{table} cross join range(3) as copies(i)"
    )
    return [
        Corruption(table, description, statements)
        for description, statements in {
            "The table holds rows for the batch date": (f"delete from {candidate}",),
            "as_of_date is never null": (_copy(candidate, "null as as_of_date"),),
            "customer_id is never null": (_copy(candidate, "null as customer_id"),),
            "A customer has one row per as-of date": (_copy(candidate, ""),),
            "Every customer in scope has a row": (f"delete from {candidate} where customer_id = '{NON_BUYER}'",),
            "Every row is of a customer in scope": (_copy(candidate, "'ghost' as customer_id"),),
            CUSTOMERS_NUMBER: (copies,),
        }.items()
    ]


def _never_null(table: str, columns: str, customer: str = NON_BUYER) -> list[Corruption]:
    return [
        Corruption(table, f"{column} is never null", (_change(f"candidate.{table}", f"{column} = null", customer),))
        for column in columns.split()
    ]


def _shifts(table: str, column: str, moderate: str, extreme: str) -> list[Corruption]:
    promoted = f"promoted.{table}"
    near = f"The distribution of {column} is near that of the previous promoted date (stability index up to 0.25)"
    far = f"The distribution of {column} is not far from that of the previous promoted date (stability index up to 2)"
    return [
        Corruption(table, near, (f"update {promoted} set {column} = {moderate}",)),
        Corruption(table, far, (f"update {promoted} set {column} = {extreme}",)),
    ]


def _one_row(table: str, damages: dict[str, str], customer: str = SHOPPER) -> list[Corruption]:
    return [
        Corruption(table, description, (_change(f"candidate.{table}", assignments, customer),))
        for description, assignments in damages.items()
    ]


_DEMOGRAPHIC = [
    *_keys("demographic_features"),
    *_never_null("demographic_features", "has_demographics", SHOPPER),
    *_one_row(
        "demographic_features",
        {
            "age_years lies between 0 and 120": "age_years = 121",
            "income_amount is not negative": "income_amount = -0.01",
            "A customer with an income has an income band": "income_amount = 0, income_band = null",
            "household_size lies between 1 and 100": "household_size = 0",
            "What is unknown is null, not an empty text": "gender = ' '",
        },
    ),
    *_one_row(
        "demographic_features",
        {"A customer with demographics has at least one of them": "has_demographics = true"},
        NON_BUYER,
    ),
    *_shifts("demographic_features", "has_demographics", "customer_id < 'c030'", "false"),
    *_shifts("demographic_features", "age_years", "age_years + 20", "200"),
]

_OTHERS_MARGIN = ", ".join(
    f"{column} = other.{column}" for column in ("cost_amount", "margin_amount", "margin_amount_365d", "margin_share")
)

_FINANCIAL = [
    *_keys("financial_features"),
    *_never_null(
        "financial_features",
        "spend_amount spend_amount_30d spend_amount_90d spend_amount_365d gross_amount discount_amount cost_amount"
        " payment_count overdue_amount",
    ),
    *_one_row(
        "financial_features",
        {
            "gross_amount is not negative": "gross_amount = -5, discount_amount = -5, discount_share = 1",
            "Spend equals gross minus discount, to the cent": "discount_amount = 0.01",
            "The margin of 365 days is known only where that of the lifetime is": "margin_amount_365d = 0.01",
            "What is overdue counts as late": "overdue_amount = 0.01",
        },
        NON_BUYER,
    ),
    *_one_row(
        "financial_features",
        {
            "discount_share lies between 0 and 1": "discount_amount = -15, gross_amount = spend_amount - 15,"
            " discount_share = -15 / cast(spend_amount - 15 as double)",
            "spend_volatility is not negative": "spend_volatility = -0.1",
            "spend_trend_90d lies between -1 and 1": "spend_trend_90d = 1.5",
            "No number is infinite or NaN": "spend_volatility = 'nan'",
            "Spend grows with the window: 0 ≤ 30 days ≤ 90 days ≤ 365 days ≤ lifetime": "spend_amount_30d ="
            " spend_amount_90d + 0.01",
            "discount_share is discount over gross": "discount_share = discount_share + 0.00001",
            "discount_share is null exactly where nothing was bought": "discount_share = null",
            "average_order_amount times orders is the spend, within half a cent per order": "average_order_amount"
            " = average_order_amount - 0.01",
            "Average and largest order are null exactly where there is no order": "average_order_amount = null",
            "The largest order lies between the average order and the spend": "largest_order_amount ="
            " spend_amount + 0.01",
            "spend_volatility is known where there is recent spend, and only there": "spend_volatility = null",
            "spend_trend_90d is -1 or null exactly where the last 90 days brought nothing": "spend_trend_90d = null",
            "margin_share is at most 1": "margin_share = 1.01",
            "margin_share is margin over the spend on the lines with a known cost": "margin_share"
            " = margin_share + 0.00001",
            "margin_share is null exactly where the lines with a known cost brought nothing": "margin_share = null",
            "credit_limit_amount is not negative": "credit_limit_amount = -0.01",
            "credit_balance_amount is not negative": "credit_balance_amount = -0.01",
            "credit_utilisation_share is not negative": "credit_utilisation_share = -0.01",
            "credit_utilisation_share is balance over limit": "credit_utilisation_share"
            " = credit_utilisation_share + 0.00001",
            "credit_utilisation_share is null exactly without a balance or a limit": "credit_utilisation_share = null",
            "external_credit_score lies between 0 and 1000": "external_credit_score = 1001,"
            " credit_score_band = 'other'",
            "credit_score_band is the band of the score": "credit_score_band = 'other'",
            "payment_on_time_share lies between 0 and 1": "payment_on_time_share = 1.01",
            "payment_late_share lies between 0 and 1": "payment_late_share = 1.01",
            "payment_failed_share lies between 0 and 1": "payment_failed_share = -0.01",
            "The shares of payments are null exactly where there is no payment": "payment_failed_share = null",
            "Each payment is on time, late or failed: the shares add up to 1": "payment_failed_share"
            " = payment_failed_share + 0.00001",
            "payment_delay_days_deviation is not negative": "payment_delay_days_deviation = -0.01",
            "The delay of payments and its deviation are known together": "payment_delay_days_deviation = null",
            "The delay of payments is known where one is on time, and only where there are payments": ""
            "payment_delay_days_mean = null, payment_delay_days_deviation = null",
            "overdue_amount is not negative": "overdue_amount = -0.01",
            "favourite_payment_method_share lies between 0 and 1": "favourite_payment_method_share = 1.01",
            "The favourite method of payment and its share are known together, and only where there are payments": ""
            "favourite_payment_method = null",
        },
    ),
    *_one_row(
        "financial_features",
        {"Payments are delayed on average only where one is late": "payment_delay_days_mean = 0.5"},
        PROMPT_PAYER,
    ),
    Corruption(
        "financial_features",
        "payment_count is not negative",
        # One more elsewhere, so that the sum stays.
        (
            _change("candidate.financial_features", "payment_count = -1"),
            _change(
                "candidate.financial_features",
                "payment_count = payment_count + 1 + (select count(*) from staging.stg_payments"
                f" where customer_id = '{SHOPPER}' and due_date < {_DATE})",
                PROMPT_PAYER,
            ),
        ),
    ),
    Corruption(
        "financial_features",
        "Payments over all customers number the payments due before the date",
        (f"delete from staging.stg_payments where customer_id = '{PROMPT_PAYER}' and due_date < {_DATE}",),
    ),
    Corruption(
        "financial_features",
        "cost_amount is not negative",
        # A cent of cost goes to another, and a cent of margin comes back, so that sums and shares stay.
        (
            _change("candidate.financial_features", "cost_amount = -0.01, margin_amount = 0.01", NON_BUYER),
            _change(
                "candidate.financial_features",
                "cost_amount = cost_amount + 0.01, margin_amount = margin_amount - 0.01,"
                " margin_share = (margin_amount - 0.01) / cast(margin_amount + cost_amount as double)",
                PROMPT_PAYER,
            ),
        ),
    ),
    Corruption(
        "financial_features",
        "Margin and cost do not exceed the spend",
        (
            f"update candidate.financial_features as own set {_OTHERS_MARGIN} from (from candidate.financial_features)"
            f" as other where (own.customer_id, other.customer_id) in"
            f" (('{SHOPPER}', '{ONE_DAY_SHOPPER}'), ('{ONE_DAY_SHOPPER}', '{SHOPPER}'))",
        ),
    ),
    Corruption(
        "financial_features",
        "Cost over all customers equals the cost of all customer days before the date",
        (
            "update intermediate.int_customer_days set cost_amount = cost_amount + 0.01"
            f" where customer_id = '{ONE_DAY_SHOPPER}'",
        ),
    ),
    Corruption(
        "financial_features",
        "Margin and cost over all customers equal the spend on the lines with a known cost before the date",
        (
            "update intermediate.int_customer_days set costed_net_amount = costed_net_amount - 0.01"
            f" where customer_id = '{ONE_DAY_SHOPPER}'",
        ),
    ),
    Corruption(
        "financial_features",
        "Spend over all customers equals the net amount of all customer days before the date",
        (
            "update intermediate.int_customer_days set net_amount = net_amount + 0.01"
            f" where customer_id = '{ONE_DAY_SHOPPER}'",
        ),
    ),
    *_shifts("financial_features", "spend_amount_90d", "spend_amount_90d * 2", "1000000"),
    *_shifts("financial_features", "discount_share", "discount_share * 2", "0.999"),
]

_PURCHASE = [
    *_keys("purchase_features"),
    *_never_null(
        "purchase_features",
        "order_count order_count_30d order_count_90d order_count_365d item_count line_count product_count"
        " category_count order_day_count returned_item_count returned_amount cancelled_order_count"
        " recurring_product_count subscription_order_count",
    ),
    *_one_row(
        "purchase_features",
        {
            "No count is negative": "category_count = -1",
            "Orders grow with the window: 0 ≤ 30 days ≤ 90 days ≤ 365 days ≤ lifetime": "order_count_30d ="
            " order_count_90d + 1",
            "order_count is at least order_day_count": "order_day_count = order_count + 1,"
            " interpurchase_days_mean = cast(last_order_date - first_order_date as double) / order_count",
            "item_count is at least line_count": "item_count = line_count - 1,"
            " items_per_order = cast(line_count - 1 as double) / order_count,"
            " return_rate = cast(returned_item_count as double) / (line_count - 1)",
            "line_count is at least product_count": "product_count = line_count + 1",
            "line_count is at least category_count": "category_count = line_count + 1",
            "favourite_category_share lies between 0 and 1": "favourite_category_share = 1.01",
            "private_label_share lies between 0 and 1": "private_label_share = -0.01",
            "discounted_line_share lies between 0 and 1": "discounted_line_share = 1.01",
            "weekend_order_share lies between 0 and 1": "weekend_order_share = 1.01",
            "Distinct order days are at least a day apart on average": "first_order_date = last_order_date,"
            " interpurchase_days_mean = 0",
            "interpurchase_days_cv is not negative": "interpurchase_days_cv = -0.01",
            "No number is infinite or NaN": "interpurchase_days_cv = 'nan'",
            "Order dates, recency and weekend share are known exactly where there are orders": ""
            "weekend_order_share = null",
            "items_per_order is items over orders, null without orders": "items_per_order = items_per_order + 1",
            "The favourite category and its share are known exactly where spend has a category": ""
            "favourite_category = null",
            "discounted_line_share is null exactly where there are no lines": "discounted_line_share = null",
            "interpurchase_days_mean is the days from first to last order over the gaps between order days": ""
            "interpurchase_days_mean = interpurchase_days_mean + 0.1",
            "interpurchase_days_cv is null exactly under three order days": "interpurchase_days_cv = null",
            "Nothing that is returned, cancelled, recurring or subscribed to is negative": "cancelled_order_count = -1",
            "return_rate is returned items over items, null exactly without items": "return_rate ="
            " return_rate + 0.00001",
            "No more comes back than was bought: return_rate is at most 1": "returned_item_count = item_count + 1,"
            " return_rate = cast(item_count + 1 as double) / item_count",
            "relative_price_index is not negative": "relative_price_index = -0.01",
            "relative_price_index is known where there was spend in the last 365 days, and only where there were orders"
            "": "relative_price_index = null",
            "product_count is at least recurring_product_count": "recurring_product_count = product_count + 1",
            "The recurring product, its interval and when it is due are known exactly where there is one": ""
            "recurring_product_id = null",
            "A product recurs at least a day later": "recurring_interval_days = 0.9,"
            f" recurring_next_due_date = {_DATE}",
            "A recurring product is due within its interval, and overdue by at most two of them": ""
            f"recurring_next_due_date = {_DATE} - cast(2 * recurring_interval_days + 1 as integer)",
            "order_count is at least subscription_order_count": "subscription_order_count = order_count + 1,"
            " subscription_order_share = cast(order_count + 1 as double) / order_count",
            "subscription_order_share is subscription orders over orders, null exactly without orders": ""
            "subscription_order_share = subscription_order_share + 0.00001",
            "The share of a season lies between 0 and 1": "winter_spend_share = -0.1, spring_spend_share = 0.6,"
            " summer_spend_share = 0.25, autumn_spend_share = 0.25, seasonality_index = 0.466667",
            "The shares of the four seasons add up to 1": "winter_spend_share = 0.25001, spring_spend_share = 0.25,"
            " summer_spend_share = 0.25, autumn_spend_share = 0.25, seasonality_index = 0.000007",
            "seasonality_index is two thirds of the distances of the seasons' shares from a quarter": ""
            "seasonality_index = seasonality_index + 0.00001",
            "category_mix_distance lies between 0 and 1": "category_mix_distance = 1.01",
            "Seasons and the distance of the category mix are known exactly where there was spend in the last 365 days"
            "": "category_mix_distance = null",
        },
    ),
    *_one_row(
        "purchase_features",
        {
            "The last order lies at least a day back": f"last_order_date = {_DATE}, recency_days = 0",
            "recency_days counts the days since last_order_date": "recency_days = recency_days + 1",
            "The first order is not after the last": "first_order_date = last_order_date + 1",
        },
        ONE_DAY_SHOPPER,
    ),
    Corruption(
        "purchase_features",
        "No order lies further back than the history reaches",
        (f"update intermediate.int_customer_days set order_date = {_DATE} - 1 where order_date < {_DATE}",),
    ),
    Corruption(
        "purchase_features",
        "Orders over all customers equal the orders of all customer days before the date",
        (
            "update intermediate.int_customer_days set order_count = order_count + 1"
            f" where customer_id = '{ONE_DAY_SHOPPER}'",
        ),
    ),
    *_shifts("purchase_features", "order_count_90d", "order_count_90d * 2", "1000"),
    *_shifts("purchase_features", "items_per_order", "items_per_order * 1.4", "1000"),
]

# Customer 11 is contacted three times and responds twice.
_RESPONDER = "c011"
_ENGAGEMENT = [
    *_keys("engagement_features"),
    *_never_null(
        "engagement_features",
        "first_seen_date tenure_days active_day_count_90d active_window_share is_repeat_customer",
    ),
    *_one_row(
        "engagement_features",
        {
            "first_seen_date is the day on which the facts first see the customer": "first_seen_date ="
            " first_seen_date - 1, tenure_days = tenure_days + 1",
            "tenure_days counts the days since first_seen_date": "tenure_days = tenure_days + 1",
        },
        NON_BUYER,
    ),
    Corruption(
        "engagement_features",
        "Nobody ordered before being first seen: tenure is at least recency",
        (
            _change("intermediate.int_customer_first_seen", f"first_seen_date = {_DATE} - 1", ONE_DAY_SHOPPER),
            _change(
                "candidate.engagement_features",
                f"first_seen_date = {_DATE} - 1, tenure_days = 1",
                ONE_DAY_SHOPPER,
            ),
        ),
    ),
    *_one_row(
        "engagement_features",
        {
            "Active days of the last 90 days agree with the orders of the last 90 days": "active_day_count_90d"
            " = active_day_count_90d + 50, brand_interaction_count_90d = brand_interaction_count_90d + 50",
            "active_window_share lies between 0 and 1": "active_window_share = 1.01",
            "A repeat customer is one with at least two order days": "is_repeat_customer = false,"
            " repeat_order_share = 0",
        },
    ),
    *_one_row(
        "engagement_features",
        {
            "No number is infinite or NaN": "campaign_response_rate = 'nan'",
            "campaign_response_count is not negative": "campaign_response_count = -1,"
            " campaign_response_rate = -1 / cast(campaign_contact_count as double)",
            "campaign_contact_count is at least campaign_response_count": "campaign_response_count = 4,"
            " campaign_response_rate = 4 / cast(campaign_contact_count as double)",
            "campaign_response_rate is responses over contacts, null without contacts": "campaign_response_rate"
            " = campaign_response_rate + 0.01",
            "The last response lies at least a day back": "days_since_response = 0",
            "days_since_response is null exactly where there is no response": "days_since_response = null",
        },
        _RESPONDER,
    ),
    # Customer 1 is a member, comes by web, was asked once, wrote one review and complained once.
    *_one_row(
        "engagement_features",
        {
            "Membership, counts and amounts of loyalty, browsing and feedback are never null": "review_count = null",
            "No count or amount of loyalty, browsing or feedback is negative": "search_count_90d = -1",
            "Shares and rates of orders, carts, sessions and surveys, and satisfaction, lie between 0 and 1": ""
            "conversion_rate = 1.01",
            "repeat_order_share is null without orders, and above 0 exactly for repeat customers": ""
            "repeat_order_share = 0",
            "The days since the first event in the rewards programme are known exactly for members": ""
            "loyalty_tenure_days = null",
            "The first event in the rewards programme lies at least a day back": "loyalty_tenure_days = 0",
            "points_balance is points earned less points redeemed": "points_balance = points_balance + 1",
            "Points were redeemed exactly where there are redemptions, at least one by each": "redemption_count = 0",
            "points_redeemed_share is points redeemed over points earned, null without points earned": ""
            "points_redeemed_share = points_redeemed_share + 0.01",
            "Interactions of the last 90 days hold at least the session-days and the order days of them": ""
            "brand_interaction_count_90d = session_count_90d + active_day_count_90d - 1",
            "Sessions grow with the window: 30 days ≤ 90 days ≤ lifetime": "session_count_30d = session_count_90d + 1",
            "days_since_session is at least 1 and agrees with the sessions of every window": "days_since_session = 91",
            "Distinct products viewed are no more than the views, and the most viewed category is known exactly where"
            " there are any": "viewed_category = null",
            "Abandoned carts are no more than carts, and carts no more than sessions": "cart_count = session_count + 1,"
            " abandoned_cart_count = session_count + 1, cart_abandonment_rate = 1",
            "cart_abandonment_rate is abandoned carts over carts, null without carts": "cart_abandonment_rate ="
            " cart_abandonment_rate + 0.01",
            "conversion_rate is known exactly where there are sessions, and counts every cart that was bought": ""
            "conversion_rate = 0",
            "survey_response_rate is null exactly where there are no surveys": "survey_response_rate = null",
            "nps_score_mean lies between 0 and 10": "nps_score_mean = 10.1",
            "review_score_mean lies between 1 and 5": "review_score_mean = 0.9",
            "review_score_mean is known only where there are reviews": "review_count = 0",
            "Satisfaction is known wherever a score is, and only where there is feedback": "satisfaction_score = null",
            "Complaints of the last 365 days are no more than all of them": "complaint_count_365d = 9",
        },
    ),
    *_one_row(
        "engagement_features",
        {
            "Who is no member has no tier and no points": "loyalty_tier = 'gold'",
            "Nothing is viewed or searched in the last 90 days without a session in them": "view_count_90d = 1",
            "An amount was left in carts only where a cart was abandoned and the last 90 days had sessions": ""
            "abandoned_cart_amount_90d = 0.01",
            "A device is known only where there are sessions": "main_device = 'phone'",
        },
        NON_BUYER,
    ),
    *_shifts("engagement_features", "active_day_count_90d", "active_day_count_90d * 2", "89"),
    Corruption(
        "engagement_features",
        "The distribution of session_count_90d is near that of the previous promoted date (stability index up to 0.25)",
        ("update promoted.engagement_features set session_count_90d = session_count_90d * 2",),
    ),
]

_DAIRY = "where category = 'dairy' and months_ahead = 2"

_CUSTOMER_FORECASTS = [
    # The first six of every table; the last one compares features with the night before.
    *_keys("customer_forecasts")[:-1],
    *_one_row(
        "customer_forecasts",
        {
            "expected_purchases_90d lies between 0 and the 90 days": "expected_purchases_90d = 90.5",
            "expected_spend_amount_90d is not negative": "expected_spend_amount_90d = -0.01",
            "active_probability lies between 0 and 1": "active_probability = 1.01",
            "next_category_probability lies between 0 and 1": "next_category_probability = -0.01",
            "Purchases and the probability of being active are forecast together": "active_probability = null",
            "A next category has its probability": "next_category_probability = null",
            "Purchases are forecast for everyone who has bought, or for nobody": "expected_purchases_90d = null,"
            " active_probability = null",
        },
    ),
    *_one_row(
        "customer_forecasts",
        {"Nothing is forecast for who has never bought": "next_category = 'dairy', next_category_probability = 0.5"},
        NON_BUYER,
    ),
    Corruption(
        "customer_forecasts",
        "All expected purchases together lie within a third and three times those of the last 90 days",
        ("update candidate.customer_forecasts set expected_purchases_90d = expected_purchases_90d / 4",),
    ),
]

_DEMAND_FORECAST = [
    Corruption("category_demand_forecast", description, statements)
    for description, statements in {
        "The table holds rows for the batch date": ("delete from candidate.category_demand_forecast",),
        **{
            f"{column} is never null": (
                "insert into candidate.category_demand_forecast"
                f" select * replace ({others} null as {column}) from candidate.category_demand_forecast {_DAIRY}",
            )
            for column, others in {
                "as_of_date": "",
                "category": "",
                "month": "",
                "months_ahead": "date '2018-04-01' as month,",
            }.items()
        },
        "method is never null": (f"update candidate.category_demand_forecast set method = null {_DAIRY}",),
        "A category has one row per month": (
            f"insert into candidate.category_demand_forecast from candidate.category_demand_forecast {_DAIRY}",
        ),
        "Every category has the three months ahead": (f"delete from candidate.category_demand_forecast {_DAIRY}",),
        "months_ahead lies between 1 and 3": (
            "insert into candidate.category_demand_forecast select * replace (4 as months_ahead,"
            f" date '2018-04-01' as month) from candidate.category_demand_forecast {_DAIRY}",
        ),
        "The first month ahead is the month of the as-of date": (
            f"update candidate.category_demand_forecast set month = date '2018-05-01' {_DAIRY}",
        ),
        "lower_amount is not negative": (
            f"update candidate.category_demand_forecast set lower_amount = -0.01 {_DAIRY}",
        ),
        "The expected amount lies within its interval": (
            f"update candidate.category_demand_forecast set upper_amount = expected_amount - 0.01 {_DAIRY}",
        ),
        "An amount has its interval, and is missing only where the history is too short": (
            f"update candidate.category_demand_forecast set upper_amount = null {_DAIRY}",
        ),
    }.items()
]

_SEGMENTS = [
    Corruption("customer_segments", description, statements)
    for description, statements in {
        "The table holds rows for the batch date": ("delete from candidate.labels",),
        "as_of_date is never null": (_copy("candidate.labels", "null as as_of_date"),),
        "lens is never null": (
            "insert into candidate.labels select * replace (null as lens) from candidate.labels"
            f" where customer_id = '{NON_BUYER}' and lens = 'overall'",
        ),
        "customer_id is never null": (_copy("candidate.labels", "null as customer_id"),),
        "model_version is never null": (_one_label("model_version = null"),),
        "cluster is never null": (_one_label("cluster = null"),),
        "segment_key is never null": (_one_label("segment_key = null"),),
        "confidence is never null": (_one_label("confidence = null"),),
        "is_outlier is never null": (_one_label("is_outlier = null"),),
        "distance is never null": (_one_label("distance = null"),),
        "A customer has one label per as-of date and lens": (_copy("candidate.labels", ""),),
        "Every customer in scope has a label in every lens that ran": (
            "delete from candidate.labels where lens = 'overall'",
            "delete from promoted.labels where lens = 'overall'",
        ),
        "Every label is of a lens that ran": ("delete from candidate.runs where lens = 'purchase'",),
        "Every label is of a customer in scope": (
            _copy("candidate.labels", "'ghost' as customer_id"),
            _copy("candidate.purchase_features", "'ghost' as customer_id"),
        ),
        "Every label is of a customer who has features": (
            f"delete from candidate.purchase_features where customer_id = '{SHOPPER}'",
        ),
        "confidence lies between 0 and 1": (_one_label("confidence = 1.01"),),
        "distance is not negative": (_one_label("distance = -0.01"),),
        "No number is infinite or NaN": (_one_label("distance = 'inf'"),),
        "cluster is not negative": ("update candidate.labels set cluster = -1 where cluster = 0",),
        "A lens has between 2 and 12 segments": (
            "update candidate.labels set cluster = 0, segment_key = 'all' where lens = 'overall'",
            "delete from promoted.labels",
        ),
        "A lens is labelled by one model": (_one_label("model_version = 'another'"),),
        "A cluster is one segment": (_one_label("segment_key = 'another'"),),
        "A segment is one cluster": (_one_label("cluster = 9"),),
        LABELS_NUMBER: (
            "insert into promoted.labels select * exclude (i) replace (customer_id || '-' || i as customer_id)"
            " from promoted.labels cross join range(3) as copies(i)",
        ),
        "Every lens of the previous promoted date is labelled": (
            "insert into promoted.labels select * replace ('engagement' as lens) from promoted.labels",
        ),
        "Most customers are in the segment of the previous promoted date (at most a quarter moved)": (
            "update promoted.labels set segment_key = 'elsewhere' where customer_id > 'c010' and lens = 'overall'",
        ),
    }.items()
] + [
    Corruption(
        "customer_segments",
        "No segment holds under 1% of the customers in scope, where there are at least 200",
        (_one_label("cluster = 9, segment_key = 'lonely'"),),
        customer_count=240,
    )
]


def _packs() -> tuple[tuple[Corruption, ...], ...]:
    """One corruption per feature suite at a time: a gate over the four suites costs seconds."""
    by_suite = (_DEMOGRAPHIC, _FINANCIAL, _PURCHASE, _ENGAGEMENT)
    together = zip_longest(*by_suite)
    features = [tuple(corruption for corruption in pack if corruption) for pack in together]
    pairs = zip_longest(_CUSTOMER_FORECASTS, _DEMAND_FORECAST)
    forecasts = [tuple(corruption for corruption in pack if corruption) for pack in pairs]
    return (*features, *forecasts, *((corruption,) for corruption in _SEGMENTS))


CORRUPTIONS = tuple(
    chain(_DEMOGRAPHIC, _FINANCIAL, _PURCHASE, _ENGAGEMENT, _CUSTOMER_FORECASTS, _DEMAND_FORECAST, _SEGMENTS)
)
PACKS = _packs()
