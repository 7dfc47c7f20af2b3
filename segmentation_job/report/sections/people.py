"""Who the customers are and where they live: age, gender, income; country, region, city."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.forms import bars_of, by_segment, shares_in_a_grid
from segmentation_job.report.view import View

# Of an attribute the values that most customers have; bands in the order of their numbers. Groups of fewer than ten
# people are not shown: a report is passed around.
ATTRIBUTE_SQL = r"""
with told as (
    select lens, segment_id, segment_name, attribute_value, customer_count
    from demographic_distribution
    where as_of_date = $as_of and attribute = $attribute and lens in ($lens, 'all')
),

frequent as (
    select attribute_value, customer_count as all_customers
    from told
    where lens = 'all' and attribute_value <> 'unknown'
    order by customer_count desc, attribute_value
    limit 12
),

shares as (
    select
        told.segment_id,
        told.segment_name,
        told.attribute_value,
        told.customer_count,
        told.customer_count
        / nullif(sum(told.customer_count) filter (where told.attribute_value <> 'unknown') over (
            partition by told.lens, told.segment_id
        ), 0) as share_of_known,
        sum(told.customer_count) filter (where told.attribute_value <> 'unknown') over (
            partition by told.lens, told.segment_id
        )::bigint as known,
        sum(told.customer_count) over (partition by told.lens, told.segment_id)::bigint as customers
    from told
)

select
    shares.segment_id,
    shares.segment_name,
    shares.attribute_value,
    if(shares.customer_count < 10, null, shares.customer_count) as customer_count,
    if(shares.customer_count < 10, null, shares.share_of_known) as share_of_known,
    if(everybody.customer_count < 10, null, everybody.share_of_known) as share_of_all_known,
    if(shares.customer_count < 10, null, shares.share_of_known - everybody.share_of_known) as difference,
    shares.known,
    shares.customers
from shares
inner join frequent on shares.attribute_value = frequent.attribute_value
left join shares as everybody
    on shares.attribute_value = everybody.attribute_value and everybody.segment_id = 'all'
order by
    shares.segment_id = 'all' desc,
    shares.segment_id,
    try_cast(regexp_extract(shares.attribute_value, '\d+') as integer) nulls last,
    regexp_matches(lower(shares.attribute_value), '^(under|below|<)') desc,
    shares.attribute_value
"""

CITIES_SQL = """
select attribute_value, customer_count, customer_share
from demographic_distribution
where
    as_of_date = $as_of and attribute = 'city' and lens = 'all' and attribute_value not in ('unknown', 'other')
    and customer_count >= 10
order by customer_count desc, attribute_value
limit 10
"""

KNOWN_SQL = """
select attribute, count(distinct attribute_value) as attribute_values
from demographic_distribution
where as_of_date = $as_of and lens = 'all' and attribute_value <> 'unknown'
group by attribute
order by attribute
"""

# Segments that differ from all customers by less than this, in shares, are told to differ hardly.
HARDLY = 0.05

PERSONAL = (
    ("age_band", "How old are the customers of each segment?"),
    ("gender", "Which gender do they have?"),
    ("income_band", "What do they earn?"),
)
GEOGRAPHIC = (
    ("region", "In which regions do the segments live?"),
    ("country", "In which countries do the segments live?"),
)
SMALL_GROUPS = sentence(
    "Shares are among the customers of whom it is known. Groups of fewer than 10 people are not shown."
)


def known_attributes(view: View) -> dict[str, int]:
    """Return the attributes that something is known of, and how many values each has."""
    found = view.file.ask("known-attributes", KNOWN_SQL, as_of=view.as_of)
    return {row.text("attribute"): int(row.number_of("attribute_values")) for row in found}


def people_section(view: View, sizes: Answer, known: dict[str, int]) -> Section:
    """Return age, gender and income of the segments."""
    charts = [attribute_chart(view, sizes, name, question) for name, question in PERSONAL if name in known]
    absent = [name.removesuffix("_band") for name, _ in PERSONAL if name not in known]
    return Section(
        "people",
        "Age, gender and income",
        present(charts),
        sentences=(SMALL_GROUPS,) if present(charts) else (),
        absent=(sentence("The source tells nothing of {names}.", names=_listed(absent)),) if absent else (),
    )


def places_section(view: View, sizes: Answer, known: dict[str, int]) -> Section:
    """Return where the customers live."""
    charts: list[Chart | None] = [
        attribute_chart(view, sizes, name, question) for name, question in GEOGRAPHIC if known.get(name, 0) > 1
    ]
    if "city" in known:
        cities = view.file.ask("cities", CITIES_SQL, as_of=view.as_of)
        charts.append(
            bars_of(
                "cities",
                "Which cities have most customers?",
                cities,
                ("customer_count", "count"),
                table_of(
                    cities,
                    Column("City", "attribute_value"),
                    Column("Customers", "customer_count", "count"),
                    Column("Share", "customer_share", "share"),
                ),
                label=("attribute_value", "text"),
                is_of_segments=False,
            )
        )
    is_known = any(name in known for name in ("region", "country", "city"))
    absent = () if is_known else (sentence("The source tells nothing of where they live."),)
    sentences = (SMALL_GROUPS,) if present(charts) else ()
    return Section("places", "Geography", present(charts), sentences, absent)


def attribute_chart(view: View, sizes: Answer, attribute: str, question: str) -> Chart | None:
    """Return the shares of an attribute's values in each segment; None where every group is small."""
    name = attribute.replace("_", "-")
    found = view.file.ask(name, ATTRIBUTE_SQL, lens=view.lens, as_of=view.as_of, attribute=attribute)
    told = [row for row in found if row["share_of_known"] is not None and row["segment_id"] != "all"]
    if not told:
        return None
    most = max(told, key=lambda row: row.number_of("difference"))
    differs = max(abs(row.number_of("difference")) for row in told) >= HARDLY
    whole = found.row(0)
    return shares_in_a_grid(
        name,
        question,
        found,
        ["all", *(row["segment_id"] for row in sizes)],
        "segment_id",
        ("segment_name", "text"),
        "attribute_value",
        "text",
        ("share_of_known", "whole_share"),
        table_of(
            found,
            *by_segment(
                Column("Group", "attribute_value"),
                Column("Customers", "customer_count", "count"),
                Column("Share of the known", "share_of_known", "share"),
                Column("Share among all", "share_of_all_known", "share"),
            ),
        ),
        sentence(
            "{hardly}Known of {known} of {customers} customers. Most above the usual: “{value}” makes {share} of"
            " {name}, and {everybody} of all.",
            hardly=""
            if differs
            else sentence("{what} hardly differs between the segments. ", what=name.removesuffix("-band").capitalize()),
            known=whole.figure("known", "count"),
            customers=whole.figure("customers", "count"),
            value=most.figure("attribute_value", "text"),
            share=most.figure("share_of_known", "share"),
            name=most.figure("segment_name", "text"),
            everybody=most.figure("share_of_all_known", "share"),
        ),
        makes_room=True,
    )


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
