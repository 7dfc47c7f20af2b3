"""When a lens is checked, which dates a check reads, and what it writes."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from segmentation_job.runs import watching
from segmentation_job.runs.watching import watch_dates, watch_lens, write_alarms
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.segments.fitting import fit_model
from segmentation_job.segments.lenses import Lens, parse_lens
from segmentation_job.segments.model import Model
from segmentation_job.segments.watching import Alarm
from segmentation_job.settings import PROJECT_DIR, Settings
from segmentation_job.warehouse import open_warehouse

MONDAY = date(2026, 3, 9)
FITTED = date(2026, 1, 1)


@pytest.fixture
def lens() -> Lens:
    path = PROJECT_DIR / "segmentation_job" / "lenses" / "overall.yaml"
    return parse_lens(path.read_text(), str(path))


class Shop:
    """600 customers of two kinds, who do a little differently every day; and a third kind from a date on."""

    def __init__(self, lens: Lens, newcomers_from: date | None = None) -> None:
        self.width = len(lens.features)
        self.newcomers_from = newcomers_from
        self.days: list[date] = []

    def read(self, day: date) -> tuple[list[str], FeatureValues]:
        self.days.append(day)
        random = np.random.default_rng(day.toordinal())
        values = [random.normal(5, 0.5, (300, self.width)), random.normal(50, 5, (300, self.width))]
        if self.newcomers_from and day > self.newcomers_from:
            newcomers = random.normal(5, 0.5, (60, self.width))
            newcomers[:, ::2] *= 30
            values.append(newcomers)
        numbers = np.vstack(values)
        return [f"c{number:04d}" for number in range(len(numbers))], FeatureValues(numbers)


def model_of(lens: Lens, shop: Shop) -> Model:
    return fit_model(shop.read(FITTED)[1], lens, "kmeans", 2, FITTED)


def test_a_check_is_due_on_mondays_from_63_days_after_the_lineages_start_on() -> None:
    start = MONDAY - timedelta(days=63)

    assert watch_dates(MONDAY, start) == tuple(MONDAY - timedelta(days=days) for days in (63, 56, 35, 28, 7, 0))
    assert watch_dates(MONDAY, start + timedelta(days=1)) == ()
    assert all(watch_dates(MONDAY + timedelta(days=days), start) == () for days in range(1, 7))
    assert watch_dates(MONDAY + timedelta(days=7), start) != ()


def test_a_check_reads_its_dates_and_the_fit_date_alone(lens: Lens) -> None:
    shop = Shop(lens)
    model = model_of(lens, shop)
    shop.days.clear()

    watch_lens(lens, model, MONDAY, shop.read)

    assert set(shop.days) == {*watch_dates(MONDAY, FITTED), FITTED}


def test_a_check_announces_those_who_came_in_the_last_weeks_and_nobody_where_none_did(lens: Lens) -> None:
    steady, growing = Shop(lens), Shop(lens, newcomers_from=MONDAY - timedelta(days=20))

    assert watch_lens(lens, model_of(lens, steady), MONDAY, steady.read) == []
    kinds = [alarm.kind for alarm in watch_lens(lens, model_of(lens, growing), MONDAY, growing.read)]
    assert kinds[0] == "emerging"


def test_the_customers_watched_are_the_same_whoever_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCHED_CUSTOMERS", 50)
    few = [f"c{number:03d}" for number in range(0, 200, 2)]
    many = [f"c{number:03d}" for number in range(200)]

    of_few, of_many = ([ids[place] for place in watching._watched(ids)] for ids in (few, many))

    assert len(of_few) == len(of_many) == 50
    assert of_many == sorted(of_many)
    assert set(of_many) & set(few) <= set(of_few)


def test_written_alarms_replace_those_of_an_earlier_attempt(tmp_path: Path) -> None:
    settings = Settings.from_environment({"SEGMENTATION_DATA_DIR": str(tmp_path)})
    alarm = Alarm("drifting", None, "t.c", "It moved.", "Look.", {"level": "large", "population_stability_index": 0.3})
    with open_warehouse(settings) as warehouse:
        write_alarms(warehouse, MONDAY, "overall", [alarm, alarm])
        write_alarms(warehouse, MONDAY, "purchase", [alarm])
        write_alarms(warehouse, MONDAY, "overall", [alarm])
        rows = warehouse.rows(
            "select lens, kind, segment_key, feature, figures from candidate.segment_alarms order by 1"
        )
        write_alarms(warehouse, MONDAY, "overall", [])
        left = warehouse.rows("select lens from candidate.segment_alarms")

    assert [row[:4] for row in rows] == [(lens, "drifting", None, "t.c") for lens in ("overall", "purchase")]
    assert json.loads(str(rows[0][4])) == alarm.figures
    assert left == [("purchase",)]
