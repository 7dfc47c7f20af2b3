"""Why a customer is in their segments, told from a small published file with two lenses."""

import re
from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from segmentation_job.cli import app
from segmentation_job.customer_explanation import (
    CustomerExplanation,
    LensExplanation,
    explain_customer,
    print_explanation,
)
from segmentation_job.errors import SegmentationError
from segmentation_job.segments.assignment import assign
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens, parse_lens
from segmentation_job.segments.model import Model
from segmentation_job.steps import ExitCode

AS_OF = date(2025, 3, 1)
NAMES = ("Northern big spenders", "Southern small spenders")
CUSTOMERS, NORTHERN = 200, 120


def lens_named(name: str, title: str) -> Lens:
    content = {
        "name": name,
        "title": title,
        "noun": "shoppers",
        "objective": {"description": "sell more"},
        "k_min": 2,
        "k_max": 3,
        "smallest_share": 0.05,
        "algorithms": ["kmeans"],
        "seed": 1,
        "features": [
            {"column": "t.spend_amount", "encoding": "log", "family": "spend", "high": "", "low": ""}
            | {"label": "spend in the year", "unit": "amount"},
            {"column": "t.region", "encoding": "one_hot", "family": "region", "high": "", "low": ""}
            | {"label": "home region", "unit": "category"},
            {"column": "t.visit_count", "encoding": "hurdle", "family": "visits", "high": "", "low": ""}
            | {"label": "visits", "unit": "count"},
        ],
        "actions": [],
        # So that spend decides, and those who live with the others belong where they spend.
        "weights": {"spend": 4},
        "default_action": "Say hello.",
    }
    return parse_lens(yaml.safe_dump(content), f"{name}.yaml")


OVERALL, ANOTHER = lens_named("overall", "All in all"), lens_named("another", "In another way")


def shop() -> FeatureValues:
    """The first 120 spend about 400 and are mostly from the North, the others about 20 and mostly from the South."""
    random = np.random.default_rng(4)
    spends_much = np.arange(CUSTOMERS) < NORTHERN
    spend = np.round(np.exp(random.normal(np.where(spends_much, 6, 3), 0.3)), 2)
    region = np.where(random.random(CUSTOMERS) < 0.9, ~spends_much, spends_much).astype(float)
    visits = random.poisson(0.2, CUSTOMERS).astype(float)
    spend[7], region[9] = np.nan, np.nan
    return FeatureValues(np.column_stack([spend, region, visits]), {1: ("North", "South")})


def publish(link: Path, model: Model, published_keys: tuple[str, ...]) -> None:
    """Write the tables that an explanation reads, as the marts have them."""
    values = shop()
    assignment = assign(model, values)
    ids = [f"c{place:03}" for place in range(CUSTOMERS)]
    spend, region, visits = values.numbers.T
    regions = [None if np.isnan(code) else values.texts[1][int(code)] for code in region]
    segment_ids = [f"seg-{cluster + 1}" for cluster in assignment.cluster]
    with duckdb.connect(str(link)) as connection:
        connection.register(
            "wide",
            pa.table({"id": ids, "spend": pa.array(spend, from_pandas=True), "region": regions, "visits": visits}),
        )
        connection.execute(
            "create table customer_360 as select id as customer_id, spend::decimal(18, 2) as spend_amount, region,"
            " visits::bigint as visit_count from wide"
        )
        labels = {"customer_id": ids, "segment_id": segment_ids}
        sureness = {"confidence": assignment.confidence, "is_outlier": assignment.is_outlier}
        connection.register("labels", pa.table({**labels, **sureness}))
        connection.execute(
            f"""
            create table customer_segments as
            select date '{AS_OF}' as as_of_date, lens, customer_id, concat(lens, '-', segment_id) as segment_id,
                case segment_id when 'seg-1' then '{NAMES[0]}' else '{NAMES[1]}' end as segment_name,
                case lens when 'overall' then '{model.version}' else 'gone' end as model_version, confidence,
                is_outlier or customer_id = 'c003' as is_outlier, date '2025-02-01' as segment_since
            from labels cross join (select unnest(['overall', 'another']) as lens);
            create table segments as
            select lens, concat(lens, '-', 'seg-', place) as segment_id, key as segment_key,
                ['{NAMES[0]}', '{NAMES[1]}'][place] as name,
                case place when 1 then 'spend in the year > 100.00 and home region is North' else '' end as rule,
                0.75 as rule_precision, 0.5 as rule_recall, concat('Act ', place, '.') as recommended_action
            from (select unnest({list(published_keys)}) as key, unnest(range(1, 3)) as place)
            cross join (select unnest(['overall', 'another']) as lens);
            create table segment_profiles as
            with known as (
                select segments.segment_id, lens, wide.* from customer_segments as segments
                inner join customer_360 as wide using (customer_id)
            )
            select date '{AS_OF}' as as_of_date, lens, segment_id, feature, null as feature_value,
                avg(value) as segment_mean, median(value) as segment_median, null::double as segment_share,
                any_value(mean) as population_mean, any_value(middle) as population_median,
                null::double as population_share
            from (
                select lens, segment_id, 'spend_amount' as feature, spend_amount::double as value,
                    (select avg(spend_amount) from customer_360) as mean,
                    (select median(spend_amount) from customer_360) as middle from known
                union all
                select lens, segment_id, 'visit_count', visit_count, (select avg(visit_count) from customer_360),
                    (select median(visit_count) from customer_360) from known
            )
            group by all
            union all
            select '{AS_OF}', lens, segment_id, 'region', value, null, null,
                count(*) filter (where region = value) / count(region), null, null,
                (select count(*) filter (where region = value) / count(region) from customer_360)
            from known cross join (select unnest(['North', 'South']) as value)
            group by all;
            create table models as select '{model.version}' as model_version, $${model.to_json()}$$ as parameters;
            create table segmentation_runs as
            select date '{AS_OF}' as as_of_date, unnest(['overall', 'another']) as lens,
                unnest([null, 'source rows changed']) as stale_reason;
            create table customer_segment_history as
            select lens, customer_id, segment_id, segment_name, segment_since as valid_from, null::date as valid_to,
                case customer_id when 'c001' then 'model_changed' when 'c002' then 'both' when 'c003' then 'new'
                else 'customer_moved' end as change_cause
            from customer_segments
            union all
            select lens, customer_id, 'overall-seg-9', 'Window shoppers', date '2025-01-01', date '2025-02-01', 'new'
            from customer_segments where customer_id != 'c003'
            union all
            select 'overall', 'gone', 'overall-seg-1', '{NAMES[0]}', date '2025-01-01', date '2025-02-01', 'new'
            union all
            select 'overall', 'gone', null, null, date '2025-02-01', null, 'left'
            """
        )


