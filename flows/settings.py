"""What params.yaml says of operations: the block `operations`, which no stage reads and which may be left out."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from tasks.settings import Settings


class Operations(Settings):
    """How runs are kept; when and how often is written in flows/deploy.py."""

    # Every successful run is committed here (dvc.lock, curation, params), without touching what is checked out.
    # An empty name keeps none.
    branch: str = Field(default="kept", pattern=r"^([A-Za-z0-9][A-Za-z0-9_./-]*)?$")

    @classmethod
    def load(cls, path: Path = Path("params.yaml")) -> "Operations":
        """The checked block; its defaults where the file has none. Raises ParamsError."""
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return cls.read(content.get("operations", {}), "operations")
