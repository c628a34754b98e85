"""The art benchmark: both forms of every recipe are sound, and only the article's settings make the plain one."""

from pathlib import Path

import pytest
import yaml

from benchmarks import art
from pipelines.params import Params
from tasks.errors import ParamsError

RECIPES = yaml.safe_load((art.ROOT / "params.yaml").read_text())["recipes"]


@pytest.mark.parametrize("name", art.FOLDERS)
def test_what_real_pictures_ask_for_holds_at_full_size_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = yaml.safe_load((art.ROOT / "params.full.yaml").read_text())["recipes"][name]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    ours = art.block_of(name, full)
    sizes = [{key: block["networks"].get(key) for key in art.SIZES} for block in (ours, full)]
    assert sizes[0] == sizes[1]
    sets = {folder: art.set_of(tmp_path / folder, full["networks"]["side"]) for folder in art.FOLDERS[name]}
    for block in (ours, art.plain_of(ours)):
        art.write_params(tmp_path, name, block, sets)
        assert Params.load(tmp_path / "params.yaml").recipe(name).train.population.seeds == 1


@pytest.mark.parametrize("name", art.FOLDERS)
def test_both_forms_of_a_recipe_are_sound(name: str, tmp_path: Path) -> None:
    ours = art.block_of(name, RECIPES[name])
    side = ours["networks"]["side"]
    sets = {folder: art.set_of(tmp_path / folder, side) for folder in art.FOLDERS[name]}
    for form, block in {"ours": ours, "plain": art.plain_of(ours)}.items():
        here = tmp_path / form
        here.mkdir()
        art.write_params(here, name, block, sets)
        recipe = Params.load(here / "params.yaml").recipe(name)
        assert art._changed(recipe.train, {}) == recipe.train, "what is left out is not taken for set"
        built = recipe.module.build(recipe.networks, recipe.train)
        assert (built.name, built.side) == (name, side)
        assert (recipe.train.average_half_life == 0) == (form == "plain"), "the original averages nothing"


@pytest.mark.parametrize("name", art.FOLDERS)
def test_the_plain_form_differs_in_size_alone_from_the_articles(name: str) -> None:
    plain = art.plain_of(art.block_of(name, RECIPES[name]))
    assert set(plain["networks"]) <= set(art.SIZES)
    assert set(plain["train"]) == {*art.PLAIN, "seed"}


@pytest.mark.parametrize(
    ("name", "num", "batch"),
    [("progressive", 27, 12), ("progressive", 500, 16), ("progressive", 7, 4), ("anime", 27, 13)],
)
def test_a_batch_of_few_pictures_is_of_whole_groups(name: str, num: int, batch: int) -> None:
    assert art.batch_of(Params.load(art.ROOT / "params.full.yaml").recipe(name), num) == batch


@pytest.mark.parametrize("name", ["travelgan", "cyclegan"])
def test_painters_learn_from_squares_of_larger_pictures(name: str, tmp_path: Path) -> None:
    ours = art.block_of(name, RECIPES[name], squares=True)
    sets = {folder: art.set_of(tmp_path / folder, 256) for folder in art.FOLDERS[name]}
    for block in (ours, art.plain_of(art.block_of(name, RECIPES[name]))):
        art.write_params(tmp_path, name, art.from_squares(block), sets)
        assert Params.load(tmp_path / "params.yaml").recipe(name).train.crop == ours["networks"]["side"]
        art.write_params(tmp_path, name, block, sets)
        with pytest.raises(ParamsError, match=r"or to more and train\.crop to it"):
            Params.load(tmp_path / "params.yaml").recipe(name)


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [("anime", 256, "it paints from noise"), ("travelgan", 32, "take a multiple of 64"), ("cyclegan", 100, "multiple")],
)
def test_a_side_that_does_not_fit_a_recipe_is_said(
    name: str, side: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in art.FOLDERS[name]:
        (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.setenv("BAREN_PICTURES", str(tmp_path))
    assert art.main(only=name, side=side) == {}
    assert said in capsys.readouterr().out


def test_portraits_are_cut_to_the_face_and_the_rest_is_not() -> None:
    crops = {
        folder: art.set_of(Path(folder), 64)["prepare"]["crop"] for pair in art.FOLDERS.values() for folder in pair
    }
    assert [folder for folder, crop in crops.items() if crop == "faces"] == ["portraits"]


def test_the_params_for_ones_own_pictures_are_those_that_squares_were_measured_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    measured = art.from_squares(art.block_of("travelgan", RECIPES["travelgan"], squares=True))
    own = yaml.safe_load((art.ROOT / "params.own.yaml").read_text())["recipes"]["travelgan"]
    length = {"epochs", "preview_every", "population", "compute"}  # and what it hangs on
    for block in ("networks", "train"):
        differ = {key for key in {*measured[block], *own[block]} if measured[block].get(key) != own[block].get(key)}
        assert differ <= length
