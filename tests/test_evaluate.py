"""Evaluate measures a painter beside what it must beat, and writes it down whole."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from scipy import linalg
from torch import Tensor, nn

from tasks.errors import BarenError, ParamsError, Stopped
from tasks.evaluate import noise, translation
from tasks.evaluate.card import About, write_card
from tasks.evaluate.noise import Sampler
from tasks.evaluate.settings import Evaluate
from tasks.files import write_json
from tasks.measures.inception import inception_distances, load_inception
from tasks.measures.kernel import polynomial_mmd
from tasks.measures.kinds import BESIDE
from tasks.measures.pictures import to_bytes, to_float
from tasks.progress import Progress
from tasks.rows import Crop, Origin, Packed
from tests.test_measures import blurred, scenes

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
        answers=rendered(photos), known=rendered(scenes(20, seed=2)), out=tmp_path / "m",
        settings=Evaluate(batch=5, floors=2), progress=QUIET,
    )  # fmt: skip
    for name in ("answer_swd", "answer_palette", "answer_l1"):
        for beside in ("_untrained", "_untouched", "_recoloured"):
            assert metrics[name] < metrics[name + beside], name + beside
        assert metrics[name + "_last"] == 0
    assert metrics["answer_match"] == 1
    assert metrics["answer_match_untrained"] < 0.3
    assert metrics["content_luminance"] > 0.9 > 0.5 > metrics["content_luminance_untrained"]
    assert metrics["content_edges"] > metrics["content_edges_untrained"]
    for name in ("swd", "palette", "rkid"):
        assert metrics[name] < metrics[f"{name}_untrained"]
        assert f"{name}_floor" in metrics
    assert max(metrics["duplicates"], metrics["copies"]) < 0.5  # twelve pictures make a coarse threshold
    assert metrics["duplicates_untrained"] == 1  # it answers every batch with the same noise
    assert "copies_floor" in metrics
    assert metrics["duplicates_floor"] == metrics["duplicates_untouched"]  # photos say what a repeat is

    own, beside = (json.loads((tmp_path / "m" / name).read_text()) for name in ("metrics.json", "beside.json"))
    written = own | beside
    assert written == pytest.approx(metrics, abs=1e-6)
    assert {"swd", "answer_match"} < own.keys()
    assert own.keys().isdisjoint(beside)
    assert all(name.endswith(tuple(BESIDE)) for name in beside)
    assert all(isinstance(value, float) for value in written.values())
    with Image.open(tmp_path / "m" / "pictures.png") as sheet:
        assert sheet.size == (8 * 132 - 4, 4 * 132 - 4)  # 64 px twice enlarged, 4 between
        assert sheet.info["Description"].endswith("the painting of the last state, the right answer")


def test_without_answers_only_sets_are_compared(tmp_path: Path) -> None:
    metrics = translation.run(
        paint=right, untrained=nonsense, photos=scenes(6).numpy(), prints=rendered(scenes(6, seed=1)), answers=None,
        out=tmp_path / "m", settings=Evaluate(pictures=4), progress=QUIET,
    )  # fmt: skip
    assert not [name for name in metrics if name.startswith("answer")]
    assert not [name for name in metrics if name.startswith("copies")]
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

    with pytest.raises(BarenError, match=r"at least 4 held-out prints and has 1; .*held_out"):
        attempt(scenes(4), scenes(1))
    with pytest.raises(BarenError, match=r"the photos 64x64 and the prints 32x32 .*prepare.side"):
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


def draws(pictures: Tensor) -> Sampler:
    return lambda num, seed: to_float(pictures)[(torch.arange(num) + seed) % len(pictures)]


def test_noise_recipes_are_measured_beside_their_untrained_selves_and_the_reals(tmp_path: Path) -> None:
    reals, known = scenes(30), scenes(60, seed=1)
    metrics = noise.run(
        sample=draws(scenes(24, seed=2)), untrained=draws((blurred(scenes(24, seed=3)).float() * 0.4).to(torch.uint8)),
        last=draws(known), reals=reals.numpy(), known=known.numpy(), out=tmp_path / "m",
        settings=Evaluate(pictures=24, batch=7, floors=2), progress=QUIET,
    )  # fmt: skip
    for name in ("swd", "palette", "rkid"):
        assert metrics[name] < metrics[f"{name}_untrained"], name
    assert metrics["copies"] < 0.1
    assert metrics["copies_last"] == 1  # a network that gives back what it learned from
    assert metrics["duplicates"] < 0.2
    assert abs(metrics["ms_ssim"] - metrics["ms_ssim_floor"]) < 0.05
    with Image.open(tmp_path / "m" / "pictures.png") as sheet:
        assert sheet.size == (8 * 132 - 4, 3 * 132 - 4)


def test_a_collapsed_network_is_seen(tmp_path: Path) -> None:
    metrics = noise.run(
        sample=draws(scenes(2, seed=2)), untrained=draws(scenes(20, seed=3)), reals=scenes(20).numpy(),
        known=scenes(40, seed=1).numpy(), out=tmp_path / "m", settings=Evaluate(pictures=20, floors=1), progress=QUIET,
    )  # fmt: skip
    assert metrics["duplicates"] == 1
    assert metrics["ms_ssim"] > metrics["ms_ssim_floor"] + 0.2


def row(number: int, licence: str = "CC0", source: str = "museum") -> Packed:
    return Packed(
        id=f"{source}:{number}", picture=f"{source}:{number}", batch=1, split="train",
        origin=Origin(source=source, page=f"p/{number // 2}", url="", title=f"=T{number // 2}", licence=licence),
        group=f"g{number // 2}", sha256="", file="", crop=Crop(0, 0, 64, 64, 64),
    )  # fmt: skip


def test_the_model_card_tells_data_licences_params_metrics_and_limits(tmp_path: Path) -> None:
    model = tmp_path / "model"
    weights = {"generator.w": np.zeros((3, 4), np.float32), "average.generator.w": np.zeros((3, 4), np.float32)}
    (model / "best").mkdir(parents=True)
    save_file(weights, model / "best" / "weights.safetensors")
    write_json(model / "best" / "checkpoint.json", {"step": 1200})
    run = {"seed": 3, "versions": {"torch": "2"}, "networks": {"width": 24}, "train": {"crop": 32}}
    write_json(model / "run.json", run)
    about = About(
        recipe="travelgan",
        model=model,
        learned_from={"photos": [row(i) for i in range(6)], "prints": [row(7, "unknown"), row(8, "CC BY-NC 4.0", "x")]},
    )
    metrics = {"swd": 50.0, "swd_untrained": 40.0, "copies": 0.3, "copies_floor": 0.0, "answer_match": 0.9,
               "answer_match_untrained": 0.1, "content_edges": 0.8, "content_edges_untouched": 1.0}  # fmt: skip
    write_card(tmp_path, about, metrics)
    card = (tmp_path / "MODEL_CARD.md").read_text()

    assert "such as those of `photos` in the manner of `prints`" in card
    assert "| photos | museum | CC0 | 6 | 3 |" in card
    assert "| swd | 50 | 40 |  |  |\n" in card
    assert "generator: 12 parameters" in card
    assert "average" not in card
    assert "best: step 1,200" in card
    assert "width: 24" in card
    assert "Of photos it saw 6 squares of 64 x 64 pixels, 32 x 32 at a time, from 3 works, only." in card
    assert "licence of 1 pictures of prints is not known" in card
    assert "not for every use: CC BY-NC 4.0" in card
    assert "30% of its pictures repeat a picture it learned from" in card
    assert "behind its untrained self in: swd." in card
    assert "behind the photo" not in card
    assert "\n\n\n" not in card
    credits = (tmp_path / "CREDITS.csv").read_text().splitlines()
    assert credits[0].startswith("title,author,date,licence")
    assert len(credits) == 1 + 5  # crops of one work are one line


def test_a_card_needs_no_part_of_the_model(tmp_path: Path) -> None:
    write_card(tmp_path, About("young", tmp_path / "none", {"faces": [row(1)]}), {"swd": 1.0})
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "Of faces it saw 1 squares of 64 x 64 pixels, from 1 works, only." in card
    assert "makes pictures such as those of `faces`" in (tmp_path / "MODEL_CARD.md").read_text()


def test_inception_weights_are_never_fetched(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match="is no file; give the path"):
        load_inception(tmp_path / "none.pth")


def test_a_file_that_would_run_code_is_not_loaded_as_weights(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "harmed"),)  # type: ignore[return-value]

    torch.save({"weights": Harm()}, tmp_path / "weights.pth")
    with pytest.raises(BarenError, match="holds no Inception weights"):
        load_inception(tmp_path / "weights.pth")
    assert not (tmp_path / "harmed").exists()


def test_inception_distances_are_the_formulas_on_any_features() -> None:
    class Means(nn.Module):
        num_features = 3

        def forward(self, pictures: Tensor) -> Tensor:
            return pictures.float().mean(dim=(2, 3)) / 255

    left, right = scenes(40), scenes(50, seed=1)
    found = inception_distances(Means(), left, right)
    a, b = (pictures.double().mean(dim=(1, 2)) / 255 for pictures in (left, right))
    cross = linalg.sqrtm((a.T.cov() @ b.T.cov()).numpy()).real.trace()
    expected = (a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace() - 2 * cross
    assert found["fid"] == pytest.approx(expected.item(), abs=1e-4)
    assert found["kid"] == pytest.approx(polynomial_mmd(a, b[:40]), abs=0.02)


def test_settings_are_read_without_torch() -> None:
    code = "import sys, tasks.report; from tasks.evaluate.settings import Evaluate; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
