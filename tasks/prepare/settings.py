"""What params.yaml says of preparing a picture set."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.limits import LIMITS, Limits
from tasks.settings import Settings


class Worth(Settings):
    """What a picture must be for a network to learn from it; measured as tasks/prepare/worth.py tells.

    The bounds refuse what is plainly useless (blank, black, out of focus, a page of writing) and little else.
    """

    max_aspect: float = Field(
        default=6.0, ge=1, allow_inf_nan=True
    )  # long side over short side; pillar prints reach 5.6
    min_lightest: float = Field(default=35.0, ge=0, le=255)  # of 255: else "dark"
    max_darkest: float = Field(default=230.0, ge=0, le=255)  # of 255: else "light"
    min_information: float = Field(default=1.5, ge=0, le=8)  # bits; a placeholder has under 1, a photograph 7
    min_colour: float = Field(default=1.5, ge=0)  # chroma in Lab; old paper alone has 8. 0 takes greyscale too
    min_sharpness: float = Field(default=0.06, ge=0)  # a picture in focus has 0.2 to 2, the softest paintings 0.063
    max_text: float = Field(default=0.55, ge=0, le=1)  # share of the area; prints all outline or poem reach 0.48


class Faces(Settings):
    """How faces are found and how much is cut around them."""

    find: Literal["hog", "cnn", "cascade"] = "hog"  # hog: photographs and paintings; cascade: a file of your own
    cascade: str = ""  # an OpenCV cascade: a path, or "anime", which is fetched once and checked
    which: Literal["one", "largest", "all"] = "largest"  # "one" refuses pictures that show several
    margin: float = Field(default=0.4, ge=0, le=2)  # of the face's side, added on every side
    align: bool = False  # eyes level and in one place (hog only): each face is turned and scaled by its landmarks
    min_side: int = Field(default=32, ge=8)  # pixels of the original; smaller faces are not used
    at_edge: Literal["mirror", "refuse"] = "mirror"  # where the square leaves the picture

    @model_validator(mode="after")
    def _cascade_is_named(self) -> "Faces":
        if self.find == "cascade" and not self.cascade:
            raise ValueError("find is 'cascade' and no cascade is named; set cascade to a file's path or to 'anime'")
        if self.find == "cascade" and self.align:
            raise ValueError(
                "align needs landmarks, which a cascade does not give; set find to 'hog' or align to false"
            )
        return self


class Prepare(Settings):
    """The block pictures.SET.prepare."""

    side: int = Field(default=256, ge=8, le=4096)  # pixels of the square a network sees; 256 is the articles' size
    # centre   the middle square at its own scale: nothing is resized
    # tiles    as many such squares as fit, up to max_crops: for large scans
    # fit      the largest middle square, resized
    # whole    all of it, squeezed into the square; training then crops at random
    # faces    a square around a face, resized
    crop: Literal["centre", "tiles", "fit", "whole", "faces"] = "centre"
    max_crops: int = Field(default=16, ge=1)  # of one picture, for tiles and faces
    trim: bool = True  # cut away borders, mounts, colour bars and letterbox bars before anything is cropped
    duplicates: int = Field(default=4, ge=-1, le=16)  # bits of 64 in which near duplicates differ; -1 keeps all
    licences: tuple[str, ...] = ()  # only these, as the source writes them; none named: any
    worth: Worth = Worth()
    faces: Faces = Faces()
    limits: Limits = LIMITS  # what a file may be before it is opened
