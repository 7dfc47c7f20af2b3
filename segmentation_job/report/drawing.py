"""How a chart is drawn: matplotlib on a canvas of pixels, turned into SVG that takes the page's colours and fonts."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from segmentation_job.report.figures import Figure
from segmentation_job.report.palette import COLOURS, INK, LINE, PAPER, Colour

# Drawn so wide that a phone shows it nearly at its natural size.
WIDTH: Final = 380.0
TEXT: Final = 12.5
SMALL: Final = 11.0
# A letter's width in its height, on the generous side: fonts differ.
_LETTER: Final = 0.63

_VARIABLES: Final = {colour.sentinel: f"var(--{colour.name})" for colour in COLOURS}


def width_of(text: str, size: float = TEXT) -> float:
    """Return about how wide a text is drawn, in pixels."""
    return len(text) * size * _LETTER


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """Return a text that fits into a width in pixels; the full one stands in the table."""
    letters = max(4, int(width / (size * _LETTER)))
    plain = " ".join(text.split())
    return plain if len(plain) <= letters else plain[: letters - 1].rstrip() + "…"


def wrapped(text: str, width: float, lines: int = 2, size: float = TEXT) -> list[str]:
    """Return a text as at most so many lines that fit into a width in pixels."""
    letters = max(4, int(width / (size * _LETTER)))
    plain = " ".join(text.split())
    return textwrap.wrap(plain, letters, max_lines=lines, placeholder="…") or [""]


class Canvas:
    """A picture of WIDTH × height pixels, measured from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        # 72 dots an inch: a point is a pixel of the SVG.
        self.picture = Picture(figsize=(WIDTH / 72, height / 72), dpi=72)
        self.picture.patch.set_visible(False)
        self.ground = self.axes(0, 0, WIDTH, height)
        self.ground.set_xlim(0, WIDTH)
        self.ground.set_ylim(height, 0)
        self.ground.axis("off")
        self._figures: list[Figure] = []

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes at a place on the canvas, transparent."""
        axes = self.picture.add_axes(
            (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        )
        axes.patch.set_visible(False)
        return axes

    def box(
        self, left: float, top: float, width: float, height: float, colour: Colour, opacity: float | None = None
    ) -> None:
        """Draw a filled box."""
        box = Rectangle((left, top), max(width, 0.0), height, facecolor=colour.sentinel, linewidth=0, clip_on=False)
        box.set_alpha(opacity)
        # As an artist of its own: a patch would be measured for limits that are fixed.
        self.ground.add_artist(box)

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: Colour = LINE, width: float = 1.0) -> None:
        """Draw a line through points."""
        self.ground.add_artist(
            Line2D(xs, ys, color=colour.sentinel, linewidth=width, clip_on=False, solid_joinstyle="round")
        )

    def dot(self, x: float, y: float, colour: Colour, size: float = 6.0) -> None:
        """Draw a round dot."""
        dot = Circle((x, y), size / 2, facecolor=colour.sentinel, linewidth=0, clip_on=False)
        self.ground.add_artist(dot)

    def text(
        self,
        x: float,
        y: float,
        said: str | Figure,
        colour: Colour = INK,
        size: float = TEXT,
        align: str = "left",
        strong: bool = False,
        turned: bool = False,
        shown: str | None = None,
    ) -> None:
        """Write a text around the height y; a figure keeps where it comes from.

        align: left, center or right of x. turned: from below to above. shown: what is written of a figure that has no
        room for all.
        """
        artist = self.ground.text(
            x,
            y,
            str(said) if shown is None else shown,
            # A dollar sign would begin a formula.
            parse_math=False,
            color=colour.sentinel,
            fontsize=size,
            ha=align,
            va="bottom" if turned else "center_baseline",
            rotation=90 if turned else 0,
            fontweight="bold" if strong else "normal",
            clip_on=False,
        )
        if isinstance(said, Figure):
            artist.set_gid(f"figure-of-query-{len(self._figures)}")
            self._figures.append(said)

    def label(self, x: float, y: float, said: Figure, shown: str, colour: Colour) -> None:
        """Write a text behind a dot of a colour, on a plate of paper that keeps it readable over others."""
        self.box(x - 3, y - 7.5, width_of(shown, SMALL) + 18, 15, PAPER, opacity=0.85)
        self.dot(x + 3, y, colour, 7.0)
        self.text(x + 10, y, said, shown=shown, size=SMALL, strong=True)

    def svg(self, key: str) -> Markup:
        """Return the picture as inline SVG in the page's colours, named by the elements key-title and key-finding."""
        buffer = io.StringIO()
        # Text stays text. Ids of clip paths and markers come from the salt and not from chance: the same file gives the
        # same page.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}), warnings.catch_warnings():
            # The reader's own fonts have the signs that the one measured with lacks.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.picture.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return Markup(themed(buffer.getvalue(), key, self._figures))


def themed(svg: str, key: str, figures: Sequence[Figure]) -> str:
    """Return matplotlib's SVG fit for the page.

    Its sentinel colours become CSS variables and its fonts the page's; ids are the chart's own, and only those that
    something refers to; texts that show a figure say which.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>\s*", "", svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), svg)
    # The page's own fonts.
    svg = re.sub(r" ?font-family: [^;\"]*;", "", svg)
    svg = re.sub(r" transform=\"rotate\(-0 [^\"]*\)\"", "", svg)
    # Hundredths of a pixel will do for places; what is written stays as it is.
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), svg)
    used = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", svg))
    kept = {name for names in used for name in names if name}

    def named(found: re.Match[str]) -> str:
        name = found[1]
        place = re.fullmatch(r"figure-of-query-(\d+)", name)
        if place:
            figure = figures[int(place[1])]
            return (
                f' data-query="{escape(figure.query)}" data-cell="{figure.row} {escape(figure.column)}"'
                f' data-form="{escape(figure.form)}"'
            )
        return f' id="{key}-{name}"' if name in kept else ""

    svg = re.sub(r"\s+id=\"([^\"]*)\"", named, svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    svg = re.sub(r"href=\"#([^\"]+)\"", rf'href="#{key}-\1"', svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box
    opening = f'<svg class="chart" viewBox="{box[1]}" role="img" aria-labelledby="{key}-title {key}-finding">'
    svg = opening + svg[svg.index(">") + 1 :]
    svg = re.sub(r">\s+<", "><", svg)
    return re.sub(r"\s*\n", " ", svg).replace("xlink:href", "href").strip()
