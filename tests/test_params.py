"""params.yaml: what is wrong in it is one sentence that names the place, the value and what is allowed."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipelines
from pipelines.params import Params, known_recipes
from tasks.errors import ParamsError

ROOT = Path(__file__).parent.parent
ARTICLES = {"travelgan", "cyclegan", "progressive", "anime", "portraits"}


@pytest.fixture
def content() -> dict[str, Any]:
    """The demonstration's file, to be spoilt."""
    return copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text()))


def test_what_is_shipped_is_right_and_the_articles_systems_are_there_in_full() -> None:
    files = ("params.yaml", "params.full.yaml", "params.sanity.yaml", "params.own.yaml")
    demonstration, full, *others = (Params.load(ROOT / name) for name in files)
    for params in (demonstration, full, *others):
        params.check()
    assert set(full.recipes) == ARTICLES <= set(demonstration.recipes)
    assert set(demonstration.recipes) == set(known_recipes())


def spoil(content: dict[str, Any], place: str, value: Any) -> None:
    *path, last = place.split(".")
    block = content
    for key in path:
        block = block[key]
    block[last] = value


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("recipe", {}, ["unknown key 'recipe'", "pictures, recipes, report"]),
        ("pictures", None, ["pictures", "None"]),
        ("pictures.photos", [], ["pictures.photos", "scrape, prepare, shard"]),
        ("pictures.photos.scrap", {}, ["pictures.photos", "'scrap'"]),
        ("pictures.photos.prepare.side", "64", ["pictures.photos.prepare.side", "'64'", "integer"]),
        ("pictures.photos.prepare.colour", 1, ["pictures.photos.prepare.colour", "no setting"]),
        ("pictures.photos.shard.held_out", 1.5, ["pictures.photos.shard.held_out", "1.5", "less than 1"]),
        ("pictures.photos.scrape.use", "nowhere", ["nowhere", "sample", "folder"]),
        ("pictures.photos.scrape.query.licences", [99], ["photos.scrape.query", "99", "0 to 16"]),
        ("recipes.nobody", {}, ["recipes.nobody", "lacks the key 'from'"]),
        ("recipes.travelgan.from", "nowhere", ["recipes.travelgan.from", "'nowhere'", "photos, prints"]),
        ("recipes.travelgan.from", ["photos"], ["recipes.travelgan.from", "['photos']", "photos, prints"]),
        ("recipes.travelgan.to", {"a": 1}, ["recipes.travelgan.to", "{'a': 1}", "photos, prints"]),
        ("recipes.travelgan.from", "prints", ["recipes.travelgan", "two picture sets"]),
        ("recipes.travelgan.train.epochs", 0, ["recipes.travelgan.train.epochs", "0", "greater than or equal to 1"]),
        ("recipes.travelgan.train.loss", "lsq", ["recipes.travelgan.train.loss", "'lsq'", "wgan"]),
        ("recipes.travelgan.train.crop", 512, ["travelgan.train.crop is 512", "'photos' have 64 px", "at most that"]),
        ("recipes.anime.train.crop", 96, ["anime.train.crop is 96", "'anime' have 48 px", "anime.prepare.side"]),
        ("recipes.travelgan.train.crop", 32, ["travelgan.networks.side is 64", "32 px of 'photos'", "train.crop"]),
        ("pictures.abstract.prepare.side", 48, ["networks.side is 64", "48 px of 'abstract'", "abstract.prepare.side"]),
        ("recipes.travelgan.infer.back", True, ["travelgan paints one way", "directions to 'both'"]),
        ("recipes.progressive.infer.back", True, ["progressive.infer.back is true", "paints one way only"]),
        ("recipes.anime.evaluate.answer", "woodblock", ["anime.evaluate.answer is 'woodblock'", "from noise", "null"]),
        ("recipes.travelgan.train.save_every", float("inf"), ["travelgan.train.save_every is inf", "finite number"]),
        ("recipes.travelgan.infer.mean", float("nan"), ["travelgan.infer.mean is nan", "finite number"]),
        ("recipes.travelgan.infer.seed", 2**70, ["travelgan.infer.seed", "less than 4294967296"]),
        ("recipes.travelgan.evaluate.seed", 2**70, ["travelgan.evaluate.seed", "less than 4294967296"]),
        ("pictures.photos.prepare.worth", {"max_aspect": float("nan")}, ["worth.max_aspect is nan", "1"]),
        ("recipes.progressive.from", "photos", ["recipes.progressive", "one picture set"]),
        ("recipes.progressive.networks.first", 2, ["progressive.networks.first", "greater than or equal to 4"]),
        ("recipes.progressive.train.loss", "wgan", ["progressive.train.loss is 'wgan'", "set penalty"]),
        ("recipes.cyclegan.networks.critic_layers", 5, ["cyclegan.networks", "no whole patch in 64 px halved 5"]),
        ("recipes.travelgan.train.strength", 0.2, ["travelgan.train: strength is 0.2", "augment is empty"]),
        ("recipes.travelgan.infer.size", "40x60", ["travelgan.infer", "'40x60' is no size of a print"]),
        ("recipes.anime.infer.size", "40x60", ["anime.infer", "'40x60' is no size of a print"]),
        ("recipes.travelgan.infer.bleed", "3", ["travelgan.infer", "bleed"]),
        ("recipes.travelgan.infer.profile", "nowhere.icc", ["travelgan.infer", "nowhere.icc is no ICC profile"]),
        ("recipes.travelgan.infer.album", "nowhere", ["travelgan.infer", "nowhere is no folder"]),
        ("recipes.travelgan.evaluate.inception", "nowhere", ["evaluate.inception names nowhere", "no file", "null"]),
        ("recipes.travelgan.networks.side", 60, ["recipes.travelgan.networks.side", "60"]),
    ],
)
def test_a_mistake_is_one_sentence(content: dict[str, Any], place: str, value: Any, told: list[str]) -> None:
    spoil(content, place, value)
    with pytest.raises(ParamsError) as error:
        Params(content).check()
    sentence = str(error.value)
    assert all(part in sentence for part in told), sentence
    assert "\n" not in sentence


