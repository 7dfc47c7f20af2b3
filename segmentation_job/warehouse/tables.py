"""The tables that the job itself keeps in the warehouse; dbt keeps the others.

`candidate` holds what a run computed and no gate has let through, `promoted` what later dates and BI may read,
`pipeline` the state of the runs themselves.
"""

from typing import Final

FEATURE_TABLES: Final = (
    "demographic_features",
    "financial_features",
    "purchase_features",
    "engagement_features",
)
"""Promoted together with `feature_inputs`, which says what they rest on."""

FORECAST_INPUTS: Final = ("buying_summary", "category_month_demand", "customer_category_rhythm")
"""What the forecasts are made from: candidates by as-of date beside the features."""

FORECAST_TABLES: Final = ("customer_forecasts", "category_demand_forecast", "forecast_models")
"""What the forecast step writes, by as-of date; promoted together with the features."""

_LABELS = """(
    as_of_date date not null,
    lens varchar not null,
    customer_id varchar not null,
    model_version varchar not null,
    cluster integer not null,
    segment_key varchar not null,
    confidence double not null,
    is_outlier boolean not null,
    distance double not null
)"""

_MODELS = """(
    {run_date}
    model_version varchar not null,
    lens varchar not null,
    lens_version varchar not null,
    algorithm varchar not null,
    k integer not null,
    fitted_as_of date not null,
    parent_version varchar,
    customers_fitted bigint not null,
    parameters varchar not null
)"""

_MODEL_CANDIDATES = """(
    {run_date}
    model_version varchar not null,
    lens varchar not null,
    fitted_as_of date not null,
    algorithm varchar not null,
    k integer not null,
    inertia double,
    davies_bouldin double,
    silhouette double,
    silhouette_error double,
    separation double,
    smallest_share double,
    jaccard_stability double,
    jaccard_error double,
    held_out_value double,
    held_out_error double,
    rows_used integer,
    passed_gates boolean,
    is_winner boolean not null,
    reason varchar not null
)"""

_MODEL_SAMPLES = """(
    {run_date}
    model_version varchar not null,
    customer_id varchar not null,
    cluster integer not null,
    encoded double[] not null
)"""

_MODEL_SEGMENTS = """(
    {run_date}
    model_version varchar not null,
    cluster integer not null,
    segment_key varchar not null,
    relation varchar not null
)"""

_SEGMENTS = """(
    {run_date}
    lens varchar not null,
    segment_key varchar not null,
    {segment_id}
    continues_segment_key varchar,
    name varchar not null,
    description varchar not null,
    rule varchar not null,
    rule_precision double not null,
    rule_recall double not null,
    recommended_action varchar not null,
    birth_model_version varchar not null,
    created_as_of date not null,
    relation varchar not null
)"""

_SEGMENT_PARENTS = """(
    {run_date}
    lens varchar not null,
    segment_key varchar not null,
    parent_segment_key varchar not null
)"""

_LINEAGE = """(
    {run_date}
    lens varchar not null,
    refit_date date not null,
    model_version varchar,
    parent_version varchar,
    lens_version varchar not null,
    sample_size bigint not null,
    is_stable boolean not null,
    reason varchar not null
)"""

_LINEAGE_DATES = """(
    {run_date}
    lens varchar not null,
    refit_date date not null,
    leans_on_date date not null,
    content_hash varchar not null
)"""

_RUN_DATES = """(
    as_of_date date not null,
    lens varchar not null,
    leans_on_date date not null,
    content_hash varchar not null
)"""

_MODEL_ORIGINS = """(
    {run_date}
    model_version varchar not null,
    customer_id varchar not null,
    cluster integer not null
)"""

_RUNS = """(
    as_of_date date not null,
    lens varchar not null,
    model_version varchar not null,
    algorithm varchar not null,
    k integer not null,
    customers bigint not null,
    mean_squared_distance double not null,
    davies_bouldin double,
    silhouette double,
    jaccard_stability double,
    held_out_value double,
    smallest_share double not null,
    outlier_share double not null,
    imputed_share double not null,
    missing_shares varchar not null,
    choice_reason varchar not null,
    lineage_start date not null,
    features_hash varchar not null
)"""

_RUN_INPUTS = """(
    as_of_date date not null,
    lens varchar not null,
    input varchar not null,
    content_hash varchar not null
)"""

