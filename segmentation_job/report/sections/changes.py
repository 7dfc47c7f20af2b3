"""What changed since the last run and since last month, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from segmentation_job.report.figures import Figure, sentence
from segmentation_job.report.published_file import Answer, Row
from segmentation_job.report.view import View

MOVES_SQL = """
select
    coalesce(sum(customers) filter (where from_segment_id is null), 0)::bigint as joined,
    coalesce(sum(customers) filter (where to_segment_id is null), 0)::bigint as gone,
    coalesce(
        sum(customers) filter (where from_segment_id is not null and to_segment_id is not null), 0
    )::bigint as changed,
    coalesce(sum(customer_moved), 0)::bigint as customer_moved,
    coalesce(sum(model_changed), 0)::bigint as model_changed,
    coalesce(sum("both"), 0)::bigint as "both"
from segment_transitions
where lens = $lens and as_of_date > $since and as_of_date <= $as_of
"""

# Whoever was in a segment then, against where they are now: somebody who went and came back has not changed.
THEN_AND_NOW_SQL = """
with earlier as (
    select customer_id, segment_id
    from customer_segment_history
    where
        lens = $lens and segment_id is not null
        and valid_from <= $since and (valid_to is null or valid_to > $since)
),

today as (
    select customer_id, segment_id from customer_segments where lens = $lens
),

changes as (
    select customer_id, count(*) as changes
    from customer_segment_history
    where
        lens = $lens and valid_from > $since and valid_from <= $as_of
        and change_cause in ('customer_moved', 'model_changed', 'both')
    group by customer_id
)

select
    count(*) filter (where earlier.customer_id is not null) as customers_then,
    count(*) filter (where earlier.segment_id <> today.segment_id) as changed,
    count(*) filter (where earlier.segment_id <> today.segment_id)
    / nullif(count(*) filter (where earlier.customer_id is not null), 0) as changed_share,
    count(*) filter (where earlier.customer_id is null) as joined,
    count(*) filter (where today.customer_id is null) as gone,
    count(*) filter (where changes.changes > 1) as more_than_once,
    count(*) filter (where changes.changes > 1 and earlier.segment_id = today.segment_id) as went_back,
    count(*) filter (where changes.changes > 0 and earlier.customer_id is null) as joined_and_changed
from earlier
full outer join today on earlier.customer_id = today.customer_id
left join changes on coalesce(earlier.customer_id, today.customer_id) = changes.customer_id
"""

# A run with another model than the run before it, and whom it put elsewhere.
NEW_MODELS_SQL = """
with runs as (
    select
        as_of_date,
        model_version,
        lag(model_version) over (order by as_of_date) as version_before
    from segmentation_runs
    where lens = $lens and as_of_date <= $as_of
),

put as (
    select as_of_date, sum(model_changed)::bigint as by_model, sum("both")::bigint as by_both
    from segment_transitions
    where lens = $lens
    group by as_of_date
)

select runs.as_of_date, coalesce(put.by_model, 0) as by_model, coalesce(put.by_both, 0) as by_both
from runs
left join put on runs.as_of_date = put.as_of_date
where runs.as_of_date > $since and runs.model_version <> runs.version_before
order by runs.as_of_date
"""

# Where those went who moved out of a segment by what they did.
WENT_SQL = """
select
    from_segment_id,
    to_segment_name,
    customer_moved,
    sum(customer_moved) over (partition by from_segment_id)::bigint as moved_out
from (
    select
        from_segment_id,
        to_segment_id,
        any_value(to_segment_name) as to_segment_name,
        sum(customer_moved)::bigint as customer_moved
    from segment_transitions
    where
        lens = $lens and as_of_date > $since and as_of_date <= $as_of
        and from_segment_id is not null and to_segment_id is not null
    group by from_segment_id, to_segment_id
)
where customer_moved > 0
qualify row_number() over (partition by from_segment_id order by customer_moved desc, to_segment_id) = 1
order by from_segment_id
"""

NEW_SEGMENTS_SQL = """
select segment_id, name as segment_name, relation, created_as_of, parent_segment_ids
from segments
where lens = $lens and created_as_of > $since and created_as_of <= $as_of and superseded_by is null
    and segment_id in (select segment_id from customer_segments where lens = $lens)
