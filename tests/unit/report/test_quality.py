import pytest

from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.quality import _answer


@pytest.mark.parametrize(
    ("ours", "baseline", "answer"),
    [
        ((0.416, 0.009), (0.467, 0.009), "They do not."),
        ((0.338, 0.021), (0.320, 0.019), "About as much."),
        ((0.338, 0.010), (0.300, 0.010), "They do."),
    ],
)
def test_the_report_says_better_only_where_the_difference_is_beyond_its_error(
    ours: tuple[float, float], baseline: tuple[float, float], answer: str
) -> None:
    rows = Answer("candidates", ("held_out_value", "held_out_error"), (ours, baseline))
    assert _answer(rows.row(0), rows.row(1)) == answer
