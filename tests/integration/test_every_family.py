"""A shop that has all six families: every promised table is filled, every planted row of dirt is found."""

import re
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from segmentation_job.customer_explanation import explain_customer
from segmentation_job.runs.feature_matrix import values_of
from segmentation_job.runs.versions import read_lens_files
from segmentation_job.segments.explanation import rule_holds
from segmentation_job.settings import Settings
from tests.measurements.recovery import TRUE_NUMBER, lens_clusters, standard_clusters
from tests.measurements.shops import BuiltFeatures, shipped_lens, source_settings
from tests.support.every_family import AS_OF, night_of_every_family
from tests.support.nights import PROJECT_DIR, Nights
from tests.support.published import PROMISED_COLUMNS, columns_of
from tests.support.simulated_shop import SOURCE, truth_of_shop

QUESTIONS = PROJECT_DIR / "README.md"
SHIPPED_LENSES = {"overall", "demographic", "financial", "purchase", "engagement"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A night on a simulated shop of 900 customers."""
    return night_of_every_family(tmp_path_factory)


def answers() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the rows of the table of questions: what is asked, the table and its columns that answer it."""
    found = []
    for line in QUESTIONS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`\w+`", cells[2]):
            found.append((f"{cells[0]}: {cells[1]}", cells[2].strip("`"), tuple(re.findall(r"`(\w+)`", cells[3]))))
    return found


def test_every_promised_table_holds_rows(shop: Nights) -> None:
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        found = columns_of(published)
        missing = {table: columns - found.get(table, set()) for table, columns in PROMISED_COLUMNS.items()}
        assert {table: columns for table, columns in missing.items() if columns} == {}
        # A first night has nothing before it to move from.
        empty = [table for table in found if published.execute(f"select 1 from {table} limit 1").fetchall() == []]
    # They hold rows once somebody decides, and once a weekly check sees something.
    assert set(empty) == {"decisions", "segment_alarms"}


def test_every_shipped_lens_labels_every_customer(shop: Nights) -> None:
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        labelled = dict(published.execute("select lens, count(*) from customer_segments group by lens").fetchall())
        customers = published.execute("select count(*) from customer_360").fetchall()[0][0]
    assert labelled == dict.fromkeys(SHIPPED_LENSES, customers)
    assert customers > 700


def test_the_overall_lens_finds_the_latent_segments_better_than_standardised_k_means(shop: Nights) -> None:
    # One shop says little; `make recovery` asks twenty.
    features = BuiltFeatures(source_settings(SOURCE, shop.data_dir), schema="promoted")
    lens = shipped_lens("overall")
    customers, values = features.lens_values(lens, AS_OF)
    truth = features.true_segments(customers)
    found = adjusted_rand_score(truth, lens_clusters(values, lens, "kmeans", TRUE_NUMBER))
    standard = adjusted_rand_score(truth, standard_clusters(values, TRUE_NUMBER, lens.seed))
    assert found > standard + 0.03
    assert found > 0.25


def test_what_is_set_aside_is_what_was_planted_with_its_reason(shop: Nights) -> None:
    planted = Counter(
        duckdb.execute(
            f"select entity, reason, record_key from '{truth_of_shop(shop.data_dir, 'planted_dirt')}'"
        ).fetchall()
    )
    set_aside = Counter(shop.query("select entity, reason, record_key from staging.quarantine"))
    assert set_aside == planted
    assert len({(entity, reason) for entity, reason, _ in planted}) > 50


@pytest.mark.parametrize(("question", "table", "columns"), answers(), ids=lambda value: str(value)[:40])
def test_every_question_of_the_mission_has_rows_that_answer_it(
    shop: Nights, question: str, table: str, columns: tuple[str, ...]
) -> None:
    assert columns, question
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        for column in columns:
            found = published.execute(f'select count("{column}"), count(distinct "{column}") from {table}').fetchall()
            assert found[0][0] > 0, f"{question}: {table}.{column} holds nothing"


def test_a_late_market_figure_shows_once_its_date_is_run_again(shop: Nights, tmp_path: Path) -> None:
    # No feature and no label rests on it, and the date must be described anew all the same.
    nights = shop.copy(tmp_path / "data", SEGMENTATION_LENSES="overall")
    landing = nights.source_dir / "landing" / "market_indicators"
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * replace (timestamp '2025-12-31 08:00:00' as published_at, 777.0 as indicator_value)"
            f" from '{landing}/part-00000.parquet' where indicator = 'industry_index'"
            f" and indicator_month = '2025-10-01' limit 1) to '{landing}/part-late.parquet'"
        )

    nights.run(AS_OF)

    with duckdb.connect(str(nights.serving_link), read_only=True) as published:
        shown = published.execute(
            "select indicator_value from market_trends where indicator = 'industry_index'"
            " and indicator_month = '2025-10-01'"
        ).fetchall()
        stale = published.execute("select stale_reason from segmentation_runs where lens = 'overall'").fetchall()
    assert shown == [(777.0,)]
    assert stale == [(None,)]


