"""The page: its parts in their order, and the template that they are put into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from segmentation_job.report.blocks import Section
from segmentation_job.report.figures import Figure
from segmentation_job.report.palette import style_variables
from segmentation_job.report.published_file import Question
from segmentation_job.report.sections.cards import Cards
from segmentation_job.report.sections.changes import Opening

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """Everything that the page says."""

    as_of: Figure
    lead: Markup
    notices: tuple[Markup, ...]
    opening: Opening
    cards: Cards
    sections: tuple[Section, ...]
    questions: tuple[Question, ...]

    @property
    def questions_json(self) -> Markup:
        """The queries for a program that holds the page against the file."""
        asked = {
            question.name: {"sql": question.sql, "parameters": {k: _plain(v) for k, v in question.parameters.items()}}
            for question in self.questions
        }
        # Nothing in it may end the element that it stands in.
        text = json.dumps(asked, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
        return Markup(text.replace("&", "\\u0026"))


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def html_of(page: Page) -> str:
    """Return the page as one HTML document that needs no other file and no script."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    light, dark = style_variables()
    return environment.get_template("page.html.j2").render(page=page, light=Markup(light), dark=Markup(dark))
