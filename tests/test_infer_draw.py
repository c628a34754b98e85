"""Of many drawings the best that differ are kept, and come out at print size, with firm contours."""

import errno
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tasks import infer
from tasks.errors import NoRoom, ParamsError
from tasks.infer import Infer
from tasks.infer.best import chosen
from tasks.infer.contours import cleaned, enlarged, noise, times_for
from tasks.progress import Progress


class Shades(nn.Module):
    """Draws flat pictures, as bright as the noise says."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    noise = 3

    def forward(self, noise: Tensor) -> Tensor:
        return noise.tanh()[:, :, None, None].expand(-1, -1, 32, 32) * self.weight


def drawn(folder: Path, told: io.StringIO | None = None, **wishes: object) -> Path:
    infer.draw(
        network=Shades(), examples=np.zeros((0, 32, 32, 3), np.uint8), out=folder / "out",
        settings=Infer.read({"draw": 40, "keep": 5, **wishes}, "infer"), progress=Progress(told or io.StringIO()),
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


def test_drawings_outlive_a_last_file_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr("tasks.infer.drawing.write_credits", full)
        with pytest.raises(NoRoom):
            drawn(tmp_path)
    assert len(list((tmp_path / "scratch" / "out").glob("drawing-*.png"))) == 5
    told = io.StringIO()
    out = drawn(tmp_path, told=told)
    assert told.getvalue().count("is there already") == len(list(out.glob("drawing-*.png"))) == 5
    assert list((tmp_path / "scratch").iterdir()) == []


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


def test_what_is_printed_larger_says_how_few_pixels_it_has(tmp_path: Path) -> None:
    told = io.StringIO()
    out = drawn(tmp_path, told=told, size="256x256px", dpi=100.0)
    assert "256 x 256 px, 6.5 x 6.5 cm at 100 dpi; a drawing gives 12 px an inch" in told.getvalue()
    report = json.loads((out / "drawing-001.json").read_text())
    assert report["sheet"]["photo_ppi"] == 12.5
    with Image.open(out / "previews" / "drawing-001.jpg") as preview:
        assert preview.size == (256, 256)


def disc(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    share = np.clip(side / 4 + 0.5 - np.hypot(x, y), 0, 1)[..., None]
    return np.rint(share * [250, 40, 60] + (1 - share) * [30, 60, 200]).astype(np.uint8)


def test_enlarged_contours_are_firm_and_round() -> None:
    large, plain = enlarged(disc(32), 8), cv2.resize(disc(32), (256, 256), interpolation=cv2.INTER_LANCZOS4)

    def between(picture: np.ndarray) -> float:
        """The share of pixels that are neither the disc's red nor the ground's."""
        return float(((picture[..., 0] > 50) & (picture[..., 0] < 230)).mean())

    assert between(large) < between(plain) / 2
    y, x = np.mgrid[:256, :256] - 127.5
    wrong = (large[..., 0] > 140) != (np.hypot(x, y) < 64)
    assert wrong.mean() < 0.01
    assert (np.abs(np.hypot(x, y)[wrong] - 64) < 6).all()  # three quarters of a pixel of the small disc


def test_noise_is_measured_and_taken_away_and_colours_stay() -> None:
    chance = np.random.default_rng(0)
    noisy = np.clip(disc(64) + chance.normal(0, 9, (64, 64, 3)), 0, 255).astype(np.uint8)
    assert noise(disc(64)) < 0.5
    assert noise(noisy) == pytest.approx(9, rel=0.25)
    assert np.array_equal(cleaned(disc(64)), disc(64))
    rest = cleaned(noisy).astype(float) - disc(64)
    assert rest.std() < 0.6 * (noisy.astype(float) - disc(64)).std()
    assert np.abs(rest[20:44, 20:44].mean(axis=(0, 1))).max() < 3


def test_what_is_flat_or_large_enough_stays_as_it_is() -> None:
    flat = np.full((20, 30, 3), (7, 99, 201), np.uint8)
    assert np.array_equal(enlarged(flat, 4), flat.repeat(4, 0).repeat(4, 1))
    assert times_for(64, 64) == times_for(4096, 9000) == 1
    assert (times_for(64, 100), times_for(64, 768), times_for(1024, 8000)) == (2, 8, 4)