def test_squares_of_two_sets_of_larger_pictures_may_be_learned_from(content: dict[str, Any]) -> None:
    """The one set at 286 px and the other at 256, as it were: evaluate cuts what it compares."""
    spoil(content, "pictures.photos.prepare.side", 72)
    spoil(content, "recipes.travelgan.train.crop", 64)
    assert Params(content).recipe("travelgan").train.crop == 64


def test_a_recipe_without_a_file_names_those_there_are(content: dict[str, Any]) -> None:
    content["recipes"]["watercolour"] = content["recipes"]["travelgan"]
    with pytest.raises(ParamsError, match=r"pipelines/watercolour\.py; known recipes: .*travelgan"):
        Params(content).check()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="is not here"):
        Params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text",
    [b"pictures: [", "report: {title: Café}".encode("latin-1"), b"contact: 2024-13-01", b"pictures: " + b"[" * 5_000],
    ids=["breaks off", "Latin-1", "a thirteenth month", "nested without end"],
)
def test_what_is_no_yaml_is_said(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(ParamsError, match=r"is no YAML in UTF-8: [^\n]*; correct it there$"):
        Params.load(tmp_path / "params.yaml")


def test_yaml_that_is_no_params_is_said_as_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("pictures: {}")
    with pytest.raises(ParamsError, match="the file lacks the key 'recipes'; add it"):
        Params.load(tmp_path / "params.yaml")


def test_a_travelgan_that_learns_both_ways_may_paint_back(content: dict[str, Any]) -> None:
    """Its spectral norms are folded on no memory, to see that there is a painter."""
    spoil(content, "recipes.travelgan.networks.directions", "both")
    spoil(content, "recipes.travelgan.infer.back", True)
    spoil(content, "recipes.travelgan.networks.spectral", ["generator", "critic"])
    recipe = Params(content).recipe("travelgan")
    assert recipe.infer.back


INK = '''"""A recipe in the making."""

from typing import Any, Literal

import torch

from tasks.settings import Settings
from tasks.train.dcgan import PaintsFromNoise
from tasks.train.recipe import Losses, Pictures, Run
from tasks.train.settings import Train as Shared

KIND: Literal["noise"] = "noise"


class Networks(Settings):
    side: int = 64


class Train(Shared):
    pass


class Ink(PaintsFromNoise):
    name = "ink"

    def __init__(self, networks: Any, train: Any) -> None:
        self.shapes, self.train, self.side, self.noise = networks, train, networks.side, 8
        self.networks = {"generator": torch.nn.Linear(8, 8)}
        self.averages = {"generator": torch.nn.Linear(8, 8)}

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        return {}


def build(networks: Networks, train: Train) -> Ink:
    return Ink(networks, train)
'''


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", "", ""),
        ("KIND: Lit", "KIN: Lit", "pipelines/ink.py has no KIND; CONTRIBUTING.md says what"),
        ('= "noise"', '= "nosie"', "KIND is 'nosie'; it must be 'translation' or 'noise'"),
        ("def build", "def built", "pipelines/ink.py has no build"),
        ('    name = "ink"', '    name = "pen"', "recipe's name is 'pen'; it must be the file's, 'ink'"),
        ("self.averages =", "self.average =", "pipelines/ink.py: its recipe has no averages; set it"),
        ("train, self.side, self.noise = networks, train, networks.side, 8", "train, self.side = networks, train, 64",
         "its recipe has no noise"),
    ],
)  # fmt: skip
def test_a_recipe_that_is_not_finished_is_told_what_it_lacks(
    before: str, after: str, told: str, content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert before in INK
    (tmp_path / "ink.py").write_text(INK.replace(before, after))
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    empty: dict[str, Any] = {"networks": {}, "train": {}, "evaluate": {}, "infer": {}}
    content["recipes"] = {"ink": {"from": "abstract", "to": "abstract", **empty}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    try:
        if not told:
            assert Params.load(tmp_path / "params.yaml").recipe("ink").name == "ink"
            return
        with pytest.raises(ParamsError) as caught:
            Params.load(tmp_path / "params.yaml").recipe("ink")
        assert told in str(caught.value)
    finally:
        sys.modules.pop("pipelines.ink", None)
