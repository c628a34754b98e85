"""A photo unlike what was learned from is told from one that is like it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.infer import in_folder, judge
from tasks.infer.domain import Domain, squares
from tasks.picture import open_picture
from tasks.progress import Progress


def slopes(seed: int, side: int) -> np.ndarray:
    """Soft shades, as of hills and sky."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / 64
    waves = np.sin(chance.uniform(1, 3) * x + chance.uniform(3, 6) * y + chance.uniform(0, 6))
    return np.clip(127 + 60 * waves[..., None] + [0, 20, 60 * chance.uniform()], 0, 255).astype(np.uint8)


def bricks(seed: int, side: int) -> np.ndarray:
    """Hard lines, as of houses."""
    picture = slopes(seed, side)
    picture[::8] = picture[:, ::16] = 20
    return picture


def test_what_is_unlike_is_far_and_what_is_like_is_near() -> None:
    domain = Domain(np.stack([slopes(seed, 64) for seed in range(40)]))
    assert not domain.judge(slopes(100, 128)).far
    assert domain.judge(bricks(100, 128)).far


def test_it_is_said_before_the_work(tmp_path: Path) -> None:
    Image.fromarray(slopes(50, 128)).save(tmp_path / "like.png")
    Image.fromarray(bricks(50, 128)).save(tmp_path / "unlike.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    told = io.StringIO()
    paths = [path for _, path, _ in in_folder(tmp_path)]
    judged = judge(paths, np.stack([slopes(seed, 64) for seed in range(40)]), Progress(told))
    assert {path.name for path in judged} == {"like.png", "unlike.png"}
    assert told.getvalue().count("is unlike the pictures") == 1


def test_squares_cover_the_photo_or_are_its_largest() -> None:
    photo = slopes(0, 300)[:200]
    assert {square.shape for square in squares(photo, 128)} == {(128, 128, 3)}
    assert len(squares(photo, 128)) == 6
    assert next(iter(squares(photo[:50], 128))).shape == (50, 50, 3)


def test_faces_are_far_from_landscapes(real_pictures: Path) -> None:
    def middle(path: Path) -> np.ndarray:
        photo = open_picture(path)
        top, left = (photo.shape[0] - 256) // 2, (photo.shape[1] - 256) // 2
        return photo[top : top + 256, left : left + 256]

    landscapes = sorted((real_pictures / "landscape").iterdir())
    squares_learned = [middle(path) for path in landscapes[::2]]
    domain = Domain(np.stack([square for square in squares_learned if square.shape == (256, 256, 3)]))

    def share_far(paths: list[Path]) -> float:
        return float(np.mean([domain.judge(open_picture(path)).far for path in paths]))

    assert share_far(landscapes[1::8]) <= 0.25
    assert share_far(sorted((real_pictures / "faces").iterdir())) >= 0.75


@pytest.mark.parametrize("num", [0, 3])
def test_too_few_examples_say_nothing(tmp_path: Path, num: int) -> None:
    examples = np.zeros((num, 64, 64, 3), np.uint8)
    assert judge([tmp_path / "a.png"], examples, Progress(io.StringIO())) == {}