order by segment_id
"""


@dataclass(frozen=True)
class Tile:
    """A figure that is seen first."""

    label: str
    figure: Figure
    note: Markup | None = None
    is_name: bool = False


@dataclass(frozen=True)
class Part:
    """Sentences under a heading."""

    title: Markup
    sentences: tuple[Markup, ...]


@dataclass(frozen=True)
class Opening:
    """What the page begins with."""

    tiles: tuple[Tile, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Since:
    """A date that today is compared with, and the columns of the sizes that compare.

    word: of the query's name. ending: of the columns. before: the column with the size then. day: the date as a figure.
    """

    word: str
    ending: str
    before: str
    day: Figure

    @property
    def day_value(self) -> date:
        """The date."""
        assert isinstance(self.day.value, date)
        return self.day.value


def compared_with(view: View) -> list[Since]:
    """Return the dates that today is compared with: the last run, and a month ago where that is another."""
    found = []
    if view.last_run is not None:
        found.append(Since("last-run", "since_last_run", "customers_at_last_run", view.date_figure("last_run")))
    if view.month_ago is not None and view.month_ago != view.last_run:
        found.append(Since("month-ago", "since_month_ago", "customers_month_ago", view.date_figure("month_ago")))
    return found


def grown_and_shrunk(sizes: Answer, since: Since) -> tuple[Row | None, Row | None]:
    """Return the segment that gained most by what customers did and the one that lost most; None where none did.

    What a new model put elsewhere is left out: that says nothing about customers.
    """
    column = f"by_customers_{since.ending}"
    grown = max(sizes, key=lambda row: row.number_of(column))
    shrunk = min(sizes, key=lambda row: row.number_of(column))
    return grown if grown.number_of(column) > 0 else None, shrunk if shrunk.number_of(column) < 0 else None


def by_cause(row: Row, since: Since) -> Markup:
    """Say a segment's change: what customers did of it apart from what a new model did, where one did."""
    change = row.figure(f"change_{since.ending}", "change")
    if not row.number_of(f"by_model_{since.ending}"):
        return sentence("{change}", change=change)
    return sentence(
        "{change} in all: {customers} by customers, {model} by the new model",
        change=change,
        customers=row.figure(f"by_customers_{since.ending}", "change"),
        model=row.figure(f"by_model_{since.ending}", "change"),
    )


def new_models_of(view: View, since: Since) -> Iterator[Markup]:
    """Yield a sentence per model that took effect since a date, saying whom it put elsewhere."""
    found = view.file.ask(
        f"new-models-{view.lens}-{since.word}", NEW_MODELS_SQL, lens=view.lens, since=since.day_value, as_of=view.as_of
    )
    for row in found:
        if not row.number_of("by_model") + row.number_of("by_both"):
            yield sentence(
                "A new model is in effect since <strong>{date}</strong>; it put nobody into another segment.",
                date=row.figure("as_of_date", "date"),
            )
            continue
        yield sentence(
            "A new model is in effect since <strong>{date}</strong>: it alone put <strong>{customers}</strong>"
            " customers into another segment, none of that is behaviour{both}.",
            date=row.figure("as_of_date", "date"),
            customers=row.figure("by_model", "count"),
            both=sentence("; {both} more changed by both", both=row.figure("by_both", "count"))
            if row.number_of("by_both")
            else "",
        )


