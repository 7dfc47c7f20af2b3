"""What follows from the measurements: CPU without start-up, ratios, growth, and whether what was asked is met."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segmentation_job.steps import STEPS
from tests.measurements.bench.scenario import IMPORTS_OF_STEP
from tests.measurements.bench.shop import DAYS

Result = Mapping[str, Any]

FIRST_BUILD: Final = "first build"
NIGHT: Final = "one more night"
RERUN: Final = "rerun, forced"
BACKFILL: Final = "backfilled date"
FEATURE_STEPS: Final = ("build_facts", "build_features")
DBT_STEPS: Final = ("build_facts", "build_features", "build_marts")
STEP_NAMES: Final = tuple(step.name for step in STEPS)


@dataclass(frozen=True)
class Target:
    """Something that was asked, and what was found. value: None where no run of this version measured it."""

    what: str
    at: str
    asked: str
    value: float | None
    shown: str
    is_met: bool | None


def start_up_of(result: Result, step: str, dbt_starts: int) -> float:
    """Return the CPU seconds that a step spends before it does anything: imports, and dbt's own start."""
    start_up = result["start_up"]
    imports = float(start_up["imports"][IMPORTS_OF_STEP[step]]["cpu_seconds"])
    return imports + dbt_starts * float(start_up["dbt, nothing selected"]["cpu_seconds"])


def net(result: Result, step: str, taken: Mapping[str, Any]) -> float:
    """Return the CPU seconds of a step without its start-up, at least a hundredth of a second."""
    return max(float(taken["cpu_seconds"]) - start_up_of(result, step, taken["dbt_starts"]), 0.01)


def net_of(result: Result, phase: str, steps: Iterable[str] = STEP_NAMES) -> float:
    """Return the CPU seconds without start-up of some steps of a phase."""
    return sum(net(result, step, result["phases"][phase][step]) for step in steps)


def total_of(result: Result, phase: str, figure: str) -> float:
    """Return the sum of a figure over a phase's steps; of the peak memory the largest."""
    values = [float(taken[figure]) for taken in result["phases"][phase].values()]
    return max(values) if figure == "peak_megabytes" else sum(values)


def peak_of(result: Result, steps: Iterable[str]) -> tuple[float, str, str]:
    """Return the highest peak in megabytes of some steps over all phases, with phase and step."""
    return max(
        (float(taken["peak_megabytes"]), phase, step)
        for phase, found in result["phases"].items()
        for step, taken in found.items()
        if step in steps
    )


def features_to_scan(result: Result) -> float:
    """Return one more night's features as a multiple of the scan of the needed columns."""
    return net_of(result, NIGHT, FEATURE_STEPS) / scan(result)


def scan(result: Result) -> float:
    """Return the CPU seconds of the bare scan."""
    return max(float(result["floors"]["scan of the landing"]["cpu_seconds"]), 0.001)


def recompute_to_scan(result: Result) -> float:
    """Return the recomputation by hand as a multiple of the scan."""
    return float(result["floors"]["recompute"]["cpu_seconds"]) / scan(result)


def backfill_to_recompute(result: Result) -> float:
    """Return the features of a backfilled date as a part of the recomputation by hand."""
    return net_of(result, BACKFILL, FEATURE_STEPS) / float(result["floors"]["recompute"]["cpu_seconds"])


def gate_to_hand(result: Result) -> float:
    """Return the gate of the features as a multiple of its checks as SQL by hand."""
    taken = result["phases"][NIGHT]["gate_features"]
    return net(result, "gate_features", taken) / float(result["floors"]["gate by hand"]["cpu_seconds"])


def job_to_matrix(result: Result) -> float:
    """Return the job for one lens as a multiple of reading its matrix and one product."""
    return net(result, "segment", result["floors"]["one lens"]) / float(result["floors"]["matrix"]["cpu_seconds"])


def pandas_to_features(result: Result) -> tuple[float, float]:
    """Return how many times the CPU and the memory of a night's features pandas needs."""
    pandas, night = result["floors"]["pandas"], result["phases"][NIGHT]
    peak = max(float(night[step]["peak_megabytes"]) for step in FEATURE_STEPS)
    return (
        float(pandas["cpu_seconds"]) / net_of(result, NIGHT, FEATURE_STEPS),
        float(pandas["features_peak_megabytes"]) / peak,
    )


def overhead_seconds(result: Result) -> float:
    """Return the wall time of a run through Airflow less its steps' own work."""
    return float(result["orchestration"]["seconds"]) - float(result["orchestration"]["own_seconds"])


