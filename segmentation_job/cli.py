"""The command line: one command per task of the DAG, and a few for people."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segmentation_job.errors import GateFailedError, SegmentationError, fault_of_the_machine
from segmentation_job.run_log import StepInProgress, logged_step
from segmentation_job.segments.errors import LensError, NoModelError
from segmentation_job.settings import DEFAULT_SOURCE, Settings
from segmentation_job.sizes import in_words
from segmentation_job.steps import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from segmentation_job.landing.declaration import SourceDeclaration
    from segmentation_job.landing.simulated_shop.options import ShopOptions
    from segmentation_job.runs.repairs import DateToRepair, IsUnderWay

FACTS_BEHIND = (
    "The landing has changed since the facts were built: what of it makes a date stale is known after the next run."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Customer segmentation warehouse. The steps of a night are tasks of the Airflow DAG customer_segmentation; "
    "each can be run by hand. Exit codes: 0 done, 1 unexpected error, 2 wrong command line, 3 source not ready or date "
    "refused, 4 gate failed, 5 setting, lens or suite wrong, 6 warehouse locked by another process, 99 nothing to do.",
)


class Layer(StrEnum):
    """A layer of dbt models."""

    FACTS = "facts"
    FEATURES = "features"
    MARTS = "marts"


class Subject(StrEnum):
    """What a gate judges."""

    FEATURES = "features"
    FORECASTS = "forecasts"
    LABELS = "labels"


def _as_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date; write it as 2018-01-31.") from error


def _segment_date(text: str | None) -> tuple[str, date] | None:
    if text is None:
        return None
    name, equals, day = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} names no date; write it as seasonal_gift_buyers=2025-03-01.")
    return name, _as_of(day)


AsOf = Annotated[
    date, typer.Option("--as-of", parser=_as_of, metavar="DATE", help="As-of date: all that happened before it counts.")
]
LensName = Annotated[str, typer.Argument(help="The lens.")]
RefitDate = Annotated[
    date | None,
    typer.Argument(parser=_as_of, metavar="[DATE]", help="The refit, as its date; by default the one that waits."),
]
Why = Annotated[str, typer.Option("--why", help="Kept beside the decision.")]
Force = Annotated[bool, typer.Option("--force", help="Compute the date even where nothing has changed.")]


@app.command()
def land() -> None:
    """Put the source's demonstration data where its own files would land; files that are there stay."""
    settings = _settings()
    written = _land_demonstration(settings)
    print(
        f"Landed {len(written)} files in {settings.landing_dir}" if written else f"{settings.landing_dir} is complete"
    )


@app.command()
def simulate(
    customers: Annotated[int | None, typer.Option(help="Customers; by default SEGMENTATION_SHOP_CUSTOMERS.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every draw; by default SEGMENTATION_SHOP_SEED.")] = None,
    start: Annotated[
        date | None, typer.Option(parser=_as_of, metavar="DATE", help="First day of orders.", show_default="2024-01-01")
    ] = None,
    days: Annotated[int | None, typer.Option(help="Days of orders.", show_default="731")] = None,
    dirt_rate: Annotated[
        float | None, typer.Option(help="Planted bad rows per clean row.", show_default="0.005")
    ] = None,
    late_rate: Annotated[
        float | None, typer.Option(help="Share of rows that arrive days late.", show_default="0.005")
    ] = None,
    drift: Annotated[
        float | None, typer.Option(help="Share of customers who slowly change segment.", show_default="0")
    ] = None,
    appears: Annotated[
        str | None, typer.Option(metavar="NAME=DATE", help="A segment whose members sign up from then on.")
    ] = None,
    vanishes: Annotated[
        str | None, typer.Option(metavar="NAME=DATE", help="A segment whose members do nothing from then on.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="Folder for landing/ and truth/; by default that of the source simulated_shop.")
    ] = None,
) -> None:
    """Make a simulated shop: its landing, and beside it the truth about its customers and its dirt."""
    from segmentation_job.landing.demonstration import SIMULATED_SHOP
    from segmentation_job.landing.simulated_shop.generation import write_shop

    settings = _settings()
    given: dict[str, Any] = {
        "start": start,
        "days": days,
        "dirt_rate": dirt_rate,
        "late_rate": late_rate,
        "drift": drift,
    }
    given |= {"customers": customers, "seed": seed}
    given |= {"appears": _segment_date(appears), "vanishes": _segment_date(vanishes)}
    options = replace(_shop_options(settings), **{name: value for name, value in given.items() if value is not None})
    folder = target or settings.data_dir / SIMULATED_SHOP
    written = write_shop(options, folder, lambda done, total: print(f"{done:,} of {total:,} customers", flush=True))
    print(f"{len(written)} files in {folder / 'landing'}, the truth in {folder / 'truth'}; as-of date {options.end}")


@app.command()
def check(as_of: AsOf, force: Force = False) -> None:
    """Check that every source is there and fresh enough for the date, and whether there is anything to do."""
    from segmentation_job.durable_files import one_at_a_time, point_link
    from segmentation_job.landing.keeping_out import require_forget_key
    from segmentation_job.landing.readiness import (
        check_freshness,
        inspect_landing,
        landing_fingerprint,
        require_day_over,
    )
    from segmentation_job.publishing import point_reports, report_beside, sweep_leftovers
    from segmentation_job.runs.decisions import read_decisions
    from segmentation_job.runs.state import is_current
    from segmentation_job.runs.versions import choose_lenses, read_logic_versions
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, "check") as progress:
        require_forget_key(settings)
        declaration = _declaration(settings)
        require_day_over(as_of, datetime.now(UTC), settings.timezone)
        landed = inspect_landing(declaration, as_of, settings.timezone)
        lag = settings.max_source_lag_days
        check_freshness(declaration, landed, as_of, declaration.max_source_lag_days if lag is None else lag)
        lenses = choose_lenses(settings)
        for table in landed:
            newest = f", newest {table.newest_date}" if table.newest_date else ""
            print(f"{table.name}: {table.row_count:,} rows{newest}")
        if declaration.absent_entities:
            print(f"The source has no {', '.join(declaration.absent_entities)}.")
        if declaration.not_point_in_time:
            print(
                f"Known only as of today, without a history: {', '.join(declaration.not_point_in_time)}. "
                "Past dates are computed with today's values."
            )
        for lens in lenses.skipped:
            print(f"{lens.reason[0].upper()}{lens.reason[1:]}.")
        progress.details = {
            **{table.name: table.row_count for table in landed},
            "skipped_lenses": {lens.name: lens.reason for lens in lenses.skipped},
        }
        fingerprint = landing_fingerprint(declaration)
        decisions = read_decisions(settings.decisions_path)
        with open_warehouse(settings) as warehouse:
            versions = read_logic_versions(settings)
            if (
                not force
                and settings.current_link.exists()
                and is_current(
                    warehouse,
                    as_of,
                    list(lenses.running),
                    versions,
                    decisions,
                    fingerprint,
                    sample_size=settings.sample_size,
                    refit_months=settings.refit_months,
                )
            ):
                progress.outcome = "skipped"
                # Another source may have run last: this run is the last one now.
                point_link(settings.serving_link, settings.current_link.resolve())
                with one_at_a_time(settings.source_data_dir):
                    # Of a publisher that was killed after another had published the same.
                    sweep_leftovers(settings.published_dir)
                    point_reports(settings.published_dir, settings.serving_link)
    if progress.outcome == "skipped":
        print(f"{as_of} is promoted and published, and nothing that it rests on has changed. Nothing to do.")
        if not report_beside(settings.current_link.resolve()).exists():
            print("What is served has no report: write it by `segmentation report`.")
        _print_rollback(settings)
        raise typer.Exit(ExitCode.NOTHING_TO_DO)


