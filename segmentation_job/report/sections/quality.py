"""How good the segmentation is: what it foretells beside RFM, how stable it is, what else competed."""

from __future__ import annotations

import math

from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, Section, Table, present, table_of
from segmentation_job.report.charts import Bar, Group, bars
from segmentation_job.report.figures import sentence
from segmentation_job.report.palette import ACCENT, QUIET
from segmentation_job.report.published_file import Answer, Row
from segmentation_job.report.sections.forms import bars_of
from segmentation_job.report.view import View

CANDIDATES_SQL = """
select
    replace(algorithm, '_', ' ') || ', ' || k || ' segments' as candidate,
    algorithm like 'rfm%' as is_baseline,
    is_winner,
    passed_gates,
    held_out_value,
    held_out_error,
    held_out_value - held_out_error as held_out_low,
    held_out_value + held_out_error as held_out_high,
    jaccard_stability,
    jaccard_error,
    jaccard_stability - jaccard_error as jaccard_low,
    least(jaccard_stability + jaccard_error, 1) as jaccard_high,
    separation,
    davies_bouldin,
    smallest_share,
    reason
from model_candidates
where model_version = (select model_version from segmentation_runs where lens = $lens and as_of_date = $as_of limit 1)
order by is_winner desc, is_baseline desc, held_out_value desc nulls last, algorithm, k
limit 40
"""

RUNS_SQL = """
select
    lens,
    as_of_date,
    replace(algorithm, '_', ' ') as algorithm,
    k,
    customers,
    held_out_value,
    jaccard_stability,
    silhouette,
    smallest_share,
    outlier_share,
    imputed_share,
    choice_reason,
    stale_reason
from segmentation_runs
where (lens, as_of_date) in (select (lens, max(as_of_date)) from customer_segments group by lens)
order by lens <> $lens, lens
"""


# The model in effect beside the one that it came from.
MODEL_SQL = """
select
    model.effective_from,
    model.fitted_as_of,
    model.customers_fitted,
    before.effective_from as before_from,
    before.algorithm = model.algorithm and before.k = model.k as kept_its_kind
from models as model
inner join models as before on model.parent_version = before.model_version and model.lens = before.lens
where
    model.lens = $lens
    and model.model_version = (
        select any_value(model_version) from segmentation_runs where lens = $lens and as_of_date = $as_of
    )
limit 1
"""

WORDS = Markup(
    "In plain words: the incumbent is the model that was in effect before. Held-out R² says how much of what customers"
    " did afterwards a segmentation foretells, from nothing to all of it. RFM is the old way to sort customers, by how"
    " lately, how often and for how much they bought. K-means, bisecting k-means and FAMD are ways to find groups that"
    " are alike within; outliers are customers who lie far from every group."
)


def quality_section(view: View) -> Section:
    """Return the figures of the model in effect and of all that competed with it."""
    found = view.file.ask("candidates", CANDIDATES_SQL, lens=view.lens, as_of=view.as_of)
    runs = view.file.ask("models-in-effect", RUNS_SQL, lens=view.lens)
    mine = runs.row(0)
    said = []
    if mine["choice_reason"] is not None:
        said.append(
            sentence(
                "{k} segments, found by {algorithm}. Why: {reason}.",
                algorithm=mine.figure("algorithm", "text"),
                k=mine.figure("k", "count"),
                reason=mine.figure("choice_reason", "text"),
            )
        )
    said += [
        _replaced(row) for row in view.file.ask("model-and-its-parent", MODEL_SQL, lens=view.lens, as_of=view.as_of)
    ]
    if mine["held_out_value"] is None:
        said.append(sentence("The history was too short to hold the segments against what came afterwards."))
    if said:
        said.append(WORDS)
    return Section(
        "quality",
        "How good the segmentation is",
        present([value_chart(found), stability_chart(found), lenses_chart(runs)]),
        sentences=tuple(said),
    )


def _replaced(row: Row) -> Markup:
    """Say that a model took another's place, and what is new in it: a refit may keep its kind and move its middles."""
    day = row.figure("effective_from", "date")
    if not row["kept_its_kind"]:
        return sentence(
            "This model took the place of another on {date}, of another kind or number of segments.", date=day
        )
    return sentence(
        "This model took the place of another on {date}. The algorithm and the number of segments stayed (“the"
        " incumbent stays” means no more than that), but where the middle of each segment lies was computed anew from"
        " the customers of {fitted}. That alone puts some customers into another segment.",
        date=day,
        fitted=row.figure("fitted_as_of", "date"),
    )


