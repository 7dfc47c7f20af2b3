"""Is a landing complete, readable and fresh enough for a date?"""

from datetime import date, timedelta
from pathlib import Path

import pytest

from segmentation_job.errors import MisconfiguredError, SourceNotReadyError
from segmentation_job.landing.declaration import SourceDeclaration, read_declaration
from segmentation_job.landing.demonstration import land_demonstration
from segmentation_job.landing.readiness import check_freshness, inspect_landing, landing_fingerprint
from segmentation_job.landing.simulated_shop.columns import SCHEMAS
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.settings import PROJECT_DIR

DECLARATION = """
version: 2
sources:
  - name: landing
    config:
      meta:
        external_location: >-
          read_csv('{{ env_var('SEGMENTATION_DATA_DIR', '../data') }}/shop/landing/{name}.csv',
          header = true, all_varchar = true)
        max_source_lag_days: 2
        not_point_in_time: [customers]
    tables:
      - name: orders
        config: {loaded_at_field: try_cast(placed_at as timestamp)}
        columns: [{name: order_no}, {name: placed_at}]
"""


@pytest.fixture
def source_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "sources" / "shop"
    folder.mkdir(parents=True)
    (folder / "_shop__sources.yml").write_text(DECLARATION)
    (folder / "input_orders.sql").write_text("select 1")
    (folder / "input_payments.sql").write_text("{{ absent_entity() }}\n")
    return folder


@pytest.fixture
def declaration(source_dir: Path, tmp_path: Path) -> SourceDeclaration:
    return read_declaration(source_dir, {"SEGMENTATION_DATA_DIR": str(tmp_path)})


def land(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop" / "landing" / "orders.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_declaration_says_where_files_lie_and_what_the_source_lacks(
    declaration: SourceDeclaration, tmp_path: Path
) -> None:
    assert declaration.tables[0].path == f"{tmp_path}/shop/landing/orders.csv"
    assert declaration.absent_entities == ("payments",)
    assert declaration.not_point_in_time == ("customers",)
    assert declaration.max_source_lag_days == 2


def test_a_folder_without_declaration_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"_empty__sources\.yml is missing"):
        read_declaration(tmp_path / "empty", {})


def test_a_missing_file_is_named_with_its_path(declaration: SourceDeclaration, tmp_path: Path) -> None:
    with pytest.raises(SourceNotReadyError, match=rf"orders: no file at {tmp_path}/shop/landing/orders.csv"):
        inspect_landing(declaration, date(2024, 1, 1), "UTC")


def test_a_missing_column_is_named_beside_those_that_are_there(declaration: SourceDeclaration, tmp_path: Path) -> None:
    land(tmp_path, "order_no,placed\n1,2024-01-01\n")
    with pytest.raises(SourceNotReadyError, match="has no column placed_at; it has order_no, placed"):
        inspect_landing(declaration, date(2024, 1, 1), "UTC")


def test_dates_that_are_none_and_dates_to_come_say_nothing_of_freshness(
    declaration: SourceDeclaration, tmp_path: Path
) -> None:
    rows = ["2024-01-05 10:00:00", "2024-02-31 10:00:00", "9999-12-31 00:00:00", "0024-01-06 00:00:00", "soon"]
    land(tmp_path, "order_no,placed_at\n" + "".join(f"{number},{row}\n" for number, row in enumerate(rows)))
    (table,) = inspect_landing(declaration, date(2024, 1, 7), "UTC")
    assert (table.row_count, table.newest_date) == (5, date(2024, 1, 5))


def test_the_newest_date_is_that_of_the_business_time_zone(declaration: SourceDeclaration, tmp_path: Path) -> None:
    land(tmp_path, "order_no,placed_at\n1,2024-01-05 23:30:00\n")
    (table,) = inspect_landing(declaration, date(2024, 1, 7), "Europe/Paris")
    assert table.newest_date == date(2024, 1, 6)


def test_a_date_too_far_past_the_newest_row_is_refused_and_one_within_is_not(
    declaration: SourceDeclaration, tmp_path: Path
) -> None:
    land(tmp_path, "order_no,placed_at\n1,2024-01-05 10:00:00\n")
    landed = inspect_landing(declaration, date(2024, 1, 7), "UTC")
    check_freshness(declaration, landed, date(2024, 1, 7), 2)
    with pytest.raises(SourceNotReadyError, match="2024-01-05, 3 days before the as-of date 2024-01-08; at most 2"):
        check_freshness(declaration, landed, date(2024, 1, 8), 2)


