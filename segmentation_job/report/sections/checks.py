"""What the gates said, what became of the rows, what is missing, how long it took, what wants somebody."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, Listing, Section, present, table_of
from segmentation_job.report.charts import Bar, Group, bars
from segmentation_job.report.figures import Figure, sentence
from segmentation_job.report.palette import ACCENT, BAD, QUIET
from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.forms import bars_of
from segmentation_job.report.view import View

GATES_SQL = """
select
    step,
    attempt,
    outcome,
    ended_at,
    coalesce(try_cast(json_extract(details, '$.passed') as bigint), 0) as passed,
    coalesce(try_cast(json_extract(details, '$.failed') as bigint), 0) as failed,
    coalesce(try_cast(json_extract(details, '$.warned') as bigint), 0) as warned,
    coalesce(try_cast(json_extract(details, '$.not_applicable') as bigint), 0) as not_applicable
from run_log
where as_of_date = $as_of and step like 'gate%'
qualify row_number() over (partition by step order by started_at desc, attempt desc) = 1
order by ended_at, step
"""

ROWS_SQL = """
select
    entity,
    sum(row_count)::bigint as rows_in,
    coalesce(sum(row_count) filter (where outcome = 'kept'), 0)::bigint as kept,
    coalesce(sum(row_count) filter (where outcome <> 'kept'), 0)::bigint as set_aside,
    coalesce(sum(row_count) filter (where outcome <> 'kept'), 0) / nullif(sum(row_count), 0) as set_aside_share
from row_accounts
where as_of_date = $as_of
group by entity
order by rows_in desc, entity
"""

REASONS_SQL = """
select
    entity,
    outcome,
    replace(entity, '_', ' ') || ': ' || replace(outcome, '_', ' ') as reason,
    row_count,
    row_count / sum(row_count) over (partition by entity) as share_of_entity
from row_accounts
where as_of_date = $as_of
qualify outcome <> 'kept'
order by row_count desc, entity, outcome
limit 40
"""

MISSING_SQL = """
with parts as (
    select unnest(json_keys(missing_shares)) as feature, missing_shares
    from segmentation_runs
    where lens = $lens and as_of_date = $as_of
)

select
    split_part(feature, '.', 2) as feature,
    try_cast(json_extract(missing_shares, '$."' || feature || '"') as double) as missing_share
from parts
order by missing_share desc, feature
limit 40
"""

STEPS_SQL = """
with newest as (
    select run_id from run_log where as_of_date = $as_of group by run_id order by max(started_at) desc, run_id limit 1
)

select
    step,
    attempt,
    outcome,
    started_at,
    round(date_diff('millisecond', started_at, ended_at) / 1000, 1) as seconds,
    round(sum(date_diff('millisecond', started_at, ended_at)) over () / 1000, 1) as all_seconds
from run_log
where as_of_date = $as_of and run_id in (select run_id from newest)
order by started_at, step, attempt
"""

ALARMS_SQL = """
select
    as_of_date,
    lens,
    kind,
    coalesce(segment_name, replace(split_part(feature, '.', 2), '_', ' ')) as subject,
    evidence,
    proposal,
    count(*) over () as alarms
