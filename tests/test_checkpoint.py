"""Checkpoints: whole or not there, refused where they do not fit, and painting as the run did."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Pictures, StopAfter, shapes, small, trained, weights

from pipelines import travelgan
from tasks import train
from tasks.errors import CheckpointError, NoRoom, Stopped
from tasks.train import checkpoint
from tasks.train.spectral import SpectralNormed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe": "cyclegan"}, "is a checkpoint of cyclegan, not of travelgan"),
        ({"side": 64}, "was trained at 64 px and the params say 32 px"),
        ({"version": 99}, "is a checkpoint of version 99"),
    ],
)
def test_a_foreign_checkpoint_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    settings = small()
    out = trained(tmp_path, settings)
    about = json.loads((out / "last/checkpoint.json").read_text())
    (out / "last/checkpoint.json").write_text(json.dumps({**about, **change}))
    with pytest.raises(CheckpointError, match=sentence):
        train.load_painter(out / "last", travelgan.build(shapes(), settings))


def test_a_checkpoint_of_networks_that_would_paint_otherwise_is_refused(tmp_path: Path) -> None:
    settings = small(epochs=1)
    out = trained(tmp_path, settings, recipe=travelgan.build(shapes(ground="photo"), settings))
    sentence = (
        r"last was trained with recipes.travelgan.networks.ground 'photo' and the params say 'grey'; "
        "set it back, or train anew"
    )
    grey = travelgan.build(shapes(ground="grey"), settings)
    with pytest.raises(CheckpointError, match=sentence):
        train.load_painter(out / "last", grey)
    with pytest.raises(CheckpointError, match=sentence):
        trained(tmp_path / "more", settings, recipe=grey, start=out / "last")
    whole = shapes(ground="photo", four_patches=False, spectral=("critic", "generator"))  # the same weights paint alike
    trained(tmp_path / "whole", small(epochs=2), recipe=travelgan.build(whole, settings), start=out / "last")
    assert train.load_painter(out / "last", travelgan.build(whole, settings))


def test_a_checkpoint_that_does_not_name_its_networks_is_judged_by_its_weights(tmp_path: Path) -> None:
    settings = small(epochs=1)
    out = trained(tmp_path, settings)
    about = json.loads((out / "last/checkpoint.json").read_text())
    assert about.pop("networks")["filters"] == 4
    (out / "last/checkpoint.json").write_text(json.dumps(about))
    assert train.load_painter(out / "last", travelgan.build(shapes(), settings))
    with pytest.raises(CheckpointError, match=r"of shape \(4,\) where the params make \(8,\)"):
        train.load_painter(out / "last", travelgan.build(shapes(filters=8), settings))
    known = {"networks": {"filters": 4, "levels": 2}}  # before there were the other settings
    (out / "last/checkpoint.json").write_text(json.dumps({**about, **known}))
    with pytest.raises(CheckpointError, match=r"networks.latent 1000 and the params say 8"):
        train.load_painter(out / "last", travelgan.build(shapes(), settings))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    settings = small()
    out = trained(tmp_path, settings)
    data = bytearray((out / "last/weights.safetensors").read_bytes())
    data[-1] ^= 1
    (out / "last/weights.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        train.load_painter(out / "last", travelgan.build(shapes(), settings))
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        train.load_painter(out / "nowhere", travelgan.build(shapes(), settings))


def test_the_painter_of_a_checkpoint_paints_as_the_average_did(tmp_path: Path) -> None:
    settings = small()
    recipe = travelgan.build(shapes(), settings)
    out = trained(tmp_path, settings, recipe=recipe)
    photos = Pictures(5).pictures
    before = recipe.paint({"from": photos})
    recipe.painter()
    painter = train.load_painter(out / "last", travelgan.build(shapes(), settings.model_copy(update={"seed": 9})))
    painted = painter(photos)
    assert painted.shape == photos.shape
    # folding makes the spectral norm exact, which in so short a run it was not quite
    assert torch.allclose(painted, recipe.paint({"from": photos}), atol=0.02)
    assert not any(isinstance(module, SpectralNormed) for module in painter.modules())
    assert torch.equal(recipe.paint({"from": photos}), before)  # the recipe itself is as it was


def test_a_disk_that_fills_while_saving_leaves_the_last_checkpoint_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(save_every=1e-9)
    whole = trained(tmp_path / "whole", settings)
    states, write_bytes = [], Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == checkpoint.STATE:
            states.append(path)
            if len(states) == 4:
                write_bytes(path, content[:100])
                raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoRoom, match="the disk filled up while"):
        trained(tmp_path / "parts", settings)
    monkeypatch.undo()
    assert weights(trained(tmp_path / "parts", settings) / "last") == weights(whole / "last")


def test_the_last_checkpoints_are_kept_until_the_run_is_done(tmp_path: Path) -> None:
    settings = small(save_every=1e-9, keep_last=3)
    with pytest.raises(Stopped):
        trained(tmp_path, settings, StopAfter(5))
    older = tmp_path / "scratch/older"
    assert sorted(path.name for path in older.iterdir()) == ["step-00000003", "step-00000004"]
    assert json.loads((tmp_path / "scratch/last/checkpoint.json").read_text())["step"] == 5
    again = trained(tmp_path / "again", settings, start=older / "step-00000003")
    out = trained(tmp_path, settings)
    assert weights(again / "last") == weights(out / "last")
    assert not (out / "older").exists()
