"""The corpus of broken inputs: what is done to a landing, and what must come of it.

A stopped case ends a command with an exit code and a sentence. A quarantined row is set aside with a reason. A
harmless case changes nothing for anybody else. Cases share landings, so that a process tells of several.
"""

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from segmentation_job.landing.simulated_shop.columns import SCHEMAS
from segmentation_job.steps import ExitCode
from tests.support.example_shop import AS_OF
from tests.support.nights import PROJECT_DIR

PARQUET_AS_OF: Final = date(2026, 1, 1)
DEMONSTRATION: Final = PROJECT_DIR / "dbt_project" / "sources" / "example_csv" / "demonstration"
CSV_TABLES: Final = ("customers", "products", "orders", "order_lines")
Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Stop:
    """One command on one spoiled data folder.

    spoil: does it, given the source's folder. told: by case, what the message must hold. settings: beside SOURCE.
    shell: words of a shell that start the command under a limit, before its own.
    """

    exit_code: ExitCode
    told: Mapping[str, tuple[str, ...]]
    spoil: Spoil = lambda _: None
    source: str = "example_csv"
    arguments: tuple[str, ...] = ("check", "--as-of", str(AS_OF))
    settings: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ()


def edited(table: str, edit: Callable[[bytes], bytes]) -> Spoil:
    """Return what rewrites a CSV file's bytes."""

    def spoil(source_dir: Path) -> None:
        path = source_dir / "landing" / f"{table}.csv"
        before = path.read_bytes()
        after = edit(before)
        assert after != before
        path.write_bytes(after)

    return spoil


def together(*spoils: Spoil) -> Spoil:
    """Return what does all of it."""

    def spoil(source_dir: Path) -> None:
        for one in spoils:
            one(source_dir)

    return spoil


