"""How the segments differ from all customers: the heatmap of standardised differences."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, table_of
from segmentation_job.report.charts import Cell, Scale, grid
from segmentation_job.report.figures import sentence
from segmentation_job.report.palette import DIVERGING, diverging_colour
from segmentation_job.report.published_file import Answer, Row
from segmentation_job.report.view import View
from segmentation_job.report.words import feature_words

# From this difference on, in standard deviations of all customers, a cell has the strongest colour.
STRONGEST = 2.0

# The features that the lens's model is made of; of a text its value that differs most.
DIFFERENCES_SQL = """
with used as (
    select
        split_part(json_extract_string(part, '$.column'), '.', 2) as feature,
        json_extract_string(part, '$.is_idle') = 'true' as is_idle
    from (
        select unnest(cast(json_extract(parameters, '$.encoding[*]') as json[])) as part
        from models
        where model_version = (
            select model_version from segmentation_runs where lens = $lens and as_of_date = $as_of limit 1
        )
    )
),

told as (
    select
        segment_profiles.*,
        max(abs(standardised_difference)) over (partition by feature, feature_value) as strongest
    from segment_profiles
    where
        lens = $lens and as_of_date = $as_of
        and feature in (select feature from used where not is_idle)
),

ranked as (
    select
        feature,
        feature_value,
        strongest,
        row_number() over (partition by feature order by strongest desc nulls last, feature_value) as place
    from (select distinct feature, feature_value, strongest from told)
),

chosen as (
    select feature, feature_value, row_number() over (order by strongest desc, feature) as feature_place
    from ranked
    where place = 1 and strongest is not null
    order by feature_place
    limit 16
)

select
    told.segment_id,
    told.segment_name,
    told.feature,
    told.feature_value,
    told.standardised_difference,
    coalesce(told.segment_mean, told.segment_share) as segment_value,
    coalesce(told.population_mean, told.population_share) as population_value,
    chosen.feature_place
from told
inner join chosen
    on told.feature = chosen.feature and told.feature_value is not distinct from chosen.feature_value
order by chosen.feature_place, told.segment_id
"""


def differences_chart(view: View, sizes: Answer) -> Chart | None:
    """Return the heatmap, features from the one that differs most; None where no profile is published."""
    found = view.file.ask("differences", DIFFERENCES_SQL, lens=view.lens, as_of=view.as_of)
    if not found:
        return None
    key = "differences"
    features: dict[str, Row] = {}
    cells: dict[tuple[str, str], Row] = {}
    for row in found:
        features.setdefault(row.text("feature"), row)
        cells[row.text("feature"), row.text("segment_id")] = row
    segments = [row for row in sizes if any((feature, row.text("segment_id")) in cells for feature in features)]
    names = list(features)

    def cell(row: int, column: int) -> Cell | None:
        at = cells.get((names[row], segments[column].text("segment_id")))
        if at is None or at["standardised_difference"] is None:
            return None
        return Cell(
            diverging_colour(at.number_of("standardised_difference"), STRONGEST),
            at.figure("standardised_difference", "signed_digit"),
        )

    most = max(found, key=lambda row: abs(row.number_of("standardised_difference")))
    higher = most.number_of("standardised_difference") > 0
    return Chart(
        key,
        "What sets each segment apart?",
        sentence(
            "The strongest difference: {name} are {difference} standard deviations from all customers in “{feature}”"
            + (" (higher)." if higher else " (lower)."),
            name=most.figure("segment_name", "text"),
            difference=most.figure("standardised_difference", "signed_digit"),
            feature=_label(most),
        ),
        grid(
            [_label(row) for row in features.values()],
            [row.figure("segment_name", "text") for row in segments],
            cell,
            key,
            scale=Scale("lower", DIVERGING, "higher than all customers"),
        ),
        table_of(
            found,
            Column("Feature", "feature", "feature"),
            Column("Value", "feature_value"),
            Column("Segment", "segment_name", segment="segment_id"),
            Column("Segment's mean or share", "segment_value", "two_digits"),
            Column("All customers", "population_value", "two_digits"),
            Column("Difference, standard deviations", "standardised_difference", "signed_digit"),
        ),
    )


def _label(row: Row) -> str:
    words = feature_words(row.text("feature"))
    return f"{words}: {row['feature_value']}" if row["feature_value"] is not None else words