@app.command()
def build(layer: Annotated[Layer, typer.Argument(help="Layer to build with dbt.")], as_of: AsOf) -> None:
    """Build a layer of the warehouse with dbt."""
    settings = _settings()
    with _step(settings, as_of, f"build_{layer.value}") as progress:
        if layer is Layer.FACTS:
            _build_facts(settings, as_of, progress)
        elif layer is Layer.FEATURES:
            _build_features(settings, as_of, progress)
        else:
            _build_marts(settings)


def _build_facts(settings: Settings, as_of: date, progress: StepInProgress) -> None:
    from segmentation_job.landing.keeping_out import keep_out_forgotten, require_forget_key
    from segmentation_job.landing.landed_files import files_to_take_up, list_landed_files
    from segmentation_job.landing.readiness import landing_fingerprint
    from segmentation_job.runs.dbt import dbt_command, dbt_environment, run_dbt
    from segmentation_job.runs.facts_state import forget_facts_state, read_landed_files, record_facts_state
    from segmentation_job.runs.late_rows import describe_late_rows, late_rows, read_day_contents
    from segmentation_job.runs.versions import read_logic_versions
    from segmentation_job.warehouse import held_for_dbt, open_warehouse

    require_forget_key(settings)
    fingerprint = landing_fingerprint(_declaration(settings))
    versions = read_logic_versions(settings)
    facts = versions.facts
    with open_warehouse(settings) as warehouse:
        grows_by_file = warehouse.facts_grow_by_file
        before = read_day_contents(warehouse)
        state = warehouse.rows("select landing_fingerprint, facts_version from pipeline.facts_state")
        if state == [(fingerprint, facts)]:
            progress.details = {"rebuilt": False}
            print("The landing and the facts' logic are unchanged since the facts were built: they stay as they are.")
            return
        landed_before = read_landed_files(warehouse) if [version for _, version in state] == [facts] else ()
        # Forgotten first: a build that is cut off must be done again, and from all that has landed.
        forget_facts_state(warehouse)
    # Before dbt reads a row of theirs.
    kept_out = keep_out_forgotten(settings, datetime.now(UTC))
    if kept_out.rows:
        people = "customer" if kept_out.customers == 1 else "customers"
        print(f"{kept_out.rows:,} rows of {kept_out.customers} forgotten {people} landed again and were removed.")
        fingerprint = landing_fingerprint(_declaration(settings))
    is_new_logic = [version for _, version in state] != [facts]
    landed = list_landed_files(_declaration(settings), settings.data_dir)
    new_files = (
        files_to_take_up(_declaration(settings), landed_before, landed, settings.data_dir) if grows_by_file else None
    )
    with held_for_dbt(settings):
        run_dbt(
            dbt_command("facts", settings, full_refresh=is_new_logic),
            dbt_environment(settings, versions, landed_files=new_files),
            settings.source_data_dir,
        )
    with open_warehouse(settings) as warehouse:
        # What landed while all was read may be in the facts or not: then the next build reads all again.
        is_known = new_files is not None or list_landed_files(_declaration(settings), settings.data_dir) == landed
        record_facts_state(warehouse, fingerprint, facts, landed if is_known else ())
        after = read_day_contents(warehouse)
    progress.details = {
        "rebuilt": True,
        "full_refresh": is_new_logic,
        "new_files": None if new_files is None else len(new_files),
    }
    # Under other logic every row counts as another one: that says nothing of when it arrived.
    if before is not None and after is not None and not is_new_logic:
        late = late_rows(before, after, as_of, settings.late_horizon_days)
        progress.details |= {"late_rows": late.rows_more, "late_days": [str(day) for day in late.days]}
        if late.days:
            print(describe_late_rows(late, settings.late_horizon_days))