def once(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Return what replaces the first place where a file says something."""
    return lambda content: content.replace(old, new, 1)


def header_only(content: bytes) -> bytes:
    return content.split(b"\n")[0] + b"\n"


def land_csv(source_dir: Path) -> None:
    """Land the demonstration files of example_csv."""
    landing = source_dir / "landing"
    landing.mkdir(parents=True)
    for path in DEMONSTRATION.glob("*.csv"):
        shutil.copy(path, landing)


# ---------------------------------------------------------------------------------------------------------------
# Files that no engine can make sense of, and settings that no run can start from.


def _folder_in_place(source_dir: Path) -> None:
    path = source_dir / "landing" / "orders.csv"
    path.unlink()
    path.mkdir()


def _lines_missing(source_dir: Path) -> None:
    (source_dir / "landing" / "order_lines.csv").unlink()


def _landing_missing(source_dir: Path) -> None:
    shutil.rmtree(source_dir / "landing")


def _unreadable(source_dir: Path) -> None:
    (source_dir / "landing" / "orders.csv").chmod(0)


def _written(name: str, content: bytes) -> Spoil:
    def spoil(source_dir: Path) -> None:
        (source_dir / name).write_bytes(content)

    return spoil


def _part(source_dir: Path, table: str) -> Path:
    return source_dir / "landing" / table / "part-00000.parquet"


def _renamed(table: str, names: Mapping[str, str | None]) -> Spoil:
    """Rename columns of a Parquet table; those without a new name go."""

    def spoil(source_dir: Path) -> None:
        rows = pq.read_table(_part(source_dir, table))
        kept = rows.select([name for name in rows.column_names if names.get(name, name) is not None])
        pq.write_table(
            kept.rename_columns([names.get(name) or name for name in kept.column_names]), _part(source_dir, table)
        )

    return spoil


def _bytes(table: str, edit: Callable[[bytes], bytes]) -> Spoil:
    """Rewrite a Parquet file's bytes."""

    def spoil(source_dir: Path) -> None:
        path = _part(source_dir, table)
        path.write_bytes(edit(path.read_bytes()))

    return spoil


def _broken_parquet(source_dir: Path) -> None:
    shutil.rmtree(source_dir / "landing" / "products")
    _part(source_dir, "campaign_contacts").unlink()
    _part(source_dir, "campaign_contacts").mkdir()
    shutil.copy(_part(source_dir, "feedback"), _part(source_dir, "web_events").with_name("part-00001.parquet"))
    together(
        _bytes("customers", lambda content: content[: len(content) // 2]),
        _bytes("order_lines", lambda _: b""),
        _bytes("payments", lambda _: b"payment_id,order_id\n1,2\n"),
        _renamed("order_events", {"occurred_at": None}),
        _renamed("loyalty_events", {"points": "score"}),
    )(source_dir)
    pq.write_table(pq.read_table(_part(source_dir, "orders")).slice(0, 0), _part(source_dir, "orders"))


CHECK_PARQUET: Final = ("check", "--as-of", str(PARQUET_AS_OF))
STOPS: Final[tuple[Stop, ...]] = (
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "CSV of 0 bytes": ("customers: ", "customers.csv is empty (0 bytes)"),
            "CSV in UTF-16": ("products: ", "is not UTF-8 text"),
            "CSV of orders with a header only": ("orders: ", "holds no row before 2024-07-01"),
            "CSV with a changed delimiter": (
                "order_lines: ",
                "has no column order_no, line_no",
                "order_no;line_no;sku",
            ),
        },
        together(
            edited("customers", lambda _: b""),
            edited("products", lambda content: content.decode().encode("utf-16")),
            edited("orders", header_only),
            edited("order_lines", lambda content: content.replace(b",", b";")),
        ),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "CSV in latin-1": ("customers: ", "not utf-8 encoded"),
            "CSV with a quote that is never closed": ("products: ", "a quote is opened and not closed"),
            "CSV with a row that is too short": ("orders: ", "line 2: 3 fields, the header has 4"),
            "CSV with a row that is too long": ("order_lines: ", "line 2: 8 fields, the header has 7"),
        },
        together(
            edited("customers", once(b"Lyon", "Köln".encode("latin-1"))),
            edited("products", once(b"Own", b'"Own')),
            edited("orders", once(b",web\n", b"\n")),
            edited("order_lines", once(b"9.50\n", b"9.50,extra\n")),
        ),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "CSV with a field of three million characters": ("customers: ", "Maximum line size"),
            "missing column": ("products: ", "has no column product_group"),
            "renamed column": ("orders: ", "has no column placed_at; it has", "Placed At"),
            "missing file": ("order_lines: no file at ",),
        },
        together(
            edited("customers", once(b"friend\n", b"f" * 3_000_000 + b"\n")),
            edited("products", once(b"product_group", b"group")),
            edited("orders", once(b"placed_at", b"Placed At")),
            _lines_missing,
        ),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "CSV of customers with a header only": ("customers: ", "holds no row, and customers"),
            "CSV with a quote that closes in the midst of a field": ("products: ", "line 4", "not closed as it should"),
            "folder where a file should be": ("orders: ", "orders.csv is a folder, not a file"),
            "bytes that are no text": ("order_lines: ", "is not UTF-8 text"),
        },
        together(
            edited("customers", header_only),
            edited("products", once(b"Own", b'"Ow"n')),
            _folder_in_place,
            edited("order_lines", lambda _: bytes(range(1, 256)) * 50),
        ),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "folder of the landing is missing": tuple(f"{table}: no file at " for table in CSV_TABLES),
        },
        _landing_missing,
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {"file without permission to read": ("orders: ", "orders.csv may not be read by the user who runs this")},
        _unreadable,
        shell=("without-override",),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {
            "missing folder of a table": ("products: no file at ",),
            "truncated Parquet": ("customers: ", "cannot be read", "No magic bytes found at end of file"),
            "Parquet of 0 bytes": ("order_lines: ", "part-00000.parquet is empty (0 bytes)"),
            "Parquet of orders with 0 rows": ("orders: ", "holds no row before 2026-01-01"),
            "text in a file called Parquet": ("payments: ", "cannot be read"),
            "Parquet without a column": ("order_events: ", "has no column occurred_at"),
            "Parquet with a renamed column": ("loyalty_events: ", "has no column points; it has", "score"),
            "Parquet part of another table": ("web_events: ", "schema mismatch"),
            "folder named like a Parquet file": ("campaign_contacts: ", "is a folder, not a file"),
        },
        _broken_parquet,
        source="simulated_shop",
        arguments=CHECK_PARQUET,
    ),
    Stop(
        ExitCode.USAGE,
        {"as-of date that does not exist (30 February)": ("'2018-02-30' is no date; write it as",)},
        arguments=("check", "--as-of", "2018-02-30"),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {"as-of date in the future": ("The as-of date 2999-01-01 is still to come",)},
        arguments=("check", "--as-of", "2999-01-01"),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {"as-of date before the first customer (nobody)": ("orders: ", "holds no row before 2020-01-01")},
        arguments=("check", "--as-of", "2020-01-01"),
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {"as-of date in year 1": ("The as-of date 0001-01-01 lies before everything",)},
        arguments=("check", "--as-of", "0001-01-01"),
        settings={"SEGMENTATION_TIMEZONE": "Europe/Berlin"},
    ),
    Stop(
        ExitCode.SOURCE_NOT_READY,
        {"source last updated a year ago": ("newest row of orders is of 2024-06-30, 366 days before", "at most 7")},
        arguments=("check", "--as-of", "2025-07-01"),
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"source that does not exist": ("SOURCE='no_such_shop' has no folder", "There are: ")},
        settings={"SOURCE": "no_such_shop"},
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"source whose name is a path": ("SOURCE='../../etc' must be lower-case letters",)},
        settings={"SOURCE": "../../etc"},
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"time zone that does not exist": ("SEGMENTATION_TIMEZONE='Mars/Base' is no IANA time zone",)},
        settings={"SEGMENTATION_TIMEZONE": "Mars/Base"},
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"setting that is no number": ("SEGMENTATION_THREADS='many' must be a whole number",)},
        settings={"SEGMENTATION_THREADS": "many"},
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"lens file that is no YAML": ("overall.yaml",)},
        _written("lenses/overall.yaml", b"lens: [overall\nfeatures"),
        settings={"SEGMENTATION_LENSES_DIR": "{source_dir}/lenses"},
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"decisions.jsonl with a broken line": ("decisions.jsonl, line 1: no decision can be read", "Mend or remove")},
        _written("decisions.jsonl", b'{"kind": "rename",\n'),
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"warehouse that is no DuckDB file": ("A DuckDB file is damaged", "warehouse.duckdb", "Put a backup")},
        _written("warehouse.duckdb", b"no database" * 2_000),
    ),
    Stop(
        ExitCode.MISCONFIGURED,
        {"folder where the warehouse should be": ("warehouse.duckdb", "Is a directory", "must be writable")},
        lambda source_dir: (source_dir / "warehouse.duckdb").mkdir(),
    ),
    Stop(
        ExitCode.UNEXPECTED,
        {"disk that is full from the start": ("The disk is full", "Make room, then run the step again")},
        shell=("small-disk",),
    ),
)


