"""Prints: does tiling show, what does it cost, how much memory, how fast are the writers, does a killed run go on?

max_error               largest difference between tiled and untiled, in (-1, 1), over networks, sizes and tiles
seam_over_whole         tone step across tile lines over the untiled painting's own at the same lines, mean of photos
naive_seam_over_whole   the same for squares painted alone, each with its own statistics and no halo
compute_1024, _2048     pixels through a ResNet-6 for each pixel of a 22205 x 12992 print
statistics_share        pixels of the thumbnail's pass over those of the painting, for that print
engine_share            CPU time of the bare network over that of the engine, PNG included (ResNet-6, 64 filters)
engine_share_gpu        the same by the clock on a GPU, where there is one
rss_64mp_mb, rss_288mp_mb   memory above torch and the photo while a print is painted (ResNet, 4 filters, 2 blocks)
write_mp_per_cpu_s      the slowest writer, in megapixels for a second of one core
resume_identical        1 if a run killed with -9 at a random row and run again gives the same file, else 0
"""

import hashlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from benchmarks.generators import UNet, lively, resnet
from tasks.infer.deepzoom import DeepZoom
from tasks.infer.norms import Painter, give_thumbnail
from tasks.infer.paper import Wish, lay_out
from tasks.infer.press import Model, Order, make_print
from tasks.infer.probe import probe
from tasks.infer.seams import seam_ratio
from tasks.infer.settings import Infer
from tasks.infer.sinks import SINKS
from tasks.infer.source import Source, to_pixels
from tasks.infer.strips import Tags
from tasks.infer.tiles import Plan, Span, plan_tiles
from tasks.picture import open_picture
from tasks.progress import Progress

CPU = torch.device("cpu")
PRINT = (12992, 22205)  # 188 x 110 cm at 300 dpi
Pixels = NDArray[np.uint8]
Figures = dict[str, float]


def main(quick: bool = False) -> Figures:
    """All figures, each told as it is found."""
    figures: Figures = {}
    steps: list[Callable[[bool], Figures]] = [
        _compute, _equality, _seams, _writers, _engine, _engine_on_a_gpu, _resume, _memory,
    ]  # fmt: skip
    for step in steps:
        began = time.monotonic()
        found = step(quick)
        figures |= found
        for name, value in found.items():
            print(f"{name:24} {value:12.4g}   ({time.monotonic() - began:.0f} s)", flush=True)
    return figures


def _compute(_quick: bool) -> Figures:
    reach = probe(resnet(6, nn.InstanceNorm2d, 4))
    plans = {tile: plan_tiles(*PRINT, reach=reach, tile=tile, mirror=True) for tile in (1024, 2048)}
    thumbnail = 1024 * 1024 * PRINT[0] / PRINT[1]
    return {
        "compute_1024": plans[1024].compute,
        "compute_2048": plans[2048].compute,
        "statistics_share": thumbnail / (plans[1024].compute * PRINT[0] * PRINT[1]),
    }


def _equality(quick: bool) -> Figures:
    sizes = [(601, 1023)] if quick else [(601, 1023), (1111, 1501)]
    networks = [lively(make(norm)) for make in (_resnet_6, _unet_5) for norm in (nn.InstanceNorm2d, nn.BatchNorm2d)]
    worst = 0.0
    for network in networks:
        reach = probe(network)
        for height, width in sizes:
            source = _enlarged(height, width)
            for tile in (256, 512, 768, 1024):
                plan = plan_tiles(height, width, reach=reach, tile=tile)
                painter = Painter(network, CPU)
                if painter.norms:
                    give_thumbnail(painter, source, plan.stride, 512)
                worst = max(worst, float((_tiled(painter, source, plan) - _whole(painter, source, plan)).abs().max()))
    return {"max_error": worst}


def _seams(quick: bool) -> Figures:
    photos = _photographs(5 if quick else 20)
    ours, naive = [], []
    for network in (lively(_resnet_6(nn.InstanceNorm2d)), lively(_unet_5(nn.InstanceNorm2d))):
        reach = probe(network)
        for photo in photos:
            source = Source.whole(photo)
            plan = plan_tiles(*photo.shape[:2], reach=reach, tile=256)
            painter = Painter(network, CPU)
            own = _whole(painter, source, plan)
            squares = _squares(painter, source, plan)
            give_thumbnail(painter, source, plan.stride, 512)
            cuts = ([span.core_start for span in plan.rows[1:]], [span.core_start for span in plan.columns[1:]])
            grid = (list(range(256, photo.shape[0], 256)), list(range(256, photo.shape[1], 256)))
            ours.append(_step(_tiled(painter, source, plan), cuts) / _step(own, cuts))
            naive.append(_step(squares, grid) / _step(own, grid))
    return {"seam_over_whole": float(np.mean(ours)), "naive_seam_over_whole": float(np.mean(naive))}


