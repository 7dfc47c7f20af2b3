"""The colours of the report: a segment's own, steps of a scale, ink and paper; each for light and for dark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final


@dataclass(frozen=True)
class Colour:
    """A colour of the style sheet, and what stands for it while a chart is drawn.

    name: of the CSS variable. sentinel: what matplotlib draws with, replaced by the variable afterwards.
    """

    name: str
    sentinel: str
    light: str
    dark: str


# Ten hues that people with any kind of colour blindness tell apart (after Paul Tol's "muted" set), made darker or
# lighter until each stands out by 3:1 from its paper. Three tones of each: thirty segments before two look alike.
_HUES: Final = (
    ("#3d5fc4", "#8ea8ff"),
    ("#b8541a", "#f0955a"),
    ("#0b7f70", "#43c6b2"),
    ("#a32a63", "#f07fb0"),
    ("#7a6a08", "#d6c24a"),
    ("#2b86ad", "#7cccf0"),
    ("#7b3fa8", "#c89bf0"),
    ("#3f7d20", "#93cf6a"),
    ("#a8323a", "#f58a8f"),
    ("#6b5b4b", "#c9b6a2"),
)
_TONES: Final = (0.0, 0.28, -0.3)


def _toned(colour: str, tone: float) -> str:
    """Mix a colour with black (tone above 0) or with white (below)."""
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    towards = 0 if tone > 0 else 255
    return "#" + "".join(
        f"{round(part + (towards - part) * abs(tone) * (1 if tone > 0 else 0.6)):02x}" for part in parts
    )


SEGMENT_COLOURS: Final = tuple(
    Colour(f"seg-{number}", f"#10{number:02x}01", _toned(light, tone), _toned(dark, tone))
    for number, (tone, (light, dark)) in enumerate((tone, hue) for tone in _TONES for hue in _HUES)
)

INK: Final = Colour("ink", "#010101", "#1c2230", "#e8eaf0")
MUTED: Final = Colour("muted", "#020202", "#565e6e", "#a7afbf")
LINE: Final = Colour("line", "#030303", "#d9dde5", "#363d4b")
PAPER: Final = Colour("paper", "#040404", "#ffffff", "#181c25")
GROUND: Final = Colour("ground", "#090909", "#f4f5f8", "#10131a")
QUIET: Final = Colour("quiet", "#050505", "#9aa3b5", "#69738a")
ACCENT: Final = Colour("accent", "#060606", "#2b5fb8", "#8fb4ff")
GOOD: Final = Colour("good", "#070707", "#1f7a4d", "#5fd39a")
BAD: Final = Colour("bad", "#080808", "#b3372c", "#ff9086")

# Below and above the mean: blue and orange, told apart by everybody; the middle is the paper's own.
DIVERGING: Final = tuple(
    Colour(f"div-{number}", f"#20{number:02x}02", light, dark)
    for number, (light, dark) in enumerate(
        (
            ("#8fb3ea", "#2f5fa8"),
            ("#adc8f1", "#294f89"),
            ("#cbdcf7", "#29466f"),
            ("#e5eefb", "#2a3b58"),
            ("#eeeff2", "#2d333f"),
            ("#fdeadb", "#43311f"),
            ("#fad3b3", "#643f1c"),
            ("#f5b988", "#7c4a1b"),
            ("#ee9c5c", "#95561a"),
        )
    )
)
# From nothing to much.
RISING: Final = tuple(
    Colour(f"rise-{number}", f"#30{number:02x}03", light, dark)
    for number, (light, dark) in enumerate(
        (
            ("#eceff6", "#2b3240"),
            ("#dfe8f6", "#2a3a55"),
            ("#cddcf3", "#2a4670"),
            ("#b3caee", "#2d5188"),
            ("#98b7e8", "#325c9e"),
            ("#7ea5e2", "#3766b3"),
        )
    )
)

COLOURS: Final = (INK, MUTED, LINE, PAPER, GROUND, QUIET, ACCENT, GOOD, BAD, *SEGMENT_COLOURS, *DIVERGING, *RISING)


def segment_colour(segment_id: str) -> Colour:
    """Return a segment's colour: of its durable id alone, so that it keeps it from night to night."""
    ending = re.search(r"(\d{1,9})$", segment_id)
    number = int(ending[1]) - 1 if ending else int(sha256(segment_id.encode()).hexdigest(), 16)
    return SEGMENT_COLOURS[number % len(SEGMENT_COLOURS)]


def diverging_colour(value: float, limit: float) -> Colour:
    """Return the step for a value between -limit and limit; beyond them the last."""
    middle = len(DIVERGING) // 2
    return DIVERGING[middle + round(max(-1.0, min(1.0, value / limit)) * middle)]


def rising_colour(value: float, limit: float) -> Colour:
    """Return the step for a value between 0 and limit."""
    if limit <= 0:
        return RISING[0]
    return RISING[round(max(0.0, min(1.0, value / limit)) * (len(RISING) - 1))]


def style_variables() -> tuple[str, str]:
    """Return the variables of the style sheet, for light and for dark."""
    light = "".join(f"--{colour.name}:{colour.light};" for colour in COLOURS)
    dark = "".join(f"--{colour.name}:{colour.dark};" for colour in COLOURS)
    return light, dark
