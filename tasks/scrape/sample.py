"""Real photographs that come inside installed packages, and hundreds of pictures made of them.

The first picture of each photograph is the photograph itself; those after it are cut, scaled, flipped and relit.
Rendered as woodblock prints (tasks/woodblock.py) they make a second domain whose style is known to the last pixel.
"""

import io
import itertools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from tasks.errors import BarenError
from tasks.files import fingerprint
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.settings import Settings

Picture = NDArray[np.uint8]

_SKIMAGE = "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data."
_BY = "https://creativecommons.org/licenses/by/2.0/"
_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"


@dataclass(frozen=True)
class Photograph:
    """A photograph inside an installed package; author and licence are what that package says of it."""

    package: str
    file: str
    title: str
    author: str
    page: str
    licence: str
    licence_url: str = ""


PHOTOGRAPHS = {
    "astronaut": Photograph(
        "skimage", "data/astronaut.png", "Eileen Collins", "NASA", f"{_SKIMAGE}astronaut", "public domain"
    ),
    "camera": Photograph(
        "skimage", "data/camera.png", "Photographer", "Lav Varshney", f"{_SKIMAGE}camera", "CC0", _CC0
    ),
    "chelsea": Photograph(
        "skimage", "data/chelsea.png", "Chelsea the cat", "Stefan van der Walt", f"{_SKIMAGE}chelsea", "CC0", _CC0
    ),
    "china": Photograph(
        "sklearn", "datasets/images/china.jpg", "china.jpg", "danielbuechele",
        "https://www.flickr.com/photos/danielbuechele/6061409035/", "CC BY 2.0", _BY,
    ),
    "coffee": Photograph(
        "skimage", "data/coffee.png", "Coffee cup", "Rachel Michetti", f"{_SKIMAGE}coffee", "CC0", _CC0
    ),
    "flower": Photograph(
        "sklearn", "datasets/images/flower.jpg", "flower.jpg", "vultilion",
        "https://www.flickr.com/photos/vultilion/6056698931/", "CC BY 2.0", _BY,
    ),
    "grace_hopper": Photograph(
        "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "Grace Hopper", "United States Navy",
        "https://matplotlib.org/stable/gallery/images_contours_and_fields/image_clip_path.html", "unknown",
    ),
    "hubble": Photograph(
        "skimage", "data/hubble_deep_field.jpg", "Hubble eXtreme Deep Field", "NASA",
        f"{_SKIMAGE}hubble_deep_field", "public domain",
    ),
    "ihc": Photograph(
        "skimage", "data/ihc.png", "Immunohistochemical staining", "", f"{_SKIMAGE}immunohistochemistry",
        "no known copyright restrictions",
    ),
    "motorcycle": Photograph(
        "skimage", "data/motorcycle_left.png", "Motorcycle (Middlebury stereo benchmark, 2014)",
        "Middlebury College", f"{_SKIMAGE}stereo_motorcycle", "unknown",
    ),
    "retina": Photograph(
        "skimage", "data/retina.jpg", "Fundus photograph of normal left eye", "Mikael Häggström",
        f"{_SKIMAGE}retina", "CC0", _CC0,
    ),
    "rocket": Photograph(
        "skimage", "data/rocket.jpg", "Falcon 9 with DSCOVR", "SpaceX", f"{_SKIMAGE}rocket", "public domain"
    ),
}  # fmt: skip


class SampleQuery(Settings):
    """Which photographs, how many-sided, and in which look."""

    photographs: tuple[str, ...] = Field(default=tuple(PHOTOGRAPHS), min_length=1)
    rendering: Literal["none", "woodblock"] = "none"
    seed: int = 1
    sides: tuple[int, int] = (72, 144)  # shortest and longest shorter side of a made picture, in pixels

    @field_validator("photographs")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in PHOTOGRAPHS]:
            raise ValueError(f"there is no photograph {unknown[0]!r}; known: {', '.join(PHOTOGRAPHS)}")
        if len(set(names)) < len(names):
            raise ValueError("a photograph stands there twice; name each once")
        return names

    @field_validator("sides")
    @classmethod
    def _ordered(cls, sides: tuple[int, int]) -> tuple[int, int]:
        if not 16 <= sides[0] <= sides[1] <= 300:
            raise ValueError(f"{list(sides)} must be two lengths from 16 to 300, the shorter one first")
        return sides