@app.command("repair-recent")
def repair_recent(as_of: AsOf) -> None:
    """Compute the dates again that late rows have made stale within late_horizon_days before the date."""
    from segmentation_job.repairing import repair_dates, run_promoting_steps, when_free
    from segmentation_job.runs.repairs import DateToRepair, older_dates_are_stale, recent_stale_dates, stale_dates
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()

    def recent() -> list[DateToRepair]:
        with open_warehouse(settings) as warehouse:
            return recent_stale_dates(warehouse, settings, as_of)

    def older_are_stale() -> bool:
        with open_warehouse(settings) as warehouse:
            return older_dates_are_stale(warehouse, settings, as_of)

    with _step(settings, as_of, "repair_recent") as progress:
        repair = repair_dates(
            partial(when_free, recent),
            partial(run_promoting_steps, settings),
            partial(print, flush=True),
            others_are_stale=partial(when_free, older_are_stale),
        )
        with open_warehouse(settings) as warehouse:
            left = [each.as_of for each in stale_dates(warehouse, settings) if each.as_of < as_of]
        progress.details = {
            "repaired": [str(day) for day in repair.run],
            "failed": [str(day) for day in repair.failed],
            "stale": [str(day) for day in left],
        }
        # A date of the past must not keep this one from being computed: it stays stale, and says so.
        print(f"Recent dates computed again: {len(repair.run)}, failed: {len(repair.failed)}")
        if left:
            print(f"Stale: {', '.join(str(day) for day in left)}. To compute them again: segmentation repair")


def _build_features(settings: Settings, as_of: date, progress: StepInProgress) -> None:
    from segmentation_job.runs.accounts import account_rows, describe_accounts, require_most_rows_kept
    from segmentation_job.runs.dbt import dbt_command, dbt_environment, run_dbt
    from segmentation_job.runs.decisions import read_decisions
    from segmentation_job.runs.forgetting import keep_pruned_features
    from segmentation_job.runs.state import make_plan
    from segmentation_job.runs.versions import read_lenses, read_logic_versions
    from segmentation_job.warehouse import held_for_dbt, open_warehouse

    versions = read_logic_versions(settings)
    with open_warehouse(settings) as warehouse:
        plan = make_plan(
            warehouse,
            as_of,
            versions,
            read_lenses(settings),
            read_decisions(settings.decisions_path),
            sample_size=settings.sample_size,
            batch_size=settings.batch_size,
            refit_months=settings.refit_months,
        )
        accounts = account_rows(warehouse, as_of)
        print(describe_accounts(accounts, as_of), flush=True)
        require_most_rows_kept(warehouse, accounts, as_of, settings.max_quarantined_share)
    print(f"Features are computed for {', '.join(str(day) for day in plan.dates_to_compute)}.", flush=True)
    with held_for_dbt(settings):
        run_dbt(
            dbt_command("features", settings),
            dbt_environment(settings, versions, plan.dates_to_compute),
            settings.source_data_dir,
        )
    with open_warehouse(settings) as warehouse:
        kept = keep_pruned_features(warehouse, plan.dates_to_compute)
    if kept:
        print(f"Somebody was forgotten out of {', '.join(str(day) for day in kept)} since: the others' features stay.")
    progress.details = {
        "dates": [str(day) for day in plan.dates_to_compute],
        "rows": {
            account.entity: {
                "in": account.rows_in,
                "kept": account.kept,
                "out_of_scope": account.out_of_scope,
                "quarantined": account.quarantined,
            }
            for account in accounts
        },
    }


def _build_marts(settings: Settings) -> None:
    from segmentation_job.runs.dbt import dbt_command, dbt_environment, run_dbt
    from segmentation_job.runs.state import (
        marts_logic_is_new,
        promoted_decisions,
        record_marts_begun,
        record_marts_ready,
        record_versions,
    )
    from segmentation_job.runs.versions import read_lenses, read_logic_versions
    from segmentation_job.warehouse import held_for_dbt, open_warehouse

    versions = read_logic_versions(settings)
    lenses = read_lenses(settings)
    with open_warehouse(settings) as warehouse:
        record_versions(
            warehouse,
            lenses,
            versions,
            promoted_decisions(warehouse),
            sample_size=settings.sample_size,
            refit_months=settings.refit_months,
        )
        is_new_logic = marts_logic_is_new(warehouse, versions.marts)
        record_marts_begun(warehouse, versions.marts)
    lens_names = [lens.name for lens in lenses]
    with held_for_dbt(settings):
        run_dbt(
            dbt_command("marts", settings, full_refresh=is_new_logic),
            dbt_environment(settings, versions, lens_names=lens_names),
            settings.source_data_dir,
        )
    with open_warehouse(settings) as warehouse:
        record_marts_ready(warehouse, versions.marts)