_SEGMENT_ALARMS = """(
    as_of_date date not null,
    lens varchar not null,
    kind varchar not null,
    segment_key varchar,
    feature varchar,
    evidence varchar not null,
    proposal varchar not null,
    figures varchar not null
)"""

_CUSTOMER_FORECASTS = """(
    as_of_date date not null,
    customer_id varchar not null,
    expected_purchases_90d double,
    expected_spend_amount_90d decimal(18, 2),
    active_probability double,
    next_category varchar,
    next_category_probability double
)"""

_CATEGORY_DEMAND_FORECAST = """(
    as_of_date date not null,
    category varchar not null,
    month date not null,
    months_ahead integer not null,
    expected_amount decimal(18, 2),
    lower_amount decimal(18, 2),
    upper_amount decimal(18, 2),
    method varchar not null
)"""

_FORECAST_MODELS = """(
    as_of_date date not null,
    model varchar not null,
    method varchar not null,
    customers_fitted bigint,
    parameters varchar not null,
    note varchar,
    inputs_hash varchar not null
)"""

_RUN_DATE = "run_date date not null,"


def _create(table: str, columns: str) -> tuple[str, str]:
    return table, columns


SCHEMAS: Final = ("candidate", "promoted", "pipeline")
TABLES_VERSION_TABLE: Final = "pipeline.tables_version"
"""One row: the hash of TABLES that the warehouse was last brought to."""

