"""How networks are computed: in parts that see no less, and in smaller ones where memory runs out."""

import copy
import io
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Pictures, StopAfter, small, trained, weights
from torch import Tensor, nn

from pipelines import anime, portraits, progressive, travelgan
from tasks.errors import DeviceLost, Stopped, TrainingFailed
from tasks.files import read_json
from tasks.progress import Progress
from tasks.train import probe
from tasks.train.engine import Choice, Engine, in_parts
from tasks.train.limit import Pace
from tasks.train.loop import Exploded
from tasks.train.ranks import Ranks
from tasks.train.spectral import normalise_spectrum


def gradients(network: nn.Module, pictures: Tensor, size: int | None, penalty: bool) -> list[Tensor]:
    """Of a loss over pairs of pictures, and of a gradient penalty, by weights and pictures."""
    pictures = pictures.clone().requires_grad_()
    output = in_parts(network, (pictures,), size)
    loss = (output[:, None] - output[None]).square().mean()
    if penalty:
        (slope,) = torch.autograd.grad(output.sum(), pictures, create_graph=True)
        loss = loss + slope.square().sum()
    network.zero_grad()
    loss.backward()
    return [pictures.grad, *(weight.grad for weight in network.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("penalty", [False, True])
def test_a_loss_over_pairs_has_the_same_gradient_in_parts(penalty: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.InstanceNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(1024, 3))
    pictures = Pictures(1).pictures[:6]
    whole = gradients(network, pictures, None, penalty)
    for size in (1, 2, 4):  # the last leaves a smaller part
        for one, other in zip(whole, gradients(network, pictures, size, penalty), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_parts_are_computed_again_to_the_bit_though_their_buffers_have_moved_on() -> None:
    """In training each pass moves running statistics and singular vectors; the second pass must not see that."""
    network = normalise_spectrum(nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.Tanh()))
    kept = copy.deepcopy(network)  # whose activations are all kept
    pictures = Pictures(1).pictures[:4]
    parts, whole = in_parts(network, (pictures,), 2), torch.cat([kept(part) for part in pictures.split(2)])
    assert torch.equal(parts, whole)
    for output in (parts, whole):
        output.square().sum().backward()
    for one, other in zip(network.parameters(), kept.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]
    for one, other in zip(network.buffers(), kept.buffers(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("module", "networks", "block"),
    [
        (
            travelgan,
            {"side": 32, "filters": 4, "levels": 2, "latent": 8, "norm": "none", "spectral": ()},
            {"loss": "bce"},
        ),
        (
            progressive,
            {"side": 32, "first": 32, "form": "karras", "filters": 4, "widest": 16, "noise": 8, "group": 1},
            {"loss": "wgan", "penalty": 10.0, "strength": 0.0},
        ),
    ],
    ids=["travelgan", "progressive"],
)
def test_a_recipe_in_parts_learns_what_it_learns_whole(
    module: Any, networks: dict[str, Any], block: dict[str, Any], tmp_path: Path
) -> None:
    settings = {"epochs": 1, "batch": 4, "log_every": 1, "preview_pictures": 4, "layout": "contiguous", **block}
    losses: list[list[list[float]]] = []
    for size in (None, 2):
        train = module.Train(**settings, micro_batch=size)
        recipe = module.build(module.Networks(**networks), train)
        out = trained(tmp_path / f"{size}", train, recipe=recipe)
        rows = (out / "losses.csv").read_text().splitlines()[1:]
        losses.append([[float(value) for value in row.split(",")] for row in rows])
    # Adam's first steps are as long as the rate, however small a gradient: what rounds otherwise grows with each.
    for step, (whole, parts) in enumerate(zip(*losses, strict=True)):
        assert parts == pytest.approx(whole, rel=1e-4 * 10**step, abs=1e-5 * 10**step)


def test_memory_that_runs_out_halves_the_parts_and_keeps_the_batch(tmp_path: Path) -> None:
    """Out of memory at the third step, as on a GPU whose room is taken by others meanwhile."""
    settings = small(epochs=1)
    recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=2, latent=8), settings)
    step, ran_out = recipe.step, []

    def hungry(number: int, *rest: Any) -> Any:
        if number == 2 and not ran_out:
            ran_out.append(number)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(number, *rest)

    recipe.step = hungry  # type: ignore[method-assign]
    told = io.StringIO()
    out = trained(tmp_path / "halved", settings, Progress(told), recipe)
    assert "from step 0 on networks compute 2 pictures at a time, and losses see 4 as before" in told.getvalue()
    asked = trained(tmp_path / "asked", small(epochs=1, micro_batch=2))
    assert weights(out / "last") == weights(asked / "last")
    assert read_json(out / "run.json")["engine"]["micro_batch"] == 2


@pytest.mark.parametrize("mishap", [torch.OutOfMemoryError, Exploded])
def test_what_a_failed_step_held_is_free_before_a_checkpoint_is_loaded(tmp_path: Path, mishap: type[Exception]) -> None:
    settings = small(epochs=1)
    recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=2, latent=8), settings)
    step, load_state, held = recipe.step, recipe.load_state, []

    def failing(number: int, *rest: Any) -> Any:
        if number == 2 and not held:
            activations = torch.zeros(8)
            held.append(weakref.ref(activations))
            raise mishap("what happened")
        return step(number, *rest)

    def load(state: Any) -> None:
        alive.extend(reference() is not None for reference in held)
        load_state(state)

    alive: list[bool] = []
    recipe.step, recipe.load_state = failing, load  # type: ignore[method-assign]
    trained(tmp_path, settings, recipe=recipe)
    assert alive == [False]


