"""Published rows of two warehouses whose segments got their ids and names in another order."""

from typing import Any

import duckdb

from tests.support.nights import Nights
from tests.support.rows import Rows, published_rows


def published(nights: Nights, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the published file."""
    with duckdb.connect(str(nights.serving_link), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def keys_by_segment(nights: Nights) -> dict[tuple[str, str], set[str]]:
    """Return, by lens and id, the durable keys that resolve to it."""
    keys: dict[tuple[str, str], set[str]] = {}
    for lens, segment_id, key in nights.query(
        "select segments.lens, coalesce(superseded.superseded_by, segments.segment_id), segment_key"
        " from promoted.segments as segments left join promoted.superseded_segments as superseded"
        " on segments.lens = superseded.lens and segments.segment_id = superseded.segment_id"
    ):
        keys.setdefault((lens, segment_id), set()).add(key)
    return keys


def rows_in_the_words_of(other: Nights, nights: Nights, *, all_are_known: bool = True) -> Rows:
    """Return a run's published rows with the id and name of each segment replaced by the other run's for the same one.

    The first publication of a segment gives it its id and its name, so these alone depend on the order of dates.
    all_are_known: where not, a segment that the other run does not know keeps its words: one of a model that was
    replaced stays registered, and nothing holds it any more.
    """
    own, others = keys_by_segment(nights), keys_by_segment(other)
    names = dict(published(nights, "select segment_id, name from segments"))
    other_names = dict(published(other, "select segment_id, name from segments"))
    words: dict[str, str] = {}
    for (lens, segment_id), keys in own.items():
        same = [other_id for (other_lens, other_id), found in others.items() if other_lens == lens and found & keys]
        if not same and not all_are_known:
            continue
        assert len(same) == 1, f"{segment_id} is {len(same)} segments of the other run: {same}"
        words[repr(segment_id)] = repr(same[0])
        words[repr(names[segment_id])] = repr(other_names[same[0]])
    translated = {}
    for table, (header, *rows) in published_rows(nights.serving_link).items():
        worded = [
            place
            for place, column in enumerate(header)
            if column.split(" ")[0].endswith(("segment_id", "segment_name"))
        ]
        translated[table] = [
            header,
            *sorted(
                tuple(words.get(value, value) if place in worded else value for place, value in enumerate(row))
                for row in rows
            ),
        ]
    return translated
