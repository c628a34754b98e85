"""The colours a print's file is written in: sRGB, or the RGB profile that a print shop asks for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tasks.errors import ParamsError
from tasks.infer.source import Pixels, Samples
from tasks.infer.strips import SRGB


@dataclass(frozen=True)
class Colours:
    """A profile, and the way there from sRGB; None where it is sRGB itself."""

    icc: bytes = SRGB
    way: ImageCms.ImageCmsTransform | None = None

    def turned(self, rows: Samples) -> Samples:
        """Rows [h, w, 3 or 4] of sRGB in these colours; transparency stays as it is."""
        if self.way is None:
            return rows
        colours: Any = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(rows[..., :3])), self.way)
        turned: Pixels = np.asarray(colours)
        return np.concatenate([turned, rows[..., 3:]], axis=2) if rows.shape[2] == 4 else turned


def colours_of(profile: str, depth: int) -> Colours:
    """The colours of the profile in the file `profile`, "" for sRGB; ParamsError where they are not to be had.

    Colours it does not hold become the nearest it does (relative colorimetric), and black stays black.
    """
    if not profile:
        return Colours()
    if depth == 16:
        raise ParamsError("colours are turned to a --profile with 8 bits a sample; leave out --profile or --depth 16")
    try:
        data = Path(profile).read_bytes()
        there = ImageCms.ImageCmsProfile(profile)
    except (OSError, ImageCms.PyCMSError) as error:
        raise ParamsError(f"{profile} is no ICC profile that can be read ({error}); name another .icc file") from error
    known: Any = there.profile
    space: str = known.xcolor_space.strip()
    if space != "RGB":
        raise ParamsError(
            f"{profile} is a profile of {space}, and prints are written in RGB; name an RGB profile, or none: a print "
            "shop turns sRGB to its own inks"
        )
    try:
        way = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), there, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    except ImageCms.PyCMSError as error:  # such as a scanner's, which only says how to read its colours
        raise ParamsError(
            f"{profile} is no profile that colours can be turned to ({error}); name a printer's"
        ) from error
    return Colours(data, way)