def exponent(smaller: Result, larger: Result, steps: Sequence[str] = STEP_NAMES) -> float:
    """Return by which power of the active customers the cost of a night grows between two shops."""
    growth = math.log(net_of(larger, NIGHT, steps) / net_of(smaller, NIGHT, steps))
    return growth / math.log(larger["active"] / smaller["active"])


def by_size(results: Iterable[Result]) -> dict[int, Result]:
    """Return the results of shops of the usual history by their number of customers, ascending."""
    return {each["customers"]: each for each in sorted(results, key=lambda r: r["customers"]) if each["days"] == DAYS}


def history_pairs(results: Iterable[Result]) -> list[tuple[Result, Result]]:
    """Return the shops that were measured with one year and with three, ascending by their customers."""
    years: dict[int, dict[int, Result]] = {}
    for each in results:
        if each["days"] != DAYS:
            years.setdefault(each["customers"], {})[round(each["days"] / 365)] = each
    return [(found[1], found[3]) for _, found in sorted(years.items()) if {1, 3} <= found.keys()]


def targets_of(results: Sequence[Result]) -> list[Target]:
    """Return what was asked, each with what the largest shop that says something about it shows."""
    sizes = by_size(results)
    largest = sizes[max(sizes)] if sizes else None
    is_large = largest is not None and largest["customers"] >= 1_000_000
    where = f"{largest['customers']:,} customers" if largest else "not measured"

    def at_largest(
        what: str, asked: str, figure: Callable[[Result], float], unit: str, limit: float, phase: str = NIGHT
    ) -> Target:
        if largest is None or phase not in largest["phases"]:
            return Target(what, where, asked, None, "not measured", None)
        value = figure(largest)
        is_met = value <= limit if is_large else None
        return Target(what, where, asked, value, f"{value:.2f}{unit}", is_met)

    found = [
        at_largest("one more night's features ÷ bare scan", "at most 10 ×", features_to_scan, " ×", 10),
        at_largest("a backfilled date ÷ recompute", "at most 0.25 ×", backfill_to_recompute, " ×", 0.25, BACKFILL),
        at_largest("peak memory of dbt", "under 5 GB", lambda r: peak_of(r, DBT_STEPS)[0] / 1000, " GB", 5),
        at_largest(
            "peak memory of the job's steps",
            "under 2 GB",
            lambda r: peak_of(r, set(STEP_NAMES) - set(DBT_STEPS) - {"repair_recent"})[0] / 1000,
            " GB",
            2,
        ),
        at_largest("gate of the features ÷ its SQL by hand", "at most 2 ×", gate_to_hand, " ×", 2),
        at_largest("job, one lens ÷ matrix and one product", "at most 3 ×", job_to_matrix, " ×", 3),
    ]
    with_pandas = {size: each for size, each in sizes.items() if "pandas" in each["floors"]}
    for position, (what, limit) in enumerate((("CPU", 20), ("memory", 10))):
        asked = f"at least {limit} ×"
        title = f"pandas' {what} for the features ÷ ours"
        if not with_pandas:
            found.append(Target(title, "not measured", asked, None, "not measured", None))
            continue
        size = max(with_pandas)
        value = pandas_to_features(with_pandas[size])[position]
        is_met = value >= limit if size >= 100_000 else None
        found.append(Target(title, f"{size:,} customers", asked, value, f"{value:.2f} ×", is_met))
    found += [_growth_of(sizes), _history_of(results)]
    orchestrated = [each for each in sizes.values() if "orchestration" in each]
    if orchestrated:
        value = overhead_seconds(orchestrated[-1])
        found.append(
            Target(
                "Airflow's overhead of a night",
                f"{orchestrated[-1]['customers']:,} customers",
                "at most 30 s",
                value,
                f"{value:.1f} s",
                value <= 30,
            )
        )
    return found


def _growth_of(sizes: Mapping[int, Result]) -> Target:
    what, at, asked = "growth of a night", "100,000 to 1,000,000 customers", "exponent at most 1.1"
    if not {100_000, 1_000_000} <= sizes.keys():
        return Target(what, at, asked, None, "not measured", None)
    value = exponent(sizes[100_000], sizes[1_000_000])
    return Target(what, at, asked, value, f"{value:.2f}", value <= 1.1)


def _history_of(results: Sequence[Result]) -> Target:
    what, asked = "a night after three years ÷ after one", "at most 1.15 ×"
    pairs = history_pairs(results)
    if not pairs:
        return Target(what, "", asked, None, "not measured", None)
    one, three = pairs[-1]
    value = net_of(three, NIGHT) / net_of(one, NIGHT)
    is_met = value <= 1.15 if one["customers"] >= 100_000 else None
    return Target(what, f"{one['customers']:,} customers", asked, value, f"{value:.2f} ×", is_met)