from segment_alarms
where as_of_date > cast($as_of as date) - interval 35 day and as_of_date <= $as_of
order by as_of_date desc, lens, kind, subject
limit 20
"""

STALE_SQL = """
select as_of_date, min(stale_reason) as stale_reason, count(*) over () as dates
from segmentation_runs
where stale_reason is not null
group by as_of_date
order by as_of_date desc
limit 20
"""

DECISIONS_SQL = """
select decided_at, kind, lens, coalesce(segment_id, '') as segment_id, name, effective_from, reason
from decisions
order by decided_at desc, decision_id
limit 10
"""


@dataclass(frozen=True)
class Waiting:
    """What wants somebody: alarms of the last weeks, dates that would come out differently."""

    alarms: Answer
    stale: Answer


def waiting_in(view: View) -> Waiting:
    """Return what wants somebody."""
    return Waiting(view.file.ask("alarms", ALARMS_SQL, as_of=view.as_of), view.file.ask("stale", STALE_SQL))


def notices_of(waiting: Waiting) -> tuple[Markup, ...]:
    """Return what the page says of it at its head."""
    said = []
    if waiting.alarms:
        said.append(
            sentence(
                'The weekly checks of the last five weeks raised {alarms}: <a href="#alarms">see which</a>.',
                alarms=_counted(waiting.alarms.row(0).figure("alarms", "count"), "alarm", "alarms"),
            )
        )
    if waiting.stale:
        said.append(
            sentence(
                '{dates} would come out differently today: <a href="#stale">see why</a>.',
                dates=_counted(waiting.stale.row(0).figure("dates", "count"), "date", "dates"),
            )
        )
    return tuple(said)


def _counted(figure: Figure, one: str, many: str) -> Markup:
    return sentence("{figure} {word}", figure=figure, word=one if figure.value == 1 else many)


def checks_section(view: View, waiting: Waiting) -> Section:
    """Return gates, rows, gaps, times, alarms and what waits for somebody."""
    return Section(
        "checks",
        "Gates, data quality and timings",
        present(
            [rows_chart(view), reasons_chart(view), missing_chart(view), times_chart(view), *_listings(view, waiting)]
        ),
        sentences=tuple(_gates(view)),
    )


def _charts(view: View) -> list[Chart | None]:
    return [rows_chart(view), reasons_chart(view), missing_chart(view), times_chart(view)]


def _gates(view: View) -> list[Markup]:
    gates = view.file.ask("gates", GATES_SQL, as_of=view.as_of)
    said = [
        sentence(
            "<strong>{step}</strong>: {passed} checks passed, {failed} failed, {idle} had nothing to check.",
            step=row.figure("step", "word"),
            passed=row.figure("passed", "count"),
            failed=row.figure("failed", "count"),
            idle=row.figure("not_applicable", "count"),
        )
        for row in gates
    ]
    return said or [sentence("The log holds nothing of the gates of this date.")]


def rows_chart(view: View) -> Chart | None:
    """Return how many rows were kept and how many set aside, by entity."""
    found = view.file.ask("rows", ROWS_SQL, as_of=view.as_of)
    if not found:
        return None
    key = "rows"
    groups = [
        Group(
            row.figure("entity", "word"),
            (
                Bar(row.number_of("kept"), row.figure("kept", "count"), ACCENT, "kept"),
                *(
                    [Bar(row.number_of("set_aside"), row.figure("set_aside", "count"), BAD, "set aside")]
                    if row.number_of("set_aside")
                    else []
                ),
            ),
        )
        for row in found
    ]
    worst = max(found, key=lambda row: row.number_of("set_aside_share"))
    return Chart(
        key,
        "How many rows were kept?",
        sentence(
            "Most set aside: {share} of the {entity}.",
            share=worst.figure("set_aside_share", "share"),
            entity=worst.figure("entity", "word"),
        ),
        bars(groups, key),
        table_of(
            found,
            Column("Rows of", "entity", "word"),
            Column("In", "rows_in", "count"),
            Column("Kept", "kept", "count"),
            Column("Set aside", "set_aside", "count"),
            Column("Share set aside", "set_aside_share", "share"),
        ),
    )


def reasons_chart(view: View) -> Chart | None:
    """Return why rows were set aside."""
    found = view.file.ask("reasons", REASONS_SQL, as_of=view.as_of)
    return bars_of(
        "reasons",
        "Why were rows set aside?",
        list(found)[:12],
        ("row_count", "count"),
        table_of(
            found,
            Column("Reason", "reason"),
            Column("Rows", "row_count", "count"),
            Column("Share of the entity's rows", "share_of_entity", "share"),
        ),
        label=("reason", "text"),
        words="rows",
        is_of_segments=False,
    )


def missing_chart(view: View) -> Chart | None:
    """Return which features are not known of everybody."""
    found = view.file.ask("missing", MISSING_SQL, lens=view.lens, as_of=view.as_of)
    known = [row for row in found if row["missing_share"] is not None]
    if not known:
        return None
    return bars_of(
        "missing",
        "What is not known of the customers?",
        known[:12],
        ("missing_share", "share"),
        table_of(known, Column("Feature", "feature", "feature"), Column("Not known of", "missing_share", "share")),
        label=("feature", "feature"),
        words="unknown",
        is_of_segments=False,
        finding=sentence(
            "Most often unknown: “{feature}”, of {share} of the customers. What is unknown is filled in by a rule.",
            feature=known[0].figure("feature", "feature"),
            share=known[0].figure("missing_share", "share"),
        ),
    )


def times_chart(view: View) -> Chart | None:
    """Return how long the steps of the newest run of the date took."""
    found = view.file.ask("steps", STEPS_SQL, as_of=view.as_of)
    timed = [row for row in found if row["seconds"] is not None]
    if not timed:
        return None
    key = "steps"
    groups = [
        Group(
            row.figure("step", "word"),
            (
                Bar(
                    row.number_of("seconds"),
                    row.figure("seconds", "duration"),
                    ACCENT if row["outcome"] == "done" else BAD if row["outcome"] == "failed" else QUIET,
                    "" if row["outcome"] == "done" else row.text("outcome"),
                ),
            ),
        )
        for row in timed
    ]
    longest = max(timed, key=lambda row: row.number_of("seconds"))
    return Chart(
        key,
        "How long did the run take?",
        sentence(
            "{all} of work up to publishing; the longest step was “{step}” with {seconds}.",
            all=timed[0].figure("all_seconds", "duration"),
            step=longest.figure("step", "word"),
            seconds=longest.figure("seconds", "duration"),
        ),
        bars(groups, key),
        table_of(
            found,
            Column("Step", "step", "word"),
            Column("Attempt", "attempt", "count"),
            Column("Began", "started_at", "clock"),
            Column("Took", "seconds", "duration"),
            Column("Outcome", "outcome", "word"),
        ),
    )


def _listings(view: View, waiting: Waiting) -> list[Listing | None]:
    alarms, stale = waiting.alarms, waiting.stale
    decisions = view.file.ask("decisions", DECISIONS_SQL)
    return [
        Listing(
            "alarms",
            "Which alarms did the weekly check raise?",
            Markup("Alarms of the last five weeks. They change nothing by themselves."),
            table_of(
                alarms,
                Column("Date", "as_of_date", "date"),
                Column("Lens", "lens"),
                Column("What", "kind", "word"),
                Column("Of", "subject"),
                Column("Evidence", "evidence"),
                Column("Proposal", "proposal"),
            ),
        )
        if alarms
        else None,
        Listing(
            "stale",
            "Which dates would come out differently today?",
            Markup("A run today would rest on something else for these dates. They are not wrong; run them again."),
            table_of(stale, Column("Date", "as_of_date", "date"), Column("Why", "stale_reason")),
        )
        if stale
        else None,
        Listing(
            "decisions",
            "What did people decide?",
            Markup("The newest decisions that a run has applied."),
            table_of(
                decisions,
                Column("When", "decided_at", "clock"),
                Column("What", "kind", "word"),
                Column("Lens", "lens"),
                Column("Segment", "segment_id"),
                Column("Name", "name"),
                Column("Why", "reason"),
            ),
        )
        if decisions
        else None,
    ]
