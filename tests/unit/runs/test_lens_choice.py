"""Which lenses run on a source: by their files, the setting and what the source maps."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation_job.errors import MisconfiguredError
from segmentation_job.runs.versions import choose_lenses, read_feature_contract, read_lenses, read_skipped_lenses
from segmentation_job.segments.errors import LensError
from segmentation_job.settings import SHIPPED_LENSES_DIR, Settings
from segmentation_job.warehouse.tables import FEATURE_TABLES


def settings_of(**environment: str) -> Settings:
    return Settings.from_environment(environment)


def lens_folder(folder: Path, **lenses: dict[str, Any]) -> str:
    """Write lenses like `overall` under other names, with keys added; return the folder's path."""
    content = yaml.safe_load((SHIPPED_LENSES_DIR / "overall.yaml").read_text())
    # Some of these lenses have other features, and so other families.
    content.pop("weights", None)
    for name, changes in lenses.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**content, "name": name, **changes}))
    return str(folder)


def test_on_the_demonstration_data_four_lenses_run_and_the_others_say_why_not() -> None:
    settings = settings_of()
    assert [lens.name for lens in read_lenses(settings)] == ["demographic", "engagement", "overall", "purchase"]
    assert {lens.name: lens.reason for lens in read_skipped_lenses(settings)} == {
        "cultural": "lens cultural is skipped: its file says enabled: false; name it in SEGMENTATION_LENSES to run it",
        "financial": "lens financial is skipped: the source has no payments and no credit",
    }


def test_a_source_of_customers_and_orders_alone_runs_without_engagement() -> None:
    settings = settings_of(SOURCE="example_csv")
    assert [lens.name for lens in read_lenses(settings)] == ["demographic", "overall", "purchase"]
    reasons = {lens.name: lens.reason for lens in read_skipped_lenses(settings)}
    assert reasons["engagement"] == (
        "lens engagement is skipped: the source has no web_events, no loyalty_events, no feedback and no"
        " campaign_contacts"
    )


def test_exactly_the_lenses_run_that_the_setting_names() -> None:
    choice = choose_lenses(settings_of(SOURCE="example_csv", SEGMENTATION_LENSES="overall,cultural"))
    assert [lens.name for lens in choice.running] == ["cultural", "overall"]
    reasons = {lens.name: lens.reason for lens in choice.skipped}
    assert reasons["purchase"] == "lens purchase is skipped: SEGMENTATION_LENSES does not name it"


def test_a_lens_may_need_more_than_one_of_what_it_looks_at(tmp_path: Path) -> None:
    folder = lens_folder(tmp_path, origin={"needs_any": ["customers.age_band", "customers.city"], "needs_count": 2})
    choice = choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=folder))
    assert [lens.reason for lens in choice.skipped] == [
        "lens origin is skipped: it needs 2 of what it looks at, and the source has only customers.age_band"
    ]
    two = lens_folder(tmp_path, origin={"needs_any": ["customers.age_band", "customers.income_band"], "needs_count": 2})
    assert choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=two)).skipped == ()


def test_a_lens_that_the_setting_names_is_skipped_where_the_source_does_not_feed_it() -> None:
    choice = choose_lenses(settings_of(SEGMENTATION_LENSES="overall,financial"))
    assert [lens.name for lens in choice.running] == ["overall"]
    assert "lens financial is skipped: the source has no payments and no credit" in [
        lens.reason for lens in choice.skipped
    ]


def test_a_lens_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(MisconfiguredError, match=r"names 'overal'.*There are: cultural, .*overall"):
        read_lenses(settings_of(SEGMENTATION_LENSES="overal"))


def test_every_entity_of_needs_must_be_there_and_one_column_of_needs_any(tmp_path: Path) -> None:
    folder = lens_folder(
        tmp_path,
        a={"needs": ["orders", "credit", "payments"]},
        b={"needs_any": ["customers.gender", "customers.marital_status"]},
        c={"needs_any": ["customers.gender", "products.list_price_amount"]},
        d={"needs": ["orders"], "needs_any": ["campaign_contacts"]},
    )
    choice = choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=folder))
    assert [lens.name for lens in choice.running] == ["b", "d"]
    assert [lens.reason for lens in choice.skipped] == [
        "lens a is skipped: the source has no credit and no payments",
        "lens c is skipped: the source has no customers.gender and no products.list_price_amount",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"needs": ["purchases"]}, "needs 'purchases' is not in the input contract; use one of .*products"),
        ({"needs": ["orders.channel"]}, "needs 'orders.channel' is not in the input contract"),
        ({"needs_any": ["customers.shoe_size"]}, "needs_any 'customers.shoe_size' .*use one of household_size"),
    ],
)
def test_a_need_that_is_not_in_the_contract_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LensError, match=f"a.yaml: {message}"):
        read_lenses(settings_of(SEGMENTATION_LENSES_DIR=lens_folder(tmp_path, a=changes)))


