"""What customers do on the site and in the app: sessions that end in an order, and those that do not."""

from typing import Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.arrival import arrivals
from segmentation_job.landing.simulated_shop.calendar import ShopCalendar
from segmentation_job.landing.simulated_shop.columns import ids, moments, table_of, words
from segmentation_job.landing.simulated_shop.customers import Customers
from segmentation_job.landing.simulated_shop.lives import Lives
from segmentation_job.landing.simulated_shop.orders import APP, ROWS_PER_CHUNK, STORE, Orders, draw_products
from segmentation_job.landing.simulated_shop.products import Shelf
from segmentation_job.landing.simulated_shop.randomness import Subject, pick, random_stream

KINDS: Final = ("search", "view", "add_to_cart", "remove_from_cart", "checkout", "purchase")
SEARCH, VIEW, ADD, REMOVE, CHECKOUT, PURCHASE = range(6)
DEVICES: Final = ("mobile", "desktop", "tablet")
# Share of sessions without an order in which nobody logs in.
ANONYMOUS_SHARE: Final = 0.08
_CART_SHARE: Final = 0.5
_NO_PRODUCT: Final = -1

# Sessions, kinds, moments within the session from 0 to 1, and products of events.
_Events = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def web_rows(
    calendar: ShopCalendar, customers: Customers, lives: Lives, orders: Orders, shelf: Shelf, chunk: int
) -> pa.Table:
    """Return the rows of web_events; a purchase stands at the second of its order."""
    options = calendar.options
    rng = random_stream(options.seed, Subject.WEB, chunk)
    bought = np.flatnonzero((orders.channel != STORE) & ~orders.is_subscription)
    life, begin_at = _visits(rng, calendar, customers, lives)

    session_life = np.concatenate([orders.life[bought], life])
    seconds = rng.gamma(2.0, 420.0, len(session_life)).astype(np.int64) + 60
    customer = lives.customer[session_life]
    start_at = np.concatenate([orders.ordered_at[bought] - seconds[: len(bought)], begin_at])
    start_at = np.maximum(start_at, calendar.at(customers.signup_day)[customer])
    end_at = np.concatenate([orders.ordered_at[bought], begin_at + seconds[len(bought) :]])
    end_at = np.minimum(end_at, calendar.at(customers.stop_day)[customer] - 1)
    events = [
        *_buying(rng, lives, orders, shelf, bought, session_life, calendar),
        *_looking(rng, lives, shelf, np.arange(len(bought), len(session_life)), session_life, start_at, calendar),
    ]
    session, kind, place, product = (np.concatenate([block[position] for block in events]) for position in range(4))
    occurred_at = start_at[session] + (place * (end_at - start_at)[session]).astype(np.int64)
    occurred_at = np.where(kind == PURCHASE, end_at[session], occurred_at)

    device = np.where(
        rng.random(len(session_life)) < 0.8, lives.device[session_life], pick(rng, (6, 3, 1), len(customer))
    )
    device[: len(bought)] = np.where(orders.channel[bought] == APP, 0, device[: len(bought)])
    is_anonymous = rng.random(len(session_life)) < ANONYMOUS_SHARE
    is_anonymous[: len(bought)] = False

    rank = np.empty(len(session_life), dtype=np.int64)
    rank[np.lexsort((start_at, customer))] = np.arange(len(session_life))
    sequence = np.lexsort((kind, occurred_at, rank[session]))
    session, kind, product, occurred_at = (values[sequence] for values in (session, kind, product, occurred_at))
    arrival = random_stream(options.seed, Subject.ARRIVAL, chunk, Subject.WEB)
    return table_of(
        "web_events",
        {
            "event_id": ids("we", np.arange(len(session)) + chunk * ROWS_PER_CHUNK, 11),
            "session_id": ids("ws", rank[session] + chunk * ROWS_PER_CHUNK, 11),
            "customer_id": customers.ids(customer[session], is_anonymous[session]),
            "event_type": words(KINDS, kind),
            "occurred_at": moments(occurred_at),
            "product_id": ids("p", np.maximum(product, 0), 4, product == _NO_PRODUCT),
            "device": words(DEVICES, device[session]),
            "ingested_at": moments(arrivals(arrival, occurred_at, options.late_rate)),
        },
    )