def test_memory_too_small_for_one_picture_is_said(tmp_path: Path) -> None:
    settings = portraits.Train(epochs=1, batch=2, preview_pictures=2, device="cpu")
    recipe = portraits.build(portraits.Networks(side=32, filters=4, features=8), settings)

    def hungry(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    recipe.step = hungry  # type: ignore[method-assign]
    with pytest.raises(TrainingFailed, match="portraits: memory ran out with parts of 1; lower"):
        trained(tmp_path, settings, recipe=recipe)
    assert (tmp_path / "scratch/last/checkpoint.json").exists()


def test_parts_are_not_halved_to_a_single_picture_that_batch_norm_cannot_bear(tmp_path: Path) -> None:
    settings = small(epochs=1, micro_batch=2)
    recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=4, latent=8), settings)

    def hungry(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    recipe.step = hungry  # type: ignore[method-assign]
    with pytest.raises(TrainingFailed, match="travelgan: memory ran out with parts of 2; lower"):
        trained(tmp_path, settings, recipe=recipe)


def test_memory_that_is_too_small_for_the_probe_halves_the_parts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, batches = travelgan.TravelGan.step, []

    def hungry(recipe: travelgan.TravelGan, *rest: Any) -> Any:
        batches.append(1)
        if len(batches) <= 2:  # of the probe's untrained copy, and of the run's first step
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(recipe, *rest)

    monkeypatch.setattr(travelgan.TravelGan, "step", hungry)
    out = trained(tmp_path, small(epochs=1, layout="auto", device="cpu"), Progress(told := io.StringIO()))
    assert "probing 2 ways" in told.getvalue()
    assert "networks compute 2 pictures at a time" in told.getvalue()
    assert read_json(out / "run.json")["engine"]["micro_batch"] == 2


def test_a_probe_knows_how_long_the_run_is(tmp_path: Path) -> None:
    """A recipe that grows refuses a fade that its levels have no room for; a probe's few steps would have none."""
    settings = progressive.Train(epochs=8, batch=4, fade=40, layout="auto", device="cpu", preview_pictures=4)
    shapes = progressive.Networks(side=32, first=16, filters=4, widest=8, noise=8)
    out = trained(tmp_path, settings, Progress(told := io.StringIO()), progressive.build(shapes, settings))
    assert "probing 2 ways" in told.getvalue()
    assert read_json(out / "last/checkpoint.json")["step"] == 24


def test_moments_follow_their_weights_into_another_layout() -> None:
    """A fused step pairs weights and moments as they lie in memory, whatever their layouts say."""
    torch.manual_seed(0)
    settings = portraits.Train(batch=4, device="cpu", layout="channels_last")
    recipe = portraits.build(portraits.Networks(side=32, filters=4, features=8), settings)
    pictures = {"to": Pictures(1).pictures[:4]}
    engine = Engine.of(settings, Ranks())
    engine.place(recipe)
    recipe.step(0, pictures, engine.run)
    before = {weight: state["exp_avg"].clone() for weight, state in recipe.optimizers["critic"].state.items()}
    other = Engine.of(portraits.Train(batch=4, device="cpu", layout="contiguous"), Ranks())
    other.place(recipe)
    moved = 0
    for weight, state in recipe.optimizers["critic"].state.items():
        assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == weight.stride()
        assert torch.equal(state["exp_avg"], before[weight])
        moved += before[weight].stride() != weight.stride()
    assert moved > 0


def test_compiled_forms_of_networks_that_are_gone_go_too() -> None:
    settings = small(device="cpu")
    recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=2, latent=8), settings)
    engine = Engine.of(small(device="cpu", compute="compiled"), Ranks())
    old = recipe.networks["critic"]
    engine._compiled = {old: "compiled", recipe.networks["generator"]: "compiled"}  # pyright: ignore[reportPrivateUsage]
    recipe.networks["critic"] = copy.deepcopy(old)
    engine.place(recipe)
    assert set(engine._compiled) == {recipe.networks["generator"]}  # pyright: ignore[reportPrivateUsage]