TABLES: Final[tuple[tuple[str, str], ...]] = (
    # The dates that a run computes features for, and where the lineage of its models starts.
    _create(
        "pipeline.plans",
        "(run_date date not null, lineage_start date not null, as_of_date date not null, refit_months integer)",
    ),
    # The decisions that a run applies, as their file had them when the run was planned: one JSON object a line.
    _create("pipeline.plan_decisions", "(run_date date not null, decisions varchar not null)"),
    _create("pipeline.facts_state", "(landing_fingerprint varchar not null, facts_version varchar not null)"),
    # The landing that the facts are built from, file by file.
    _create(
        "pipeline.landed_files",
        "(table_name varchar not null, file varchar not null, bytes bigint not null, changed_at_ns bigint not null)",
    ),
    # What `build facts` finds changed on its way: days and ids, by entity. Of no use once it has ended.
    _create("pipeline.touched_days", "(entity varchar not null, touched_date date)"),
    _create("pipeline.touched_keys", "(entity varchar not null, touched_key varchar, was_known boolean not null)"),
    _create(
        "pipeline.gate_results",
        """(
    run_id varchar not null,
    as_of_date date not null,
    subject varchar not null,
    suite varchar not null,
    batch_date date not null,
    expectation varchar not null,
    column_name varchar,
    severity varchar not null,
    outcome varchar not null,
    unexpected_count bigint,
    observed varchar,
    first_keys varchar,
    description varchar not null,
    evaluated_at timestamp not null
)""",
    ),
    # What exactly a gate let through: promotion takes nothing else.
    _create(
        "pipeline.gate_verdicts",
        "(as_of_date date not null, subject varchar not null, candidate_hash varchar not null,"
        " passed boolean not null)",
    ),
    _create("pipeline.versions", "(part varchar not null, version varchar not null)"),
    # Present from the start of a build of the marts until something is promoted; ready when they are built to the end.
    _create("pipeline.marts_state", "(marts_version varchar not null, is_ready boolean not null)"),
    _create(
        "pipeline.publications", "(as_of_date date not null, marts_version varchar not null, file varchar not null)"
    ),
    # Dates that somebody was forgotten out of: while their rows and logic are these, a run takes features and forecasts
    # over as they are, since others' were computed beside those who are gone.
    _create(
        "pipeline.pruned_dates",
        "(as_of_date date not null, rows_hash varchar not null, features_version varchar not null)",
    ),
    _create("candidate.labels", _LABELS),
    _create("candidate.models", _MODELS.format(run_date=_RUN_DATE)),
    _create("candidate.model_candidates", _MODEL_CANDIDATES.format(run_date=_RUN_DATE)),
    _create("candidate.model_samples", _MODEL_SAMPLES.format(run_date=_RUN_DATE)),
    _create("candidate.model_segments", _MODEL_SEGMENTS.format(run_date=_RUN_DATE)),
    _create("candidate.segments", _SEGMENTS.format(run_date=_RUN_DATE, segment_id="")),
    # What a segment was split from or merged of.
    _create("candidate.segment_parents", _SEGMENT_PARENTS.format(run_date=_RUN_DATE)),
    # Segments of a model that was fitted anew for the same date, and the segments of the old one they equal.
    _create(
        "candidate.segment_equivalents",
        "(run_date date not null, lens varchar not null, earlier_key varchar not null, later_key varchar not null)",
    ),
    _create("candidate.lineage", _LINEAGE.format(run_date=_RUN_DATE)),
    _create("candidate.lineage_dates", _LINEAGE_DATES.format(run_date=_RUN_DATE)),
    _create("candidate.model_origins", _MODEL_ORIGINS.format(run_date=_RUN_DATE)),
    _create("candidate.runs", _RUNS),
    _create("candidate.run_inputs", _RUN_INPUTS),
    _create("candidate.run_dates", _RUN_DATES),
    _create("candidate.segment_alarms", _SEGMENT_ALARMS),
    # Lenses that have no model for a date, and why.
    _create("candidate.skipped_lenses", "(as_of_date date not null, lens varchar not null, reason varchar not null)"),
    *(
        _create(f"{schema}.{table}", columns)
        for schema in ("candidate", "promoted")
        for table, columns in (
            ("customer_forecasts", _CUSTOMER_FORECASTS),
            ("category_demand_forecast", _CATEGORY_DEMAND_FORECAST),
            ("forecast_models", _FORECAST_MODELS),
        )
    ),
    _create("promoted.dates", "(as_of_date date not null, has_labels boolean not null, content_hash varchar not null)"),
    _create("promoted.labels", _LABELS),
    _create(
        "promoted.label_history",
        """(
    lens varchar not null,
    customer_id varchar not null,
    valid_from date not null,
    valid_to date,
    segment_key varchar,
    change_cause varchar not null
)""",
    ),
    _create("promoted.models", _MODELS.format(run_date="")),
    _create("promoted.model_candidates", _MODEL_CANDIDATES.format(run_date="")),
    _create("promoted.model_samples", _MODEL_SAMPLES.format(run_date="")),
    _create("promoted.model_segments", _MODEL_SEGMENTS.format(run_date="")),
    # The cluster of everybody in scope when a model was fitted, on which later labels stand.
    _create("promoted.model_origins", _MODEL_ORIGINS.format(run_date="")),
    # The model of each refit date, null where none could be fitted, and what it was last fitted from.
    _create("promoted.lineage", _LINEAGE.format(run_date="")),
    _create("promoted.lineage_dates", _LINEAGE_DATES.format(run_date="")),
    # From when to when each model is in effect, as decisions and refits have it today.
    _create(
        "pipeline.models_in_effect",
        "(lens varchar not null, model_version varchar not null, valid_from date not null, valid_to date)",
    ),
    # Runs that a run today would compute from something else, and why.
    _create("pipeline.stale_runs", "(as_of_date date not null, lens varchar not null, reason varchar)"),
    _create(
        "pipeline.model_statuses", "(lens varchar not null, model_version varchar not null, status varchar not null)"
    ),
    _create(
        "promoted.decisions",
        """(
    decision_id varchar not null,
    decided_at timestamp not null,
    kind varchar not null,
    lens varchar not null,
    refit_date date,
    effective_from date,
    model_version varchar,
    segment_key varchar,
    segment_id varchar,
    name varchar,
    decided_by varchar not null,
    reason varchar not null
)""",
    ),
    # What happened to models and segments, in the order in which it was promoted; never changed, never taken away.
    _create(
        "promoted.registry_events",
        """(
    event_number bigint not null,
    run_date date not null,
    lens varchar not null,
    subject varchar not null,
    subject_key varchar not null,
    event varchar not null,
    happened_as_of date not null,
    details varchar not null
)""",
    ),
    _create("promoted.segments", _SEGMENTS.format(run_date="", segment_id="segment_id varchar not null,")),
    _create("promoted.segment_parents", _SEGMENT_PARENTS.format(run_date="")),
    _create(
        "promoted.superseded_segments",
        "(lens varchar not null, segment_id varchar not null, superseded_by varchar not null)",
    ),
    _create("promoted.runs", _RUNS),
    _create("promoted.run_inputs", _RUN_INPUTS),
    _create("promoted.run_dates", _RUN_DATES),
    # What the weekly checks found; a check that found nothing has no row.
    _create("promoted.segment_alarms", _SEGMENT_ALARMS),
)
