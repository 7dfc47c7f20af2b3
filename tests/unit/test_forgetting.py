"""Forgetting where nothing ran yet; logs; and what a killed `forget` leaves to the next step."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from segmentation_job import prepared_change
from segmentation_job.errors import MisconfiguredError, SegmentationError, WarehouseLockedError
from segmentation_job.forgetting import ForgettingReport, describe_report, forget, redact_logs
from segmentation_job.landing.keeping_out import KeptOut, keep_out_forgotten
from segmentation_job.landing.simulated_shop.generation import write_shop
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.prepared_change import Move
from segmentation_job.settings import Settings
from tests.support.renamed_customer import traces

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLE = Settings.from_environment({}).dbt_project_dir / "sources" / "example_csv" / "demonstration"

SettingsOf = Callable[[str], Settings]


@pytest.fixture
def settings_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsOf:
    def settings(source: str) -> Settings:
        environment = {
            "SOURCE": source,
            "SEGMENTATION_DATA_DIR": str(tmp_path / "data"),
            "SEGMENTATION_FORGET_KEY_FILE": str(tmp_path / "keys" / "forget.key"),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Settings.from_environment(environment)

    return settings


@pytest.fixture
def coffee_shop(settings_of: SettingsOf) -> Settings:
    settings = settings_of("example_csv")
    shutil.copytree(EXAMPLE, settings.landing_dir)
    return settings


def forgetting(settings: Settings, *customers: str) -> ForgettingReport:
    return forget(settings, customers, NOW, lambda _: [])


def lines_of(folder: Path) -> dict[str, list[bytes]]:
    return {path.name: path.read_bytes().splitlines() for path in sorted(folder.iterdir())}


def test_a_customer_goes_with_orders_and_lines_and_every_other_line_stays(coffee_shop: Settings) -> None:
    before = lines_of(EXAMPLE)
    orders = {line.split(b",")[0] for line in before["orders.csv"] if line.split(b",")[1] == b"C12"}
    assert orders

    report = forgetting(coffee_shop, " C12 ")

    def is_theirs(name: str, line: bytes) -> bool:
        first, second = line.split(b",")[:2]
        return {
            "customers.csv": first.strip() == b"C12",
            "orders.csv": second.strip() == b"C12" or first in orders,
            "order_lines.csv": first in orders,
        }.get(name, False)

    left = {name: [line for line in lines if not is_theirs(name, line)] for name, lines in before.items()}
    assert lines_of(coffee_shop.landing_dir) == left
    assert report.landing_rows == sum(map(len, before.values())) - sum(map(len, left.values()))
    assert report.unknown == ()
    assert "C12" not in coffee_shop.forgotten_path.read_text()
    assert not coffee_shop.warehouse_path.exists()


def test_whoever_lands_again_is_removed_with_late_rows_of_their_orders(coffee_shop: Settings) -> None:
    forgetting(coffee_shop, "C12")
    left = lines_of(coffee_shop.landing_dir)
    assert keep_out_forgotten(coffee_shop, NOW) == KeptOut(0, 0)
    # The lines of a forgotten order come again, without their order.
    shutil.copy(EXAMPLE / "order_lines.csv", coffee_shop.landing_dir)
    kept_out = keep_out_forgotten(coffee_shop, NOW)
    assert kept_out.customers == 0
    assert kept_out.rows > 0
    shutil.copytree(EXAMPLE, coffee_shop.landing_dir, dirs_exist_ok=True)
    assert keep_out_forgotten(coffee_shop, NOW).customers == 1
    assert lines_of(coffee_shop.landing_dir) == left


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_a_killed_forget_had_prepared_is_put_in_place_by_the_next_step(
    coffee_shop: Settings, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    real = prepared_change._carry_out
    done: list[Move] = []

    def killed(move: Move) -> None:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(move)
        real(move)

    monkeypatch.setattr(prepared_change, "_carry_out", killed)
    with pytest.raises(KeyboardInterrupt):
        forgetting(coffee_shop, "C12")
    monkeypatch.setattr(prepared_change, "_carry_out", real)
    assert traces(coffee_shop.landing_dir, "C12")

    keep_out_forgotten(coffee_shop, NOW)

    assert traces(coffee_shop.data_dir, "C12") == []
    assert traces(coffee_shop.data_dir, "C11")


def test_a_simulated_shop_forgets_in_every_entity_and_in_its_truth(settings_of: SettingsOf) -> None:
    settings = settings_of("simulated_shop")
    write_shop(ShopOptions(customers=40, seed=5, days=200, dirt_rate=0.02), settings.source_data_dir)
    with duckdb.connect() as connection:
        places = "select customer_id from '{}/{}/*.parquet' where customer_id is not null group by 1"
        ranked = connection.execute(
            " intersect ".join(
                places.format(settings.landing_dir, entity)
                for entity in ("customers", "orders", "payments", "web_events", "feedback")
            )
            + " order by 1"
        ).fetchall()
        person, other = ranked[0][0], ranked[1][0]
        orders = [
            order
            for (order,) in connection.execute(
                f"select order_id from '{settings.landing_dir}/orders/*.parquet' where customer_id = ?", [person]
            ).fetchall()
        ]
    found = {place.split("/")[2] for place in traces(settings.data_dir, person)}
    assert {"customers", "orders", "payments", "web_events", "segments"} <= found

    forgetting(settings, person)

    assert traces(settings.data_dir, person) == []
    assert traces(settings.data_dir, orders[0]) == []
    assert {place.split("/")[2] for place in traces(settings.data_dir, other)} >= {"customers", "orders", "segments"}


def test_nobody_is_forgotten_where_nobody_is_named(coffee_shop: Settings) -> None:
    with pytest.raises(SegmentationError, match="No customer was named"):
        forgetting(coffee_shop, " ")


def test_without_its_key_the_list_keeps_a_second_forgetting_from_beginning(coffee_shop: Settings) -> None:
    forgetting(coffee_shop, "C12")
    coffee_shop.forget_key_path.unlink()
    with pytest.raises(MisconfiguredError, match="their key is not at"):
        forgetting(coffee_shop, "C13")


def test_a_decision_that_names_them_is_told(coffee_shop: Settings) -> None:
    coffee_shop.decisions_path.write_text(json.dumps({"reason": "C12 asked for it"}) + "\n")
    assert forgetting(coffee_shop, "C12").named_in_decisions == ("C12",)


@pytest.mark.parametrize(
    ("text", "customer", "left"),
    [
        ("2 rows · first customers: 7, 17, 7 · seen: 7", "7", "2 rows · first customers: *, 17, * · seen: 7"),
        ('{"event": "first customers: 7, 17"}', "17", '{"event": "first customers: 7, **"}'),
        ("seen: customer_id = 7, spend = 7", "7", "seen: customer_id = *, spend = 7"),
        ("7 rows, 7 customers", "7", "7 rows, 7 customers"),
        ("of shop-0007 and shop-00071", "shop-0007", "of ********* and shop-00071"),
        ("customers 1234567", "1234567", "customers 1234567"),
    ],
)
def test_a_log_loses_an_id_where_it_is_one(tmp_path: Path, text: str, customer: str, left: str) -> None:
    log = tmp_path / "logs" / "attempt=1.log"
    log.parent.mkdir()
    log.write_text(text)
    redacted = list(redact_logs([tmp_path / "logs"], [customer]))
    assert log.read_text() == left
    assert redacted == ([log] if left != text else [])


def test_where_another_process_has_the_warehouse_open_nothing_is_changed(coffee_shop: Settings) -> None:
    before = lines_of(coffee_shop.landing_dir)
    opened = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", opened, str(coffee_shop.warehouse_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(WarehouseLockedError, match=f"PID {holder.pid}"):
            forgetting(coffee_shop, "C12")
        holder.communicate("\n")
    assert lines_of(coffee_shop.landing_dir) == before
    assert keep_out_forgotten(coffee_shop, NOW) == KeptOut(0, 0)


def test_a_landing_that_changes_while_somebody_is_forgotten_is_left_alone(
    coffee_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def land_meanwhile(*_: object) -> Iterator[Path]:
        with (coffee_shop.landing_dir / "orders.csv").open("a") as file:
            file.write("O999,C11,2024-06-30 10:00:00,web\n")
        return iter(())

    monkeypatch.setattr("segmentation_job.forgetting.redact_logs", land_meanwhile)
    with pytest.raises(SegmentationError, match="changed while it was written"):
        forgetting(coffee_shop, "C12")
    assert traces(coffee_shop.landing_dir, "C12")
    assert not coffee_shop.forgotten_path.exists()


def test_an_unknown_customer_is_said_to_be_and_kept_out_all_the_same(coffee_shop: Settings) -> None:
    before = lines_of(coffee_shop.landing_dir)
    report = forgetting(coffee_shop, "C77")
    assert "C77: nothing is there of this customer" in describe_report(report, coffee_shop)
    assert lines_of(coffee_shop.landing_dir) == before
    with (coffee_shop.landing_dir / "orders.csv").open("a") as file:
        file.write("O777,C77,2024-06-30 10:00:00,web\n")
    assert keep_out_forgotten(coffee_shop, NOW) == KeptOut(1, 1)
    assert lines_of(coffee_shop.landing_dir) == before
