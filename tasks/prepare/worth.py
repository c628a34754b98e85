"""Is there something to learn in it? Numbers measured on the part of a picture that remains once borders are cut away.

Each is taken on a copy whose long side is `WORKING` pixels, so that a threshold means the same for any original.
"""

import cv2
import numpy as np
import numpy.typing as npt

from tasks.errors import PictureRefused
from tasks.picture import Pixels
from tasks.prepare.settings import Worth

WORKING = 512  # pixels of the long side at which pictures are measured
CELL = 16  # pixels of the squares in which writing is looked for
LEGIBLE = 256  # pixels of the long side that a page of writing has at least

Grey = npt.NDArray[np.uint8]  # [H, W]


def working_copy(picture: Pixels, long_side: int = WORKING) -> Pixels:
    """The picture averaged down until its long side has at most `long_side` pixels."""
    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def measure(picture: Pixels) -> dict[str, float]:
    """What is worth knowing of a picture, uint8 [H, W, 3]; any size, but measured at working size.

    aspect       long side over short side, of the picture as given
    sharpness    standard deviation of the Laplacian of the luma, over that of the luma itself: 0 is fog
    darkest, lightest   1st and 99th percentile of the luma, 0..255
    information  entropy of the luma, bits, 0..8
    colour       mean chroma in Lab, 0 for pure grey
    text         share of the area that looks like lines of writing, 0..1
    """
    height, width = picture.shape[:2]
    copy = working_copy(picture)
    grey = np.asarray(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY), np.uint8)
    darkest, lightest = np.percentile(grey, (1, 99))
    return {
        "aspect": round(max(height, width) / min(height, width), 3),
        "sharpness": round(_sharpness(grey), 4),
        "darkest": float(darkest),
        "lightest": float(lightest),
        "information": round(_entropy(grey), 3),
        "colour": round(_chroma(copy), 2),
        "text": round(_writing(grey), 4),
    }


def require_worth(measures: dict[str, float], worth: Worth) -> None:
    """Raise PictureRefused under the first name that applies."""
    bounds = (
        ("odd aspect", "aspect", measures["aspect"] > worth.max_aspect),
        ("dark", "lightest", measures["lightest"] < worth.min_lightest),
        ("light", "darkest", measures["darkest"] > worth.max_darkest),
        ("text-heavy", "text", measures["text"] > worth.max_text),
        ("low information", "information", measures["information"] < worth.min_information),
        ("greyscale", "colour", measures["colour"] < worth.min_colour),
        ("blurred", "sharpness", measures["sharpness"] < worth.min_sharpness),
    )
    for reason, name, applies in bounds:
        if applies:
            raise PictureRefused(reason, f"{name} {measures[name]:g}")


def _sharpness(grey: Grey) -> float:
    spread = float(grey.std())
    return float(cv2.Laplacian(grey, cv2.CV_32F).std()) / spread if spread > 0 else 0.0


def _entropy(grey: Grey) -> float:
    share = np.bincount(grey.ravel(), minlength=256) / grey.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _chroma(picture: Pixels) -> float:
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32) - 128
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def _writing(grey: Grey) -> float:
    """The share of cells that hold ink on paper: two lumas far apart, both flat, and many edges between them.

    0 for small pictures, where the strokes of a drawing are as fine as those of a letter.
    """
    if max(grey.shape) < LEGIBLE:
        return 0.0
    scale = WORKING / max(grey.shape)
    if scale > 1:
        grey = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), np.uint8)
    height, width = (size // CELL * CELL for size in grey.shape)
    if height == 0 or width == 0:
        return 0.0
    cells = grey[:height, :width].reshape(height // CELL, CELL, width // CELL, CELL).swapaxes(1, 2)
    cells = cells.reshape(-1, CELL * CELL).astype(np.float32)
    middle = (cells.min(1) + cells.max(1))[:, None] / 2
    ink = cells < middle
    num_ink = ink.sum(1)
    num_paper = CELL * CELL - num_ink
    mean_ink = (cells * ink).sum(1) / np.maximum(num_ink, 1)
    mean_paper = (cells * ~ink).sum(1) / np.maximum(num_paper, 1)
    step = mean_paper - mean_ink
    share = num_ink / (CELL * CELL)
    between = share * (1 - share) * step**2
    two_tone = between > 0.75 * np.maximum(cells.var(1), 1)  # Otsu's measure: how well two lumas tell the cell
    grid = ink.reshape(-1, CELL, CELL)
    strokes = (grid[:, 1:] != grid[:, :-1]).mean((1, 2)) + (grid[:, :, 1:] != grid[:, :, :-1]).mean((1, 2))
    return float((two_tone & (step > 60) & (share > 0.1) & (share < 0.5) & (strokes > 0.2)).mean())