# ---------------------------------------------------------------------------------------------------------------
# Rows among good rows. Customers B… are broken, K… have copies, H… are hostile, T… are good and strange.

Row = dict[str, str]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Planted:
    """Rows of one case in the CSV files: what they hold, and which of them is set aside, as entity, reason and key."""

    rows: tuple[tuple[str, Row], ...]
    quarantined: tuple[Key, ...] = ()


def _customer(number: str, **values: str) -> tuple[str, Row]:
    good = {
        "customer_no": number,
        "joined_on": "2024-01-10",
        "born_on": "1980-05-05",
        "sex": "f",
        "yearly_income": "40000",
        "town": "Lyon",
        "language": "fr",
        "people_at_home": "2",
        "found_us_by": "friend",
    }
    return "customers", {**good, **values}


def _order(number: str, customer: str = "T01", placed_at: str = "2024-05-02 10:00:00") -> tuple[str, Row]:
    return "orders", {"order_no": number, "customer_no": customer, "placed_at": placed_at, "channel": "web"}


def _line(order: str, line: str, product: str = "P4", **values: str) -> tuple[str, Row]:
    good = {"order_no": order, "line_no": line, "sku": product, "units": "1", "full_price": "4.20", "rebate": "0.00"}
    return "order_lines", {**good, "paid": "4.20", **values}


def _bad_customer(reason: str, number: str, **values: str) -> Planted:
    return Planted((_customer(number, **values),), (("customers", reason, f"{number.strip() or '~'}|~"),))


def _bad_order(reason: str, number: str, customer: str = "T01", placed_at: str = "2024-05-02 10:00:00") -> Planted:
    key = f"{number.strip() or '~'}|{customer.strip() or '~'}"
    return Planted((_order(number, customer, placed_at),), (("orders", reason, key),))


