"""SQL and refusals that are the same on every engine."""

from collections.abc import Collection, Mapping, Sequence

from segmentation_job.errors import MisconfiguredError


def key_condition(key: Mapping[str, object], *, after: int | None = None) -> tuple[str, list[object]]:
    """Return a key as a condition, and its values. after: where parameters have numbers, how many stand before them."""
    marks = ["?" if after is None else f"${after + number}" for number in range(1, len(key) + 1)]
    condition = " and ".join(f'"{column}" = {mark}' for column, mark in zip(key, marks, strict=True)) or "1 = 1"
    return condition, list(key.values())


def sample_query(schema: str) -> str:
    """Return the query for the customers whose hashed id is smallest; parameters: the as-of date, how many."""
    return (
        f"select customer_id from {schema}.purchase_features where as_of_date = ?"
        " order by md5(customer_id), customer_id limit ?"
    )


def columns_to_add(
    origin: str, columns: Mapping[str, str], destination: str, existing: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns of an origin that a destination lacks, with their types.

    Raises MisconfiguredError where a column of both has another type in the origin.
    """
    for column, kind in columns.items():
        if column in existing and existing[column] != kind:
            raise MisconfiguredError(
                f"{origin}.{column} is {kind}, but {destination}.{column} is {existing[column]}: a "
                "column's type cannot change under rows that are kept. Give the column a new name."
            )
    return {column: kind for column, kind in columns.items() if column not in existing}


def feature_query(
    schema: str,
    columns_by_table: Mapping[str, Sequence[str]],
    text_columns: Collection[str],
    existing: Mapping[str, Mapping[str, str]],
    not_numbers: Collection[str],
) -> str:
    """Return the query for (customer_id, features in the given order) of one as-of date parameter.

    text_columns: those ("table.column") that come as texts; the others come as doubles. existing: by table, the columns
    that there are with their types. not_numbers: types of the engine that are none. Raises MisconfiguredError where a
    column does not exist or is no number.
    """
    for table, columns in columns_by_table.items():
        for column in columns:
            if column not in existing[table]:
                raise MisconfiguredError(
                    f"A lens asks for {table}.{column}, which does not exist. {table} has: "
                    f"{', '.join(existing[table])}."
                )
            kind = existing[table][column]
            if kind in not_numbers and f"{table}.{column}" not in text_columns:
                raise MisconfiguredError(
                    f"A lens takes {table}.{column} for a number, but it is {kind}: encode a text as "
                    "one_hot or ordinal, and use a number of days in place of a date."
                )
    tables = list(columns_by_table)
    expressions = ", ".join(
        f'cast({table}."{column}" as {"string" if f"{table}.{column}" in text_columns else "double"})'
        f' as "{table}.{column}"'
        for table, columns in columns_by_table.items()
        for column in columns
    )
    joins = " ".join(
        f"inner join {schema}.{table} as {table} on {table}.as_of_date = {tables[0]}.as_of_date"
        f" and {table}.customer_id = {tables[0]}.customer_id"
        for table in tables[1:]
    )
    return (
        f"select {tables[0]}.customer_id, {expressions} from {schema}.{tables[0]} as {tables[0]} {joins}"
        f" where {tables[0]}.as_of_date = ? order by {tables[0]}.customer_id"
    )
