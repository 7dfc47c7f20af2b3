"""The call `distribution_shift('<table>', '<column>')` in a suite's SQL, put in its place before an engine reads it."""

import re

_CALL = re.compile(r"\bdistribution_shift\s*\(\s*'(\w+)'\s*,\s*'(\w+)'\s*\)", re.IGNORECASE)
_ANY_CALL = re.compile(r"\bdistribution_shift\s*\(", re.IGNORECASE)

# Bins are the previous quintiles, null and anything below the previous least value apart, smoothed by half a
# customer. `noise` is the index that chance alone leads one to expect, (bins − 1)(1/n + 1/m), so that a
# threshold holds for small sources too. Rounding is written out, because engines round a double differently.
_SHIFT = """(
with now as (select cast({column} as double) as value from {table}),
before as (select cast({column} as double) as value from previous_{table}),
cuts as (select {quintiles} as cut, min(value) as least_value from before),
binned as (
    select
        case
            when value is null then -2
            when value < least_value then -1
            else cast(value > cut[1] as integer) + cast(value > cut[2] as integer)
            + cast(value > cut[3] as integer) + cast(value > cut[4] as integer)
        end as bin,
        now_count,
        before_count
    from (select value, 1 as now_count, 0 as before_count from now union all select value, 0, 1 from before) as both_dates
    cross join cuts
),
bins as (
    select
        bin,
        cast(sum(now_count) as double) + 0.5 as now_weight,
        cast(sum(before_count) as double) + 0.5 as before_weight
    from binned
    group by bin
),
shares as (
    select now_weight / sum(now_weight) over () as p, before_weight / sum(before_weight) over () as q
    from bins
)
select
    '{column}' as column_name,
    round(sum((p - q) * ln(p / q)) * 10000) / 10000 as shift,
    (
        select round((count(*) - 1) * (1.0 / sum(now_weight) + 1.0 / sum(before_weight)) * 10000) / 10000 from bins
    ) as noise
from shares
) as distribution_shift"""  # noqa: E501


def has_distribution_shift(query: str) -> bool:
    """Say whether a query calls `distribution_shift`, rightly or wrongly."""
    return bool(_ANY_CALL.search(query))


def misspelled_distribution_shift(query: str) -> bool:
    """Say whether a query calls `distribution_shift` with anything but two names in quotes."""
    return len(_ANY_CALL.findall(query)) != len(_CALL.findall(query))


def with_distribution_shift(query: str, quintiles: str) -> str:
    """Return a query with each call of `distribution_shift` written out as the subquery that it stands for.

    The subquery has one row: column_name, shift (the population stability index of the column between the table and
    its `previous_` table) and noise (what chance alone leads one to expect of it).

    Parameters: `query`, SQL of a suite; `quintiles`, an engine's expression for the four inner quintiles of `value`,
    a list that is read as `cut[1]` to `cut[4]`.
    """
    return _CALL.sub(lambda call: _SHIFT.format(table=call[1], column=call[2], quintiles=quintiles), query)
