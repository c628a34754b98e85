"""The names that params.yaml gives recipes and picture sets: a wrong one is a sentence before anything is started."""

from collections.abc import Collection
from typing import Literal

from flows.settings import load_blocks
from tasks.errors import ParamsError


def require_recipes(names: Collection[str]) -> None:
    """Raise ParamsError for a name that no recipe of params.yaml has."""
    _require("recipe", "recipes", names)


def require_picture_sets(names: Collection[str]) -> None:
    """Raise ParamsError for a name that no picture set of params.yaml has."""
    _require("picture set", "pictures", names)


def _require(what: str, block: Literal["pictures", "recipes"], names: Collection[str]) -> None:
    if not names:
        return
    try:
        known = list(load_blocks(block))
    except ParamsError:
        return  # what is wrong with the file itself, its check says
    for name in names:
        if name not in known:
            raise ParamsError(f"{name!r} is no {what} of params.yaml; known there: {', '.join(known)}")
