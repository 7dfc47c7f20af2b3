"""How still labels stand while customers slowly drift, and how late a true move shows.

    python -m tests.measurements.steadiness [--customers 4000] [--seeds 301,302,303]

Sixty nights under one model, then a refit, on features built beforehand: every night's labels by the rule that runs
use, beside those of the nearest segment. A change is causeless where the truth says that the customer never becomes a
member of another latent segment. A true move is one of a customer who does, that stays in the nearest segment until
the last night.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.runs.calendar import RunPlan, fit_dates
from segmentation_job.runs.labelling import nearest_clusters, settled_clusters
from segmentation_job.runs.lineage import Lineage, bring_lineage_up_to_date
from segmentation_job.runs.segmentation import _clear_candidates
from segmentation_job.runs.state import refit_context
from segmentation_job.warehouse import open_warehouse
from tests.measurements.shops import DEFAULT_CACHE, shipped_lens, shop_features

FIT = date(2025, 7, 1)
REFIT = date(2025, 9, 1)
NIGHTS = 60
DRIFT = 0.2

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Steadiness:
    """What sixty nights and a refit did in one shop; shares are of the customers in scope, 0 to 1.

    causeless, plain_causeless: by night, of customers without a true change, by the rule and by the nearest segment.
    lags: nights from a true move under the nearest segment to the same under the rule. unseen: true moves that the
    rule has not shown by the last night. refit_causeless, refit_plain: who without a true change is in another
    segment after the refit, by origin and by the nearest segment. k, refit_k: segments.
    """

    seed: int
    causeless: tuple[float, ...]
    plain_causeless: tuple[float, ...]
    lags: tuple[int, ...]
    unseen: int
    refit_causeless: float
    refit_plain: float
    k: int
    refit_k: int

    @property
    def median_lag(self) -> float:
        """The median over all true moves; one that is not shown yet is later than any other."""
        lags = [*self.lags, *[np.inf] * self.unseen]
        return float(np.median(lags)) if lags else np.nan


def _said(lag: float) -> str:
    return f"{lag:.1f}" if np.isfinite(lag) else "more than seen"


def measure_steadiness(cache: Path, customers: int, seed: int) -> Steadiness:
    """Return how still the labels of lens `overall` stand in one simulated shop."""
    nights = [FIT + timedelta(days=night) for night in range(NIGHTS + 1)]
    options = ShopOptions(customers=customers, seed=seed, drift=DRIFT, dirt_rate=0.0, late_rate=0.0)
    every_day = [FIT + timedelta(days=night) for night in range((REFIT - FIT).days + 1)]
    lookbacks = [day for refit in (FIT, REFIT) for day in fit_dates(refit, None, options.start, ())]
    built = shop_features(cache, options, sorted({*every_day, *lookbacks}))
    lens = shipped_lens("overall")
    with open_warehouse(built.settings) as warehouse:
        computed = [day for (day,) in warehouse.rows("select distinct as_of_date from candidate.purchase_features")]
        context = refit_context(warehouse, computed, (), sample_size=100_000, batch_size=250_000)

        def lineage_of(as_of: date, refits: Sequence[date]) -> Lineage:
            _clear_candidates(warehouse, as_of)
            plan = RunPlan(as_of, FIT, tuple(refits), tuple(sorted(computed)))
            return bring_lineage_up_to_date(warehouse, plan, lens, context)

        first, second = lineage_of(nights[-1], [FIT]), lineage_of(REFIT, [FIT, REFIT])
        assert first.in_effect is not None
        assert first.origins is not None
        assert second.in_effect is not None
        assert second.origins is not None
        labels, plain = [], []
        for night in [*nights, REFIT]:
            labels.append(_by_customer(*settled_clusters(context.features, first.in_effect, first.origins, night)))
            plain.append(_by_customer(*nearest_clusters(context.features, first.in_effect, night)))
        after = _by_customer(*settled_clusters(context.features, second.in_effect, second.origins, REFIT))
        after_plain = _by_customer(*nearest_clusters(context.features, second.in_effect, REFIT))
    moving = _who_moves(built.settings.source_data_dir / "truth" / "segment_intervals")
    before_keys = {who: first.in_effect.segment_keys[cluster] for who, cluster in labels[-1].items()}
    after_keys = {who: second.in_effect.segment_keys[cluster] for who, cluster in after.items()}
    plain_before = {who: first.in_effect.segment_keys[cluster] for who, cluster in plain[-1].items()}
    plain_after = {who: second.in_effect.segment_keys[cluster] for who, cluster in after_plain.items()}
    lags, unseen = _lags(labels[:-1], plain[:-1], moving)
    return Steadiness(
        seed=seed,
        causeless=tuple(_changed(a, b, moving) for a, b in itertools.pairwise(labels[:-1])),
        plain_causeless=tuple(_changed(a, b, moving) for a, b in itertools.pairwise(plain[:-1])),
        lags=tuple(lags),
        unseen=unseen,
        refit_causeless=_changed(before_keys, after_keys, moving),
        refit_plain=_changed(plain_before, plain_after, moving),
        k=first.in_effect.k,
        refit_k=second.in_effect.k,
    )


def steadiness_table(results: Sequence[Steadiness]) -> Table:
    """Return the figures of all shops as a table."""
    table = Table(
        title=f"Labels of lens overall over {NIGHTS} nights of slow drift ({DRIFT:.0%} of customers become members of"
        " another latent segment), then a refit",
        title_justify="left",
    )
    for column in (
        "seed", "k", "causeless a night", "worst night", "by nearest", "true moves", "median nights later",
        "not yet shown", "k after refit", "causeless at refit", "by nearest at refit",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for result in results:
        table.add_row(
            str(result.seed),
            str(result.k),
            f"{np.mean(result.causeless):.2%}",
            f"{max(result.causeless):.2%}",
            f"{np.mean(result.plain_causeless):.2%}",
            str(len(result.lags) + result.unseen),
            _said(result.median_lag),
            str(result.unseen),
            str(result.refit_k),
            f"{result.refit_causeless:.2%}",
            f"{result.refit_plain:.2%}",
        )
    return table


def _by_customer(ids: pa.Array, clusters: IntArray) -> dict[str, int]:
    return dict(zip(ids.to_pylist(), clusters.tolist(), strict=True))


def _who_moves(folder: Path) -> frozenset[str]:
    """Customers who at some time become members of another latent segment."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select customer_id from '{folder}/*.parquet' group by customer_id having count(*) > 1"
        ).fetchall()
    return frozenset(customer for (customer,) in found)


