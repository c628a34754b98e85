"""What params.yaml says of the report."""

from pydantic import Field

from tasks.settings import Settings


class Report(Settings):
    """The block `report`."""

    title: str = "baren"  # at the head of the page
    sheet: int = Field(default=36, ge=1)  # kept pictures on a set's contact sheet, spread evenly over the set
    refused: int = Field(default=12, ge=0)  # refused pictures shown for each reason
    thumbnail: int = Field(default=192, ge=32)  # pixels of the long side of a picture on a sheet
    grids: int = Field(default=12, ge=1)  # sample grids of a recipe, spread evenly over its training
    prints: int = Field(default=8, ge=0)  # prints of a recipe shown beside their photo
    print_side: int = Field(default=1400, ge=64)  # pixels of the long side of a print on the page