def _bad_line(reason: str, line: str, order: str = "T01-1", product: str = "P4", **values: str) -> Planted:
    key = f"{order.strip() or '~'}|{line.strip() or '~'}|{product.strip() or '~'}"
    return Planted((_line(order, line, product, **values),), (("order_lines", reason, key),))


HUGE: Final = "99999999999999999999"
QUARANTINED: Final[Mapping[str, Planted]] = {
    "null key of a customer": _bad_customer("customer_missing", ""),
    "blank key of a customer": _bad_customer("customer_missing", "   "),
    "key with a line break (a quote closed rows later)": _bad_customer("value_unreadable", "B13\nB13"),
    "key with a NUL": _bad_customer("value_unreadable", "B14\0x"),
    "text in a number": _bad_customer("value_unreadable", "B01", yearly_income="a lot"),
    "NaN in an amount": _bad_customer("value_unreadable", "B02", yearly_income="NaN"),
    "infinity in an amount": _bad_customer("value_unreadable", "B03", yearly_income="inf"),
    "1e308 in an amount": _bad_customer("value_unreadable", "B04", yearly_income="1e308"),
    "amount that overflows its type": _bad_customer("value_unreadable", "B05", yearly_income=HUGE),
    "date in another format": _bad_customer("value_unreadable", "B06", born_on="31.12.1980"),
    "signup in year 1": _bad_customer("date_impossible", "B07", joined_on="0001-01-01"),
    "signup in year 9999": _bad_customer("date_impossible", "B08", joined_on="9999-12-31"),
    "date of zeros": _bad_customer("value_unreadable", "B09", born_on="0000-00-00"),
    "date as epoch milliseconds": _bad_customer("value_unreadable", "B10", born_on="1704067200000"),
    "household of nobody": _bad_customer("household_size_not_positive", "B11", people_at_home="0"),
    "negative income": _bad_customer("income_negative", "B12", yearly_income="-1"),
    "same customer twice, once with blanks around its key": Planted(
        (_customer("K01"), _customer(" K01 ")), (("customers", "duplicate", "K01|~"),)
    ),
    "same row twice": Planted((_order("K-1"), _order("K-1")), (("orders", "duplicate", "K-1|T01"),)),
    "same key with different content": Planted(
        (_order("K-2", placed_at="2024-05-01 10:00:00"), _order("K-2", placed_at="2024-06-01 10:00:00")),
        (("orders", "duplicate", "K-2|T01"),),
    ),
    "null key of an order": _bad_order("order_missing", ""),
    "order of nobody": _bad_order("customer_missing", "B-1", ""),
    "order of an unknown customer": _bad_order("customer_unknown", "B-2", "nobody-knows"),
    "order without a time": _bad_order("date_missing", "B-3", placed_at=""),
    "order in year 1": _bad_order("date_impossible", "B-4", placed_at="0001-01-01 00:00:00"),
    "order in year 9999": _bad_order("date_impossible", "B-5", placed_at="9999-12-31 23:59:59"),
    "order on 31 February": _bad_order("value_unreadable", "B-6", placed_at="2024-02-31 10:00:00"),
    "order at epoch milliseconds": _bad_order("value_unreadable", "B-7", placed_at="1714640400000"),
    "order with a date in another format": _bad_order("value_unreadable", "B-8", placed_at="02.05.2024 10:00"),
    "order at infinity": _bad_order("date_impossible", "B-9", placed_at="infinity"),
    "null key of a line": _bad_line("line_missing", ""),
    "line of an unknown order": _bad_line("order_unknown", "1", order="no-order"),
    "line of an unknown product": _bad_line("product_unknown", "b01", product="no-product"),
    "line without a product": _bad_line("product_missing", "b02", product=""),
    "text in a quantity": _bad_line("value_unreadable", "b03", units="two"),
    "quantity of zero": _bad_line("quantity_not_positive", "b04", units="0"),
    "negative quantity": _bad_line("quantity_not_positive", "b05", units="-1"),
    "quantity with a fraction": _bad_line("quantity_not_a_count", "b06", units="1.5"),
    "quantity that overflows its type": _bad_line("value_unreadable", "b07", units=HUGE),
    "line paid with NaN": _bad_line("value_unreadable", "b08", paid="nan"),
    "line paid with minus infinity": _bad_line("value_unreadable", "b09", paid="-inf"),
    "line of a billion": _bad_line("amount_too_large", "b10", full_price="1000000000", paid="1000000000"),
    "line with a decimal comma": _bad_line("value_unreadable", "b11", paid="4,20"),
    "line with a currency sign": _bad_line("value_unreadable", "b12", paid="€4.20"),
    "negative amount": _bad_line("amount_negative", "b13", full_price="-4.20", paid="-4.20"),
    "amounts that disagree": _bad_line("amounts_disagree", "b14", paid="4.21"),
    "line without an amount": _bad_line("amount_missing", "b15", full_price="", rebate="", paid=""),
    "same line twice with different amounts": Planted(
        (_line("T01-1", "k01"), _line("T01-1", "k01", full_price="5.00", paid="5.00")),
        (("order_lines", "duplicate", "T01-1|k01|P4"),),
    ),
}