def _changed(before: Mapping[str, object], after: Mapping[str, object], moving: frozenset[str]) -> float:
    """Share of the customers of both nights whose label changed though they never truly move."""
    both = before.keys() & after.keys()
    return sum(before[who] != after[who] for who in both if who not in moving) / len(both)


def _lags(
    labels: Sequence[dict[str, int]], plain: Sequence[dict[str, int]], moving: frozenset[str]
) -> tuple[list[int], int]:
    """Nights from a lasting move in the nearest segment to the same label, and moves that never came to it."""
    lags, unseen = [], 0
    for who in sorted(moving & labels[0].keys()):
        last = plain[-1][who]
        if plain[0][who] == last:
            continue
        arrived = next(night for night in range(len(plain)) if all(later[who] == last for later in plain[night:]))
        # Who only just came may still go back.
        if arrived > len(plain) - 8:
            continue
        shown = next((night for night in range(len(labels)) if all(row[who] == last for row in labels[night:])), None)
        if shown is None:
            unseen += 1
        else:
            lags.append(max(shown - arrived, 0))
    return lags, unseen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--seeds", default="301,302,303")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    options = parser.parse_args()
    results = [
        measure_steadiness(options.cache, options.customers, int(seed)) for seed in str(options.seeds).split(",")
    ]
    Console(width=150).print(steadiness_table(results))
    moves = [lag for result in results for lag in (*result.lags, *[np.inf] * result.unseen)]
    print(
        f"All shops: {np.mean([result.causeless for result in results]):.2%} of labels change a night without a true"
        f" change, {max(max(result.causeless) for result in results):.2%} on the worst night; of {len(moves)} true"
        f" moves the median shows {_said(float(np.median(moves)))} nights after it shows by the nearest segment; at a"
        f" refit at most {max(result.refit_causeless for result in results):.2%} change without a true change."
    )


if __name__ == "__main__":
    main()