class Sample(Source[SampleQuery]):
    """Photographs that come inside installed packages, and details of them without end."""

    name = "sample"
    Query = SampleQuery
    example: ClassVar[Mapping[str, Any]] = {"photographs": ("coffee", "rocket")}

    def discover(self, query: SampleQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """All photographs whole, then a made picture of each in turn."""
        made_as = fingerprint(query.rendering, query.seed, query.sides)[:6]
        for number in itertools.count(cursor["number"] if cursor else 0):
            for name in query.photographs:
                yield _item(name, number, made_as, query)
            yield Mark({"number": number + 1})


def _item(name: str, number: int, made_as: str, query: SampleQuery) -> Item:
    photograph = PHOTOGRAPHS[name]
    whole, rendered = number == 0, query.rendering != "none"
    title = photograph.title + (", as a woodblock-like rendering" if rendered else "")
    look = query.rendering if whole else made_as
    return Item(
        key=f"{name}-{look}-{number:05d}" if rendered or not whole else name,
        page=photograph.page,
        shots=(Shot(f"package:{photograph.package}/{photograph.file}"),),
        title=title,  # of the work: its details differ in their keys
        author=photograph.author,
        licence=photograph.licence,
        licence_url=photograph.licence_url,
        tags=(name, query.rendering) if rendered else (name,),
        group=name,
        bytes_of=partial(picture_bytes, name, number, query.rendering, query.seed, query.sides),
    )


def picture_bytes(name: str, number: int, rendering: str, seed: int, sides: tuple[int, int]) -> bytes:
    """Picture `number` of a photograph, as a file: the package's own bytes for a whole photo, else JPEG or PNG."""
    if number == 0:
        return _path(name).read_bytes() if rendering == "none" else png(rendered(pixels(name), number))
    picture = detail(name, number, seed, sides).of(pixels(name))
    return jpeg(picture) if rendering == "none" else png(rendered(picture, number))


def _path(name: str) -> Path:
    photograph = PHOTOGRAPHS[name]
    spec = find_spec(photograph.package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        if (path := Path(folder) / photograph.file).is_file():
            return path
    raise BarenError(
        f"the photograph {name} is not in the installed {photograph.package}; set up the environment again (make setup)"
    )


@lru_cache(maxsize=16)
def pixels(name: str) -> Picture:
    """A photograph, decoded: uint8 [H, W, 3] sRGB."""
    from PIL import Image

    with Image.open(_path(name)) as picture:
        return np.asarray(picture.convert("RGB"))


@dataclass(frozen=True)
class Detail:
    """A piece of a photograph, never enlarged, in other proportions and another light."""

    top: int
    left: int
    cut_height: int  # pixels of the photograph
    cut_width: int
    height: int  # pixels of the picture made
    width: int
    flipped: bool
    gamma: float
    light: tuple[float, float, float]  # factors on red, green and blue

    def of(self, photograph: Picture) -> Picture:
        """The piece itself: uint8 [height, width, 3]."""
        import cv2

        piece = photograph[self.top : self.top + self.cut_height, self.left : self.left + self.cut_width]
        piece = cv2.resize(piece, (self.width, self.height), interpolation=cv2.INTER_AREA)
        if self.flipped:
            piece = piece[:, ::-1]
        lit = (piece / 255.0) ** self.gamma * self.light
        return np.ascontiguousarray((lit * 255).round().clip(0, 255).astype(np.uint8))


def detail(name: str, number: int, seed: int, sides: tuple[int, int]) -> Detail:
    """Detail `number` of a photograph; the same for the same arguments, whoever asks."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    height, width = photograph_size(name)
    shorter = int(rng.integers(sides[0], sides[1] + 1))
    ratio = float(rng.uniform(1.0, 4 / 3))
    shape = np.array([1.0, ratio] if rng.random() < 0.5 else [ratio, 1.0])  # height and width, in shorter sides
    largest = min(height / shape[0], width / shape[1])
    smallest = min(largest, max(shorter, largest * 0.35))
    cut = (shape * rng.uniform(smallest, largest)).astype(int).clip(1, (height, width))
    top, left = (int(rng.integers(0, room + 1)) for room in np.array([height, width]) - cut)
    size = np.minimum((shape * shorter).round().astype(int), cut)
    flipped, gamma = bool(rng.random() < 0.5), float(np.exp(rng.uniform(-0.7, 0.5)))
    red, green, blue = (rng.uniform(0.9, 1.1) * rng.uniform(0.97, 1.03, 3)).tolist()
    return Detail(top, left, int(cut[0]), int(cut[1]), int(size[0]), int(size[1]), flipped, gamma, (red, green, blue))


@lru_cache(maxsize=64)
def photograph_size(name: str) -> tuple[int, int]:
    """Height and width of a photograph, in pixels."""
    from PIL import Image

    with Image.open(_path(name)) as picture:
        return picture.height, picture.width


def rendered(picture: Picture, seed: int) -> Picture:
    """The picture as tasks.woodblock renders it."""
    from tasks.woodblock import render

    return render(picture, seed)


def jpeg(picture: Picture, quality: int = 92) -> bytes:
    """The picture as a JPEG file with whole colour; the same bytes every time."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
