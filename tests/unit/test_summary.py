"""The tables that a run ends with."""

from io import StringIO

from rich.console import Console

from segmentation_job.summary import SegmentSummary, print_absent, print_summary

TRAITS = "These customers stand out by a far lower age band (typically 25-34, all customers 45-54) and more orders (9)."


def segment(lens: str, number: int) -> SegmentSummary:
    return SegmentSummary(lens, f"{lens}-{number:02}", f"Name {number}", 10, 0.5, 100.0, 0.5, TRAITS, "2018-01-01")


def printed(lenses: list[str]) -> str:
    console = Console(file=StringIO(), width=120)
    print_summary([segment(lens, number) for lens in lenses for number in range(1, 9)], console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_overall_comes_first_and_in_full_and_the_others_in_a_line_a_segment() -> None:
    text = printed(["demographic", "overall"])
    full, short = text[: text.index("lens demographic")], text[text.index("lens demographic") :]
    assert "overall-01" in full
    assert "a far lower age band and more orders" in " ".join(full.split())
    assert "demographic-01" not in short
    assert "a far lower age band" in short
    assert "more orders" not in short


def test_five_lenses_of_eight_segments_fit_on_two_screens() -> None:
    lines = printed(["overall", "demographic", "financial", "purchase", "engagement"]).splitlines()
    assert len(lines) <= 100


def test_what_the_source_lacks_is_said_by_family_with_skipped_lenses_and_idle_features() -> None:
    console = Console(file=StringIO(), width=120)
    print_absent(
        ["lens financial is skipped: the source has no payments and no credit"],
        ["payments", "credit", "web_events"],
        {"overall": [], "demographic": ["demographic_features.region"]},
        console,
    )
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [
        "The source has nothing of payments, credit (family financial).",
        "The source has nothing of browsing and carts (family engagement).",
        "Lens financial is skipped: the source has no payments and no credit.",
        "Lens demographic runs without region: constant or empty.",
    ]
