"""One photograph becomes one print: laid out, painted tile by tile, and written while it is painted."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tasks.errors import ParamsError
from tasks.files import fingerprint, no_half_file, no_half_folder, require_room
from tasks.infer.canvas import Canvas
from tasks.infer.deepzoom import DeepZoom, write_dzi, write_viewer
from tasks.infer.memory import pixels_that_fit
from tasks.infer.norms import Painter, give_dense, give_exact, give_thumbnail
from tasks.infer.paint import paint
from tasks.infer.paper import Sheet, sheet_rows
from tasks.infer.probe import Reach, probe
from tasks.infer.seams import seam_ratio
from tasks.infer.settings import Infer
from tasks.infer.sinks import SINKS, check_format, takes_all
from tasks.infer.source import Samples, Source
from tasks.infer.strips import Tags, plain
from tasks.infer.tiles import Plan, plan_tiles
from tasks.progress import Progress

MOST_BATCH = 16  # tiles at once, at most; more gain nothing
# Bytes a pixel of the print that each format may need; none of them is known before it is painted.
ROOM = {".png": 3.1, ".tif": 3.1, ".tiff": 3.1, ".jpg": 2.0, ".jpeg": 2.0, ".dzi": 2.5}


@dataclass(frozen=True)
class Model:
    """A network to paint with, [B, 3, H, W] -> [B, 3, H, W] in (-1, 1), and what is known of it."""

    network: nn.Module
    reach: Reach
    key: str  # stands for its weights

    @classmethod
    def of(cls, network: nn.Module, key: str) -> "Model":
        """Probe the network, which is put into eval mode."""
        return cls(network.eval(), probe(network), key)


@dataclass(frozen=True)
class Order:
    """One photo, and where its print goes."""

    name: str
    photo: Samples  # [H, W, 3]
    photo_key: str  # stands for the photo's pixels
    exif: bytes
    sheet: Sheet
    targets: tuple[Path, ...]  # each ends like its format
    alpha: Samples | None = None  # [H, W], the photo's transparency


def make_print(
    order: Order, model: Model, settings: Infer, *, devices: Sequence[torch.device], scratch: Path, progress: Progress
) -> dict[str, Any]:
    """Write the print to all its targets; returns the report. Each target is whole or not there.

    What is painted is kept in `scratch` until all is done: a run that is stopped or killed goes on from there. Raises
    ParamsError, before anything is painted, for a format that cannot hold the print, and NoRoom.
    """
    sheet = order.sheet
    for target in order.targets:
        check_format(target, sheet.height, sheet.width)
        require_room(target.parent, _room(target, order, settings.depth), str(target))
    source = Source(order.photo, sheet.crop, sheet.paint_height, sheet.paint_width)
    painter, told = _painter(model, source, settings, devices[0])
    painters = [painter, *(painter.on(device) for device in devices[1:])]
    room = pixels_that_fit(model.network, model.reach.stride, devices[0])
    most = _largest_tile(model.reach, settings.tile, room)

    def plan(tile: int) -> Plan:
        mirror = settings.edges == "mirror"
        tile = min(tile, most)
        return plan_tiles(source.height, source.width, reach=model.reach, tile=tile, most=most, mirror=mirror)

    first = plan(settings.tile)
    if not first.exact:
        progress.say(
            f"{order.name}: the network looks too far to be cut exactly in {most} px; tiles are faded into each other"
        )
    batch = settings.batch or _batch(first, room, devices[0])
    depth = settings.depth if any(takes_all(target) for target in order.targets) else 8
    key = fingerprint(order.photo_key, model.key, settings.model_dump(), str(sheet), devices[0].type, depth)
    with Canvas(scratch / key, source.height, source.width, key, depth) as canvas:
        with _written(canvas, order) as check:

            def check_all() -> None:
                progress.check()
                check()

            done = paint(
                painters, source, canvas, plan=plan, tile=settings.tile, batch=batch,
                progress=progress, check=check_all, what=f"paint {order.name}",
            )  # fmt: skip
        cuts = _cuts(done)
        seam = seam_ratio(canvas.rows, canvas.height, canvas.width, cuts)
    for target in order.targets:
        if target.suffix.lower() == ".dzi":
            _finish_dzi(target, order, cuts)
    _forget(scratch / key)
    return {
        "plan": _told(done), "statistics": told, "seams": {"step_ratio": seam and round(seam, 4)},
        "sheet": _sheet_told(sheet), "warnings": sheet.warnings(), "devices": [str(device) for device in devices],
    }  # fmt: skip


@contextmanager
def _written(canvas: Canvas, order: Order) -> Generator[Callable[[], None]]:
    """Write the order's targets from `canvas` in threads, as it is painted; yields a check that raises their errors."""
    with ThreadPoolExecutor(max(1, len(order.targets)), thread_name_prefix="writer") as pool:
        futures: list[Future[None]] = [pool.submit(_write, canvas, order, target) for target in order.targets]

        def check() -> None:
            for future in futures:
                if future.done():
                    future.result()

        try:
            yield check
        except BaseException as error:
            canvas.fail(error)
            raise
        for future in futures:
            future.result()