@app.command()
def gate(subject: Annotated[Subject, typer.Argument(help="What to judge.")], as_of: AsOf) -> None:
    """Judge the candidate of the date by the suites in expectations/; exit code 4 where it fails."""
    from segmentation_job.gate.evaluation import evaluate_gate
    from segmentation_job.gate.outcomes import describe_outcomes, gate_failed
    from segmentation_job.gate.stores import gate_store
    from segmentation_job.runs.gating import store_outcomes
    from segmentation_job.runs.promotion import candidate_hash, record_verdict
    from segmentation_job.runs.state import require_plan
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, f"gate_{subject.value}") as progress:
        with open_warehouse(settings) as warehouse:
            plan = require_plan(warehouse, as_of)
            content = candidate_hash(warehouse, plan, subject.value)
        outcomes = evaluate_gate(
            gate_store(settings),
            settings.expectations_dir,
            subject.value,
            as_of,
            plan.dates_to_compute if subject is Subject.FEATURES else (as_of,),
        )
        failed = gate_failed(outcomes)
        with open_warehouse(settings) as warehouse:
            store_outcomes(warehouse, outcomes, run_id=uuid.uuid4().hex, evaluated_at=_now())
            record_verdict(warehouse, plan, subject.value, content, passed=not failed)
        counts: dict[str, object] = {}
        for outcome in outcomes:
            counts[outcome.outcome] = int(str(counts.get(outcome.outcome, 0))) + 1
        progress.details = counts
        print(describe_outcomes(outcomes))
        if failed:
            raise GateFailedError(
                f"The gate on the {subject.value} of {as_of} failed. The candidate is kept in the warehouse's schema "
                "`candidate`, the outcomes in pipeline.gate_results; what is promoted and served is unchanged."
            )


@app.command()
def forecast(as_of: AsOf) -> None:
    """Forecast what each customer will buy and what each category will sell; write the candidate forecasts."""
    from segmentation_job.runs.forecasting import forecast_date
    from segmentation_job.runs.forgetting import keep_pruned_forecasts
    from segmentation_job.runs.state import require_plan
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, "forecast") as progress, open_warehouse(settings) as warehouse:
        require_plan(warehouse, as_of)
        if keep_pruned_forecasts(warehouse, as_of):
            print(f"Somebody was forgotten out of {as_of} since: the forecasts of the others, and their models, stay.")
            progress.details = {"kept": True}
            return
        outcomes = forecast_date(
            warehouse,
            require_plan(warehouse, as_of),
            sample_size=settings.sample_size,
            batch_size=settings.batch_size,
        )
        for outcome in outcomes:
            fitted = "" if outcome.customers_fitted is None else f", fitted on {outcome.customers_fitted:,} customers"
            print(f"{outcome.model}: {outcome.method}{fitted}" + (f" ({outcome.note})" if outcome.note else ""))
        progress.details = {outcome.model: outcome.method for outcome in outcomes}


@app.command()
def segment(as_of: AsOf) -> None:
    """Fit or reuse the models, score every customer, write the candidate labels."""
    from segmentation_job.runs.segmentation import LensWithoutModel, segment_date
    from segmentation_job.runs.state import planned_decisions, refit_context, require_plan
    from segmentation_job.runs.versions import choose_lenses, read_logic_versions
    from segmentation_job.segments.watching import SEGMENT_PLACE
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, "segment") as progress, open_warehouse(settings) as warehouse:
        lenses = choose_lenses(settings)
        plan = require_plan(warehouse, as_of)
        found = segment_date(
            warehouse,
            plan,
            list(lenses.running),
            read_logic_versions(settings),
            refit_context(
                warehouse,
                plan.dates_to_compute,
                planned_decisions(warehouse, as_of),
                sample_size=settings.sample_size,
                batch_size=settings.batch_size,
            ),
        )
        without_model = [outcome for outcome in found if isinstance(outcome, LensWithoutModel)]
        for lens in without_model:
            print(f"{lens.lens}: no segments for {as_of}: {lens.reason}")
        outcomes = [outcome for outcome in found if not isinstance(outcome, LensWithoutModel)]
        for outcome in outcomes:
            made = "a new model" if outcome.is_new_model else "the model in effect"
            print(
                f"{outcome.lens}: {outcome.customers:,} customers in {outcome.k} segments by {made}"
                f" {outcome.model_version}"
            )
            print(f"  {outcome.reason}")
            if outcome.idle_features:
                print(f"  without effect, being constant or empty: {', '.join(outcome.idle_features)}")
            for sentence in outcome.waiting:
                print(f"  {sentence}")
            for alarm in outcome.alarms:
                evidence = alarm.evidence.replace(SEGMENT_PLACE, f"segment {alarm.segment_key}")
                print(f"  {alarm.kind}: {evidence} {alarm.proposal}")
        progress.details = {
            **{
                outcome.lens: {
                    "k": outcome.k,
                    "customers": outcome.customers,
                    "idle_features": list(outcome.idle_features),
                    "missing_shares": outcome.missing_shares,
                }
                for outcome in outcomes
            },
            "skipped_lenses": {
                **{lens.name: lens.reason for lens in lenses.skipped},
                **{lens.lens: lens.reason for lens in without_model},
            },
        }