def _writers(quick: bool) -> Figures:
    height, width = (2000, 4000) if quick else (8000, 8000)
    photo = _enlarged(1000, width).photo
    speeds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in (".png", ".tif", ".jpg", ".dzi"):
            path = Path(folder) / f"print{kind}"
            sink = DeepZoom(path, height, width) if kind == ".dzi" else SINKS[kind](path, height, width, Tags(300.0))
            began = time.process_time()
            with sink:
                for start in range(0, height, 250):
                    sink.write(photo[start % 1000 : start % 1000 + 250])
            speeds[kind] = height * width / 1e6 / (time.process_time() - began)
    print("writers, MP per CPU second: " + ", ".join(f"{kind} {speed:.0f}" for kind, speed in speeds.items()))
    return {"write_mp_per_cpu_s": min(speeds.values())}


def _engine(quick: bool) -> Figures:
    """The bare network is timed on the same tiles, already in memory, before and after the engine."""
    network = lively(resnet(6, nn.BatchNorm2d, 64))
    side, tile = (600, 384) if quick else (1400, 512)
    source = _enlarged(side, side)
    plan = plan_tiles(side, side, reach=probe(network), tile=tile, mirror=True)
    places = [(row, column) for row in plan.rows for column in plan.columns]
    tiles = [source.tile((row.start, row.stop), (column.start, column.stop))[None] for row, column in places]
    model = Model(network, probe(network), "bench")

    def bare() -> None:
        with torch.inference_mode():
            for tile in tiles:
                network(tile)

    def engine() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _print(source.photo, model, Path(folder), Infer(tile=tile), side, side)

    times = [_seconds(work) for work in (bare, engine, bare, engine, bare)]
    return {"engine_share": min(times[0::2]) / min(times[1::2])}


def _engine_on_a_gpu(quick: bool) -> Figures:
    """The same tiles, lying on the GPU already, in batches as large as the engine's."""
    if not torch.cuda.is_available():
        return {}
    device = torch.device("cuda")
    network = lively(resnet(6, nn.BatchNorm2d, 64)).to(device)
    side = 4096 if quick else 12288
    source = _enlarged(side, side)
    model = Model(network, probe(network), "bench")
    plan = plan_tiles(side, side, reach=model.reach, tile=1024, mirror=True)
    tile = torch.rand(4, 3, plan.tile_height, plan.tile_width, device=device) * 2 - 1

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(plan.num_tiles // len(tile)):
                network(tile)
            network(tile[: plan.num_tiles % len(tile)])

    def engine() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _print(source.photo, model, Path(folder), Infer(tile=1024, batch=len(tile)), side, side, device=device)

    times = [_seconds_on(device, work) for work in (bare, engine, bare, engine, bare)]
    print(
        f"on the GPU: bare {side**2 / 1e6 / min(times[0::2]):.0f} MP/s, printed {side**2 / 1e6 / min(times[1::2]):.0f}"
    )
    return {"engine_share_gpu": min(times[0::2]) / min(times[1::2])}


def _resume(_quick: bool) -> Figures:
    """Paint in another process, kill it once some rows are done, and run it again."""
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        command = [sys.executable, "-m", "benchmarks.tiles", "print", "2000", "3000"]
        subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL)
        rows = random.randrange(1, 1500)
        first = subprocess.Popen([*command, str(cut)], stdout=subprocess.DEVNULL)
        while first.poll() is None and _rows_done(cut) < rows:
            time.sleep(0.002)
        killed = first.poll() is None
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        kept = _rows_done(cut)
        assert not (cut / "print.tif").exists()
        subprocess.run([*command, str(cut)], check=True, stdout=subprocess.DEVNULL)
        same = _hash(whole / "print.tif") == _hash(cut / "print.tif")
    print(f"killed with {kept} of 2000 rows done")
    return {"resume_identical": float(same and killed and 0 < kept < 2000)}


def _memory(_quick: bool) -> Figures:
    figures: Figures = {}
    for name, height, width in (("rss_64mp_mb", 6400, 10000), ("rss_288mp_mb", *PRINT)):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.tiles", "print", str(height), str(width), folder]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures[name] = json.loads(told.splitlines()[-1])["grown_mb"]
            with Image.open(Path(folder) / "print.tif") as image:
                assert image.size == (width, height)
    return figures


