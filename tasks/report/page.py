"""The page itself: what was gathered, poured into page.html."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.measures.kinds import BESIDE
from tasks.report.curves import HEIGHT, WIDTH
from tasks.report.recipes import Recipe
from tasks.report.sets import PictureSet

TALL = 300  # pixels; rows of prints are about so high, each print as wide as its shape asks


def render(title: str, sets: Sequence[PictureSet], recipes: Sequence[Recipe]) -> str:
    """The HTML of the whole page; everything from outside is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = number
    page = environment.get_template("page.html")
    return page.render(
        title=title, sets=sets, recipes=recipes, headings=list(BESIDE.values()), width=WIDTH, height=HEIGHT, tall=TALL
    )


def number(value: float) -> str:
    """Three significant digits, and no power of ten: 0.0831, 7.82, 158, 12,000."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"
