"""What was known 90 days before a date and what followed, from built features: what the choice looks back on."""

from datetime import date, timedelta

import numpy as np

from segmentation_job.runs.lineage import measured_outcome
from segmentation_job.segments.choice import Past
from segmentation_job.segments.encoding import FloatArray
from segmentation_job.segments.lenses import Lens, Outcome
from tests.measurements.shops import BuiltFeatures

OUTCOME_DAYS = 90
RFM_COLUMNS = ("purchase_features.recency_days", "purchase_features.order_count", "financial_features.spend_amount")


def past_of(features: BuiltFeatures, lens: Lens, as_of: date) -> Past:
    """Return the customers of 90 days before a date as the lens saw them, and what they have done since.

    features: of both dates; a customer who was in scope then is in scope still, or counts as having done nothing.
    """
    before = as_of - timedelta(days=OUTCOME_DAYS)
    ids, values = features.lens_values(lens, before)
    _, rfm = features.values(RFM_COLUMNS, before)
    return Past(values, outcomes_of(features, lens.objective.outcomes, ids, as_of), rfm.numbers)


def outcomes_of(
    features: BuiltFeatures, outcomes: tuple[Outcome, ...], customers: list[str], as_of: date
) -> FloatArray:
    """Return what the customers did in the 90 days before a date (n, o), as the outcomes measure it.

    customers: who count as having done nothing where they are not in scope at the date.
    """
    ids, found = features.values([outcome.name for outcome in outcomes], as_of)
    place = {customer: index for index, customer in enumerate(ids)}
    known = np.nan_to_num(found.numbers)
    nothing = np.zeros(len(outcomes))
    raw = np.array([known[place[customer]] if customer in place else nothing for customer in customers])
    return np.column_stack([measured_outcome(raw[:, index], outcome.measure) for index, outcome in enumerate(outcomes)])
