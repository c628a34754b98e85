"""Samples from noise: the best of many, ways from one to the next, and the painter as another program sees it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines import anime, cyclegan, portraits, progressive, sample, travelgan
from pipelines import export as export_of
from pipelines.places import require_ours
from tasks.errors import ParamsError
from tasks.infer.export import export
from tasks.infer.latent import around, between
from tasks.infer.sampling import FILES, Sampling, run
from tasks.progress import Progress


class Shades(nn.Module):
    noise = 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, noise: Tensor) -> Tensor:
        return noise.tanh()[:, :, None, None].expand(-1, -1, 16, 16) * self.weight


def sampled(folder: Path, **wishes: Any) -> Path:
    run(
        network=Shades(), examples=np.zeros((0, 16, 16, 3), np.uint8), out=folder / "out",
        sampling=Sampling(**{"num": 5, "best_of": 40, "steps": 4, "ways": 3, **wishes}),
        progress=Progress(io.StringIO()), device=torch.device("cpu"),
        score=lambda pictures: pictures.mean(dim=(1, 2, 3)), checkpoint="abc",
    )  # fmt: skip
    return folder / "out"


def test_the_best_are_those_of_the_highest_score(tmp_path: Path) -> None:
    out = sampled(tmp_path)
    told = json.loads((out / "samples.json").read_text())
    assert told["best"] == np.argsort(-np.array(told["scores"]), kind="stable")[:5].tolist()
    assert told["varied"][0] == told["best"][0]
    assert len(set(told["varied"])) == len(list(out.glob("sample-*.png"))) == 5
    with Image.open(out / "walk.webp") as walk:
        assert walk.n_frames == 3 * 4
    with Image.open(out / "strips.png") as strips:
        assert (strips.width, strips.height) == (4 + 4 * 100, 4 + 3 * 100)


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (["-n", "9", "--best-of", "8"], "the best 9 of 8 cannot be kept; raise --best-of to 9 or more"),
        (["-n", "0"], "-n is 0; it must be at least 1"),
        (["--deviation", "-1"], "--deviation is -1; it must be above 0"),
        (["--deviation", "nan"], "--deviation is nan; it must be a finite number"),
        (["--mean", "inf"], "--mean is inf; it must be a finite number"),
        (["--seed", "99999999999999999999"], "--seed is 99999999999999999999; it must be from 0 to 4294967295"),
        (["--out", "data/samples"], "belongs to the stages"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(wishes: list[str], told: str) -> None:
    with pytest.raises(ParamsError, match=told):
        sample.main(["anime", *wishes])


@pytest.mark.parametrize("main", [sample.main, export_of.main])
@pytest.mark.parametrize("mine", ["holiday.jpg", "CREDITS.csv", "samples-of-mine/a.png"])
def test_a_folder_of_other_things_is_never_replaced(main: Any, mine: str, tmp_path: Path) -> None:
    (tmp_path / mine).parent.mkdir(exist_ok=True)
    (tmp_path / mine).write_text("mine")
    with pytest.raises(ParamsError, match=f"holds what would be lost .{Path(mine).parts[0]}.; name a new folder"):
        main(["anime", "--out", str(tmp_path)])
    with pytest.raises(ParamsError, match=r"is a file, and a folder is written|holds what would be lost"):
        main(["anime", "--out", str(next(tmp_path.iterdir()))])
    assert (tmp_path / mine).read_text() == "mine"


@pytest.mark.parametrize("out", [".", "..", "prints/..", "/"])
def test_the_project_is_no_folder_for_samples(out: str) -> None:
    with pytest.raises(ParamsError, match="is the project or holds it"):
        sample.main(["anime", "--out", out])


def test_samples_replace_older_samples(tmp_path: Path) -> None:
    require_ours(tmp_path / "out", FILES)
    require_ours(sampled(tmp_path), FILES)
    assert json.loads((sampled(tmp_path, num=4) / "samples.json").read_text())["sampling"]["num"] == 4
    assert len(list((tmp_path / "out").glob("sample-*.png"))) == 4


def test_a_way_keeps_its_ends_and_its_distance_from_the_middle() -> None:
    one, other = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    way = between(one, other, 9)
    assert torch.allclose(way[0], one, atol=1e-5)
    assert torch.allclose(way[-1], other, atol=1e-5)
    assert float(way.norm(dim=1).min()) > 0.95 * float(torch.minimum(one.norm(), other.norm()))
    assert torch.allclose(between(one, one, 3), one.expand(3, -1))


def test_an_animation_ends_where_it_began() -> None:
    points = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    way = around(points, 10)
    steps = (way - way.roll(1, 0)).norm(dim=1)
    assert len(way) == 30
    assert float(steps.max()) < 3 * float(steps.min())


PAINTERS = {
    "anime": lambda: anime.build(anime.Networks.read({"side": 24, "filters": 4, "noise": 8}, ""), anime.Train()),
    "portraits": lambda: portraits.build(
        portraits.Networks.read({"side": 16, "filters": 4, "noise": 8, "enlarge": "resized"}, ""), portraits.Train()
    ),
    "progressive": lambda: progressive.build(
        progressive.Networks.read({"side": 16, "first": 16, "filters": 4, "widest": 8, "form": "karras"}, ""),
        progressive.Train(),
    ),
    "travelgan": lambda: travelgan.build(
        travelgan.Networks.read({"side": 64, "filters": 4, "levels": 2, "unet": "pooled"}, ""), travelgan.Train()
    ),
    "cyclegan": lambda: cyclegan.build(cyclegan.Networks.read({"filters": 4, "blocks": 1}, ""), cyclegan.Train()),
}


@pytest.mark.parametrize("name", list(PAINTERS))
def test_another_program_paints_the_same(name: str, tmp_path: Path) -> None:
    painter: Any = PAINTERS[name]().painter()
    torch.manual_seed(0)
    for weight in painter.parameters():  # first weights are too small to tell much
        nn.init.normal_(weight, 0.0, 0.3)
    export(painter, tmp_path / "painter.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "painter.onnx", providers=["CPUExecutionProvider"])
    shapes = (
        [(5, painter.noise), (1, painter.noise)] if hasattr(painter, "noise") else [(1, 3, 96, 64), (3, 3, 64, 160)]
    )
    for shape in shapes:
        given = torch.randn(shape).clamp(-1, 1)
        with torch.inference_mode():
            wanted = painter(given).numpy()
        (painted,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
        assert painted.shape == wanted.shape
        assert wanted.std() > 1e-3
        assert np.abs(painted - wanted).max() < 1e-3 * wanted.std()
