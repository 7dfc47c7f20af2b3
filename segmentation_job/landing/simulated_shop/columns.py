"""Arrow columns out of numpy arrays: ids, words, moments, money."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MONEY = pa.decimal128(18, 2)
QUANTITY = pa.decimal128(18, 3)
MOMENT = pa.timestamp("us")

SCHEMAS: Mapping[str, pa.Schema] = {
    entity: pa.schema(list(columns.items()))
    for entity, columns in {
        "customers": {
            "customer_id": pa.string(),
            "valid_from": MOMENT,
            "signup_date": pa.date32(),
            "birth_date": pa.date32(),
            "age_band": pa.string(),
            "gender": pa.string(),
            "income_amount": MONEY,
            "income_band": pa.string(),
            "country": pa.string(),
            "region": pa.string(),
            "city": pa.string(),
            "postal_code": pa.string(),
            "language": pa.string(),
            "ethnicity": pa.string(),
            "household_size": pa.int32(),
            "marital_status": pa.string(),
            "education": pa.string(),
            "acquisition_channel": pa.string(),
            "ingested_at": MOMENT,
        },
        "products": {
            "product_id": pa.string(),
            "valid_from": MOMENT,
            "department": pa.string(),
            "category": pa.string(),
            "brand": pa.string(),
            "is_private_label": pa.bool_(),
            "list_price_amount": MONEY,
            "ingested_at": MOMENT,
        },
        "orders": {
            "order_id": pa.string(),
            "customer_id": pa.string(),
            # Text, as a point of sale may export it: what is no moment can then be planted.
            "ordered_at": pa.string(),
            "channel": pa.string(),
            "store_id": pa.string(),
            "is_subscription": pa.bool_(),
            "currency": pa.string(),
            "ingested_at": MOMENT,
        },
        "order_lines": {
            "order_id": pa.string(),
            "line_id": pa.string(),
            "product_id": pa.string(),
            "quantity": QUANTITY,
            "gross_amount": MONEY,
            "discount_amount": MONEY,
            "net_amount": MONEY,
            "unit_cost_amount": MONEY,
            "ingested_at": MOMENT,
        },
        "order_events": {
            "event_id": pa.string(),
            "order_id": pa.string(),
            "line_id": pa.string(),
            "event_type": pa.string(),
            "occurred_at": MOMENT,
            "quantity": QUANTITY,
            "amount": MONEY,
            "ingested_at": MOMENT,
        },
        "payments": {
            "payment_id": pa.string(),
            "order_id": pa.string(),
            "customer_id": pa.string(),
            "method": pa.string(),
            "due_at": MOMENT,
            "paid_at": MOMENT,
            "failed_at": MOMENT,
            # Text, as a payment provider's file has it: what is no amount can then be planted.
            "amount": pa.string(),
            "ingested_at": MOMENT,
        },
        "credit": {
            "customer_id": pa.string(),
            "credit_date": pa.date32(),
            "limit_amount": MONEY,
            "balance_amount": MONEY,
            "external_score": pa.int32(),
            "ingested_at": MOMENT,
        },
        "loyalty_events": {
            "event_id": pa.string(),
            "customer_id": pa.string(),
            "event_type": pa.string(),
            "occurred_at": MOMENT,
            "points": pa.int64(),
            "tier": pa.string(),
            "ingested_at": MOMENT,
        },
        "web_events": {
            "event_id": pa.string(),
            "session_id": pa.string(),
            "customer_id": pa.string(),
            "event_type": pa.string(),
            "occurred_at": MOMENT,
            "product_id": pa.string(),
            "device": pa.string(),
            "ingested_at": MOMENT,
        },
        "feedback": {
            "event_id": pa.string(),
            "customer_id": pa.string(),
            "feedback_type": pa.string(),
            "occurred_at": MOMENT,
            "score": pa.decimal128(9, 2),
            "score_scale": pa.string(),
            "product_id": pa.string(),
            "ingested_at": MOMENT,
        },
        "campaign_contacts": {
            "customer_id": pa.string(),
            "campaign_id": pa.string(),
            "channel": pa.string(),
            "contacted_at": MOMENT,
            "response": pa.string(),
            "responded_at": MOMENT,
            "ingested_at": MOMENT,
        },
        "market_indicators": {
            "indicator_month": pa.date32(),
            "indicator": pa.string(),
            "category": pa.string(),
            "entity": pa.string(),
            "published_at": MOMENT,
            "indicator_value": pa.float64(),
            "unit": pa.string(),
            "ingested_at": MOMENT,
        },
    }.items()
}
ENTITIES = tuple(SCHEMAS)


def table_of(entity: str, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return an entity's table; columns may come in any order, but none may be missing."""
    schema = SCHEMAS[entity]
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def ids(prefix: str, numbers: np.ndarray, width: int, missing: np.ndarray | None = None) -> pa.Array:
    """Return ids such as c0000123: a prefix and a number with leading zeros."""
    texts = pc.utf8_lpad(pc.cast(pa.array(numbers, mask=missing), pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, texts, "")


def words(vocabulary: Sequence[str], codes: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return the words that codes stand for."""
    return pc.take(pa.array(vocabulary, pa.string()), pa.array(codes, mask=missing))


def moments(seconds: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return timestamps of seconds since 1970."""
    return pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]"), MOMENT, mask=missing)


def moment_texts(seconds: np.ndarray) -> pa.Array:
    """Return moments as text such as 2024-03-01 10:22:33."""
    return pc.cast(pa.array(seconds.astype("datetime64[s]"), pa.timestamp("s")), pa.string())


def dates(day: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return dates of datetime64[D]."""
    return pa.array(day.astype("datetime64[D]"), pa.date32(), mask=missing)


def money(cents: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return amounts of whole cents."""
    return _decimals(cents, MONEY, missing)


def quantities(units: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return quantities of whole units."""
    return _decimals(np.asarray(units) * 1_000, QUANTITY, missing)


def scores(points: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return whole scores."""
    return _decimals(np.asarray(points) * 100, pa.decimal128(9, 2), missing)


def nothing(entity: str, column: str, length: int) -> pa.Array:
    """Return a column without any value."""
    return pa.nulls(length, SCHEMAS[entity].field(column).type)


def _decimals(scaled: np.ndarray, kind: pa.DataType, missing: np.ndarray | None) -> pa.Array:
    # A decimal128 is a 16-byte integer: written as such, it needs no Python object per value.
    halves = np.empty((len(scaled), 2), dtype="<i8")
    halves[:, 0] = scaled
    halves[:, 1] = np.asarray(scaled, dtype=np.int64) >> 63
    validity = None if missing is None else pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(kind, len(scaled), [validity, pa.py_buffer(halves.tobytes())])