@app.command()
def promote(as_of: AsOf) -> None:
    """Put the gated candidate in the place of what was promoted for the date, in one transaction."""
    from segmentation_job.runs.decisions import read_decisions
    from segmentation_job.runs.promotion import promote_date
    from segmentation_job.runs.state import (
        has_promoted_labels,
        planned_decisions,
        read_plan,
        refit_context,
        require_plan,
    )
    from segmentation_job.runs.versions import read_lenses
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, "promote") as progress, open_warehouse(settings) as warehouse:
        if read_plan(warehouse, as_of) is None and has_promoted_labels(warehouse, as_of):
            # A promotion that was killed after its commit is tried again.
            print(f"{as_of} is promoted, and there is no newer candidate.")
            return
        plan = require_plan(warehouse, as_of)
        context = refit_context(
            warehouse,
            plan.dates_to_compute,
            planned_decisions(warehouse, as_of),
            sample_size=settings.sample_size,
            batch_size=settings.batch_size,
        )
        on_file = read_decisions(settings.decisions_path)
        promotion = promote_date(warehouse, plan, read_lenses(settings), context, on_file)
        for lens, customers in promotion.customers.items():
            print(f"{as_of}, {lens}: {customers:,} customers promoted")
        progress.details = {"customers": promotion.customers, "dates": [str(day) for day in promotion.dates]}


@app.command("publish")
def publish_command(as_of: AsOf) -> None:
    """Write the marts into a new published file, verify it, and swap it in."""
    from segmentation_job.publishing import publish
    from segmentation_job.runs.state import record_publication, require_marts
    from segmentation_job.runs.versions import read_logic_versions
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    with _step(settings, as_of, "publish") as progress:
        marts_version = read_logic_versions(settings).marts
        with open_warehouse(settings) as warehouse:
            require_marts(warehouse, as_of, marts_version)
            with warehouse.marts_file(settings.source_data_dir) as marts:
                publication = publish(
                    marts,
                    settings.published_dir,
                    settings.serving_link,
                    settings.run_log_path,
                    kept_nights=settings.kept_nights,
                    now=datetime.now(UTC),
                )
        with open_warehouse(settings) as warehouse:
            record_publication(warehouse, as_of, marts_version, publication.path.name)
        print(f"Published {publication.path}, current as of {publication.as_of}")
        progress.details = {"file": publication.path.name, "rows": publication.row_counts}


@app.command("report")
def report_command(
    as_of: Annotated[
        date | None,
        typer.Option(
            "--as-of", parser=_as_of, metavar="DATE", help="The run's date, by default that of what is served."
        ),
    ] = None,
) -> None:
    """Write the report of what is served beside it: one page for people, latest.html."""
    from segmentation_job.publishing import served_night
    from segmentation_job.reporting import write_report

    settings = _settings()
    with _step(settings, as_of or served_night(settings.published_dir).night.as_of, "report") as progress:
        report = write_report(settings.published_dir, settings.serving_link)
        print(f"Report of {report.as_of}: {report.path}, {in_words(report.size)}")
        if not report.is_latest:
            print("Meanwhile another file is served: its own run writes its report, or you do by the same command.")
        progress.details = {"file": report.path.name, "bytes": report.size}


@app.command()
def rollback(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="NIGHT-OR-FILE",
            help="As-of date or name of a kept file; by default the file published before the one that is served.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the kept nights and change nothing.")] = False,
) -> None:
    """Serve an earlier published night again, until the next publication; needs no warehouse, readers go on."""
    from segmentation_job.publishing import kept_files, roll_back, served_night

    settings = _settings()
    if show:
        served = served_night(settings.published_dir)
        for night in kept_files(settings.published_dir):
            mark = f"served since {served.since:%Y-%m-%d %H:%M} UTC" if night == served.night else ""
            print(
                f"{night.as_of}  published {night.published_at:%Y-%m-%d %H:%M} UTC  {night.path.name}  {mark}".rstrip()
            )
        return
    before, now = roll_back(settings.published_dir, settings.serving_link, to)
    print(
        f"Served now: {now.night.path.name}, as of {now.night.as_of}, since {now.since:%Y-%m-%d %H:%M} UTC.\n"
        f"Before: {before.night.path.name}, as of {before.night.as_of}, since {before.since:%Y-%m-%d %H:%M} UTC; it"
        " stays on disk."
    )
    if now.newer:
        print("The next publication serves the new night again: pause the DAG in Airflow where it must not.")
    if not settings.serving_link.samefile(now.night.path):
        print(f"{settings.serving_link} leads to another source, {settings.serving_link.resolve()}, and stays so.")


@app.command()
def summary() -> None:
    """Show the segments that are served now."""
    from rich.console import Console

    from segmentation_job.summary import print_summary, read_summary

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 120)
    print_summary(read_summary(settings.serving_link), console)
    _print_rollback(settings)


