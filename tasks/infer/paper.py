"""From a photograph's pixels to a sheet of paper: sizes, resolutions, what is cut off and what stays white."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.errors import ParamsError
from tasks.infer.canvas import Canvas
from tasks.infer.source import LOBES, Box, Samples, resized, white

INCHES = {"cm": 1 / 2.54, "mm": 1 / 25.4, "in": 1.0}
SHEETS = {"A0": "841x1189mm", "A1": "594x841mm", "A2": "420x594mm", "A3": "297x420mm", "A4": "210x297mm"}  # ISO 216
SOFT = 150.0  # ppi: below it a print looks soft from reading distance
BAND = 64  # rows of a sheet handled at once
SLUG, MARK, HAIR = "8mm", "5mm", "0.1mm"  # the white beyond the bleed that crop marks lie in; their length and width

Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Wish:
    """What was asked of a print; with no `size` the sheet is the photo, pixel for pixel."""

    size: str = ""  # "188x110cm", "12x15in", "4500x3600px", or "A2", turned as the photo lies; the sheet after trimming
    dpi: float = 300.0
    fit: Fit = "crop"
    bleed: str = ""  # "3mm": picture beyond the trim on every side
    margin: str = ""  # "2cm": white inside the trim on every side
    marks: bool = False  # crop marks, in a white frame round all of it
    paint_ppi: float | None = None  # the resolution it is painted at; less makes broader strokes, and is quicker


@dataclass(frozen=True)
class Sheet:
    """A print laid out; all in pixels of the file unless said otherwise."""

    height: int  # of the file, bleed included
    width: int
    top: int  # where the picture lies on it
    left: int
    picture_height: int
    picture_width: int
    crop: Box  # the part of the photo that is shown, in the photo's pixels
    paint_height: int  # the picture is painted at this size, then enlarged
    paint_width: int
    dpi: float
    bleed: int
    slug: int = 0  # the white frame with crop marks; the trim lies `slug` and `bleed` inside the file's edge
    enlarged: int = 1  # how many times the photo was enlarged before: it has fewer pixels of its own

    @property
    def photo_ppi(self) -> float:
        """Pixels of the photo for each inch of the print, along the side that has fewer."""
        shown = min(self.crop.width / self.picture_width, self.crop.height / self.picture_height)
        return self.dpi * shown / self.enlarged

    @property
    def paint_ppi(self) -> float:
        """Painted pixels for each inch of the print."""
        return self.dpi * self.paint_width / self.picture_width

    @property
    def pixel_for_pixel(self) -> bool:
        """Whether the print is the photo's own size."""
        return (self.height, self.width) == (self.crop.height, self.crop.width)

    def told(self, what: str) -> str:
        """The print's size, and the resolution that `what` (the photo) gives it, in words."""
        width, height = (side / self.dpi * 2.54 for side in (self.width, self.height))
        size = f"{self.width:,} x {self.height:,} px, {width:.1f} x {height:.1f} cm at {self.dpi:g} dpi"
        return f"{size}; {what} gives {self.photo_ppi:.0f} px an inch"

    def warnings(self) -> list[str]:
        """What a person should know before the long work."""
        if self.photo_ppi >= SOFT or self.pixel_for_pixel:
            return []
        width, height = (
            (side - 2 * self.slug) / self.dpi * self.photo_ppi / SOFT * 2.54 for side in (self.width, self.height)
        )
        return [
            f"{self.photo_ppi:.0f} px an inch are few at this size: below {SOFT:.0f} a print looks soft from near; "
            f"up to {width:.1f} x {height:.1f} cm it would be sharp"
        ]


def lay_out(height: int, width: int, wish: Wish) -> Sheet:
    """The sheet for a photo of height x width px; raises ParamsError for a wish that cannot be met."""
    if not wish.size:
        if wish.bleed or wish.margin or wish.marks:
            raise ParamsError(
                "--bleed, --margin and --marks need the size of the paper; add --print, such as --print 40x30cm"
            )
        paint = _painted(height, width, wish)
        return Sheet(height, width, 0, 0, height, width, Box(0, 0, width, height), *paint, wish.dpi, 0)
    if wish.bleed and wish.margin:
        raise ParamsError("--margin leaves the edge white, so there is nothing to --bleed; give one of them")
    trim_width, trim_height = sheet_size(wish.size, wish.dpi, wide=width > height)
    bleed, margin = (round(length(text, wish.dpi)) if text else 0 for text in (wish.bleed, wish.margin))
    slug = round(length(SLUG, wish.dpi)) if wish.marks else 0
    sheet_height, sheet_width = (side + 2 * (bleed + slug) for side in (trim_height, trim_width))
    free_height, free_width = (side - 2 * (slug + margin) for side in (sheet_height, sheet_width))
    if min(free_height, free_width) < 1:
        raise ParamsError(f"--margin {wish.margin} leaves nothing of {wish.size}; make it smaller")
    area_height, area_width, crop = _fitted(height, width, free_height, free_width, wish.fit)
    top, left = (sheet_height - area_height) // 2, (sheet_width - area_width) // 2
    paint = _painted(area_height, area_width, wish)
    return Sheet(sheet_height, sheet_width, top, left, area_height, area_width, crop, *paint, wish.dpi, bleed, slug)