def test_the_table_of_questions_names_every_topic_of_the_mission() -> None:
    asked = " ".join(question.lower() for question, _, _ in answers())
    topics = (
        "age", "gender", "income", "geograph", "culture", "spend", "margin", "credit", "payment", "product", "season",
        "recurring", "category", "repeat", "reward", "high-value", "brows", "interest", "cart", "survey", "review",
        "industry", "technolog", "demand", "competitor", "future",
    )  # fmt: skip
    assert [topic for topic in topics if topic not in asked] == []


def test_the_published_rules_find_exactly_as_many_of_everyone_as_they_say(shop: Nights) -> None:
    lenses = {lens.name: lens for lens in read_lens_files(Settings.from_environment({}))}
    checked = 0
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        for lens in (lenses[name] for name in sorted(SHIPPED_LENSES)):
            names, texts = [feature.name for feature in lens.features], lens.text_columns()
            columns = ", ".join(
                f'cast("{name.partition(".")[2]}" as {"varchar" if name in texts else "double"}) as "{name}"'
                for name in names
            )
            rows = published.sql(f"select {lens.name}_segment_id as id, {columns} from customer_360").to_arrow_table()
            values, ids = values_of(rows, names, texts), np.array(rows.column("id").to_pylist())
            for segment_id, rule, precision, recall in published.execute(
                "select segment_id, rule, rule_precision, rule_recall from segments where lens = ?", [lens.name]
            ).fetchall():
                met, members = rule_holds(rule, values, lens), ids == segment_id
                assert met is not None, rule
                assert (met & members).sum() / met.sum() == pytest.approx(precision, abs=1e-6)
                assert (met & members).sum() / members.sum() == pytest.approx(recall, abs=1e-6)
                checked += 1
    assert checked >= 15


def test_a_customer_of_every_segment_is_explained_by_what_the_segment_stands_out_by(shop: Nights) -> None:
    lenses = read_lens_files(Settings.from_environment({}))
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        surest = published.execute(
            "select max_by(customer_id, confidence) from customer_segments where lens = 'overall' group by segment_id"
        ).fetchall()
    assert len(surest) > 3
    for (customer,) in surest:
        found = explain_customer(shop.serving_link, customer, lenses)
        assert {lens.lens for lens in found.lenses} == SHIPPED_LENSES
        for lens in found.lenses:
            assert lens.reasons or lens.next_segment is None
            assert lens.next_segment is None or lens.next_segment.segment_id != lens.segment_id
            assert lens.meets_rule is not None
        assert found.lenses[0].reasons[0].segment != f"typically {found.lenses[0].reasons[0].everyone}"


def test_who_never_bought_is_named_by_that(shop: Nights) -> None:
    with duckdb.connect(str(shop.serving_link), read_only=True) as published:
        names = published.execute(
            "select overall_segment_name, count(*), count(*) filter (where order_count = 0)"
            " from customer_360 group by overall_segment_name"
        ).fetchall()
    mostly_without = [name for name, customers, without in names if without >= 0.8 * customers]
    assert mostly_without == ["Not-yet-buying visitors"]