HOSTILE: Final[Mapping[str, str]] = {
    "SQL in an id and in names": "x'; drop table promoted.labels; --",
    "a template in an id and in names": "{{ 1/0 }}{% raw %}",
    "a path in an id and in names": "../../etc/passwd",
    "a formula in an id and in names": "=cmd|'/c calc'!A1",
    "emoji in an id and in names": "🦊👩‍👩‍👧‍👦",
    "right-to-left text in an id and in names": "\u202eשלום",
    "ten thousand characters in an id and in names": "long" * 2_500,
    "quotes and backslashes in an id and in names": "\"'`\\\\%s{0}$1",
}

# Business days in Europe/Berlin of moments in UTC, around the day of 25 hours and the day of 23.
AROUND_THE_SWITCHES: Final[Mapping[str, date]] = {
    "2023-10-28 21:59:59": date(2023, 10, 28),
    "2023-10-28 22:00:00": date(2023, 10, 29),
    "2023-10-29 00:30:00": date(2023, 10, 29),
    "2023-10-29 01:30:00": date(2023, 10, 29),
    "2023-10-29 22:59:59": date(2023, 10, 29),
    "2023-10-29 23:00:00": date(2023, 10, 30),
    "2024-03-30 22:59:59": date(2024, 3, 30),
    "2024-03-30 23:00:00": date(2024, 3, 31),
    "2024-03-31 00:59:59": date(2024, 3, 31),
    "2024-03-31 01:00:00": date(2024, 3, 31),
    "2024-03-31 21:59:59": date(2024, 3, 31),
    "2024-03-31 22:00:00": date(2024, 4, 1),
}
# One column with several zones; each as its offset from UTC says.
MIXED_ZONES: Final[Mapping[str, date]] = {
    "2024-04-10 23:30:00Z": date(2024, 4, 11),
    "2024-04-12T00:30:00+02:00": date(2024, 4, 12),
    "2024-04-12 20:30:00-05:00": date(2024, 4, 13),
    "2024-04-14 12:00:00": date(2024, 4, 14),
}
BUSY_DAY: Final = date(2024, 5, 5)
BUSY_DAY_ORDERS: Final = 40
"""Ten times and more what the shop sells a day."""


def _good_rows() -> Iterable[tuple[str, Row]]:
    yield _customer("T01", sex="some new code")
    yield _order("T01-1")
    yield _line("T01-1", "1")
    # Registered the day after the first order.
    yield _customer("T02", joined_on="2024-05-03")
    yield _order("T02-1", "T02")
    yield _line("T02-1", "1")
    for customer, moments in (("T03", AROUND_THE_SWITCHES), ("T04", MIXED_ZONES)):
        yield _customer(customer)
        for number, moment in enumerate(moments, start=1):
            yield _order(f"{customer}-{number}", customer, moment)
            yield _line(f"{customer}-{number}", "1")
    yield _customer("T05")
    for number in range(BUSY_DAY_ORDERS):
        yield _order(f"T05-{number}", "T05", f"{BUSY_DAY} 12:00:00")
        yield _line(f"T05-{number}", "1")
    # Of the as-of date and later: half past midnight in Berlin, and a week ahead.
    for number, moment in enumerate(("2024-06-30 22:30:00", "2024-07-08 10:00:00"), start=1):
        yield _order(f"T06-{number}", "T01", moment)
        yield _line(f"T06-{number}", "1")
    for number, text in enumerate(HOSTILE.values()):
        yield _customer(text, town=text, language=text, found_us_by=text)
        yield (
            "products",
            {"sku": text, "product_group": text, "product_name": text, "maker": text, "own_brand": "no", "price": "1"},
        )
        yield _order(text, text, f"2024-05-{10 + number} 12:00:00")
        yield _line(text, text, text)