@app.command()
def explain(customer_id: Annotated[str, typer.Argument(help="The customer's id.", show_default=False)]) -> None:
    """Say why a customer is in their segments, how surely, and what would move them."""
    from rich.console import Console

    from segmentation_job.customer_explanation import explain_customer, print_explanation
    from segmentation_job.runs.versions import read_lens_files

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    print_explanation(explain_customer(settings.serving_link, customer_id, read_lens_files(settings)), console)


@app.command()
def evaluate(
    as_of: Annotated[
        date | None,
        typer.Option(
            "--as-of",
            parser=_as_of,
            metavar="DATE",
            help="Whose forecasts; by default 90 days before the source's own.",
        ),
    ] = None,
) -> None:
    """Run a date of the past and show how good its forecasts were, now that the 90 days after it have come."""
    from rich.console import Console

    from segmentation_job.nightly import run_dag
    from segmentation_job.runs.forecast_evaluation import evaluate_forecasts
    from segmentation_job.runs.forecasting import HORIZON_DAYS
    from segmentation_job.summary import print_forecast_evaluation
    from segmentation_job.warehouse import open_warehouse

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    _land(settings, console)
    if as_of is None:
        as_of = _default_as_of(settings) - timedelta(days=HORIZON_DAYS)
    run_dag(settings, as_of, force=False, console=console)
    with open_warehouse(settings) as warehouse:
        evaluation = evaluate_forecasts(warehouse, as_of)
    console.print()
    print_forecast_evaluation(evaluation, console)
    _print_stale_dates(settings, console)


@app.command()
def stale() -> None:
    """List the dates that a run today would compute from something else, or whose run stopped, and why."""
    settings = _settings()
    found, facts_current = _dates_to_repair(settings)
    if not facts_current:
        print(FACTS_BEHIND)
    for each in found:
        print(f"{each.as_of}  {', '.join(each.lenses) or '-'}  {each.reason}")
    if found:
        print(f"{len(found)} date{'s' if len(found) > 1 else ''} to repair: segmentation repair")
    elif facts_current:
        print("No date is stale.")


@app.command()
def repair(
    airflow: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="SEGMENTATION_AIRFLOW_URL",
            help="A running Airflow that is to run the dates as backfills; without one, each is run as by `run`.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run first, and run nothing.")] = False,
) -> None:
    """Have Airflow run stale and stopped dates again, ascending, until none is left."""
    from rich.console import Console

    from segmentation_job.airflow_client import AirflowClient, read_password
    from segmentation_job.airflow_environment import USER
    from segmentation_job.nightly import run_dag
    from segmentation_job.repairing import (
        BACKFILL_DEADLINE_SECONDS,
        LONGEST_BACKFILL,
        RepairFailedError,
        is_under_way_at,
        repair_dates,
        run_by_backfill,
        when_free,
    )

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    is_under_way: IsUnderWay | None = None
    if airflow is not None:
        client = AirflowClient(airflow, USER, read_password(os.environ, settings.data_dir / "airflow"))
        is_under_way = partial(is_under_way_at, client)
    found, facts_current = when_free(lambda: _dates_to_repair(settings, is_under_way))
    if not facts_current:
        console.print(FACTS_BEHIND)
    if dry_run:
        for each in found:
            console.print(f"would run {each.as_of}: {each.reason}", soft_wrap=True)
        return

    def run_here(days: Sequence[date]) -> dict[date, str]:
        failed = {}
        for day in days:
            try:
                run_dag(settings, day, force=False, console=console)
            except SegmentationError as error:
                failed[day] = str(error)
        return failed

    run_again: Callable[[Sequence[date]], Mapping[date, str]] = run_here
    if airflow is not None:
        run_again = partial(run_by_backfill, client, deadline=BACKFILL_DEADLINE_SECONDS)
    if not facts_current and not found and (newest := _newest_labelled_date(settings)) is not None:
        # Any run takes the landing in; what of it makes dates stale is known then.
        run_again([newest])
    repaired = repair_dates(
        lambda: when_free(lambda: _dates_to_repair(settings, is_under_way)[0]),
        run_again,
        partial(console.print, soft_wrap=True),
        at_a_time=1 if airflow is None else LONGEST_BACKFILL,
    )
    if repaired.failed:
        raise RepairFailedError(
            f"{len(repaired.run)} dates were repaired; {', '.join(str(day) for day in repaired.failed)} failed, as said"
            " above, and stay as they were. Mend the cause, then run `segmentation repair` again."
        )
    console.print(f"{len(repaired.run)} dates were run again; no date is stale.")


def _dates_to_repair(settings: Settings, is_under_way: "IsUnderWay | None" = None) -> "tuple[list[DateToRepair], bool]":
    """What wants a repair, and whether the facts are built from the landing as it is now.

    is_under_way: tells of a date between two steps whether its run goes on; by default the clock does.
    """
    from segmentation_job.run_log import read_run_log
    from segmentation_job.runs.repairs import dates_to_repair, facts_are_current, is_recent
    from segmentation_job.warehouse import has_warehouse, open_warehouse

    if not has_warehouse(settings):
        raise SegmentationError(f"{settings.source} has no warehouse: nothing has been run yet.")
    with open_warehouse(settings) as warehouse:
        found = dates_to_repair(
            warehouse, settings, read_run_log(settings.run_log_path), is_under_way or partial(is_recent, now=_now())
        )
        return found, facts_are_current(warehouse, settings, _declaration(settings))


