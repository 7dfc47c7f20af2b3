"""When the rows of new landing files alone have to be read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from segmentation_job.landing.declaration import LandingTable, SourceDeclaration, read_declaration
from segmentation_job.landing.landed_files import MOST_FILES_TAKEN_UP, files_to_take_up, list_landed_files
from segmentation_job.settings import PROJECT_DIR

SOURCES = PROJECT_DIR / "dbt_project" / "sources"


def land(data_dir: Path, name: str, content: str = "rows") -> None:
    path = data_dir / "shop" / "landing" / "orders" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def shop(data_dir: Path, reader: str = "read_parquet('{path}')", *, by_row: bool = True) -> SourceDeclaration:
    location = reader.replace("{path}", f"{data_dir}/shop/landing/orders/*.parquet")
    return SourceDeclaration(
        name="shop",
        tables=(LandingTable("orders", location, ("order_id",), None),),
        default_as_of=None,
        max_source_lag_days=1,
        not_point_in_time=(),
        absent_entities=(),
        mapped_columns={},
        tables_mapped_by_row=("orders",) if by_row else (),
    )


def after_landing(declaration: SourceDeclaration, data_dir: Path, change: Callable[[], None]) -> tuple[str, ...] | None:
    before = list_landed_files(declaration, data_dir)
    change()
    return files_to_take_up(declaration, before, list_landed_files(declaration, data_dir), data_dir)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    land(tmp_path, "part-1.parquet")
    land(tmp_path, "part-2.parquet")
    return tmp_path


def test_new_files_are_named_as_the_engine_names_them(data_dir: Path) -> None:
    found = after_landing(shop(data_dir), data_dir, lambda: land(data_dir, "part-3.parquet"))
    assert found == (f"{data_dir}/shop/landing/orders/part-3.parquet",)


def test_where_nothing_has_landed_there_is_nothing_to_read(data_dir: Path) -> None:
    assert after_landing(shop(data_dir), data_dir, lambda: None) == ()


def test_all_is_read_where_a_file_has_changed(data_dir: Path) -> None:
    assert after_landing(shop(data_dir), data_dir, lambda: land(data_dir, "part-1.parquet", "other rows")) is None


def test_all_is_read_where_a_file_is_written_anew_with_as_many_bytes(data_dir: Path) -> None:
    def rewrite() -> None:
        path = data_dir / "shop/landing/orders/part-1.parquet"
        before = path.stat().st_mtime_ns
        os.utime(path, ns=(before + 1, before + 1))

    assert after_landing(shop(data_dir), data_dir, rewrite) is None


def test_all_is_read_where_a_file_has_gone(data_dir: Path) -> None:
    def swap() -> None:
        (data_dir / "shop/landing/orders/part-1.parquet").unlink()
        land(data_dir, "part-3.parquet")

    assert after_landing(shop(data_dir), data_dir, swap) is None


def test_all_is_read_where_it_is_not_known_what_was(data_dir: Path) -> None:
    assert files_to_take_up(shop(data_dir), (), list_landed_files(shop(data_dir), data_dir), data_dir) is None


def test_all_is_read_where_the_new_file_says_what_columns_there_are(data_dir: Path) -> None:
    assert after_landing(shop(data_dir), data_dir, lambda: land(data_dir, "part-0.parquet")) is None


def test_all_is_read_where_a_mapping_puts_rows_together(data_dir: Path) -> None:
    declaration = shop(data_dir, by_row=False)
    assert after_landing(declaration, data_dir, lambda: land(data_dir, "part-3.parquet")) is None


@pytest.mark.parametrize(
    ("reader", "is_read_alone"),
    [
        ("read_csv('{path}', header = true,\n all_varchar = true)", True),
        ("read_csv('{path}', header = true)", False),
        ("read_parquet('{path}', union_by_name = true)", False),
        ("'{path}'", False),
    ],
)
def test_all_is_read_where_other_files_change_how_one_is_read(data_dir: Path, reader: str, is_read_alone: bool) -> None:
    found = after_landing(shop(data_dir, reader), data_dir, lambda: land(data_dir, "part-3.parquet"))
    assert (found is not None) == is_read_alone


def test_all_is_read_where_very_many_files_are_new(data_dir: Path) -> None:
    def many() -> None:
        for number in range(MOST_FILES_TAKEN_UP + 1):
            land(data_dir, f"part-3-{number:04d}.parquet")

    assert after_landing(shop(data_dir), data_dir, many) is None


def test_the_simulated_shop_is_mapped_row_by_row() -> None:
    declaration = read_declaration(SOURCES / "simulated_shop")
    assert set(declaration.tables_mapped_by_row) == {table.name for table in declaration.tables}


def test_a_table_with_baskets_for_orders_is_not_mapped_row_by_row() -> None:
    assert "transactions" not in read_declaration(SOURCES / "complete_journey").tables_mapped_by_row


@pytest.mark.parametrize(
    "mapping",
    [
        "{{ map_to_contract(source('landing', 'orders'), {'order_id': 'row_number() over (order by placed_at)'}) }}",
        "{{ map_to_contract(source('landing', 'orders'), {'order_id': '(select max(id) from other)'}) }}",
        "with rows as (select * from {{ source('landing', 'orders') }}) {{ map_to_contract('rows', {}) }}",
        "{{ map_to_contract(source('landing', 'orders'), {}) }} union all {{ map_to_contract('more', {}) }}",
        "{{ map_to_contract(source('landing', 'orders'), {}) }} where order_id is not null",
    ],
)
def test_a_mapping_that_looks_at_other_rows_is_known(tmp_path: Path, mapping: str) -> None:
    source = tmp_path / "shop"
    source.mkdir()
    (source / "_shop__sources.yml").write_text(
        (SOURCES / "simulated_shop" / "_simulated_shop__sources.yml").read_text()
    )
    (source / "input_orders.sql").write_text(mapping)
    assert "orders" not in read_declaration(source).tables_mapped_by_row
