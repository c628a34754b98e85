"""The whole chain in small: from photographs to prints, and a painter that has moved towards the known answers."""

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from shard_sets import originals, pack

from pipelines.__main__ import main
from tasks.rows import Crop

ROOT = Path(__file__).parent.parent
SET_STEPS = ("scrape", "prepare", "shard")
RECIPE_STEPS = ("train", "evaluate", "infer")


def chain(params: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Run every stage of `params` in `folder`; the metrics of its one recipe."""
    (recipe,) = params["recipes"]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BAREN_EXECUTOR", "threads:2")
    monkeypatch.setattr("tasks.progress.Progress.listen", lambda self: None)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for name in params["pictures"]:
        for step in SET_STEPS:
            assert main([step, name]) == 0
    for step in RECIPE_STEPS:
        assert main([step, recipe]) == 0
    assert main(["report"]) == 0
    return {
        name: value
        for file in ("metrics", "beside")
        for name, value in json.loads(Path(f"data/5-metrics/{recipe}/{file}.json").read_text()).items()
    }


@pytest.fixture
def params() -> dict[str, Any]:
    """The demonstration's params, with travelgan alone and two picture sets."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    travelgan = copy.deepcopy(content["recipes"]["travelgan"])
    sets = {name: copy.deepcopy(content["pictures"][name]) for name in (travelgan["from"], travelgan["to"])}
    return {"pictures": sets, "recipes": {"travelgan": travelgan}, "report": content["report"]}


@pytest.mark.timeout(280)
def test_a_short_training_moves_towards_the_known_answers(
    params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in params["pictures"].values():
        each["scrape"]["limit"] = 240  # of few prints a critic knows each after some hundred steps, and colours drift
    recipe = params["recipes"]["travelgan"]
    recipe["networks"] |= {"filters": 8}
    recipe["train"] |= {"epochs": 10, "batch": 4, "threads": 1, "preview_every": 2, "average_half_life": 300}
    recipe["infer"]["photos"] = 2

    metrics = chain(params, tmp_path, monkeypatch)
    assert metrics["answer_swd"] < 0.8 * metrics["answer_swd_untrained"]
    assert metrics["answer_l1"] < 0.85 * metrics["answer_l1_untrained"]  # colours still swing after so few steps
    assert metrics["answer_match"] > 0.2 + metrics["answer_match_untrained"]
    assert metrics["content_luminance"] > 0.8

    prints = sorted(tmp_path.glob("data/6-prints/travelgan/*.png"))
    assert len(prints) >= 2
    with Image.open(prints[0]) as painted:
        assert np.asarray(painted.convert("L"), float).std() > 5  # no grey mush
    assert (tmp_path / "data/7-report/index.html").stat().st_size > 5_000


def test_a_recipe_from_noise_goes_through_the_same_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    faces, recipe = content["pictures"]["anime"], content["recipes"]["anime"]
    faces["scrape"] |= {"limit": 40, "query": {"what": "faces", "side": 48}}
    faces["prepare"]["side"] = 24
    recipe["networks"] |= {"side": 24, "filters": 8}
    recipe["train"] |= {"epochs": 20, "batch": 8, "preview_every": 10}
    recipe["infer"] |= {"draw": 24, "keep": 3, "size": "96x96px"}
    params = {"pictures": {"anime": faces}, "recipes": {"anime": recipe}, "report": content["report"]}

    metrics = chain(params, tmp_path, monkeypatch)
    assert metrics["swd"] < metrics["swd_untrained"]
    drawn = json.loads((tmp_path / "data/6-prints/anime/drawn.json").read_text())
    assert drawn["kept"][0] == int(np.argmax(drawn["scores"]))
    with Image.open(tmp_path / "data/6-prints/anime/drawing-001.png") as drawing:
        assert drawing.size == (96, 96)

    assert main(["sample", "anime", "-n", "4", "--best-of", "16", "--ways", "2", "--steps", "3"]) == 0
    assert len(list((tmp_path / "prints/anime-samples").glob("sample-*.png"))) == 4
    assert (tmp_path / "prints/anime-samples/CREDITS.csv").exists()
    assert main(["sample", "anime", "-n", "4", "--best-of", "3"]) == 1
    assert main(["export", "anime"]) == 0
    assert (tmp_path / "prints/anime-onnx/anime.onnx").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("recipe", "networks", "sides", "measured"),
    [
        ("portraits", {"side": 16, "filters": 4, "features": 8}, {"faces": 20}, 16),
        ("cyclegan", {"side": 16, "filters": 4, "blocks": 1, "critic_layers": 1}, {"photos": 19, "prints": 20}, 16),
        ("cyclegan", {"side": 16, "filters": 4, "blocks": 1, "critic_layers": 1}, {"photos": 20, "prints": 20}, 20),
    ],
)
def test_what_learned_from_squares_of_larger_pictures_is_measured_on_what_it_can_take(
    recipe: str,
    networks: dict[str, Any],
    sides: Mapping[str, int],
    measured: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A recipe from noise makes pictures of its own side; a painter here takes multiples of 4 px, as of 286 px 284."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tasks.progress.Progress.listen", lambda self: None)
    Path("data/3-shards").mkdir(parents=True)
    blocks: dict[str, Any] = {}
    for name, side in sides.items():
        rows = [replace(row, crop=Crop(0, 0, side, side, side)) for row in originals(tmp_path / name, range(24))]
        pack(tmp_path / name, rows, held_out=0.3).rename(f"data/3-shards/{name}")
        scrape = {"use": "folder", "limit": 24, "contact": "", "query": {"path": "."}}
        blocks[name] = {"scrape": scrape, "prepare": {"side": side}, "shard": {}}
    block = {
        "from": min(sides), "to": max(sides), "networks": networks, "infer": {"draw": 4, "keep": 2},
        "train": {"epochs": 1, "batch": 8, "crop": 16, "preview_pictures": 4, "device": "cpu"},
        "evaluate": {"answer": "woodblock" if recipe == "cyclegan" else None},
    }  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump({"pictures": blocks, "recipes": {recipe: block}, "report": {}}))
    assert main(["train", recipe]) == 0
    assert main(["evaluate", recipe]) == 0
    with Image.open(f"data/5-metrics/{recipe}/pictures.png") as sheet:
        assert (sheet.width + 4) % (measured * -(-96 // measured) + 4) == 0, sheet.size  # enlarged, and 4 between


@pytest.mark.timeout(280)
def test_real_landscapes_and_prints_go_through_the_same_chain(
    params: dict[str, Any], real_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in zip(params["pictures"], ("landscape", "ukiyoe"), strict=True):
        each = params["pictures"][name]
        each["scrape"] = {"use": "folder", "limit": 60, "query": {"path": os.fspath(real_pictures / folder)}}
        each["shard"] = {"held_out": 0.3, "seed": 0}
    recipe = params["recipes"]["travelgan"]
    recipe["networks"] |= {"filters": 8}
    recipe["train"] |= {"epochs": 10, "batch": 4, "threads": 1, "preview_every": 2, "average_half_life": 300}
    recipe["evaluate"] = {}
    recipe["infer"]["photos"] = 1

    metrics = chain(params, tmp_path, monkeypatch)
    for name in ("swd", "palette"):
        assert metrics[name] < metrics[f"{name}_untrained"], name
    assert "answer_swd" not in metrics
    assert list(tmp_path.glob("data/6-prints/travelgan/*.png"))