def _visits(
    rng: np.random.Generator, calendar: ShopCalendar, customers: Customers, lives: Lives
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lives and moments of sessions that lead to no order."""
    activity = calendar.cumulated_activity
    days = activity[lives.profile, lives.end_day] - activity[lives.profile, lives.begin_day]
    life = np.repeat(np.arange(len(lives.customer)), rng.poisson(lives.session_rate / 365 * days))
    day = calendar.draw_days(rng, lives.profile[life], lives.begin_day[life], lives.end_day[life])
    begin_at = calendar.at(day, calendar.draw_seconds(rng, lives.is_evening[life]))
    lived = lives.is_lived(rng, customers, life, day)
    return life[lived], begin_at[lived]


def _buying(
    rng: np.random.Generator,
    lives: Lives,
    orders: Orders,
    shelf: Shelf,
    bought: np.ndarray,
    session_life: np.ndarray,
    calendar: ShopCalendar,
) -> list[_Events]:
    """Return the events of sessions that end in an order: its products go into the cart, few others do."""
    session_of_order = np.full(len(orders), -1)
    session_of_order[bought] = np.arange(len(bought))
    line_session = session_of_order[orders.line_order]
    in_session = line_session >= 0
    line_session, line_product = line_session[in_session], orders.product[in_session]
    looked_at = rng.random(len(line_session)) < 0.35
    sessions = np.arange(len(bought))
    day = calendar.day_of(orders.ordered_at[bought])
    further = np.repeat(sessions, rng.poisson(0.6, len(sessions)))
    seen = draw_products(rng, lives, shelf, session_life[further], day[further])
    doubtful = np.flatnonzero(rng.random(len(sessions)) < 0.10)
    dropped = draw_products(rng, lives, shelf, session_life[doubtful], day[doubtful])
    return [
        _block(rng, np.repeat(sessions, rng.poisson(0.5, len(sessions))), SEARCH, 0.0, 0.4),
        _block(rng, line_session[looked_at], VIEW, 0.0, 0.5, line_product[looked_at]),
        _block(rng, further, VIEW, 0.0, 0.85, seen),
        _block(rng, line_session, ADD, 0.5, 0.85, line_product),
        _block(rng, doubtful, ADD, 0.3, 0.6, dropped),
        _block(rng, doubtful, REMOVE, 0.65, 0.88, dropped),
        _block(rng, sessions, CHECKOUT, 0.9, 0.97),
        _block(rng, sessions, PURCHASE, 1.0, 1.0),
    ]


def _looking(
    rng: np.random.Generator,
    lives: Lives,
    shelf: Shelf,
    sessions: np.ndarray,
    session_life: np.ndarray,
    start_at: np.ndarray,
    calendar: ShopCalendar,
) -> list[_Events]:
    """Return the events of sessions without an order: views, and carts that are left behind."""
    day = calendar.day_of(start_at)
    viewing = np.repeat(sessions, 1 + rng.poisson(1.0, len(sessions)))
    viewed = draw_products(rng, lives, shelf, session_life[viewing], day[viewing])
    abandons = lives.abandons[session_life[sessions]]
    carts = sessions[rng.random(len(sessions)) < _CART_SHARE * (0.5 + 0.8 * abandons)]
    adding = np.repeat(carts, 1 + rng.poisson(0.3, len(carts)))
    added = draw_products(rng, lives, shelf, session_life[adding], day[adding])
    taken_out = rng.random(len(adding)) < 0.12
    reaches_checkout = carts[rng.random(len(carts)) < 0.45 * (1 - lives.abandons[session_life[carts]])]
    return [
        _block(rng, np.repeat(sessions, rng.poisson(0.4, len(sessions))), SEARCH, 0.0, 0.6),
        _block(rng, viewing, VIEW, 0.0, 0.9, viewed),
        _block(rng, adding, ADD, 0.3, 0.8, added),
        _block(rng, adding[taken_out], REMOVE, 0.82, 0.9, added[taken_out]),
        _block(rng, reaches_checkout, CHECKOUT, 0.92, 1.0),
    ]


def _block(
    rng: np.random.Generator,
    session: np.ndarray,
    kind: int,
    first: float,
    last: float,
    product: np.ndarray | None = None,
) -> _Events:
    """Return events of one kind, each somewhere between two places of its session."""
    count = len(session)
    products = np.full(count, _NO_PRODUCT) if product is None else product
    return session, np.full(count, kind), rng.uniform(first, last, count), products