def test_what_a_probe_chose_is_kept_when_the_run_is_resumed(tmp_path: Path) -> None:
    told = io.StringIO()
    settings = small(layout="auto", device="cpu")
    with pytest.raises(Stopped):
        trained(tmp_path, settings, StopAfter(2))
    chosen = read_json(tmp_path / "scratch/run.json")["engine"]
    assert chosen["layout"] in ("channels_last", "contiguous")
    assert chosen["threads"] == torch.get_num_threads()
    other = {"channels_last": "contiguous", "contiguous": "channels_last"}[chosen["layout"]]
    settled = small(layout=other, device="cpu")  # what another machine might have found
    out = trained(tmp_path, settled, Progress(told))
    assert "probing" not in told.getvalue()
    assert read_json(out / "run.json")["engine"] == chosen
    assert weights(out / "last") == weights(trained(tmp_path / "named", small(layout=chosen["layout"])) / "last")


def test_a_run_keeps_its_precision_when_it_is_resumed_on_another_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, processor = small(precision="auto", device="cpu"), tmp_path / "cpuinfo"
    monkeypatch.setattr("tasks.train.precision.CPU", processor)
    processor.write_text("flags : avx512_bf16")
    with pytest.raises(Stopped):
        trained(tmp_path, settings, StopAfter(2))
    whole = trained(tmp_path / "whole", settings)
    processor.write_text("flags : avx2")
    out = trained(tmp_path, settings)
    assert read_json(out / "run.json")["engine"]["precision"] == "bfloat16"
    assert weights(out / "last") == weights(whole / "last")