OUT_OF_SCOPE: Final = {"orders": 2, "order_lines": 2}


def land_strange_csv(source_dir: Path) -> None:
    """Land the demonstration files with every planted row, and with what must do no harm to the files themselves.

    Customers have a further column; orders have their columns in another order; lines have a byte order mark, CRLF and
    blank lines at the end; products have a quote around every field.
    """
    landing = source_dir / "landing"
    landing.mkdir(parents=True)
    planted: dict[str, list[Row]] = {table: [] for table in CSV_TABLES}
    for table, row in [*_good_rows(), *(row for case in QUARANTINED.values() for row in case.rows)]:
        planted[table].append(row)
    for table in CSV_TABLES:
        with (DEMONSTRATION / f"{table}.csv").open(newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = [*reader, *planted[table]]
        if table == "customers":
            columns.append("loyalty_card")
        if table == "orders":
            columns.reverse()
        text = io.StringIO()
        writer = csv.DictWriter(
            text,
            columns,
            restval="7",
            quoting=csv.QUOTE_ALL if table == "products" else csv.QUOTE_MINIMAL,
            lineterminator="\r\n" if table == "order_lines" else "\n",
        )
        writer.writeheader()
        writer.writerows(rows)
        before, after = ("\ufeff", "\r\n\r\n") if table == "order_lines" else ("", "")
        (landing / f"{table}.csv").write_bytes(f"{before}{text.getvalue()}{after}".encode())


def land_equal_customers(source_dir: Path, count: int) -> None:
    """Land so many customers who are alike in everything but their id, with five orders each."""
    landing = source_dir / "landing"
    landing.mkdir(parents=True)
    shutil.copy(DEMONSTRATION / "products.csv", landing)
    rows: dict[str, list[Row]] = {"customers": [], "orders": [], "order_lines": []}
    for customer in (f"A{number:02d}" for number in range(count)):
        rows["customers"].append(_customer(customer)[1])
        for day in ("2024-03-10", "2024-04-10", "2024-05-10", "2024-06-10", "2024-06-28"):
            rows["orders"].append(_order(f"{customer}-{day}", customer, f"{day} 12:00:00")[1])
            rows["order_lines"].append(_line(f"{customer}-{day}", "1")[1])
    for table, planted in rows.items():
        with (landing / f"{table}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(planted[0]))
            writer.writeheader()
            writer.writerows(planted)


# ---------------------------------------------------------------------------------------------------------------
# Parquet whose columns have other types than the contract's.

EPOCH_ROWS: Final = 3
PARQUET_QUARANTINED: Final[Mapping[str, tuple[Key, ...]]] = {
    "Parquet with NaN in a double": (("customers", "value_unreadable", "c-nan|2025-01-01 00:00:00"),),
    "Parquet with infinity in a double": (("customers", "value_unreadable", "c-inf|2025-01-01 00:00:00"),),
    "Parquet with 1e308 in a double": (("customers", "value_unreadable", "c-big|2025-01-01 00:00:00"),),
    "Parquet with a date as text in another format": (("customers", "value_unreadable", "c-date|2025-01-01 00:00:00"),),
    "customer with two overlapping valid_from": (("customers", "duplicate", "c-two|2025-01-01 00:00:00"),),
    "order before its customer's first day": (("orders", "customer_unknown", "o-early|c1"),),
    "Parquet with moments as epoch milliseconds": tuple(
        ("order_events", "value_unreadable", f"e{number}|o1") for number in range(EPOCH_ROWS)
    ),
    "payment of an unknown order": (("payments", "order_unknown", "y-orphan|no-order"),),
    "payment with text for an amount": (("payments", "value_unreadable", "y-text|o1"),),
    "web event with an unknown code": (("web_events", "event_type_unknown", "w-code|s1"),),
    "loyalty event with an unknown code": (("loyalty_events", "event_type_unknown", "l-code|c1"),),
    "market figure that is NaN": (
        ("market_indicators", "value_not_finite", "2025-06-01|category_demand|Tea|~|2025-07-01 00:00:00"),
    ),
    "market figure with an unknown code": (
        ("market_indicators", "indicator_unknown", "2025-06-01|horoscope|Tea|~|2025-07-01 00:00:00"),
    ),
}
BROKEN_FEEDBACK: Final = 25
"""Every row of the feedback has a scale that nobody knows: a delivery that changed."""
LATE_EVENING: Final = datetime(2025, 6, 30, 22, 30, tzinfo=UTC)


def land_strange_parquet(source_dir: Path) -> None:
    """Land a simulated shop of a few rows, some columns of which have types of their own; credit has no rows."""
    first_day = datetime(2025, 1, 1)  # noqa: DTZ001
    noon = datetime(2025, 12, 31, 12)  # noqa: DTZ001
    good = {"valid_from": first_day, "signup_date": first_day.date(), "birth_date": "1980-01-01", "income_amount": 1.0}
    event = {"customer_id": "c1", "occurred_at": noon}
    market = {"indicator_month": date(2025, 6, 1), "category": "Tea", "published_at": datetime(2025, 7, 1)}  # noqa: DTZ001
    payment = {"order_id": "o1", "customer_id": "c1", "due_at": noon, "paid_at": noon, "amount": "5.00"}
    line = {
        "order_id": "o1",
        "product_id": "p1",
        "quantity": 1,
        "gross_amount": 5,
        "discount_amount": 0,
        "net_amount": 5,
    }
    rows: dict[str, list[dict[str, Any]]] = {
        "customers": [
            {**good, "customer_id": "c1", "gender": "some new code"},
            {**good, "customer_id": "c-nan", "income_amount": float("nan")},
            {**good, "customer_id": "c-inf", "income_amount": float("inf")},
            {**good, "customer_id": "c-big", "income_amount": 1e308},
            {**good, "customer_id": "c-date", "birth_date": "31/12/1980"},
            {**good, "customer_id": "c-two", "city": "Lyon"},
            {**good, "customer_id": "c-two", "city": "Turin"},
            # The day ends with its later version: no row is set aside.
            {**good, "customer_id": "c-day", "city": "Lyon"},
            {**good, "customer_id": "c-day", "city": "Turin", "valid_from": first_day + timedelta(hours=5)},
        ],
        "products": [{"product_id": "p1", "valid_from": first_day, "category": "Tea"}],
        "orders": [
            {"order_id": "o1", "customer_id": "c1", "ordered_at": str(noon)},
            {"order_id": "o-early", "customer_id": "c1", "ordered_at": "2024-12-31 12:00:00"},
        ],
        "order_lines": [{**line, "line_id": "1"}],
        "order_events": [
            {"event_id": f"e{number}", "order_id": "o1", "event_type": "shipped", "occurred_at": 1_767_182_400_000}
            for number in range(EPOCH_ROWS)
        ],
        "payments": [
            {**payment, "payment_id": "y1", "method": "seashells"},
            {**payment, "payment_id": "y-orphan", "order_id": "no-order"},
            {**payment, "payment_id": "y-text", "amount": "five"},
        ],
        "credit": [],
        "loyalty_events": [
            {**event, "event_id": "l1", "event_type": "enrol"},
            {**event, "event_id": "l-code", "event_type": "teleported"},
        ],
        "web_events": [
            {**event, "event_id": "w1", "session_id": "s1", "event_type": "view", "occurred_at": LATE_EVENING},
            {**event, "event_id": "w-code", "session_id": "s1", "event_type": "sniff", "occurred_at": LATE_EVENING},
        ],
        "feedback": [
            {**event, "event_id": f"f{number}", "feedback_type": "survey", "score": 3, "score_scale": "thumbs"}
            for number in range(BROKEN_FEEDBACK)
        ],
        "campaign_contacts": [
            {"customer_id": "c1", "campaign_id": "k1", "channel": "email", "contacted_at": noon},
        ],
        "market_indicators": [
            {**market, "indicator": "category_demand", "indicator_value": float("nan")},
            {**market, "indicator": "horoscope", "indicator_value": 1.0},
        ],
    }
    types: Mapping[str, Mapping[str, pa.DataType]] = {
        "customers": {"birth_date": pa.string(), "income_amount": pa.float64()},
        "order_lines": {name: pa.float64() for name in ("quantity", "gross_amount", "discount_amount", "net_amount")},
        "order_events": {"occurred_at": pa.int64()},
        "web_events": {"occurred_at": pa.timestamp("us", tz="Europe/Berlin")},
        "feedback": {"score": pa.int64()},
    }
    for table, schema in SCHEMAS.items():
        changed = types.get(table, {})
        own = pa.schema([(column.name, changed.get(column.name, column.type)) for column in schema])
        path = _part(source_dir, table)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows[table], own), path)


