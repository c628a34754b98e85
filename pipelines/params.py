"""params.yaml, read once and checked whole: picture sets, recipes, the report."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pipelines
from tasks.errors import BarenError, ParamsError
from tasks.evaluate.settings import Evaluate
from tasks.infer.settings import Infer
from tasks.prepare.settings import Prepare
from tasks.report.settings import Report
from tasks.scrape.settings import Scrape
from tasks.settings import Settings, read_yaml
from tasks.shard.settings import Shard
from tasks.train.settings import Train

TOP = ("pictures", "recipes", "report")
SET_KEYS = ("scrape", "prepare", "shard")
RECIPE_KEYS = ("from", "to", "networks", "train", "evaluate", "infer")
NOT_RECIPES = {
    "__main__",
    "executor",
    "params",
    "stages",
    "start",
    "paint",
    "photographs",
    "places",
    "shards",
    "sources",
    "sample",
    "export",
}  # the door's own


@dataclass(frozen=True)
class PictureSet:
    """What one domain is collected from, and how it is prepared and packed."""

    name: str
    scrape: Scrape
    prepare: Prepare
    shard: Shard


@dataclass(frozen=True)
class RecipeParams:
    """A GAN system: its module, the picture sets it learns from, and its settings.

    `learns_from` is the set it paints from and `learns_to` the one it learns to paint; a recipe that paints from
    noise names its one set in both places.
    """

    name: str
    module: ModuleType
    learns_from: str
    learns_to: str
    networks: Settings
    train: Train
    evaluate: Evaluate
    infer: Infer


class Params:
    """The file's content; each part is checked when it is asked for, `check` asks for all of them."""

    def __init__(self, content: Any) -> None:
        if isinstance(content, Mapping):
            content = {key: value for key, value in content.items() if key != "operations"}  # the flows' own
        top = _block(content, "the file", TOP)
        self._pictures = _named(top["pictures"], "pictures")
        self._recipes = _named(top["recipes"], "recipes")
        self._report = top["report"]

    @classmethod
    def load(cls, path: Path = Path("params.yaml")) -> "Params":
        """Read the file; raises ParamsError where it is missing, no YAML, or has other keys than it may."""
        return cls(read_yaml(path))

    @property
    def picture_sets(self) -> list[str]:
        """The names of the picture sets, in the file's order."""
        return list(self._pictures)

    @property
    def recipes(self) -> list[str]:
        """The names of the recipes, in the file's order."""
        return list(self._recipes)

    @property
    def report(self) -> Report:
        """The report's settings."""
        return Report.read(self._report, "report")

    def picture_set(self, name: str) -> PictureSet:
        """The settings of one picture set; raises ParamsError if it is unknown or wrong."""
        where = f"pictures.{name}"
        block = _block(_known(self._pictures, name, "picture set"), where, SET_KEYS)
        return PictureSet(
            name=name,
            scrape=Scrape.read(block["scrape"], f"{where}.scrape"),
            prepare=Prepare.read(block["prepare"], f"{where}.prepare"),
            shard=Shard.read(block["shard"], f"{where}.shard"),
        )

    def recipe(self, name: str) -> RecipeParams:
        """The settings of one recipe; raises ParamsError if it is unknown or wrong. Imports the recipe, and torch."""
        where = f"recipes.{name}"
        block = _block(_known(self._recipes, name, "recipe"), where, RECIPE_KEYS)
        if name not in known_recipes():
            raise ParamsError(
                f"params.yaml: {where} has no file pipelines/{name}.py; known recipes: {', '.join(known_recipes())}"
            )
        for key in ("from", "to"):
            if not isinstance(block[key], str) or block[key] not in self._pictures:
                raise ParamsError(
                    f"params.yaml: {where}.{key} is {block[key]!r}; "
                    f"it must name one of the picture sets: {', '.join(self._pictures)}"
                )
        module = importlib.import_module(f"pipelines.{name}")
        _require_recipe(module, name)
        if (module.KIND == "noise") != (block["from"] == block["to"]):
            needs = "one picture set, so from and to must be the same" if module.KIND == "noise" else "two picture sets"
            raise ParamsError(
                f"params.yaml: {where} learns from {block['from']!r} to {block['to']!r}; this recipe needs {needs}"
            )
        found = RecipeParams(
            name=name,
            module=module,
            learns_from=block["from"],
            learns_to=block["to"],
            networks=module.Networks.read(block["networks"], f"{where}.networks"),
            train=module.Train.read(block["train"], f"{where}.train"),
            evaluate=Evaluate.read(block["evaluate"], f"{where}.evaluate"),
            infer=Infer.read(block["infer"], f"{where}.infer"),
        )
        self._require_fit(found)
        return found

    def _require_fit(self, recipe: RecipeParams) -> None:
        """Raise ParamsError where settings contradict each other: the recipe is built once, on no memory."""
        import torch

        from tasks.train.undrawn import Undrawn

        with torch.device("meta"), Undrawn():
            built = recipe.module.build(recipe.networks, recipe.train)
        _require_members(recipe, built)
        for key, name in (("from", recipe.learns_from), ("to", recipe.learns_to)):
            side = self.picture_set(name).prepare.side
            shown = recipe.train.crop or side
            if shown > side:
                raise ParamsError(
                    f"params.yaml: recipes.{recipe.name}.train.crop is {shown} and the pictures of {name!r} have {side}"
                    f" px; take at most that, or raise pictures.{name}.prepare.side"
                )
            if key in built.reads and shown != built.side:
                raise ParamsError(
                    f"params.yaml: recipes.{recipe.name}.networks.side is {built.side} and it is shown {shown} px of "
                    f"{name!r}; set pictures.{name}.prepare.side to {built.side}, or to more and train.crop to it"
                )
        if recipe.evaluate.answer and recipe.module.KIND == "noise":
            raise ParamsError(
                f"params.yaml: recipes.{recipe.name}.evaluate.answer is {recipe.evaluate.answer!r}, and what is "
                "painted from noise has no right answer; set it to null"
            )
        if recipe.infer.back:
            if not hasattr(built, "painter_back"):
                raise ParamsError(f"params.yaml: recipes.{recipe.name}.infer.back is true, and it paints one way only")
            built.painter_back()

    def check(self) -> None:
        """Check every part, so that a mistake is told before anything runs. Imports every source and recipe."""
        from tasks.scrape.registry import find

        for name in self.picture_sets:
            scrape = self.picture_set(name).scrape
            find(scrape.use).Query.read(scrape.query, f"pictures.{name}.scrape.query")
        for name in self.recipes:
            _require_prints(self.recipe(name))
        _ = self.report