@pytest.fixture(scope="module")
def model() -> Model:
    return fit_model(shop(), OVERALL, "kmeans", 2, date(2025, 2, 1))


@pytest.fixture(scope="module")
def link(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "serving" / "segments.duckdb"
    path.parent.mkdir()
    publish(path, model, model.segment_keys)
    return path


def explained(link: Path, customer: str, name: str = "overall") -> LensExplanation:
    found = explain_customer(link, customer, [ANOTHER, OVERALL])
    return next(lens for lens in found.lenses if lens.lens == name)


def printed(explanation: CustomerExplanation) -> str:
    console = Console(file=StringIO(), width=200)
    print_explanation(explanation, console)
    assert isinstance(console.file, StringIO)
    return re.sub(r" +\n", "\n", console.file.getvalue())


def test_overall_comes_first_and_every_lens_is_explained(link: Path) -> None:
    found = explain_customer(link, "c000", [ANOTHER, OVERALL])
    assert (found.customer_id, found.as_of) == ("c000", AS_OF)
    assert [(lens.lens, lens.title) for lens in found.lenses] == [
        ("overall", "All in all"),
        ("another", "In another way"),
    ]


def test_the_reasons_are_the_features_in_which_the_customer_is_like_the_segment_and_unlike_everyone(link: Path) -> None:
    values = shop().numbers
    northern = next(place for place in range(NORTHERN) if values[place, 1] == 0)
    southern = next(place for place in range(NORTHERN, CUSTOMERS) if values[place, 1] == 1)
    for place in (northern, southern):
        lens = explained(link, f"c{place:03}")
        assert {reason.label for reason in lens.reasons} == {"spend in the year", "home region"}
        spend = next(reason for reason in lens.reasons if reason.label == "spend in the year")
        members = (np.arange(CUSTOMERS) < NORTHERN) == (place < NORTHERN)
        assert spend.value == f"{values[place, 0]:.2f}"
        assert float(spend.segment.removeprefix("typically ")) == pytest.approx(
            np.nanmedian(values[members, 0]), rel=0.1
        )
        assert spend.everyone == f"{np.nanmedian(values[:, 0]):.2f}"
        region = next(reason for reason in lens.reasons if reason.label == "home region")
        assert region.value == ("North" if place < NORTHERN else "South")
        assert re.fullmatch(r"has it in [89]\d(\.\d)?%", region.segment)


def test_what_is_not_known_of_a_customer_is_no_reason(link: Path) -> None:
    assert "spend in the year" not in {reason.label for reason in explained(link, "c007").reasons}
    assert "home region" not in {reason.label for reason in explained(link, "c009").reasons}


def test_the_moves_take_the_customer_to_the_other_segment_and_half_of_them_do_not(link: Path, model: Model) -> None:
    values = shop()
    for place in (0, 10, 150):
        lens = explained(link, f"c{place:03}")
        other = lens.next_segment
        assert other is not None
        assert other.name == (NAMES[1] if place < NORTHERN else NAMES[0])
        moved = values.numbers[[place]].copy()
        for move in other.moves:
            if move.label == "spend in the year":
                direction, figure = move.change.split(" to ")
                assert direction == ("fell" if place < NORTHERN else "rose")
                moved[0, 0] = float(figure)
            else:
                assert move.label == "home region"
                moved[0, 1] = values.texts[1].index(move.change.removeprefix("were "))
        own = assign(model, values.customers(np.array([place]))).cluster[0]
        assert assign(model, FeatureValues(moved, values.texts)).cluster[0] != own
        # The last step is the least that does: a tenth less of it leaves them where they are.
        if other.moves[-1].label == "spend in the year":
            moved[0, 0] += 0.1 * (values.numbers[place, 0] - moved[0, 0])
            assert assign(model, FeatureValues(moved, values.texts)).cluster[0] == own


def test_since_when_and_why_are_those_of_the_history(link: Path) -> None:
    causes = {customer: explained(link, customer).cause for customer in ("c000", "c001", "c002", "c003")}
    assert causes == {
        "c000": "because what they do changed",
        "c001": "because the segments were fitted anew, not because they changed",
        "c002": "because they changed and the segments were fitted anew",
        "c003": "the first in this lens",
    }
    assert [explained(link, customer).before for customer in ("c000", "c003")] == ["Window shoppers", None]
    assert explained(link, "c000").since == date(2025, 2, 1)


def test_the_rule_is_checked_on_the_customer_and_one_of_other_words_is_not(link: Path) -> None:
    values = shop().numbers
    northern = next(place for place in range(NORTHERN) if values[place, 0] > 100 and values[place, 1] == 0)
    southern = next(place for place in range(NORTHERN) if values[place, 0] > 100 and values[place, 1] == 1)
    lens = explained(link, f"c{northern:03}")
    assert (lens.meets_rule, lens.rule_precision, lens.rule_recall) == (True, 0.75, 0.5)
    assert explained(link, f"c{southern:03}").meets_rule is False
    assert explained(link, "c150").meets_rule is None
    reworded = replace(OVERALL, features=(replace(OVERALL.features[0], label="turnover"), *OVERALL.features[1:]))
    assert explain_customer(link, "c000", [reworded]).lenses[0].meets_rule is None


def test_without_a_lens_s_file_its_features_go_by_their_columns(link: Path) -> None:
    lens = explain_customer(link, "c000", []).lenses[0]
    assert lens.title == "overall"
    assert "spend amount" in {reason.label for reason in lens.reasons}


def test_a_model_that_was_replaced_leaves_the_reasons_out_and_says_so(link: Path) -> None:
    lens = explained(link, "c000", "another")
    assert (lens.reasons, lens.next_segment, lens.stale_reason) == ((), None, "source rows changed")
    text = printed(explain_customer(link, "c000", [OVERALL, ANOTHER]))
    assert "the model that gave the segment has been replaced; run the date again for its reasons" in text
    assert "computed from something else than there is now: source rows changed" in text


def test_a_segment_published_under_an_older_key_is_known_by_its_members(
    model: Model, link: Path, tmp_path: Path
) -> None:
    path = tmp_path / "segments.duckdb"
    publish(path, model, ("an older key", model.segment_keys[1]))
    for customer in ("c000", "c150"):
        assert explained(path, customer) == explained(link, customer)


def test_the_explanation_reads_as_sentences(link: Path) -> None:
    text = printed(explain_customer(link, "c003", [OVERALL, ANOTHER]))
    confidence = explained(link, "c003").confidence
    for line in (
        "Customer c003, as of 2025-03-01\n\nAll in all\n",
        "segment       Northern big spenders (overall-seg-1), since 2025-02-01, the first in this lens\n",
        f"in it: {confidence:.2f}, where 0 is halfway to another segment and 1 the centre of this one; but farther out",
        "Of those who met it when the segment was born 75% belonged to it, 50% of its members met it.",
        "next nearest  Southern small spenders (overall-seg-2), where they would be if ",
        "to do         Act 1.\n",
    ):
        assert line in text


def test_an_unknown_customer_is_refused_with_the_date_and_what_ids_look_like(link: Path) -> None:
    with pytest.raises(SegmentationError, match=r"'4711' is not in scope at 2025-03-01.*200 customers are.*like c000"):
        explain_customer(link, "4711", [OVERALL])
    with pytest.raises(SegmentationError, match=r"'gone' is not in scope at 2025-03-01.*no segment since 2025-02-01"):
        explain_customer(link, "gone", [OVERALL])
    assert SegmentationError.exit_code == ExitCode.UNEXPECTED


def test_where_nothing_is_published_the_explanation_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="nothing is published yet"):
        explain_customer(tmp_path / "segments.duckdb", "c000", [])


def test_the_command_prints_the_explanation_and_refuses_an_unknown_customer(link: Path) -> None:
    environment = {"SEGMENTATION_DATA_DIR": str(link.parents[1])}
    known = CliRunner().invoke(app, ["explain", "c000"], env=environment)
    assert known.exit_code == 0
    assert known.output.startswith("Customer c000, as of 2025-03-01\n\nOverall shopping behaviour\n")
    assert "the model that gave the segment has been replaced" in known.output
    unknown = CliRunner().invoke(app, ["explain", "4711"], env=environment)
    assert isinstance(unknown.exception, SegmentationError)
