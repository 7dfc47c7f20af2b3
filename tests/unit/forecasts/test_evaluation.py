from __future__ import annotations

import pytest

from segmentation_job.forecasts.evaluation import compare_purchase_forecasts


def test_each_way_to_forecast_is_measured_on_the_same_customers() -> None:
    model, own, mean = compare_purchase_forecasts([1.0, 3.0], [0.0, 6.0], 2.0, [1, 5])
    assert [error.method for error in (model, own, mean)] == ["BG/NBD", "own past rate", "population mean"]
    assert [error.mean_absolute_error for error in (model, own, mean)] == [1.0, 1.0, 2.0]
    assert model.root_mean_square_error == pytest.approx(2**0.5)
    assert (model.mean_forecast, model.mean_actual, model.customers) == (2.0, 3.0, 2)


@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [([1.0], [1, 2], "forecasts for 2 customers"), ([float("nan")], [1], "must be finite"), ([], [], "at least one")],
)
def test_forecasts_that_cannot_be_compared_are_refused(predicted: list[float], actual: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_purchase_forecasts(predicted, predicted, 1.0, actual)
