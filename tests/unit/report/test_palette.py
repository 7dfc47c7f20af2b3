import pytest

from segmentation_job.report.palette import (
    BAD,
    COLOURS,
    DIVERGING,
    INK,
    MUTED,
    PAPER,
    RISING,
    SEGMENT_COLOURS,
    Colour,
    diverging_colour,
    rising_colour,
    segment_colour,
)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def both(one: Colour, other: Colour) -> float:
    return min(contrast(one.light, other.light), contrast(one.dark, other.dark))


@pytest.mark.parametrize("colour", [*SEGMENT_COLOURS, BAD], ids=lambda colour: colour.name)
def test_a_bar_stands_out_from_its_paper(colour: Colour) -> None:
    assert both(colour, PAPER) >= 3


@pytest.mark.parametrize("colour", [PAPER, *DIVERGING, *RISING], ids=lambda colour: colour.name)
def test_ink_is_readable_on_every_cell(colour: Colour) -> None:
    assert both(INK, colour) >= 4.5


def test_quiet_words_are_readable() -> None:
    assert both(MUTED, PAPER) >= 4.5


def test_no_two_colours_are_drawn_or_called_alike() -> None:
    assert len({colour.sentinel for colour in COLOURS}) == len({colour.name for colour in COLOURS}) == len(COLOURS)
    assert len({colour.light for colour in SEGMENT_COLOURS}) == len({colour.dark for colour in SEGMENT_COLOURS}) == 30


def test_a_segment_keeps_its_colour_whatever_else_there_is() -> None:
    assert segment_colour("overall-07") == segment_colour("overall-07") == SEGMENT_COLOURS[6]
    assert len({segment_colour(f"overall-{number:02}") for number in range(1, 31)}) == 30
    assert segment_colour("overall-31") == segment_colour("overall-01")
    assert segment_colour("no number") in SEGMENT_COLOURS


@pytest.mark.parametrize(("value", "place"), [(-9, 0), (-2, 0), (0, 4), (0.1, 4), (2, 8), (9, 8), (1, 6)])
def test_a_difference_has_the_step_of_its_size(value: float, place: int) -> None:
    assert diverging_colour(value, 2.0) == DIVERGING[place]


def test_nothing_is_the_palest_and_the_highest_the_strongest() -> None:
    assert [rising_colour(value, 0.5) for value in (0, 0.5, 7)] == [RISING[0], RISING[-1], RISING[-1]]
    assert rising_colour(0, 0) == RISING[0]