def _newest_labelled_date(settings: Settings) -> date | None:
    from segmentation_job.runs.state import dates_with_labels
    from segmentation_job.warehouse import open_warehouse

    with open_warehouse(settings) as warehouse:
        return max(dates_with_labels(warehouse), default=None)


@app.command()
def rename(
    segment_id: Annotated[str, typer.Argument(help="As in the published table segments, overall-03.")],
    name: Annotated[str, typer.Argument(help="What it is called from the next run on.")],
    why: Why = "",
) -> None:
    """Call a segment by another name; the next run applies it."""
    from segmentation_job.deciding import decide_rename
    from segmentation_job.runs.decisions import append_decision, read_decisions

    settings = _settings()
    decision = decide_rename(
        settings.current_link,
        segment_id,
        name,
        now=_now(),
        decided_by=_user(),
        reason=why,
        earlier=read_decisions(settings.decisions_path),
    )
    append_decision(settings.decisions_path, decision)
    print(f"{segment_id} is called {decision.name!r} from the next run on ({settings.decisions_path}).")


@app.command()
def hold(lens: LensName, refit_date: RefitDate = None, why: Why = "") -> None:
    """Keep the model of a refit out of effect until somebody approves it; the next run applies it."""
    _decide_about_model("hold", lens, refit_date, why)


@app.command()
def approve(lens: LensName, refit_date: RefitDate = None, why: Why = "") -> None:
    """Let the model of a refit that waits take effect at the next date; no earlier date changes."""
    _decide_about_model("approve", lens, refit_date, why)


@app.command()
def reject(lens: LensName, refit_date: RefitDate = None, why: Why = "") -> None:
    """Keep the model of a refit out of effect for good; the next run applies it."""
    _decide_about_model("reject", lens, refit_date, why)


@app.command()
def forget(
    customer_ids: Annotated[
        list[str], typer.Argument(metavar="CUSTOMER_ID...", help="As in the published tables; - reads them from stdin.")
    ],
) -> None:
    """Take people out of all that is kept, landing and published files included, and keep them out from now on."""
    from segmentation_job.forgetting import describe_report
    from segmentation_job.forgetting import forget as forget_customers
    from segmentation_job.runs.repairs import stale_dates
    from segmentation_job.warehouse import require_rows_can_go
    from segmentation_job.warehouse.interface import Warehouse

    settings = _settings()
    require_rows_can_go(settings, "forget")

    def stale(warehouse: Warehouse) -> list[tuple[date, str]]:
        return [(each.as_of, lens) for each in stale_dates(warehouse, settings) for lens in each.lenses]

    ids = [line for each in customer_ids for line in (sys.stdin.read().splitlines() if each == "-" else [each])]
    print(describe_report(forget_customers(settings, ids, datetime.now(UTC), stale), settings))


def _decide_about_model(kind: str, lens: str, refit_date: date | None, why: str) -> None:
    from segmentation_job.deciding import decide_about_model
    from segmentation_job.runs.decisions import DecisionKind, append_decision

    settings = _settings()
    decision = decide_about_model(
        settings.current_link,
        DecisionKind(kind),
        lens,
        refit_date,
        now=_now(),
        decided_by=_user(),
        reason=why,
        refit_months=settings.refit_months,
    )
    append_decision(settings.decisions_path, decision)
    done = {"hold": "is held", "approve": "is approved", "reject": "is rejected"}[kind]
    print(
        f"The model of {decision.refit_date} of lens {lens} {done} from {decision.effective_from} on; the next run"
        f" applies it ({settings.decisions_path})."
    )


@app.command()
def export(target: Annotated[Path, typer.Argument(help="File to write, ending in .csv or .parquet.")]) -> None:
    """Write the current segments as CSV or Parquet, for tools without a DuckDB driver."""
    from segmentation_job.publishing import export_segments

    rows = export_segments(_settings().serving_link, target)
    print(f"{rows:,} rows in {target}")


@app.command()
def run(
    as_of: Annotated[
        date | None,
        typer.Option("--as-of", parser=_as_of, metavar="DATE", help="As-of date; by default the source's own."),
    ] = None,
    force: Force = False,
) -> None:
    """Land the demonstration data, run the DAG through Airflow for one date, show the segments."""
    from rich.console import Console

    from segmentation_job.nightly import run_dag
    from segmentation_job.runs.calendar import refit_date_for
    from segmentation_job.runs.versions import choose_lenses
    from segmentation_job.summary import print_absent, print_summary, read_idle_features, read_summary

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    _land(settings, console)
    if as_of is None:
        as_of = _default_as_of(settings)
    run_dag(settings, as_of, force=force, console=console)
    console.print()
    segments = read_summary(settings.serving_link)
    another_date = refit_date_for(refit_date_for(as_of) - timedelta(days=45))
    run_another = f"make run{_source_argument(settings)} AS_OF={another_date}"
    print_summary(segments, console)
    _print_rollback(settings)
    print_absent(
        [lens.reason for lens in choose_lenses(settings).skipped],
        _declaration(settings).absent_entities,
        read_idle_features(settings.serving_link),
        console,
    )
    if segments[0].as_of != as_of.isoformat():
        console.print(f"The table shows the latest date; {as_of} is in customer_segments_daily and in the history.")
    _print_stale_dates(settings, console)
    console.print(
        f"\nReport          {settings.serving_report}\n"
        f"Published file  {settings.serving_link}\n\n"
        "Try next\n"
        f'  duckdb -readonly {settings.serving_link} "from customer_segments limit 10"\n'
        f"  {run_another}   another date; any order will do\n"
        "  make airflow                   the schedule, backfills and logs in a browser\n"
        "  .venv/bin/segmentation export segments.csv"
    )