def sheet_size(text: str, dpi: float, wide: bool = False) -> tuple[int, int]:
    """Width and height in px of a size such as "188x110cm" or "A2" at `dpi`; raises ParamsError.

    A size that goes by a name lies on its side where the photo is `wide`.
    """
    named = SHEETS.get(text.strip().upper())
    found = re.fullmatch(r"\s*([\d.]+)\s*[x×]\s*([\d.]+)\s*(cm|mm|in|px)\s*", named or text)
    try:
        assert found
        sides = [float(side) * (1 if found[3] == "px" else INCHES[found[3]] * dpi) for side in found.groups()[:2]]
        width, height = (round(side) for side in sides)
        assert min(width, height) >= 1
    except (AssertionError, ValueError, OverflowError) as error:
        raise ParamsError(
            f"{text!r} is no size of a print; write WIDTHxHEIGHT and a unit (188x110cm, 12x15in, 4500x3600px), or the "
            "name of a sheet, A0 to A4"
        ) from error
    return (height, width) if named and wide else (width, height)


def length(text: str, dpi: float) -> float:
    """A length such as "3mm" in px at `dpi`; raises ParamsError."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d*)?|\.\d+)\s*(cm|mm|in|px)\s*", text)
    if not found:
        raise ParamsError(f"{text!r} is no length; write a number and a unit: 3mm, 0.5in, 2cm or 40px")
    return float(found[1]) * (1 if found[2] == "px" else INCHES[found[2]] * dpi)


def sheet_rows(canvas: Canvas, sheet: Sheet, alpha: Samples | None = None) -> Iterator[Samples]:
    """The sheet from top to bottom, in bands of rows [h, width, 3]; waits for the canvas where it is not painted yet.

    With `alpha` [H, W], the photo's transparency, the picture has as much of it in a fourth channel; paper has none.
    """
    for top in range(0, sheet.height, BAND):
        stop = min(top + BAND, sheet.height)
        first, last = max(top, sheet.top), min(stop, sheet.top + sheet.picture_height)
        if (first, last) == (top, stop) and sheet.picture_width == sheet.width:
            yield _picture_rows(canvas, sheet, alpha, first - sheet.top, last - sheet.top)
            continue
        dtype = np.dtype(np.uint8 if canvas.depth == 8 else np.uint16)
        band = np.full((stop - top, sheet.width, 3 if alpha is None else 4), white(dtype), dtype)
        if first < last:
            rows = _picture_rows(canvas, sheet, alpha, first - sheet.top, last - sheet.top)
            band[first - top : last - top, sheet.left : sheet.left + sheet.picture_width] = rows
        if sheet.slug:
            _mark(band, sheet, top)
        yield band


def _mark(band: Samples, sheet: Sheet, top: int) -> None:
    """Draw the part of the crop marks that lies in a band of rows from `top` on."""
    long, wide = (max(1, round(length(text, sheet.dpi))) for text in (MARK, HAIR))
    inside = sheet.slug + sheet.bleed
    for side, along, rows in ((sheet.height, sheet.width, True), (sheet.width, sheet.height, False)):
        for cut in (inside - wide, side - inside):  # just outside the trim
            for end in (slice(0, long), slice(along - long, along)):
                y, x = (slice(cut, cut + wide), end) if rows else (end, slice(cut, cut + wide))
                band[max(y.start - top, 0) : max(y.stop - top, 0), x, :3] = 0


def _picture_rows(canvas: Canvas, sheet: Sheet, alpha: Samples | None, start: int, stop: int) -> Samples:
    """Rows [start, stop) of the picture as it is printed."""
    rows = _painted_rows(canvas, sheet, start, stop)
    if alpha is None:
        return rows
    share = resized(
        alpha[..., None], sheet.crop, sheet.picture_height, sheet.picture_width,
        np.arange(start, stop), np.arange(sheet.picture_width),
    )  # fmt: skip
    share *= white(rows.dtype) / white(alpha.dtype)
    return np.concatenate([rows, np.rint(share).astype(rows.dtype, order="C")], axis=2)


def _painted_rows(canvas: Canvas, sheet: Sheet, start: int, stop: int) -> Samples:
    """Rows [start, stop) of the painting, enlarged where it was painted smaller."""
    if (canvas.height, canvas.width) == (sheet.picture_height, sheet.picture_width):
        return canvas.rows(start, stop)
    scale = canvas.height / sheet.picture_height
    reach = (LOBES + 1) * max(scale, 1.0)
    first, last = max(int(start * scale - reach), 0), min(int(stop * scale + reach) + 1, canvas.height)
    box = Box(0, -first, canvas.width, canvas.height)
    painted = canvas.rows(first, last)
    rows = resized(
        painted, box, sheet.picture_height, sheet.picture_width,
        np.arange(start, stop), np.arange(sheet.picture_width),
    )  # fmt: skip
    return np.rint(rows).astype(painted.dtype, order="C")


def _fitted(height: int, width: int, free_height: int, free_width: int, fit: Fit) -> tuple[int, int, Box]:
    """Height and width of the picture in its free space, and the part of the photo it shows."""
    whole = Box(0, 0, width, height)
    if fit == "stretch":
        return free_height, free_width, whole
    across, down = free_width / width, free_height / height
    if fit == "pad":
        scale = min(across, down)
        return max(1, min(free_height, round(height * scale))), max(1, min(free_width, round(width * scale))), whole
    scale = max(across, down)
    shown_width, shown_height = free_width / scale, free_height / scale
    crop = Box((width - shown_width) / 2, (height - shown_height) / 2, shown_width, shown_height)
    return free_height, free_width, crop


def _painted(height: int, width: int, wish: Wish) -> tuple[int, int]:
    if wish.paint_ppi is None or wish.paint_ppi >= wish.dpi:
        return height, width
    scale = wish.paint_ppi / wish.dpi
    return max(1, round(height * scale)), max(1, round(width * scale))
