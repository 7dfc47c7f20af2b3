import pytest

from segmentation_job.gate.distribution_shift import (
    has_distribution_shift,
    misspelled_distribution_shift,
    with_distribution_shift,
)

CALL = "select shift from distribution_shift('purchase_features', 'order_count') where shift > 1"


def test_a_call_becomes_a_subquery_on_both_tables() -> None:
    spelled = with_distribution_shift(CALL, "my_quintiles(value)")
    assert not has_distribution_shift(spelled)
    for part in ("from purchase_features)", "from previous_purchase_features)", "my_quintiles(value) as cut"):
        assert part in spelled
    assert spelled.endswith(") as distribution_shift where shift > 1")


def test_a_query_without_a_call_stays_as_it_is() -> None:
    query = "select customer_id from {batch} where customer_id = 'distribution_shift'"
    assert with_distribution_shift(query, "q") == query


@pytest.mark.parametrize("arguments", ["purchase_features, order_count", "'purchase_features'", "'a', 'b; drop'"])
def test_a_call_with_anything_but_two_names_is_misspelled(arguments: str) -> None:
    assert misspelled_distribution_shift(f"select shift from distribution_shift({arguments})")
    assert not misspelled_distribution_shift(CALL)