def said(output: str) -> str:
    """Return what a command said of its error, on one line without the frame of a usage message."""
    return " ".join(output.replace("│", " ").split())


def stop_cases(stops: Sequence[Stop] = STOPS) -> list[tuple[int, str]]:
    """Return every case of the stops with the number of its stop."""
    return [(number, case) for number, stop in enumerate(stops) for case in stop.told]


# ---------------------------------------------------------------------------------------------------------------
# The corpus as a table: docs/bad-input.md is what `python -m tests.support.bad_inputs` prints.

STOPPED_LATER: Final[Mapping[str, tuple[str, ExitCode]]] = {
    "sources file that is no YAML": ("check", ExitCode.MISCONFIGURED),
    "sources file that declares no sources": ("check", ExitCode.MISCONFIGURED),
    "suite that is no JSON": ("gate features", ExitCode.MISCONFIGURED),
    "table whose rows are nearly all broken": ("build features", ExitCode.SOURCE_NOT_READY),
    "one customer only": ("segment", ExitCode.MISCONFIGURED),
    "all customers equal": ("segment", ExitCode.MISCONFIGURED),
    "disk that fills while publishing": ("publish", ExitCode.UNEXPECTED),
    "published folder that is read-only": ("publish", ExitCode.MISCONFIGURED),
}
HARMLESS: Final[Mapping[str, str]] = {
    **dict.fromkeys(HOSTILE, "a text like any other, from landing to published file"),
    "extra column": "not read",
    "columns in another order": "read by their names",
    "byte order mark, CRLF and blank lines": "read as what they are",
    "quotes everywhere": "read as what they are",
    "unknown code of a gender": "a value of its own",
    "unknown code of a payment method": "a method of its own",
    "Parquet with 0 rows of a table that may be empty": "its figures are null",
    "Parquet with moments in a time zone": "they count on their business day",
    "several time zones in one column": "each counts as its offset says, without one as UTC",
    "day of 23 hours and day of 25 hours": "orders count on their business day, once",
    "day with ten times the data": "all of it counts on that day",
    "day without data": "it has no facts",
    "order before its customer's signup": "it counts where the source keeps no history of customers",
    "rows of the as-of date and later": "out of scope, and counted as such",
    "two versions of a customer on one day": "the day ends with the later one",
    "run log with lines and bytes that are none": "passed over",
}