def known_recipes() -> list[str]:
    """The recipes there are: one file each beside this one."""
    return sorted(module.name for module in pkgutil.iter_modules(pipelines.__path__) if module.name not in NOT_RECIPES)


def _require_recipe(module: ModuleType, name: str) -> None:
    """Raise ParamsError where pipelines/NAME.py is not yet what CONTRIBUTING.md says a recipe's file is."""
    for member in ("KIND", "Networks", "Train", "build"):
        if not hasattr(module, member):
            raise ParamsError(f"pipelines/{name}.py has no {member}; CONTRIBUTING.md says what a recipe's file holds")
    if module.KIND not in ("translation", "noise"):
        raise ParamsError(f"pipelines/{name}.py: KIND is {module.KIND!r}; it must be 'translation' or 'noise'")


def _require_members(recipe: RecipeParams, built: Any) -> None:
    """Raise ParamsError where the recipe itself lacks what the loop asks it for."""
    wanted = ["name", "side", "shapes", "train", "networks", "averages"]
    for member in [*wanted, "noise"] if recipe.module.KIND == "noise" else wanted:
        if not hasattr(built, member):
            raise ParamsError(
                f"pipelines/{recipe.name}.py: its recipe has no {member}; set it, as CONTRIBUTING.md says"
            )
    if built.name != recipe.name:
        raise ParamsError(
            f"pipelines/{recipe.name}.py: its recipe's name is {built.name!r}; it must be the file's, {recipe.name!r}"
        )


def _require_prints(recipe: RecipeParams) -> None:
    """Raise ParamsError where infer or evaluate ask for what cannot be had, whatever the pictures are."""
    from tasks.infer import in_folder
    from tasks.infer.colour import colours_of
    from tasks.infer.paper import lay_out
    from tasks.infer.press import wish_of

    try:
        lay_out(recipe.infer.tile, recipe.infer.tile, wish_of(recipe.infer))  # a photo of any size would do
        colours_of(recipe.infer.profile, recipe.infer.depth)
        if recipe.infer.album and recipe.module.KIND != "noise":
            in_folder(Path(recipe.infer.album))
    except BarenError as error:
        raise ParamsError(f"params.yaml: recipes.{recipe.name}.infer: {error}") from error
    weights = recipe.evaluate.inception
    if weights and not Path(weights).is_file():
        raise ParamsError(
            f"params.yaml: recipes.{recipe.name}.evaluate.inception names {weights}, which is no file; give the path "
            "of torch-fidelity's Inception weights, or null to go without FID and KID"
        )


def _block(value: Any, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ParamsError(f"params.yaml: {where} is {value!r}; it must be a block with the keys {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise ParamsError(f"params.yaml: {where} has the unknown key {key!r}; known there: {', '.join(keys)}")
    for key in keys:
        if key not in value:
            raise ParamsError(f"params.yaml: {where} lacks the key {key!r}; add it")
    return value


def _named(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ParamsError(f"params.yaml: {where} is {value!r}; it must hold at least one named block")
    for name in value:
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
            raise ParamsError(f"params.yaml: {where} has the name {name!r}; names are of letters, digits, - and _")
    return value


def _known(blocks: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in blocks:
        raise ParamsError(f"params.yaml has no {what} {name!r}; it has: {', '.join(blocks)}")
    return blocks[name]