def _print_here(height: int, width: int, folder: Path) -> None:
    """Paint a 20 MP photo at height x width px with a tiny network; tells by how much memory grew meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = _enlarged(3650, 5480).photo
    model = Model.of(lively(resnet(2, nn.BatchNorm2d, 4)), "bench")
    model.network(torch.zeros(1, 3, 64, 64))  # torch sets itself up
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = _status("VmRSS")
    _print(photo, model, folder, Infer(tile=512, size=f"{width}x{height}px"), height, width, "print.tif")
    print(json.dumps({"grown_mb": (_status("VmHWM") - before) / 1024, "cpu_s": resource.getrusage(0).ru_utime}))


def _print(
    photo: Pixels,
    model: Model,
    folder: Path,
    settings: Infer,
    height: int,
    width: int,
    name: str = "print.png",
    device: torch.device = CPU,
) -> None:
    sheet = lay_out(photo.shape[0], photo.shape[1], Wish(f"{width}x{height}px", fit="stretch"))
    order = Order("print", photo, "photo", b"", sheet, (folder / name,))
    make_print(
        order, model, settings, {}, devices=[device], scratch=folder / "scratch", progress=Progress(io.StringIO())
    )


def _resnet_6(norm: Callable[[int], nn.Module]) -> nn.Module:
    return resnet(6, norm, 12)


def _unet_5(norm: Callable[[int], nn.Module]) -> nn.Module:
    return UNet(5, norm, 8)


@torch.inference_mode()
def _whole(painter: Painter, source: Source, plan: Plan) -> Tensor:
    height, width = plan.padded_height, plan.padded_width
    tile = source.tile((0, height), (0, width))[None]
    painted = painter(tile, Span(0, height, 0, height), [Span(0, width, 0, width)])
    return painted[0, :, : plan.height, : plan.width].clone()


@torch.inference_mode()
def _tiled(painter: Painter, source: Source, plan: Plan) -> Tensor:
    painting = torch.zeros(3, plan.padded_height, plan.padded_width)
    for row in plan.rows:
        for column in plan.columns:
            tile = source.tile((row.start, row.stop), (column.start, column.stop))[None]
            core = painter(tile, row, [column])[0, :, row.core_start - row.start :, column.core_start - column.start :]
            height, width = row.core_stop - row.core_start, column.core_stop - column.core_start
            painting[:, row.core_start : row.core_stop, column.core_start : column.core_stop] = core[:, :height, :width]
    return painting[:, : plan.height, : plan.width]


@torch.inference_mode()
def _squares(painter: Painter, source: Source, plan: Plan, side: int = 256) -> Tensor:
    """The first article's way: squares side by side, each painted alone."""
    painting = torch.zeros(3, source.height, source.width)
    for top in range(0, source.height, side):
        for left in range(0, source.width, side):
            tile = source.tile((top, top + side), (left, left + side))[None]
            place = painting[:, top : top + side, left : left + side]
            place[:] = painter(tile, plan.rows[0], [plan.columns[0]])[0, :, : place.shape[1], : place.shape[2]]
    return painting


def _step(painting: Tensor, lines: tuple[list[int], list[int]]) -> float:
    pixels = to_pixels(painting[None])[0].numpy()
    ratio = seam_ratio(lambda rows, columns: pixels[slice(*rows), slice(*columns)], *pixels.shape[:2], lines)
    assert ratio is not None
    return ratio


def _photographs(num: int) -> list[Pixels]:
    """The photographs of BAREN_PICTURES/photos, else those that come with scikit-image and scikit-learn."""
    folder = os.environ.get("BAREN_PICTURES")
    if folder:
        return [open_picture(path) for path in sorted((Path(folder) / "photos").iterdir())[:num]]
    import skimage.data
    import sklearn.datasets

    samples = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    return [np.asarray(photo) for photo in (*samples, *sklearn.datasets.load_sample_images().images)][:num]


def _enlarged(height: int, width: int) -> Source:
    """The first photograph at a size of our own."""
    image = Image.fromarray(_photographs(1)[0]).resize((width, height), Image.Resampling.BICUBIC)
    return Source.whole(np.asarray(image))


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _seconds_on(device: torch.device, work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    torch.cuda.synchronize(device)
    return time.monotonic() - began


def _rows_done(folder: Path) -> int:
    for state in folder.glob("scratch/*/state.json"):
        try:
            return int(json.loads(state.read_text())["rows"])
        except (OSError, ValueError):
            return 0
    return 0


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])  # kB
    raise KeyError(name)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    _print_here(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
