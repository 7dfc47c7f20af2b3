"""How many rows the queries of a suite find, asked in few statements: those that filter the same rows share a scan."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Plain column names from plain tables: what is written otherwise is counted as it stands.
_FILTER = re.compile(
    r"select [\w\s.,]+? from (?P<rows>[\w\s.{}=]+?) where (?P<condition>.+)", re.IGNORECASE | re.DOTALL
)
_MORE_THAN_A_FILTER = re.compile(
    r"\b(?:select\b.*\bselect|distinct|group\s+by|having|qualify|window|order\s+by|limit|offset|union|intersect|except)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class CountingStatement:
    """One statement whose only row holds, for each of `queries` in their order, how many rows the query finds."""

    statement: str
    queries: tuple[str, ...]


def counting_statements(queries: Iterable[str]) -> list[CountingStatement]:
    """Return the statements that count the rows of some queries; each query is in one of them.

    A query that selects columns from some rows by a condition becomes an aggregate with that condition, together with
    all that read the same rows; the others are counted side by side as subqueries.
    """
    filters: dict[str, list[tuple[str, str]]] = {}
    others = []
    for query in queries:
        found = _FILTER.fullmatch(query.strip())
        if found is None or _MORE_THAN_A_FILTER.search(query):
            others.append(query)
        else:
            filters.setdefault(found["rows"], []).append((query, found["condition"]))
    statements = []
    for rows, filtering in filters.items():
        counts = ", ".join(f"count(*) filter (where {condition})" for _, condition in filtering)
        statements.append(CountingStatement(f"select {counts} from {rows}", tuple(query for query, _ in filtering)))
    if others:
        counts = ", ".join(f"(select count(*) from ({query}) as counted)" for query in others)
        statements.append(CountingStatement(f"select {counts}", tuple(others)))
    return statements
