"""Customers whose ids can be found: a number could be anything, a name of their own could not."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from segmentation_job.landing.declaration import read_declaration
from segmentation_job.landing.readiness import landing_fingerprint
from segmentation_job.settings import Settings
from tests.support.landing_slice import HOUSEHOLD_TABLES, edit_landing
from tests.support.nights import Nights


def settings_of(nights: Nights) -> Settings:
    """Return the settings that the commands of some nights get."""
    return Settings.from_environment(nights.environment)


def rename_customers(nights: Nights, names: Mapping[str, str]) -> None:
    """Give customers of the demonstration data other ids, everywhere, as if they had always had them.

    names: new ids by old; the baskets of a customer take the new id in front of theirs. What is recorded of inputs
    stays as it is, so that nothing is stale by it.
    """
    named = " ".join(f"when '{old}' then '{new}'" for old, new in names.items())
    customer = f"case cast({{0}} as varchar) {named} else cast({{0}} as varchar) end"
    for table in HOUSEHOLD_TABLES:
        basket = (
            f", case when household_id in ({', '.join(names)}) then concat({customer.format('household_id')}, '-',"
            " cast(basket_id as varchar)) else cast(basket_id as varchar) end as basket_id"
            if table == "transactions"
            else ""
        )
        edit_landing(
            nights.data_dir,
            table,
            f"select * replace ({customer.format('household_id')} as household_id{basket}) from landed",
        )
    _rename_in(nights.warehouse, names)
    for path in nights.published_dir.glob("segments_*.duckdb"):
        _rename_in(path, names)
    settings = settings_of(nights)
    declaration = read_declaration(settings.source_dir, {"SEGMENTATION_DATA_DIR": str(nights.data_dir)})
    with duckdb.connect(str(nights.warehouse)) as connection:
        connection.execute(
            "update pipeline.facts_state set landing_fingerprint = ?", [landing_fingerprint(declaration)]
        )


def _rename_in(path: Path, names: Mapping[str, str]) -> None:
    with duckdb.connect(str(path)) as connection:
        tables = connection.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns()"
            " where table_name in (select table_name from duckdb_tables()) group by all"
        ).fetchall()
        for schema, table, columns in tables:
            for old, new in names.items():
                if "customer_id" in columns and "order_id" in columns and schema == "staging":
                    connection.execute(
                        f"update {schema}.{table} set order_id = concat('{new}-', order_id) where customer_id = '{old}'"
                    )
                if "customer_id" in columns:
                    connection.execute(f"update {schema}.{table} set customer_id = '{new}' where customer_id = '{old}'")


def traces(folder: Path, text: str) -> list[str]:
    """Return where a text stands in any file of a folder, tables and columns decoded: file and table, or file."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == ".duckdb":
            found += [f"{path.relative_to(folder)}:{name}" for name in _tables_with(path, text)]
        elif path.suffix == ".parquet":
            with duckdb.connect() as connection:
                rows = connection.execute(
                    f"select 1 from '{path}' as landed where contains(cast(landed as varchar), ?) limit 1", [text]
                ).fetchall()
            found += [str(path.relative_to(folder))] if rows else []
        # A database file as well: what was deleted in it may be left in a block.
        if text.encode() in path.read_bytes():
            found.append(f"{path.relative_to(folder)}:bytes")
    return found


def _tables_with(path: Path, text: str) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables order by 1, 2"
        ).fetchall()
        return [
            f"{schema}.{name}"
            for schema, name in names
            if connection.execute(
                f'select 1 from "{schema}"."{name}" as kept where contains(cast(kept as varchar), ?) limit 1', [text]
            ).fetchall()
        ]
