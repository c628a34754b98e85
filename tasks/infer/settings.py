"""What the infer block of a recipe in params.yaml may say."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.settings import Settings

Statistics = Literal["auto", "thumbnail", "dense", "exact"]


class Infer(Settings):
    """How photographs are painted, or pictures drawn from noise."""

    photos: int = Field(6, ge=1)  # how many held-out photographs are painted
    back: bool = False  # paint the other way, pictures of `to` in the manner of `from`; for recipes that learn both
    draw: int = Field(256, ge=1)  # recipes from noise: pictures drawn, of which
    keep: int = Field(16, ge=1)  # so many are kept: the best by score that differ from each other
    seed: int = Field(0, ge=0, lt=2**32)  # of that noise
    mean: float = 0.0  # of that noise, which training knows with mean 0
    deviation: float = Field(1.0, gt=0)  # of that noise; below 1 pictures are more alike and have fewer faults
    enlarge: Literal["contours", "plain"] = "contours"  # how a drawing comes to the print's size; see contours.py
    album: str = ""  # a folder of one's own photographs, painted after those; "" for none
    tile: int = Field(1024, ge=128)  # px a side at most; apart from the training crop, larger wastes less on halo
    batch: int = Field(0, ge=0)  # tiles pushed through the network at once; 0: one on a CPU, what fits on a GPU
    statistics: Statistics = "auto"  # for norms that measure the picture; auto: a thumbnail's; see tasks/infer/norms.py
    thumbnail: int = Field(1024, ge=64)  # px on the long side of the thumbnail those statistics are taken from
    patch: int = Field(256, ge=32)  # px a side of the patches of dense statistics; best the side trained on
    edges: Literal["mirror", "network"] = (
        "mirror"  # beyond the photo lies its mirror image, or the network's own padding
    )
    dpi: float = Field(300.0, gt=0, le=65_535)  # written into the file, for the printer; JPEG holds no more
    depth: Literal[8, 16] = 8  # bits a sample of .png and .tif; 16 keep soft skies smooth, in files twice as large
    size: str = ""  # of the print, "188x110cm", "12x15in", "4500x3600px" or "A2"; "" paints the photo pixel for pixel
    fit: Literal["crop", "pad", "stretch"] = "crop"  # how a photo of another shape comes onto the paper
    bleed: str = ""  # picture beyond the trim on every side, "3mm"
    margin: str = ""  # white inside the trim on every side, "2cm"
    marks: bool = False  # crop marks beyond the bleed, for the print shop's knife
    profile: str = ""  # an RGB profile (.icc) the files' colours are turned to, as a print shop may ask; "": sRGB
    exif: bool = True  # carry on what the camera wrote beside the photo: when, where, with what, by whom
    paint_ppi: float | None = Field(None, gt=0)  # painted pixels an inch; fewer make broader strokes, and are quicker

    @model_validator(mode="after")
    def _enough_are_drawn(self) -> "Infer":
        if self.draw < self.keep:
            raise ValueError(
                f"draw is {self.draw} and keep {self.keep}: no more can be kept than are drawn; raise draw"
            )
        return self
