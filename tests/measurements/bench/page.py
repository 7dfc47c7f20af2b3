"""docs/performance.md, written from the results alone."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from tests.measurements.bench.figures import (
    BACKFILL,
    DBT_STEPS,
    FEATURE_STEPS,
    FIRST_BUILD,
    NIGHT,
    RERUN,
    STEP_NAMES,
    Result,
    backfill_to_recompute,
    by_size,
    exponent,
    features_to_scan,
    gate_to_hand,
    history_pairs,
    job_to_matrix,
    net,
    net_of,
    overhead_seconds,
    pandas_to_features,
    peak_of,
    recompute_to_scan,
    start_up_of,
    targets_of,
    total_of,
)

PHASES: Final = (FIRST_BUILD, NIGHT, RERUN, BACKFILL)

PARAGRAPHS: Final = (
    "# How fast it is",
    (
        "`make bench` measured everything here and wrote this page: change nothing by hand. `make bench "
        'CUSTOMERS="10000 100000"` measures these sizes; what was measured of other sizes stays on the page '
        "as long as the code is the same."
    ),
    (
        "The shop is the simulated one, two years of it, without planted dirt and late rows, so that the "
        "alternatives compute the same features without cleaning. It is made once for each size and kept in "
        "`data/measurements`. Files by customer hold what was known before 2025-12-29. What came on each day "
        "after that lands as further files: one more night. Each step is a process of its own, started as "
        "the DAG starts it, its children counted in. CPU is user and system time. Peak memory is that of the "
        "largest single process."
    ),
    (
        "**CPU without start-up** is what a step took, less what its imports take, and less what dbt takes "
        "with nothing selected for each time that the step starts dbt. The floors are counted from when "
        "everything is imported."
    ),
)


def page_of(results: Sequence[Result]) -> str:
    """Return the page as Markdown."""
    sizes = by_size(results)
    parts = [*PARAGRAPHS, _measured(results), _targets(results)]
    if sizes:
        largest = sizes[max(sizes)]
        parts += [
            _shops(sizes.values()),
            _phases(sizes.values()),
            _floors(sizes.values()),
            _steps(largest),
            _profile(largest),
            _growth(results),
            _start_up(largest),
            _orchestration(sizes.values()),
        ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


NUMBER: Final = re.compile(r"[*\d]|not measured|$")


def phases_of(result: Result) -> list[str]:
    """Return the phases that were measured, in their order: a brief run has the first two."""
    return [phase for phase in PHASES if phase in result["phases"]]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [list(row) for row in rows]
    marks = ["---:" if all(NUMBER.match(row[position]) for row in body) else "---" for position in range(len(headings))]
    lines = [headings, marks, *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cpu(seconds: float) -> str:
    return f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.1f}" if seconds < 100 else f"{seconds:,.0f}"


def _measured(results: Sequence[Result]) -> str:
    if not results:
        return "Nothing has been measured yet.\n"
    newest = max(results, key=lambda each: str(each["measured_at"]))
    machine, versions = newest["machine"], newest["versions"]
    said = (
        f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['memory_gigabytes']} GB of memory;"
        f" DuckDB with {newest['threads']} threads and a memory limit of {newest['memory_limit']}."
        f" {', '.join(f'{name} {version}' for name, version in versions.items())}. Code {newest['code']}."
    )
    rows = [
        [
            f"{each['customers']:,}",
            f"{each['days']:,}",
            str(each["measured_at"]).replace("T", " ").replace("+00:00", " UTC"),
            f"{each['machine']['load_at_start']}",
        ]
        for each in sorted(results, key=lambda each: (each["customers"], each["days"]))
    ]
    return f"{said}\n\n{_table(['customers', 'days of orders', 'measured at', 'load before it'], rows)}"


def _targets(results: Sequence[Result]) -> str:
    words = {True: "met", False: "**missed**", None: "not judged"}
    rows = [[each.what, each.at, each.asked, each.shown, words[each.is_met]] for each in targets_of(results)]
    return f"## What was asked\n\n{_table(['figure', 'at', 'asked', 'measured', ''], rows)}"


def _shops(results: Iterable[Result]) -> str:
    rows = [
        [
            f"{each['customers']:,}",
            f"{each['rows']['order_lines']:,}",
            f"{each['rows']['web_events']:,}",
            f"{sum(each['rows'].values()):,}",
            f"{each['active']:,}",
            f"{each['landing_bytes'] / 1e9:.2f} GB",
            f"{each['warehouse_bytes'] / 1e9:.2f} GB",
        ]
        for each in results
    ]
    headings = ["customers", "order lines", "web events", "all rows", "active in 90 days", "landing", "warehouse"]
    return f"## The shops\n\n{_table(headings, rows)}"


def _phases(results: Iterable[Result]) -> str:
    rows = []
    for each in results:
        for phase in phases_of(each):
            peak, _, step = max((float(t["peak_megabytes"]), "", s) for s, t in each["phases"][phase].items())
            dates = each["phases"][phase]["build_features"].get("dates", [])
            rows.append(
                [
                    phase,
                    f"{each['customers']:,}",
                    str(len(dates)),
                    _cpu(total_of(each, phase, "seconds")),
                    _cpu(total_of(each, phase, "cpu_seconds")),
                    _cpu(net_of(each, phase)),
                    f"{peak / 1000:.2f} GB ({step})",
                ]
            )
        skipped = each["phases"].get("rerun, nothing changed", {}).get("check")
        if skipped is None:
            continue
        rows.append(
            [
                "rerun, nothing changed",
                f"{each['customers']:,}",
                "0",
                _cpu(skipped["seconds"]),
                _cpu(skipped["cpu_seconds"]),
                _cpu(net(each, "check", skipped)),
                f"{skipped['peak_megabytes'] / 1000:.2f} GB (check)",
            ]
        )
    headings = ["", "customers", "dates computed", "seconds", "CPU s", "CPU s without start-up", "peak memory"]
    return (
        "## Whole nights\n\nAll steps of a date, from `check` to `report`. The first build computes the features of"
        f" all dates that its models lean on.\n\n{_table(headings, rows)}"
    )


def _floors(results: Iterable[Result]) -> str:
    rows = []
    for each in results:
        floors, size = each["floors"], f"{each['customers']:,}"

        def row(name: str, cpu: float, peak: float | None, compared: str, size: str = size) -> list[str]:
            return [name, size, _cpu(cpu), "" if peak is None else f"{peak / 1000:.2f} GB", compared]

        night = each["phases"][NIGHT]
        feature_peak = max(night[step]["peak_megabytes"] for step in FEATURE_STEPS)
        agrees = floors["recompute agrees"]
        rows += [
            row(
                "bare scan of the landing's needed columns",
                floors["scan of the landing"]["cpu_seconds"],
                floors["scan of the landing"]["peak_megabytes"],
                "1 ×",
            ),
            row(
                "bare scan of the facts",
                floors["scan of the facts"]["cpu_seconds"],
                floors["scan of the facts"]["peak_megabytes"],
                "",
            ),
            row(
                "all features recomputed by hand-written SQL",
                floors["recompute"]["cpu_seconds"],
                floors["recompute"]["peak_megabytes"],
                f"{recompute_to_scan(each):.1f} × the scan; {_different(agrees)}",
            ),
            row(
                "**one more night's features**",
                net_of(each, NIGHT, FEATURE_STEPS),
                feature_peak,
                f"**{features_to_scan(each):.1f} × the scan**",
            ),
            row(
                f"{floors['gate by hand']['checks']:.0f} checks of the feature gate as"
                f" {floors['gate by hand']['queries']:.0f} queries by hand",
                floors["gate by hand"]["cpu_seconds"],
                floors["gate by hand"]["peak_megabytes"],
                "",
            ),
            row(
                "**gate of the features**",
                net(each, "gate_features", night["gate_features"]),
                night["gate_features"]["peak_megabytes"],
                f"**{gate_to_hand(each):.1f} × by hand**",
            ),
            row(
                "matrix of one lens by Arrow, and one matrix product",
                floors["matrix"]["cpu_seconds"],
                floors["matrix"]["peak_megabytes"],
                "",
            ),
            row(
                "**job, one lens scored and written**",
                net(each, "segment", floors["one lens"]),
                floors["one lens"]["peak_megabytes"],
                f"**{job_to_matrix(each):.1f} × matrix and product**",
            ),
        ]
        if BACKFILL in each["phases"]:
            rows.append(
                row(
                    "**a backfilled date's features**",
                    net_of(each, BACKFILL, FEATURE_STEPS),
                    max(each["phases"][BACKFILL][step]["peak_megabytes"] for step in FEATURE_STEPS),
                    f"**{backfill_to_recompute(each):.2f} × the recomputation**, for"
                    f" {len(each['phases'][BACKFILL]['build_features'].get('dates', []))} dates",
                )
            )
        if "pandas" in floors:
            pandas = floors["pandas"]
            cpu, memory = pandas_to_features(each)
            rows.append(
                row(
                    f"pandas: {pandas['features']} of the features",
                    pandas["cpu_seconds"],
                    pandas["features_peak_megabytes"],
                    f"{cpu:.1f} × our CPU, {memory:.1f} × our memory; {_different(pandas['agrees'])}",
                )
            )
            rows.append(row("scikit-learn: k-means, 8 clusters", pandas["segments_cpu_seconds"], None, ""))
    headings = ["", "customers", "CPU s", "peak memory", "compared"]
    return (
        "## Floors and alternatives\n\nIn the same run as the night. The recomputation is"
        " `tests/measurements/bench/recompute.sql`: the features from the landing's rows, without facts, hashes and"
        " quarantine. The gate by hand asks the suites' questions in one scan for each from-clause. What pandas leaves"
        " out are features that are texts.\n\n" + _table(headings, rows)
    )


def _different(agrees: Result) -> str:
    return f"{agrees['different']:,.0f} of {agrees['values']:,.0f} values differ"


def _steps(result: Result) -> str:
    rows, phases = [], phases_of(result)
    for step in STEP_NAMES:
        cells = []
        for phase in phases:
            taken = result["phases"][phase][step]
            cells += [_cpu(net(result, step, taken)), f"{taken['peak_megabytes'] / 1000:.2f}"]
        rows.append([f"`{step}`", *cells])
    headings = ["step", *[text for phase in phases for text in (f"{phase}: CPU s", "GB")]]
    dbt, job = (peak_of(result, steps) for steps in (DBT_STEPS, set(STEP_NAMES) - set(DBT_STEPS) - {"repair_recent"}))
    return (
        f"## Step by step, {result['customers']:,} customers\n\nCPU without start-up, and the peak of the step's"
        f" largest process.\n\n{_table(headings, rows)}\nThe most memory of dbt: {dbt[0] / 1000:.2f} GB ({dbt[2]},"
        f" {dbt[1]}). The most of the other steps: {job[0] / 1000:.2f} GB ({job[2]}, {job[1]}).\n"
    )


def _profile(result: Result) -> str:
    night = result["phases"][NIGHT]
    total = net_of(result, NIGHT)
    ranked = sorted(((net(result, step, taken), step) for step, taken in night.items()), reverse=True)
    said = ", ".join(f"`{step}` {seconds / total:.0%}" for seconds, step in ranked[:6])
    parts = [f"## What costs most\n\nOf the night's {_cpu(total)} CPU seconds without start-up: {said}.\n"]
    rows = [
        [f"`{step}`", f"`{model}`", f"{seconds:,.1f}"]
        for step in DBT_STEPS
        for model, seconds in night[step].get("slowest", [])
    ]
    parts.append(f"The slowest models of the night, in seconds on {result['threads']} threads:\n\n")
    parts.append(_table(["step", "model", "seconds"], rows))
    parts.append(
        "\nWhere the Python of these steps spends its own time, in seconds of wall time under the profiler; what"
        " waits for DuckDB shows as the call that waits:\n\n"
    )
    parts.append(
        _table(
            ["step", "in", "seconds"],
            [
                [f"`{step}`", f"`{name}`", f"{seconds:,.2f}"]
                for step, found in result.get("profiles", {}).items()
                for name, seconds in found
            ],
        )
    )
    recompute = result["floors"]["recompute"]
    of_recompute = ", ".join(
        f"{name.removesuffix('_cpu_seconds')} {_cpu(seconds)}"
        for name, seconds in recompute.items()
        if name.endswith("_cpu_seconds")
    )
    parts.append(f"\nThe recomputation by hand, CPU seconds: {of_recompute}.\n")
    return "".join(parts)


def _growth(results: Sequence[Result]) -> str:
    sizes = list(by_size(results).values())
    parts = []
    if len(sizes) > 1:
        rows = [
            [
                f"{smaller['customers']:,} → {larger['customers']:,}",
                f"{larger['active'] / smaller['active']:.1f} ×",
                *[
                    f"{exponent(smaller, larger, steps):.2f}"
                    for steps in (STEP_NAMES, FEATURE_STEPS, ("gate_features",), ("segment",), ("build_marts",))
                ],
            ]
            for smaller, larger in pairwise(sizes)
        ]
        headings = ["customers", "active in 90 days", "night", "features", "gate", "segment", "marts"]
        parts.append(
            "By which power of the active customers the CPU of a night grows (1 is in proportion):\n\n"
            + _table(headings, rows)
        )
    for one, three in history_pairs(results):
        ratios = [
            [
                f"`{step}`",
                _cpu(net_of(one, NIGHT, [step])),
                _cpu(net_of(three, NIGHT, [step])),
                f"{net_of(three, NIGHT, [step]) / net_of(one, NIGHT, [step]):.2f} ×",
            ]
            for step in STEP_NAMES
        ]
        ratios.append(
            [
                "all",
                _cpu(net_of(one, NIGHT)),
                _cpu(net_of(three, NIGHT)),
                f"**{net_of(three, NIGHT) / net_of(one, NIGHT):.2f} ×**",
            ]
        )
        parts.append(
            f"\nOne more night of {one['customers']:,} customers after one year of orders"
            f" ({one['rows']['order_lines']:,} lines) and after three ({three['rows']['order_lines']:,}), CPU seconds"
            " without start-up:\n\n" + _table(["step", "one year", "three years", "ratio"], ratios)
        )
    return "## Growth\n\n" + "".join(parts) if parts else ""


def _start_up(result: Result) -> str:
    start_up = result["start_up"]
    rows = [
        [name, _cpu(taken["cpu_seconds"]), _cpu(taken["seconds"]), f"{taken['peak_megabytes']:.0f} MB"]
        for name, taken in (
            ("python", start_up["python"]),
            ("`segmentation --help`", start_up["segmentation --help"]),
            *((f"imports of {name}", taken) for name, taken in start_up["imports"].items()),
            ("dbt, nothing selected", start_up["dbt, nothing selected"]),
        )
    ]
    night = result["phases"][NIGHT]
    total = sum(start_up_of(result, step, taken["dbt_starts"]) for step, taken in night.items())
    starts = sum(taken["dbt_starts"] for taken in night.values())
    return (
        "## Start-up\n\nThe least of three, each a process of its own.\n\n"
        + _table(["", "CPU s", "seconds", "memory"], rows)
        + f"\nA night starts {len(night)} commands and dbt {starts} times: {_cpu(total)} CPU seconds of start-up.\n"
    )


def _orchestration(results: Iterable[Result]) -> str:
    rows = [
        [
            f"{each['customers']:,}",
            _cpu(found["seconds"]),
            _cpu(found["own_seconds"]),
            _cpu(found["task_seconds"]) if "task_seconds" in found else "",
            f"{overhead_seconds(each):.1f}",
            f"{found['prepare_seconds']:.1f}",
        ]
        for each in results
        if (found := each.get("orchestration"))
    ]
    if not rows:
        return ""
    headings = ["customers", "whole run", "steps' own work", "Airflow's tasks", "overhead", "first set-up, once"]
    return (
        "## Orchestration\n\nA night through Airflow (`segmentation run`), in seconds of wall time. The steps' own work"
        " is from start to end of each in the run log, so that the start of each command counts as overhead, too."
        f"\n\n{_table(headings, rows)}"
    )
