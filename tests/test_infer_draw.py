"""Of many drawings the best that differ are kept, and come out at print size; sheets show them together."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tasks import infer
from tasks.errors import ParamsError
from tasks.infer import Infer
from tasks.infer.best import chosen
from tasks.infer.probe import Reach
from tasks.infer.proof import CAPTION, HEIGHT, small, write_proof
from tasks.infer.tiles import plan_tiles
from tasks.progress import Progress


class Shades(nn.Module):
    """Draws flat pictures, as bright as the noise says."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    noise = 3

    def forward(self, noise: Tensor) -> Tensor:
        return noise.tanh()[:, :, None, None].expand(-1, -1, 32, 32) * self.weight


def drawn(folder: Path, **wishes: object) -> Path:
    infer.draw(
        network=Shades(), examples=np.zeros((0, 32, 32, 3), np.uint8), out=folder / "out",
        settings=Infer.read({"draw": 40, "keep": 5, **wishes}, "infer"), progress=Progress(io.StringIO()),
        score=lambda pictures: pictures.mean(dim=(1, 2, 3)), checkpoint="abc", scratch=folder / "scratch",
    )  # fmt: skip
    return folder / "out"


def test_the_best_comes_first_at_print_size(tmp_path: Path) -> None:
    out = drawn(tmp_path, size="200x100px", fit="pad")
    told = json.loads((out / "drawn.json").read_text())
    assert len(told["scores"]) == 40
    assert len(list(out.glob("drawing-*.png"))) == 5
    assert told["kept"][0] == int(np.argmax(told["scores"]))
    with Image.open(out / "drawing-001.png") as image:
        assert image.size == (200, 100)
    assert json.loads((out / "drawing-001.json").read_text())["drawing"]["of"] == 40


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    one, again, other = (drawn(tmp_path / str(n), seed=seed) / "drawing-002.png" for n, seed in enumerate((0, 0, 1)))
    assert one.read_bytes() == again.read_bytes() != other.read_bytes()


def test_noise_has_the_mean_and_the_deviation_asked_for(tmp_path: Path) -> None:
    scores = json.loads((drawn(tmp_path, mean=0.5, deviation=1e-6) / "drawn.json").read_text())["scores"]
    assert np.allclose(scores, np.tanh(0.5), atol=1e-4)


def test_keeping_more_than_are_drawn_is_said() -> None:
    with pytest.raises(ParamsError, match="draw is 3 and keep 16: no more can be kept than are drawn; raise draw"):
        Infer.read({"draw": 3}, "recipes.anime.infer")


def test_copies_of_the_best_are_passed_over() -> None:
    chance = np.random.default_rng(0)
    pictures = chance.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    pictures[1:4] = pictures[0]
    scores = np.array([9, 8, 8, 8, *range(7, -1, -1)], np.float32)
    assert chosen(pictures, scores, 3)[0] == 0
    assert not {1, 2, 3} & set(chosen(pictures, scores, 3))
    assert len(chosen(pictures, scores, 100)) == 12


def test_a_sheet_holds_every_picture(tmp_path: Path) -> None:
    groups = [[small(np.full((100, 150, 3), 10 * n, np.uint8)) for _ in range(2)] for n in range(5)]
    write_proof(tmp_path / "proof.jpg", groups, columns=2)
    with Image.open(tmp_path / "proof.jpg") as sheet:
        assert sheet.height > 3 * HEIGHT
        assert sheet.width > 4 * 384
    assert small(np.zeros((10, 9000, 3), np.uint8)).shape == (HEIGHT, 3 * HEIGHT, 3)


def test_captions_stand_below_their_pictures(tmp_path: Path) -> None:
    groups = [[small(np.full((100, 100, 3), 128, np.uint8))] * 2] * 2
    for name, captions in (("plain", ()), ("told", ("photo", "seed-3"))):
        write_proof(tmp_path / f"{name}.png", groups, columns=1, captions=captions)
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "told.png") as told:
        assert told.height == plain.height + 2 * CAPTION
        below = np.asarray(told.convert("L"))[12 + HEIGHT : 12 + HEIGHT + CAPTION]
    assert below[:, 12:60].min() < 120
    assert below[:, 12 + HEIGHT : 72 + HEIGHT].min() < 120
    assert below[:, 100:200].min() > 200


@pytest.mark.parametrize(("height", "width", "tile"), [(300, 411, 128), (64, 64, 512), (1, 1000, 256)])
def test_a_mirrored_frame_is_painted_and_not_kept(height: int, width: int, tile: int) -> None:
    plan = plan_tiles(height, width, reach=Reach(4, 20), tile=tile, mirror=True)
    for spans, side in ((plan.rows, plan.padded_height), (plan.columns, plan.padded_width)):
        assert [0, *(span.core_stop for span in spans)] == [*(span.core_start for span in spans), side]
        for span in spans:
            assert span.core_start - span.start >= 20
            assert span.stop - span.core_stop >= 20
            assert span.start % 4 == 0