def _write(canvas: Canvas, order: Order, target: Path) -> None:
    sheet, kind = order.sheet, target.suffix.lower()
    with ExitStack() as stack:
        if kind == ".dzi":
            folder = stack.enter_context(no_half_folder(target.with_name(f"{target.stem}_files")))
            sink: Any = DeepZoom(folder, sheet.height, sheet.width)
        else:
            path = stack.enter_context(no_half_file(target))
            tags = Tags(sheet.dpi, exif=order.exif, depth=canvas.depth, alpha=order.alpha is not None)
            sink = SINKS[kind](path, sheet.height, sheet.width, tags)
        bands = sheet_rows(canvas, sheet, order.alpha)
        with sink:
            for rows in bands if takes_all(target) else plain(bands):
                sink.write(rows)


def _room(target: Path, order: Order, depth: int) -> int:
    """Bytes that a print may take, at most."""
    size = order.sheet.height * order.sheet.width
    if not takes_all(target):
        return int(size * ROOM[target.suffix.lower()])
    return int(size * ROOM[target.suffix.lower()] * depth / 8 * (3 if order.alpha is None else 4) / 3)


def _finish_dzi(target: Path, order: Order, cuts: tuple[list[int], list[int]]) -> None:
    """The photo's own pyramid, the descriptor and the page that shows both."""
    sheet = order.sheet
    before = None
    if (sheet.picture_height, sheet.picture_width) == (sheet.height, sheet.width):
        top, left = round(sheet.crop.top), round(sheet.crop.left)
        photo = order.photo[top : top + round(sheet.crop.height), left : left + round(sheet.crop.width)]
        before = (photo.shape[0], photo.shape[1])
        with (
            no_half_folder(target.with_name(f"{target.stem}_before_files")) as folder,
            DeepZoom(folder, *before) as sink,
        ):
            for rows in plain([photo]):
                sink.write(rows)
    down, across = sheet.picture_height / sheet.paint_height, sheet.picture_width / sheet.paint_width
    lines = ([round(sheet.top + y * down) for y in cuts[0]], [round(sheet.left + x * across) for x in cuts[1]])
    write_viewer(target.with_suffix(".html"), order.name, (sheet.height, sheet.width), before, lines)
    write_dzi(target, sheet.height, sheet.width)


def _painter(model: Model, source: Source, settings: Infer, device: torch.device) -> tuple[Painter, dict[str, Any]]:
    """The network with the statistics it paints this photo with, and what is told of them."""
    painter = Painter(model.network.to(device), device)
    if not painter.norms:
        return painter, {"mode": "frozen", "pixels": 0}
    stride = model.reach.stride
    mode = "thumbnail" if settings.statistics == "auto" else settings.statistics
    match mode:
        case "thumbnail":
            spent = give_thumbnail(painter, source, stride, settings.thumbnail)
        case "dense":
            spent = give_dense(painter, source, stride, settings.patch)
        case "exact":
            plan = plan_tiles(source.height, source.width, reach=model.reach, tile=settings.tile)
            if not plan.exact:
                raise ParamsError("infer.statistics is exact, which this network looks too far for; choose thumbnail")
            spent = give_exact(painter, source, plan)
    return painter, {"mode": mode, "pixels": spent}


def _largest_tile(reach: Reach, wanted: int, room: int) -> int:
    """The largest tile, px a side, of at most `room` pixels: twice the one wanted, or half of it again and again."""
    stride = reach.stride
    size = max(2 * wanted, 4 * (reach.halo or 0)) // stride * stride
    while size > 2 * max(stride, 64) and size * size > room:
        size = size // 2 // stride * stride
    return size


def _batch(plan: Plan, room: int, device: torch.device) -> int:
    """One tile at a time on a CPU, where more gain nothing; on a GPU as many as fit into `room` pixels."""
    if device.type == "cpu":
        return 1
    return max(1, min(MOST_BATCH, room // (plan.tile_height * plan.tile_width), len(plan.columns)))


def _cuts(plan: Plan) -> tuple[list[int], list[int]]:
    """The rows and columns of the painting at which tiles meet."""
    rows = [span.core_start for span in plan.rows[1:] if span.core_start < plan.height]
    return rows, [span.core_start for span in plan.columns[1:] if span.core_start < plan.width]


def _forget(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _told(plan: Plan) -> dict[str, Any]:
    return {
        "height": plan.height, "width": plan.width, "tile": [plan.tile_height, plan.tile_width],
        "tiles": [len(plan.rows), len(plan.columns)], "halo": plan.halo, "stride": plan.stride, "exact": plan.exact,
        "compute": round(plan.compute, 4),
    }  # fmt: skip


def _sheet_told(sheet: Sheet) -> dict[str, Any]:
    crop = sheet.crop
    return {
        "height": sheet.height, "width": sheet.width, "dpi": sheet.dpi, "bleed": sheet.bleed,
        "picture": [sheet.top, sheet.left, sheet.picture_height, sheet.picture_width],
        "crop": [round(value, 2) for value in (crop.top, crop.left, crop.height, crop.width)],
        "photo_ppi": round(sheet.photo_ppi, 1), "paint_ppi": round(sheet.paint_ppi, 1),
    }  # fmt: skip