def opening_of(view: View, sizes: Answer, totals: Answer) -> Opening:
    """Return the first screen: what there is, what is worth most, what changed."""
    whole, best = totals.row(0), sizes.row(0)
    compared = compared_with(view)
    tiles = [
        Tile("Customers", whole.figure("customers", "count"), _since_note(whole, "customers", "change", compared)),
        Tile("Segments", whole.figure("segments", "count"), sentence("in the lens {lens}", lens=view.lens_figure)),
        Tile(
            "Spend of the last 90 days",
            whole.figure("spend_amount_90d", "amount"),
            _since_note(whole, "spend_share", "share_change", compared),
        ),
    ]
    if best.number_of("spend_amount_90d") > 0:
        richest = max(sizes, key=lambda row: row.number_of("spend_per_customer"))
        tiles.append(
            Tile(
                "Most valuable segment in total",
                best.figure("segment_name", "text"),
                sentence(
                    "{spend} of the spend, {customers} of the customers{each}",
                    spend=best.figure("spend_share", "share"),
                    customers=best.figure("customer_share", "share"),
                    each=""
                    if richest.number == best.number
                    else sentence(". Per customer: {name}", name=richest.figure("segment_name", "text")),
                ),
                is_name=True,
            )
        )
    tiles += _extremes(sizes, compared)
    parts = [Part(_title(view, since, compared), tuple(_sentences(view, sizes, totals, since))) for since in compared]
    if not parts:
        parts.append(
            Part(
                Markup("Nothing to compare with yet"),
                (
                    Markup(
                        "This is the first run of this lens: there is no earlier date to compare with. From the next"
                        " run on, this place says who moved, and which segments grew and shrank."
                    ),
                ),
            )
        )
    elif view.month_ago is None:
        parts.append(
            Part(
                Markup("Since last month"),
                (
                    Markup(
                        "No date that lies a month back has been run, so there is no comparison with last month yet."
                    ),
                ),
            )
        )
    return Opening(tuple(tiles), tuple(parts))


def _extremes(sizes: Answer, compared: list[Since]) -> Iterator[Tile]:
    """Yield which segment grew most and which shrank most since the oldest date compared with."""
    if not compared:
        return
    since = compared[-1]
    grown, shrunk = grown_and_shrunk(sizes, since)
    for label, row in (("Grew most by what customers did", grown), ("Shrank most by what customers did", shrunk)):
        if row:
            note = sentence(
                "{change} customers since {date}, now {now}",
                change=row.figure(f"by_customers_{since.ending}", "change"),
                now=row.figure("customers", "count"),
                date=since.day,
            )
            if row.number_of(f"by_model_{since.ending}"):
                note += sentence(
                    ". A new model changed it by {model} as well",
                    model=row.figure(f"by_model_{since.ending}", "change"),
                )
            yield Tile(label, row.figure("segment_name", "text"), note, is_name=True)


def _title(view: View, since: Since, compared: list[Since]) -> Markup:
    if since.word == "last-run":
        if len(compared) == 1 and view.month_ago is not None:
            return sentence("Since the last run and last month, {date}", date=since.day)
        return sentence("Since the last run, {date}", date=since.day)
    return sentence("Since last month, {date}", date=since.day)


def _since_note(whole: Row, what: str, form: str, compared: list[Since]) -> Markup | None:
    """Say how a figure changed since the oldest date that it is compared with."""
    if not compared or whole[f"{what}_{compared[-1].ending}"] is None:
        return None
    since = compared[-1]
    return sentence("{change} since {date}", change=whole.figure(f"{what}_{since.ending}", form), date=since.day)