def value_chart(found: Answer) -> Chart | None:
    """Return how well each candidate and RFM foretold what came, with their errors."""
    known = [row for row in found if row["held_out_value"] is not None]
    if not known:
        return None
    drawn = [row for row in known if row["is_winner"] or row["is_baseline"]]
    drawn += [row for row in known if row.number not in {one.number for one in drawn}][: 10 - len(drawn)]
    drawn.sort(key=lambda row: (-row.number_of("held_out_value"), row.text("candidate")))
    winner = next((row for row in known if row["is_winner"]), known[0])
    baselines = [row for row in known if row["is_baseline"]]
    key = "held-out-value"
    groups = [
        Group(
            row.figure("candidate", "text"),
            (
                Bar(
                    row.number_of("held_out_value"),
                    row.figure("held_out_value", "three_digits"),
                    ACCENT if row["is_winner"] else QUIET,
                    "ours" if row["is_winner"] else "baseline" if row["is_baseline"] else "",
                    (row.number_of("held_out_low"), row.number_of("held_out_high")),
                ),
            ),
        )
        for row in drawn
    ]
    finding = sentence(
        "How much of the later spend and activity segments foretell (R², 1 would be all of it; the lines are standard"
        " errors). Ours: {ours}",
        ours=winner.figure("held_out_value", "three_digits"),
    )
    if baselines:
        best = max(baselines, key=lambda row: row.number_of("held_out_value"))
        finding = sentence(
            "{answer} {finding}; the best RFM: {best}",
            answer=_answer(winner, best),
            finding=finding,
            best=best.figure("held_out_value", "three_digits"),
        )
    return Chart(key, "Do the segments foretell more than RFM?", finding + ".", bars(groups, key), _candidates(known))


def _answer(ours: Row, baseline: Row) -> str:
    """Say whether ours foretells more, and that it cannot be told where the difference is within its standard error."""
    difference = ours.number_of("held_out_value") - baseline.number_of("held_out_value")
    error = math.hypot(ours.number_of("held_out_error"), baseline.number_of("held_out_error"))
    if abs(difference) <= error:
        return "About as much."
    return "They do." if difference > 0 else "They do not."


def stability_chart(found: Answer) -> Chart | None:
    """Return how much of each candidate is found again in other samples of the customers."""
    known = [row for row in found if row["jaccard_stability"] is not None]
    known.sort(key=lambda row: (-row.number_of("jaccard_stability"), row.text("candidate")))
    winner = next((row for row in known if row["is_winner"]), None)
    return bars_of(
        "stability",
        "Would the same segments be found again?",
        known[:12],
        ("jaccard_stability", "two_digits"),
        _candidates(known),
        label=("candidate", "text"),
        finding=sentence(
            "Overlap of the segments with those found in samples of the customers, 1 being the same. Ours: {ours}.",
            ours=winner.figure("jaccard_stability", "two_digits"),
        )
        if winner
        else None,
        is_of_segments=False,
        interval=("jaccard_low", "jaccard_high"),
    )


def lenses_chart(runs: Answer) -> Chart | None:
    """Return the quality of the models of all lenses."""
    return bars_of(
        "quality-of-lenses",
        "How surely do the lenses place customers?",
        runs,
        ("outlier_share", "share"),
        table_of(
            runs,
            Column("Lens", "lens"),
            Column("Date", "as_of_date", "date"),
            Column("Algorithm", "algorithm"),
            Column("Segments", "k", "count"),
            Column("Customers", "customers", "count"),
            Column("Foretold (R²)", "held_out_value", "three_digits"),
            Column("Stability", "jaccard_stability", "two_digits"),
            Column("Silhouette", "silhouette", "two_digits"),
            Column("Smallest segment", "smallest_share", "share"),
            Column("Outliers", "outlier_share", "share"),
            Column("Values filled in", "imputed_share", "share"),
        ),
        label=("lens", "text"),
        words="outliers",
        finding=sentence(
            "Customers who lie far from every segment (outliers), in each lens: {share}."
            if len({str(row.figure("outlier_share", "share")) for row in runs}) == 1
            else "Customers who lie far from every segment (outliers). Highest: {lens}, {share}.",
            lens=max(runs, key=lambda row: row.number_of("outlier_share")).figure("lens", "text"),
            share=max(runs, key=lambda row: row.number_of("outlier_share")).figure("outlier_share", "share"),
        ),
        is_of_segments=False,
    )


def _candidates(rows: list[Row]) -> Table:
    return table_of(
        rows,
        Column("Candidate", "candidate"),
        Column("Chosen", "is_winner", "yes"),
        Column("Foretold (R²)", "held_out_value", "three_digits"),
        Column("Standard error", "held_out_error", "three_digits"),
        Column("Stability", "jaccard_stability", "two_digits"),
        Column("Separation", "separation", "two_digits"),
        Column("Davies-Bouldin", "davies_bouldin", "two_digits"),
        Column("Smallest segment", "smallest_share", "share"),
        Column("Why", "reason"),
    )