@app.command()
def airflow(port: Annotated[int, typer.Option(help="Port on the loopback interface.")] = 8080) -> None:
    """Start Airflow on loopback with the DAG, until Ctrl-C."""
    from segmentation_job.airflow_environment import airflow_environment, prepare_airflow, serve

    settings = _settings()
    environment = airflow_environment(
        data_dir=settings.data_dir, project_dir=settings.project_dir, inherited=os.environ, port=port
    )
    prepare_airflow(environment)
    serve(environment)


@app.command()
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
) -> None:
    """Drop features, labels, forecasts, models and logs that have been kept long enough; the history stays whole."""
    from rich.console import Console

    from segmentation_job.retaining import print_retention, retain_what_is_kept
    from segmentation_job.warehouse import require_rows_can_go

    settings = _settings()
    require_rows_can_go(settings, "retain")
    retention = retain_what_is_kept(settings, now=datetime.now(UTC), dry_run=dry_run)
    print_retention(retention, settings, Console(width=None if sys.stdout.isatty() else 100, highlight=False))


@app.command()
def status(
    as_of: Annotated[
        date | None,
        typer.Option("--as-of", parser=_as_of, metavar="DATE", help="Another night; by default the last one run."),
    ] = None,
) -> None:
    """Show how the last night went, what is served, and what wants somebody; without touching the warehouse."""
    from rich.console import Console

    from segmentation_job.status import print_status, read_status

    settings = _settings()
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    print_status(read_status(settings, as_of), settings, console)


def main() -> None:
    """Run the command line; an error that a user can mend is said in one paragraph, without a stack trace."""
    try:
        app()
    except SystemExit as ending:
        exit_code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except SegmentationError as error:
        print(f"error: {error}", file=sys.stderr)
        exit_code = error.exit_code
    except (LensError, NoModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        exit_code = ExitCode.MISCONFIGURED
    except Exception as error:
        fault = fault_of_the_machine(error)
        if fault is None:
            raise
        print(f"error: {fault}", file=sys.stderr)
        exit_code = fault.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    if "great_expectations" in sys.modules:
        # It keeps references that DuckDB's binding reports, in a dozen lines, as leaks while the interpreter ends.
        os._exit(exit_code)
    sys.exit(exit_code)


def _source_argument(settings: Settings) -> str:
    """How a make command names the source, where it is not the default one."""
    return "" if settings.source == DEFAULT_SOURCE else f" SOURCE={settings.source}"


def _settings() -> Settings:
    return Settings.from_environment(os.environ)


def _declaration(settings: Settings) -> "SourceDeclaration":
    from segmentation_job.landing.declaration import declaration_of

    return declaration_of(settings)


def _shop_options(settings: Settings) -> "ShopOptions":
    from segmentation_job.landing.simulated_shop.options import ShopOptions

    return ShopOptions(customers=settings.shop_customers, seed=settings.shop_seed)


def _land_demonstration(settings: Settings) -> list[Path]:
    from segmentation_job.landing.demonstration import land_demonstration

    return land_demonstration(
        _declaration(settings),
        settings.source_dir,
        settings.landing_dir,
        _shop_options(settings),
        partial(print, flush=True),
    )


def _land(settings: Settings, console: "Console") -> None:
    written = _land_demonstration(settings)
    console.print(f"Landing   {settings.landing_dir}: {f'{len(written)} files written' if written else 'complete'}")


def _print_rollback(settings: Settings) -> None:
    from segmentation_job.publishing import describe_rollback

    said = describe_rollback(settings.published_dir)
    if said is not None:
        print(said)


def _print_stale_dates(settings: Settings, console: "Console") -> None:
    from segmentation_job.summary import read_stale_dates

    for stale_date, reason in read_stale_dates(settings.serving_link):
        console.print(
            f"Stale: {stale_date} ({reason}). Compute it again: .venv/bin/segmentation repair, with"
            f" SOURCE={settings.source}",
            soft_wrap=True,
        )


def _default_as_of(settings: Settings) -> date:
    """The date that the source declares, or the day after its newest row."""
    from segmentation_job.landing.readiness import inspect_landing

    declaration = _declaration(settings)
    if declaration.default_as_of is not None:
        return declaration.default_as_of
    landed = inspect_landing(declaration, date(2099, 12, 31), settings.timezone)
    return max(table.newest_date for table in landed if table.newest_date) + timedelta(days=1)


@contextmanager
def _step(settings: Settings, as_of: date, name: str) -> Iterator[StepInProgress]:
    with logged_step(settings.run_log_path, as_of, name) as progress:
        yield progress


def _user() -> str:
    """Who decides, as the system knows them; empty where it does not."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


if __name__ == "__main__":
    main()