def _sentences(view: View, sizes: Answer, totals: Answer, since: Since) -> Iterator[Markup]:
    day = since.day_value
    between = view.file.ask(
        f"then-and-now-{since.word}", THEN_AND_NOW_SQL, lens=view.lens, since=day, as_of=view.as_of
    ).row(0)
    moves = view.file.ask(f"moves-{since.word}", MOVES_SQL, lens=view.lens, since=day, as_of=view.as_of).row(0)
    if between.number_of("changed"):
        yield sentence(
            "<strong>{changed}</strong> of the {then} customers of that day ({share}) are in another segment now.",
            changed=between.figure("changed", "count"),
            then=between.figure("customers_then", "count"),
            share=between.figure("changed_share", "share"),
        )
    else:
        yield sentence(
            "None of the {then} customers of that day has changed segment.",
            then=between.figure("customers_then", "count"),
        )
    if moves.number_of("changed") and not moves.number_of("model_changed") + moves.number_of("both"):
        yield sentence(
            "All {changed} changes are customers who moved: the segments themselves stayed as they were.",
            changed=moves.figure("changed", "count"),
        )
    elif moves.number_of("changed"):
        yield sentence(
            "Of {changed} changes in all, {moved} came from what customers do, {model} from a new model that puts them"
            " elsewhere, and {both} from both.",
            changed=moves.figure("changed", "count"),
            moved=moves.figure("customer_moved", "count"),
            model=moves.figure("model_changed", "count"),
            both=moves.figure("both", "count"),
        )
    if moves.number_of("changed") > between.number_of("changed"):
        yield sentence(
            "There are more changes than customers in another segment, for {often} customers changed more than once:"
            " {back} of them are back where they were{joined}.",
            often=between.figure("more_than_once", "count"),
            back=between.figure("went_back", "count"),
            joined=sentence(
                ". And {joined} who changed are new since then", joined=between.figure("joined_and_changed", "count")
            )
            if between.number_of("joined_and_changed")
            else "",
        )
    yield from new_models_of(view, since)
    yield sentence(
        "<strong>{joined}</strong> customers are new, {gone} left.",
        joined=between.figure("joined", "count"),
        gone=between.figure("gone", "count"),
    )
    whole = totals.row(0)
    if whole[f"spend_share_{since.ending}"] is not None:
        yield sentence(
            "The spend of the last 90 days changed by <strong>{share}</strong>.",
            share=whole.figure(f"spend_share_{since.ending}", "share_change"),
        )
    grown, shrunk = grown_and_shrunk(sizes, since)
    if grown:
        yield sentence("Grew most by what customers did: {change}.", change=_change(grown, since))
    if shrunk:
        yield sentence(
            'Shrank most by what customers did: {change}.{went} <span class="todo">What to do: {action}</span>',
            change=_change(shrunk, since),
            went=_went(view, shrunk, since),
            action=shrunk.figure("recommended_action", "text"),
        )
    if not grown and not shrunk:
        yield Markup("No segment grew or shrank by what customers did.")
    born = view.file.ask(f"new-segments-{since.word}", NEW_SEGMENTS_SQL, lens=view.lens, since=day, as_of=view.as_of)
    for row in born:
        yield sentence(
            "New segment: <strong>{name}</strong>, since {date}.",
            name=row.figure("segment_name", "text"),
            date=row.figure("created_as_of", "date"),
        )


def _change(row: Row, since: Since) -> Markup:
    whole = ""
    if row.number_of(f"by_model_{since.ending}"):
        whole = sentence(
            ", {change} in all with the new model\N{RIGHT SINGLE QUOTATION MARK}s {model}",
            change=row.figure(f"change_{since.ending}", "change"),
            model=row.figure(f"by_model_{since.ending}", "change"),
        )
    return sentence(
        "<strong>{name}</strong>, {own} customers (from {before} to {now}{whole})",
        name=row.figure("segment_name", "text"),
        own=row.figure(f"by_customers_{since.ending}", "change"),
        before=row.figure(since.before, "count"),
        now=row.figure("customers", "count"),
        whole=whole,
    )


def _went(view: View, row: Row, since: Since) -> Markup:
    """Say where those went who moved out of a segment; nothing where none moved."""
    found = view.file.ask(f"went-{since.word}", WENT_SQL, lens=view.lens, since=since.day_value, as_of=view.as_of)
    went = found.first(from_segment_id=row["segment_id"])
    if went is None:
        return Markup("")
    return sentence(
        " Most of the {all} moves out of it, {most}, went to <strong>{name}</strong>."
        if went.number_of("customer_moved") * 2 > went.number_of("moved_out")
        else " Of the {all} moves out of it most, {most}, went to <strong>{name}</strong>.",
        all=went.figure("moved_out", "count"),
        most=went.figure("customer_moved", "count"),
        name=went.figure("to_segment_name", "text"),
    )
