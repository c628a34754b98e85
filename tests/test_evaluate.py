"""Evaluate measures a painter beside what it must beat, and writes it down whole."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tasks.errors import BarenError, ParamsError, Stopped
from tasks.evaluate import translation
from tasks.evaluate.settings import Evaluate
from tasks.measures.pictures import to_bytes, to_float
from tasks.progress import Progress
from tests.test_measures import scenes

QUIET = Progress(out=io.StringIO())


def right(images: Tensor) -> Tensor:
    """A known style: three flat tones a channel."""
    return (images * 1.5).round() / 1.5 * torch.tensor([0.9, 0.5, 0.3])[:, None, None]


def nearly(images: Tensor) -> Tensor:
    return right(images) * 0.95 + 0.02


def nonsense(images: Tensor) -> Tensor:
    return torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def rendered(pictures: Tensor) -> np.ndarray:
    return to_bytes(right(to_float(pictures))).numpy()


def test_a_good_painter_beats_all_that_it_is_measured_beside(tmp_path: Path) -> None:
    photos, others = scenes(12), scenes(12, seed=1)
    metrics = translation.run(
        paint=nearly, untrained=nonsense, last=right, photos=photos.numpy(), prints=rendered(others),
        answers=rendered(photos), out=tmp_path / "m", settings=Evaluate(batch=5, floors=2), progress=QUIET,
    )  # fmt: skip
    for name in ("answer_swd", "answer_palette", "answer_l1"):
        for beside in ("_untrained", "_untouched", "_recoloured"):
            assert metrics[name] < metrics[name + beside], name + beside
        assert metrics[name + "_last"] == 0
    assert metrics["answer_match"] == 1
    assert metrics["answer_match_untrained"] < 0.3
    assert metrics["content_luminance"] > 0.9 > 0.5 > metrics["content_luminance_untrained"]
    assert metrics["content_edges"] > metrics["content_edges_untrained"]
    for name in ("swd", "palette"):
        assert metrics[name] < metrics[f"{name}_untrained"]
        assert metrics[f"{name}_floor"] > 0

    written = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert written == pytest.approx(metrics, abs=1e-6)
    assert all(isinstance(value, float) for value in written.values())
    with Image.open(tmp_path / "m" / "pictures.png") as sheet:
        assert sheet.size == (8 * 132 - 4, 3 * 132 - 4)  # 64 px twice enlarged, 4 between


def test_without_answers_only_sets_are_compared(tmp_path: Path) -> None:
    metrics = translation.run(
        paint=right, untrained=nonsense, photos=scenes(6).numpy(), prints=rendered(scenes(5, seed=1)), answers=None,
        out=tmp_path / "m", settings=Evaluate(pictures=4), progress=QUIET,
    )  # fmt: skip
    assert not [name for name in metrics if name.startswith("answer")]
    assert {"swd", "swd_untrained", "swd_floor", "palette", "palette_untrained", "palette_floor"} <= set(metrics)


def test_the_same_seed_measures_the_same(tmp_path: Path) -> None:
    def once(name: str) -> str:
        translation.run(
            paint=right, untrained=nonsense, photos=scenes(4).numpy(), prints=rendered(scenes(4, seed=1)),
            answers=None, out=tmp_path / name, settings=Evaluate(), progress=QUIET,
        )  # fmt: skip
        return (tmp_path / name / "metrics.json").read_text()

    assert once("a") == once("b")


def test_too_few_pictures_and_two_sizes_are_refused_in_a_sentence(tmp_path: Path) -> None:
    def attempt(photos: Tensor, prints: Tensor) -> None:
        translation.run(
            paint=right, untrained=right, photos=photos.numpy(), prints=prints.numpy(), answers=None,
            out=tmp_path / "m", settings=Evaluate(), progress=QUIET,
        )  # fmt: skip

    with pytest.raises(BarenError, match=r"at least 2 held-out prints and has 1; .*held_out"):
        attempt(scenes(4), scenes(1))
    with pytest.raises(BarenError, match=r"64x64 and the prints 32x32 .*prepare.side"):
        attempt(scenes(4), scenes(4, 32))
    assert not (tmp_path / "m").exists()


def test_a_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    progress = Progress(out=io.StringIO())

    def stop(images: Tensor) -> Tensor:
        progress.stop_requested = 15
        return images

    with pytest.raises(Stopped):
        translation.run(
            paint=stop, untrained=right, photos=scenes(4).numpy(), prints=scenes(4).numpy(), answers=None,
            out=tmp_path / "m", settings=Evaluate(batch=2), progress=progress,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(ParamsError, match=r"recipes\.x\.evaluate\.batch"):
        Evaluate.read({"batch": 0}, "recipes.x.evaluate")