def test_a_lens_that_is_off_is_read_all_the_same(tmp_path: Path) -> None:
    folder = lens_folder(tmp_path, a={"enabled": False, "k_min": 1})
    with pytest.raises(LensError, match="k_min"):
        read_lenses(settings_of(SEGMENTATION_LENSES_DIR=folder))


def lens_of(folder: Path, name: str, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    lens_folder(folder, **{name: changes})
    return folder


def test_a_lens_of_one_s_own_stands_beside_those_of_another_folder(tmp_path: Path) -> None:
    own = lens_of(tmp_path / "own", "mine")
    settings = settings_of(SEGMENTATION_LENSES_DIR=f"{SHIPPED_LENSES_DIR}:{own}")
    assert [lens.name for lens in read_lenses(settings)] == ["demographic", "engagement", "mine", "overall", "purchase"]
    assert {lens.name: lens.origin for lens in read_lenses(settings)}["mine"] == str(own / "mine.yaml")


def test_a_lens_that_two_folders_have_is_refused_with_both_files(tmp_path: Path) -> None:
    one, two = lens_of(tmp_path / "one", "mine"), lens_of(tmp_path / "two", "mine")
    with pytest.raises(MisconfiguredError, match=r"two/mine.yaml and .*one/mine.yaml both declare the lens 'mine'"):
        choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=f"{one}:{two}"))


def test_a_lenses_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"SEGMENTATION_LENSES_DIR: .*nowhere is no folder"):
        choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=str(tmp_path / "nowhere")))


FEATURE = {
    "column": "purchase_features.recency_days",
    "encoding": "log",
    "family": "recency",
    "high": "lapsed",
    "low": "",
    "label": "time since the last order",
    "unit": "days",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"features": [{**FEATURE, "column": "purchase_features.recency_day"}]},
            r"a.yaml: features\[0\].column purchase_features.recency_day does not exist: .*"
            "use purchase_features.recency_days",
        ),
        (
            {"features": [{**FEATURE, "column": "purchases.recency_days"}]},
            r"a.yaml: features\[0\].column .*there is no purchases; use purchase_features.recency_days",
        ),
        (
            {"features": [{**FEATURE, "column": "demographic_features.age_band"}]},
            r"a.yaml: features\[0\].column demographic_features.age_band is a text, .*use one_hot or ordinal",
        ),
        (
            {"features": [{**FEATURE, "column": "purchase_features.as_of_date"}]},
            r"a.yaml: features\[0\].column purchase_features.as_of_date does not exist",
        ),
        (
            {"objective": {"description": "x", "outcomes": [{"column": "financial_features.spend_90d"}]}},
            r"a.yaml: objective.outcomes\[0\].measure is missing; add it",
        ),
        (
            {
                "objective": {
                    "description": "x",
                    "outcomes": [{"column": "financial_features.spent_amount_90d", "measure": "log"}],
                }
            },
            r"a.yaml: objective.outcomes\[0\].column .*use financial_features.spend_amount_90d",
        ),
    ],
)
def test_what_no_feature_table_has_is_refused_before_anything_is_computed(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = lens_folder(tmp_path, a={"actions": [], "weights": {}, "enabled": False, **changes})
    with pytest.raises(LensError, match=message):
        choose_lenses(settings_of(SEGMENTATION_LENSES_DIR=folder))


def test_the_feature_contract_holds_the_types_of_the_four_tables_without_their_keys() -> None:
    contract = read_feature_contract(settings_of().dbt_project_dir / "models" / "features")
    assert set(contract) == set(FEATURE_TABLES)
    assert contract["financial_features"]["spend_amount_90d"] == "decimal(18, 2)"
    assert not {"as_of_date", "customer_id"} & set().union(*contract.values())
