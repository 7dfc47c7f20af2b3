"""What the segments of `overall` foretell of the next 90 days' spend on the real data, beside RFM.

The lens's segments are found without the 90 days that they foretell; a group's mean is learnt on nine folds of
customers and held against the tenth, so that 125 cells pay for their number.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from segmentation_job.segments.algorithms import RfmCells, RfmQuintiles
from segmentation_job.segments.choice import HeldOutValue, choose_model, held_out_value
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.lenses import Outcome
from tests.measurements.past import OUTCOME_DAYS, RFM_COLUMNS, outcomes_of, past_of
from tests.measurements.recovery import lens_clusters
from tests.measurements.shops import DEFAULT_CACHE, demonstration_features, shipped_lens

AS_OF = date(2017, 10, 3)
MOST_SEGMENTS = 12
SPEND = (Outcome("financial_features", "spend_amount_90d", "log"),)
# A single division into folds moves R² by some thousandths.
DIVISIONS = 20


@dataclass(frozen=True)
class GroupsValue:
    """Groups of customers and the R² of log spend by their means, held out and in the sample itself."""

    name: str
    number: int
    held_out: HeldOutValue
    in_sample: float


def value_of_groups(name: str, groups: npt.NDArray[np.int64], outcomes: FloatArray) -> GroupsValue:
    """Return what groups foretell, averaged over divisions into folds.

    groups: (n,) from 0. outcomes: (n, 1).
    """
    cells = int(groups.max()) + 1
    values = [held_out_value(groups, cells, outcomes, seed) for seed in range(DIVISIONS)]
    averaged = HeldOutValue(
        float(np.mean([value.value for value in values])), np.mean([value.influences for value in values], axis=0)
    )
    sizes = np.maximum(np.bincount(groups, minlength=cells), 1)
    means = np.bincount(groups, weights=outcomes[:, 0], minlength=cells) / sizes
    residuals = outcomes[:, 0] - means[groups]
    return GroupsValue(name, len(np.unique(groups)), averaged, float(1 - residuals.var() / outcomes[:, 0].var()))


def measure(cache: Path, as_of: date) -> list[GroupsValue]:
    """Return the value of RFM's groups, of what the full choice picks and of every number of segments from 4 to 12."""
    lens = shipped_lens("overall")
    before, after = (as_of + timedelta(days=days) for days in (-OUTCOME_DAYS, OUTCOME_DAYS))
    features = demonstration_features(cache, [before, as_of, after])
    ids, values = features.lens_values(lens, as_of)
    outcomes = outcomes_of(features, SPEND, ids, after)
    _, rfm = features.values(RFM_COLUMNS, as_of)
    baselines: dict[str, Callable[[], RfmCells]] = {
        "RFM, 5×5×5 cells": RfmCells,
        "RFM, quintile groups of the summed score": RfmQuintiles,
    }
    found = [
        value_of_groups(name, make().fit(rfm.numbers).predict(rfm.numbers), outcomes)
        for name, make in baselines.items()
    ]
    choice = choose_model(values, lens, past_of(features, lens, as_of), None)
    chosen = lens_clusters(values, lens, choice.algorithm, choice.k)
    found.append(value_of_groups(f"overall as chosen: {choice.algorithm}", chosen, outcomes))
    for k in range(lens.k_min, MOST_SEGMENTS + 1):
        clusters = lens_clusters(values, lens, lens.algorithms[0], k)
        found.append(value_of_groups(f"overall, {lens.algorithms[0]}", clusters, outcomes))
    return found


def table_of(found: list[GroupsValue], as_of: date) -> Table:
    """Return a row for each way to group the customers, with its distance to the first."""
    table = Table(title=f"R² of the log of 90 days' spend after {as_of} by group means")
    table.add_column("groups of customers")
    for heading in ("groups", "R² held out", "± s.e.", "less RFM cells", "± s.e.", "R² in sample"):
        table.add_column(heading, justify="right")
    for groups in found:
        lead, error = groups.held_out.lead_over(found[0].held_out)
        table.add_row(
            groups.name,
            str(groups.number),
            f"{groups.held_out.value:.3f}",
            f"{groups.held_out.error:.3f}",
            *(("", "") if groups is found[0] else (f"{lead:+.3f}", f"{error:.3f}")),
            f"{groups.in_sample:.3f}",
        )
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--as-of", type=date.fromisoformat, default=AS_OF)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    given = parser.parse_args()
    Console(width=110).print(table_of(measure(given.cache, given.as_of), given.as_of))


if __name__ == "__main__":
    main()