def test_the_fingerprint_changes_with_a_file_and_not_without(declaration: SourceDeclaration, tmp_path: Path) -> None:
    land(tmp_path, "order_no,placed_at\n1,2024-01-05 10:00:00\n")
    before = landing_fingerprint(declaration)
    assert landing_fingerprint(declaration) == before
    land(tmp_path, "order_no,placed_at\n1,2024-01-05 10:00:00\n2,2024-01-06 10:00:00\n")
    assert landing_fingerprint(declaration) != before


def test_demonstration_files_land_once_and_never_over_ones_own(
    declaration: SourceDeclaration, source_dir: Path, tmp_path: Path
) -> None:
    (source_dir / "demonstration").mkdir()
    (source_dir / "demonstration" / "orders.csv").write_text("order_no,placed_at\n7,2024-01-05\n")
    landing = tmp_path / "shop" / "landing"
    assert [path.name for path in land_demonstration(declaration, source_dir, landing)] == ["orders.csv"]
    own = land(tmp_path, "order_no,placed_at\n1,2024-01-05\n")
    assert land_demonstration(declaration, source_dir, landing) == []
    assert own.read_text() == "order_no,placed_at\n1,2024-01-05\n"


def test_half_a_file_that_a_killed_landing_left_is_swept_whatever_lies_beside_it(
    declaration: SourceDeclaration, source_dir: Path, tmp_path: Path
) -> None:
    (source_dir / "demonstration").mkdir()
    (source_dir / "demonstration" / "orders.csv").write_text("order_no,placed_at\n7,2024-01-05\n")
    own = land(tmp_path, "order_no,placed_at\n1,2024-01-05\n")
    half = own.with_name(f".{own.name}.unfinished")
    half.write_text("order_")
    land_demonstration(declaration, source_dir, own.parent)
    assert list(own.parent.iterdir()) == [own]


def test_an_empty_landing_without_demonstration_files_says_what_to_do(
    declaration: SourceDeclaration, source_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceNotReadyError, match="put its files there"):
        land_demonstration(declaration, source_dir, tmp_path / "shop" / "landing")


def shop_declaration(data_dir: Path) -> tuple[SourceDeclaration, Path]:
    source_dir = PROJECT_DIR / "dbt_project" / "sources" / "simulated_shop"
    return read_declaration(source_dir, {"SEGMENTATION_DATA_DIR": str(data_dir)}), source_dir


def test_the_simulated_shop_lands_where_it_is_not_and_is_ready_for_the_day_after_its_end(tmp_path: Path) -> None:
    shop, source_dir = shop_declaration(tmp_path)
    landing = tmp_path / "simulated_shop" / "landing"
    said: list[str] = []
    options = ShopOptions(customers=60, days=90)
    written = land_demonstration(shop, source_dir, landing, options, said.append)
    assert len(written) == len(shop.tables) == 12
    assert said == [
        f"Making a shop of 60 customers (seed 1) in {tmp_path / 'simulated_shop'} …",
        "  60 of 60 customers",
    ]
    killed_at_the_very_end = landing.parent / ".shop.unfinished"
    killed_at_the_very_end.mkdir()
    assert land_demonstration(shop, source_dir, landing, options, said.append) == []
    assert not killed_at_the_very_end.exists()
    landed = inspect_landing(shop, options.end, "UTC")
    assert {table.newest_date for table in landed} == {None, options.end - timedelta(days=1)}
    assert (landing.parent / "truth" / "planted_dirt").is_dir()


def test_the_simulated_shop_declares_every_entity_with_the_columns_that_are_landed() -> None:
    shop, _ = shop_declaration(Path("data"))
    assert {table.name: table.columns for table in shop.tables} == {
        entity: tuple(schema.names) for entity, schema in SCHEMAS.items()
    }
    assert shop.absent_entities == ()
    assert shop.default_as_of == ShopOptions().end


def test_a_part_of_a_simulated_shop_is_neither_used_nor_filled_up(tmp_path: Path) -> None:
    shop, source_dir = shop_declaration(tmp_path)
    landing = tmp_path / "simulated_shop" / "landing"
    (landing / "orders").mkdir(parents=True)
    with pytest.raises(SourceNotReadyError, match="a part of a simulated shop: it has no customers, products"):
        land_demonstration(shop, source_dir, landing, ShopOptions(customers=60))
    assert [path.name for path in landing.iterdir()] == ["orders"]
