"""A shop is written whole, chunk by chunk, and the same each time."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.simulated_shop.columns import ENTITIES, SCHEMAS
from segmentation_job.landing.simulated_shop.generation import shop_parts, write_shop
from segmentation_job.landing.simulated_shop.options import ShopOptions
from tests.unit.landing.simulated_shop.made_shop import MadeShop

SMALL = ShopOptions(customers=120, seed=5, chunk_customers=50)


def content(table: pa.Table) -> bytes:
    """What a table holds, as bytes: NaN is equal to NaN there."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def test_equal_options_give_equal_rows_and_another_seed_gives_others() -> None:
    first, again = list(shop_parts(SMALL)), list(shop_parts(SMALL))
    other = next(shop_parts(replace(SMALL, seed=6)))
    assert all(
        one.keys() == two.keys() and all(content(one[name]) == content(two[name]) for name in one)
        for one, two in zip(first, again, strict=True)
    )
    assert [name for name in first[0] if content(first[0][name]) == content(other[name])] == []


def test_a_chunk_holds_its_customers_and_their_rows_only() -> None:
    parts = list(shop_parts(SMALL))
    assert [part["truth/segments"].num_rows for part in parts] == [50, 50, 20]
    for part in parts:
        customers = set(part["truth/segments"]["customer_id"].to_pylist())
        for entity in ("orders", "web_events", "credit", "campaign_contacts"):
            named = {name for name in part[f"landing/{entity}"]["customer_id"].to_pylist() if name}
            assert {name for name in named if name.startswith("c0")} <= customers
    assert [entity for entity in ENTITIES if f"landing/{entity}" not in parts[1]] == ["products", "market_indicators"]


def test_a_later_chunk_does_not_depend_on_how_many_come_after_it() -> None:
    longer = list(shop_parts(replace(SMALL, customers=200)))
    for number, part in enumerate(list(shop_parts(SMALL))[:2]):
        assert all(content(part[name]) == content(longer[number][name]) for name in part)


def test_every_entity_is_written_with_its_columns_one_part_per_chunk(clean_shop: MadeShop) -> None:
    for entity in ENTITIES:
        files = sorted((clean_shop.folder / "landing" / entity).iterdir())
        chunks = 1 if entity in ("products", "market_indicators") else 3
        assert [file.name for file in files] == [f"part-{number:05d}.parquet" for number in range(chunks)]
        assert all(pq.read_schema(file).equals(SCHEMAS[entity]) for file in files)


def test_the_truth_is_no_part_of_the_landing(clean_shop: MadeShop) -> None:
    assert sorted(path.name for path in clean_shop.folder.iterdir()) == ["landing", "truth"]
    assert sorted(path.name for path in (clean_shop.folder / "landing").iterdir()) == sorted(ENTITIES)


def test_progress_tells_how_many_customers_are_done(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_shop(SMALL, tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(50, 120), (100, 120), (120, 120)]


def test_a_shop_that_was_cut_off_leaves_no_landing_and_the_next_try_makes_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = pq.write_table

    def write_until_payments(table: pa.Table, path: Path) -> None:
        if "payments" in str(path) and "00001" in str(path):
            raise KeyboardInterrupt
        written(table, path)

    monkeypatch.setattr(pq, "write_table", write_until_payments)
    with pytest.raises(KeyboardInterrupt):
        write_shop(SMALL, tmp_path)
    assert not (tmp_path / "landing").exists()
    assert not (tmp_path / "truth").exists()
    monkeypatch.undo()
    assert len(write_shop(SMALL, tmp_path)) == 10 * 3 + 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["landing", "truth"]


def test_a_landing_that_is_there_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "landing" / "orders" / "mine.parquet"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(SourceNotReadyError, match="is there already"):
        write_shop(SMALL, tmp_path)
    assert own.read_text() == "mine"


def test_no_dirt_and_nothing_late_where_none_is_asked_for() -> None:
    part = next(shop_parts(replace(SMALL, dirt_rate=0.0, late_rate=0.0)))
    assert part["truth/planted_dirt"].num_rows == 0
    events = part["landing/web_events"].to_pandas()
    assert (events.ingested_at - events.occurred_at).max().total_seconds() < 90 * 60