def corpus_page() -> str:
    """Return the corpus as a page in Markdown."""
    lines = [
        "# What becomes of bad input",
        "",
        "Every case is run through the command line by `tests/integration/test_bad_inputs.py`. None ends in a stack "
        "trace, and none is promoted wrongly. `.venv/bin/python -m tests.support.bad_inputs` prints this page.",
        "",
        f"{case_count()} cases: stopped with an exit code and a sentence that says what is wrong, where, and what to"
        " do; set aside, row by row, with a reason (`staging.quarantine`); or harmless.",
        "",
        "## Stopped",
        "",
        "| case | stops at | exit code |",
        "|---|---|---|",
    ]
    stopped = [(case, stop.arguments[0], stop.exit_code) for stop in STOPS for case in stop.told]
    stopped += [(case, step, code) for case, (step, code) in STOPPED_LATER.items()]
    lines += [f"| {case} | `{step}` | {int(code)} |" for case, step, code in stopped]
    lines += ["", "## Set aside", "", "| case | table | reason |", "|---|---|---|"]
    planted = {case: rows.quarantined for case, rows in QUARANTINED.items()} | dict(PARQUET_QUARANTINED)
    lines += [f"| {case} | {keys[0][0]} | `{keys[0][1]}` |" for case, keys in planted.items()]
    lines += ["", "## Harmless", "", "| case | what becomes of it |", "|---|---|"]
    lines += [f"| {case} | {outcome} |" for case, outcome in HARMLESS.items()]
    return "\n".join(lines) + "\n"


def case_count() -> int:
    return len(stop_cases()) + sum(map(len, (STOPPED_LATER, QUARANTINED, PARQUET_QUARANTINED, HARMLESS)))


if __name__ == "__main__":
    print(corpus_page(), end="")