def test_a_way_that_is_slower_fails_or_loses_otherwise_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def choice(seconds: dict[str, float], losses: dict[str, float]) -> str:
        def timed(way: Choice, *_: Any) -> tuple[dict[str, float], float]:
            if seconds[way.compute] == 0:
                raise RuntimeError("no compiler")
            return {"critic": losses.get(way.compute, 1.0)}, seconds[way.compute]

        monkeypatch.setattr(probe, "_timed", timed)
        settings = small(device="cpu")
        engine = Engine.of(settings, Ranks())
        engine.choice = replace(engine.choice, device="cuda")  # where compiling is tried
        recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=2, latent=8), settings)
        probe.choose(engine, recipe, {}, settings, 100, Progress(io.StringIO()))
        assert engine.settled
        return engine.choice.compute

    assert choice({"eager": 1.0, "compiled": 0.8, "graphs": 0.5}, {}) == "graphs"
    assert choice({"eager": 1.0, "compiled": 0.8, "graphs": 0.5}, {"graphs": 7.0}) == "compiled"
    assert choice({"eager": 1.0, "compiled": 0.0, "graphs": 0.97}, {}) == "eager"
    assert choice({"eager": 1.0, "compiled": 0.8, "graphs": 0.5}, {"eager": float("nan")}) == "eager"
    with pytest.raises(RuntimeError, match="no compiler"):  # nothing works: that is no matter of speed
        choice({"eager": 0.0, "compiled": 0.0, "graphs": 0.0}, {})


def test_a_checkpoint_of_a_gpu_goes_on_on_the_cpu() -> None:
    engine = Engine.of(small(device="cpu"), Ranks())
    engine.take({**engine.state(), "device": "cuda", "compute": "graphs", "micro_batch": 2})
    assert (engine.choice.compute, engine.choice.micro_batch, engine.settled) == ("eager", 2, False)


def test_the_arithmetic_of_a_step_is_counted_and_set_beside_the_device() -> None:
    """By hand: a convolution k4 s2 of 3 to 4 channels at 16 x 16 is 16*16*4*3*16 products and as many sums."""
    settings = small(device="cpu", batch=4)
    shapes = travelgan.Networks(side=32, filters=4, levels=2, latent=8)
    engine, recipe = Engine.of(settings, Ranks()), travelgan.build(shapes, settings)
    pictures = {key: Pictures(seed).pictures[:4] for key, seed in (("from", 1), ("to", 2))}
    before = [weight.clone() for weight in recipe.generator.parameters()]
    pace = Pace(recipe, pictures, engine, settings)
    twice = Pace(recipe, {key: torch.cat([some, some]) for key, some in pictures.items()}, engine, settings)
    assert pace.operations > 4 * 10 * 2 * 16 * 16 * 4 * 3 * 16
    assert twice.operations == pytest.approx(2 * pace.operations, rel=0.02)
    assert pace.share(pace.limit / pace.operations) == pytest.approx(1)
    assert all(torch.equal(one, two) for one, two in zip(before, recipe.generator.parameters(), strict=True))


def test_the_arithmetic_is_the_mean_of_steps_of_which_not_all_take_as_much() -> None:
    def operations(every: int) -> float:
        settings = anime.Train(generator_every=every, batch=4, device="cpu")
        recipe = anime.build(anime.Networks(side=24, filters=4, noise=8), settings)
        return Pace(recipe, {"to": Pictures(1).pictures[:4, :, :24, :24]}, Engine.of(settings), settings).operations

    with_both, critic_alone = operations(1), operations(10**9)
    assert critic_alone < with_both
    assert operations(5) == pytest.approx((with_both + 4 * critic_alone) / 5, rel=1e-6)


def test_a_gpu_that_vanishes_leaves_a_sentence_and_the_last_checkpoint(tmp_path: Path) -> None:
    settings = small(epochs=1, save_every=1e-9)
    recipe = travelgan.build(travelgan.Networks(side=32, filters=4, levels=2, latent=8), settings)
    step = recipe.step

    def vanishing(number: int, *rest: Any) -> Any:
        if number == 2:
            raise torch.AcceleratorError("CUDA error: GPU is lost\nCompile with ...", 0)
        return step(number, *rest)

    recipe.step = vanishing  # type: ignore[method-assign]
    with pytest.raises(DeviceLost, match=r"step 2: the GPU no longer answers \(CUDA error: GPU is lost\); run it"):
        trained(tmp_path, settings, recipe=recipe)
    assert read_json(tmp_path / "scratch/last/checkpoint.json")["step"] == 2
