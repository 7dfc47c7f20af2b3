"""People's rows go out of the landing, and nothing else of a file changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.landing.declaration import LandingTable, PersonalColumns, SourceDeclaration, read_declaration
from segmentation_job.landing.removal import (
    PersonalIds,
    csv_records,
    orders_of,
    require_removable,
    rewrite_landing,
    rewrite_truth,
)
from segmentation_job.settings import Settings

SOURCES = Settings.from_environment({}).dbt_project_dir / "sources"


def declared(*tables: LandingTable) -> SourceDeclaration:
    return SourceDeclaration("shop", tables, None, 1, (), (), {})


def csv_table(folder: Path, name: str, personal: PersonalColumns | None, options: str = "") -> LandingTable:
    location = f"read_csv('{folder}/{name}.csv', header = true, all_varchar = true{options})"
    return LandingTable(name, location, (), None, personal)


def parquet_table(folder: Path, name: str, personal: PersonalColumns | None) -> LandingTable:
    return LandingTable(name, f"read_parquet('{folder}/{name}*.parquet')", (), None, personal)


def ids(*customers: str, orders: Sequence[str] = ()) -> PersonalIds:
    return PersonalIds(frozenset(customers), frozenset(orders))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("id,note\n1,a\n2,b\n3,c\n", "id,note\n1,a\n3,c\n"),
        ('id,note\n1,"a\nb"\n2,"c\n""2"",d\n"\n3,"2,x"\n', 'id,note\n1,"a\nb"\n3,"2,x"\n'),
        ("id,note\r\n1,a\r\n 2 ,b\r\n\r\n3,c", "id,note\r\n1,a\r\n\r\n3,c"),
        ('id,note\n1,5" pipe\n2,6" pipe\n3,7" pipe\n', 'id,note\n1,5" pipe\n3,7" pipe\n'),
        ("id,note\n1,a\n2,b", "id,note\n1,a\n"),
        ("\ufeffid,note\n2,b\n1,a\n", "\ufeffid,note\n1,a\n"),
    ],
    ids=["plain", "line ends and quotes in quotes", "blanks, CRLF, an empty line", "stray quotes", "last", "a mark"],
)
def test_a_csv_loses_the_records_of_a_customer_and_keeps_every_other_byte(tmp_path: Path, text: str, left: str) -> None:
    (tmp_path / "people.csv").write_bytes(text.encode())
    table = csv_table(tmp_path, "people", PersonalColumns(customer="id"))
    (rewritten,) = rewrite_landing(declared(table), ids("2"), tmp_path / "new")
    assert rewritten.replacement.read_bytes() == left.encode()
    assert rewritten.rows_removed == 1
    assert (tmp_path / "people.csv").read_bytes() == text.encode()


def test_a_csv_is_split_by_its_own_delimiter(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text('id;note\n1;"a;2\n"\n2;x,y\n')
    table = csv_table(tmp_path, "people", PersonalColumns(customer="id"), ", delim = ';'")
    (rewritten,) = rewrite_landing(declared(table), ids("2"), tmp_path / "new")
    assert rewritten.replacement.read_text() == 'id;note\n1;"a;2\n"\n'


def test_a_csv_whose_records_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,note\n1,a\n2,b,c,d\n2,e\n")
    table = csv_table(tmp_path, "people", PersonalColumns(customer="id"), ", ignore_errors = true")
    with pytest.raises(SegmentationError, match=r"people\.csv: 4 records were found where DuckDB reads 2 rows"):
        rewrite_landing(declared(table), ids("2"), tmp_path / "new")


def test_the_records_of_a_csv_are_all_of_it_and_as_many_as_duckdb_reads() -> None:
    for path in sorted((SOURCES / "example_csv" / "demonstration").glob("*.csv")):
        data = path.read_bytes()
        spans = list(csv_records(data, ",", '"', '"'))
        assert b"".join(data[begin:end] for begin, end in spans) == data
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"select count(*) from read_csv('{path}', header = true, all_varchar = true)"
            ).fetchall()[0][0]
        assert sum(bool(data[begin:end].strip()) for begin, end in spans) == rows + 1


def test_a_parquet_file_keeps_schema_values_and_order(tmp_path: Path) -> None:
    schema = pa.schema(
        {
            "id": pa.int64(),
            "at": pa.timestamp("ns"),
            "amount": pa.decimal128(9, 2),
            "kind": pa.dictionary(pa.int8(), pa.string()),
            "tags": pa.list_(pa.string()),
        }
    ).with_metadata({"made by": "a till"})
    rows = [
        {"id": number % 7, "at": 10**18 + number, "amount": None, "kind": "ab"[number % 2], "tags": [str(number)]}
        for number in range(100)
    ]
    whole = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(whole, tmp_path / "events-1.parquet", row_group_size=13, compression="zstd")
    pq.write_table(whole.slice(0, 2), tmp_path / "events-2.parquet")
    table = parquet_table(tmp_path, "events", PersonalColumns(customer="id"))
    (rewritten,) = rewrite_landing(declared(table), ids("3"), tmp_path / "new")
    assert rewritten.path.name == "events-1.parquet"
    left = pq.read_table(rewritten.replacement)
    assert left.schema.equals(pq.read_table(rewritten.path).schema, check_metadata=True)
    assert left.schema.metadata[b"made by"] == b"a till"
    assert left.to_pylist() == [row for row in whole.to_pylist() if row["id"] != 3]


def shop_with_contested_orders(folder: Path) -> SourceDeclaration:
    (folder / "orders.csv").write_text("order,who\no1,a\no2,a\no2,b\no3,b\no4,a\no4,\n")
    (folder / "lines.csv").write_text("order,line\no1,1\no1,2\no2,1\no3,1\no4,1\n")
    (folder / "payments.csv").write_text("order,payer\no1,b\no3,a\no3,b\n")
    (folder / "views.csv").write_text("who,session\na,s1\n,s1\n,s2\na,s2\nb,s2\n,s3\n")
    return declared(
        csv_table(folder, "orders", PersonalColumns(customer="who", places_order='"order"')),
        csv_table(folder, "lines", PersonalColumns(order='"order"')),
        csv_table(folder, "payments", PersonalColumns(customer="payer", order='"order"')),
        csv_table(folder, "views", PersonalColumns(customer="who", session="session")),
    )


def test_an_order_that_two_customers_placed_is_the_one_s_whom_staging_took_it_for(tmp_path: Path) -> None:
    shop = shop_with_contested_orders(tmp_path)
    assert orders_of(shop, ["a"], {}) == {"o1", "o4"}
    assert orders_of(shop, ["a"], {"o2": "a"}) == {"o1", "o2", "o4"}
    assert orders_of(shop, ["a"], {"o2": "b"}) == {"o1", "o4"}
    assert orders_of(shop, ["a", "b"], {}) == {"o1", "o2", "o3", "o4"}


def test_what_belongs_to_an_order_goes_with_its_customer_and_nothing_of_others_does(tmp_path: Path) -> None:
    shop = shop_with_contested_orders(tmp_path)
    rewritten = rewrite_landing(shop, PersonalIds(frozenset({"a"}), orders_of(shop, ["a"], {})), tmp_path / "new")
    left = {file.path.stem: file.replacement.read_text().splitlines()[1:] for file in rewritten}
    assert left == {
        "orders": ["o2,b", "o3,b"],
        "lines": ["o2,1", "o3,1"],
        "payments": ["o3,b"],
        # Before the login nobody knew who it was; in a session of two people nobody does.
        "views": [",s2", "b,s2", ",s3"],
    }


def test_the_truth_of_a_simulated_shop_forgets_as_well(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    pq.write_table(
        pa.table({"customer_id": ["a", "b"], "segment": ["x", "y"]}), tmp_path / "truth" / "segments.parquet"
    )
    keys = pa.table({"reason": ["r"] * 4, "record_key": ["o1|a", "e7|o9", "e8|o8", "ab|1"]})
    pq.write_table(keys, tmp_path / "truth" / "planted.parquet")
    rewritten = rewrite_truth(tmp_path / "truth", ids("a", orders=["o9"]), tmp_path / "new")
    left = {file.path.stem: pq.read_table(file.replacement).column(-1).to_pylist() for file in rewritten}
    assert left == {"planted": ["e8|o8", "ab|1"], "segments": ["y"]}


def test_a_table_that_does_not_say_whose_its_rows_are_is_named(tmp_path: Path) -> None:
    table = csv_table(tmp_path, "people", None)
    with pytest.raises(MisconfiguredError, match="does not say whose the rows of its table people are"):
        require_removable(declared(table), tmp_path)
    require_removable(declared(replace(table, personal=PersonalColumns())), tmp_path)


def test_a_format_or_a_place_that_cannot_be_rewritten_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    whose = PersonalColumns(customer="id")
    (tmp_path / "people.json").write_text("{}")
    json_table = LandingTable("people", f"read_json('{tmp_path}/people.json')", (), None, whose)
    with pytest.raises(MisconfiguredError, match=r"people is read by read_json.* from people.json"):
        require_removable(declared(json_table), tmp_path)
    (tmp_path / "people.csv.gz").write_bytes(b"")
    packed = LandingTable("people", f"read_csv('{tmp_path}/people.csv.gz')", (), None, whose)
    with pytest.raises(MisconfiguredError, match=r"uncompressed \.csv"):
        require_removable(declared(packed), tmp_path)
    (tmp_path / "people.csv").write_text("id\n1\n")
    with pytest.raises(MisconfiguredError, match="people lies at"):
        require_removable(declared(csv_table(tmp_path, "people", whose)), tmp_path / "landing")


@pytest.mark.parametrize("source", sorted(path.name for path in SOURCES.iterdir() if path.is_dir()))
def test_every_source_says_whose_the_rows_of_its_tables_are(source: str) -> None:
    for table in read_declaration(SOURCES / source).tables:
        assert table.personal is not None, table.name
        # A column that names a person or an order is no nobody's.
        assert table.personal.is_of_nobody != bool(
            {"customer_id", "household_id", "customer_no", "order_id", "order_no", "basket_id"} & set(table.columns)
        ), table.name


@pytest.mark.parametrize(
    "said", ["everybody", "[customer_id]", "{person: id}", "{order: o, session: s}", "{session: s}"]
)
def test_a_declaration_that_cannot_be_understood_is_refused_with_the_table(tmp_path: Path, said: str) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "_shop__sources.yml").write_text(
        "sources:\n  - name: landing\n    tables:\n      - name: people\n        config:\n"
        "          loaded_at_field: at\n          meta:\n            external_location: \"read_csv('x.csv')\"\n"
        f"            personal: {said}\n"
    )
    with pytest.raises(MisconfiguredError, match=r"table people says meta\.personal"):
        read_declaration(folder, {})
