"""One photograph becomes one print: laid out, painted tile by tile, and written while it is painted."""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tasks.errors import ParamsError
from tasks.files import fingerprint, nearest_folder, no_half_file, no_half_folder, require_room, sweep, write_json
from tasks.infer.canvas import Canvas
from tasks.infer.colour import Colours, colours_of
from tasks.infer.deepzoom import DeepZoom, Placed, write_dzi, write_viewer
from tasks.infer.earlier import read_report
from tasks.infer.memory import pixels_that_fit
from tasks.infer.norms import Painter, give_dense, give_exact, give_thumbnail
from tasks.infer.paint import paint
from tasks.infer.paper import Sheet, Wish, sheet_rows
from tasks.infer.preview import Preview, preview_of, read_preview, write_preview
from tasks.infer.probe import Reach, probe
from tasks.infer.seams import seam_ratio
from tasks.infer.settings import Infer
from tasks.infer.sinks import SINKS, check_format, takes_all
from tasks.infer.source import Pixels, Samples, Source
from tasks.infer.strips import STRIP, Tags, plain
from tasks.infer.tiles import Plan, plan_tiles
from tasks.progress import Progress

OF_NO_PRINT = {"photos", "draw", "keep", "seed", "mean", "deviation", "album"}  # settings that change no print
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
    targets: tuple[Path, ...]  # each ends like its format; all lie in one folder and are called alike
    alpha: Samples | None = None  # [H, W], the photo's transparency

    @property
    def report(self) -> Path:
        """Where it is told how the print was made."""
        return self.targets[0].with_suffix(".json")

    @property
    def files(self) -> tuple[Path, ...]:
        """The first target and what lies beside it."""
        return self.targets[0], self.report, preview_of(self.targets[0])


def make_print(
    order: Order,
    model: Model,
    settings: Infer,
    about: Mapping[str, Any],
    *,
    devices: Sequence[torch.device],
    scratch: Path,
    progress: Progress,
) -> Pixels:
    """Write the print to all its targets, its report and its preview, which is returned; each is whole or not there.

    The report holds `about` too, what else there is to tell. A print that lies there already, made from the same photo
    by the same model with the same settings, is not made again. What is painted is kept in `scratch` until all is
    done: a run that is stopped or killed goes on from there. Raises ParamsError, before anything is painted, for a
    format that cannot hold the print, and NoRoom.
    """
    sheet = order.sheet
    for target in order.targets:
        check_format(target, sheet.height, sheet.width)
        for path in (target, target.with_name(f"{target.stem}_files")):
            sweep(path)  # gigabytes, perhaps, that a killed run left and this one has need of
    depth = settings.depth if any(takes_all(target) for target in order.targets) else 8
    colours = colours_of(settings.profile, depth)
    key = fingerprint(
        order.photo_key, model.key, settings.model_dump(exclude=OF_NO_PRINT), str(sheet), devices[0].type, depth,
        sha256(colours.icc).hexdigest(),
    )  # fmt: skip
    earlier = read_report(order.report)
    known = earlier.files if earlier and earlier.key == key else {}
    older = earlier.made if earlier else {}
    if all(_as_told(target, known) for target in order.targets) and preview_of(order.targets[0]).exists():
        progress.say(f"{order.targets[0]} is there already, made just so; to have it painted again, remove it")
        return read_preview(preview_of(order.targets[0]))
    source = Source(order.photo, sheet.crop, sheet.paint_height, sheet.paint_width)
    canvas = Canvas(scratch / key, source.height, source.width, key, depth)
    _require_room(order, canvas)
    painter, told = _painter(model, source, settings, devices[0])
    painters = [painter, *(painter.on(device) for device in devices[1:])]
    room = pixels_that_fit(model.network, model.reach.stride, devices)
    most = _largest_tile(model.reach, settings.tile, room)

    def plan(tile: int) -> Plan:
        mirror = settings.edges == "mirror"
        tile = min(tile, most)
        return plan_tiles(source.height, source.width, reach=model.reach, tile=tile, most=most, mirror=mirror)

    first = plan(settings.tile)
    if not first.exact:
        progress.say(
            f"{order.name}: the network looks too far to be cut exactly in {most} px; tiles are faded into each other"
            + (", by one device alone" if len(devices) > 1 else "")
        )
    batch = settings.batch or _batch(first, room, devices[0])
    preview = Preview(sheet.height, sheet.width)
    if earlier:  # from here on the files are no longer those it tells of, and ours all the same
        write_json(order.report, {**earlier.model_dump(), "key": ""})
    with canvas:
        with _written(canvas, order, colours, preview) as check:

            def check_all() -> None:
                progress.check()
                check()

            done = paint(
                painters, source, canvas, plan=plan, tile=settings.tile, batch=batch,
                progress=progress, check=check_all, what=f"paint {order.name}",
            )  # fmt: skip
        cuts = _cuts(done)
        seams = _seams(canvas, source, cuts)
    for target in order.targets:
        if target.suffix.lower() == ".dzi":
            _finish_dzi(target, order, cuts)
    write_preview(preview_of(order.targets[0]), preview.picture())
    made = known | {target.name: target.stat().st_size for target in order.targets}
    write_json(order.report, {
        **about, "key": key, "files": made, "older": {name: older[name] for name in older.keys() - made.keys()},
        "plan": _told(done), "statistics": told, "seams": seams,
        "sheet": _sheet_told(sheet), "warnings": sheet.warnings(), "devices": [str(device) for device in devices],
        "settings": settings.model_dump(exclude=OF_NO_PRINT),
    })  # fmt: skip
    _forget(scratch / key)
    return preview.picture()


def wish_of(settings: Infer) -> Wish:
    """What the settings ask of the paper."""
    return Wish(**{field.name: getattr(settings, field.name) for field in fields(Wish)})


def _as_told(target: Path, known: Mapping[str, int]) -> bool:
    whole = target.suffix.lower() != ".dzi" or target.with_name(f"{target.stem}_files").is_dir()
    return whole and target.exists() and target.stat().st_size == known.get(target.name)


def _require_room(order: Order, canvas: Canvas) -> None:
    """Raise NoRoom, with the numbers, unless all that will be written fits, disk by disk."""
    needs = [(target.parent, _room(target, order, canvas.depth)) for target in order.targets]
    needs.append((canvas.folder, canvas.room))
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in needs:
        place = nearest_folder(folder)
        first, sum_of_sizes = disks.get(place.stat().st_dev, (folder, 0))
        disks[place.stat().st_dev] = (first, sum_of_sizes + size)
    for folder, size in disks.values():
        require_room(folder, size, f"the print {order.name}")


@contextmanager
def _written(canvas: Canvas, order: Order, colours: Colours, preview: Preview) -> Generator[Callable[[], None]]:
    """Write the order's targets from `canvas` in threads, as it is painted, and fill `preview` with the first's rows.

    Yields a check that raises their errors.
    """
    with ThreadPoolExecutor(len(order.targets), thread_name_prefix="writer") as pool:
        futures: list[Future[None]] = [
            pool.submit(_write, canvas, order, target, colours, None if place else preview)
            for place, target in enumerate(order.targets)
        ]

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


def _write(canvas: Canvas, order: Order, target: Path, colours: Colours, preview: Preview | None) -> None:
    sheet, kind = order.sheet, target.suffix.lower()
    with ExitStack() as stack:
        if kind == ".dzi":
            folder = stack.enter_context(no_half_folder(target.with_name(f"{target.stem}_files")))
            sink: Any = DeepZoom(folder, sheet.height, sheet.width)
            colours = Colours()
        else:
            path = stack.enter_context(no_half_file(target))
            tags = Tags(sheet.dpi, colours.icc, order.exif, canvas.depth, order.alpha is not None)
            sink = SINKS[kind](path, sheet.height, sheet.width, tags)
        with sink:
            for rows in sheet_rows(canvas, sheet, order.alpha):
                if preview:
                    preview.write(plain(rows))
                sink.write(colours.turned(rows if takes_all(target) else plain(rows)))


def _room(target: Path, order: Order, depth: int) -> int:
    """Bytes that a print may take, at most."""
    size = order.sheet.height * order.sheet.width
    if target.suffix.lower() == ".dzi":
        size += order.photo.shape[0] * order.photo.shape[1]  # the photo has a pyramid of its own
    if not takes_all(target):
        return int(size * ROOM[target.suffix.lower()])
    return int(size * ROOM[target.suffix.lower()] * depth / 8 * (3 if order.alpha is None else 4) / 3)


def _finish_dzi(target: Path, order: Order, cuts: tuple[list[int], list[int]]) -> None:
    """The photo's own pyramid, the descriptor and the page that shows both."""
    sheet, crop = order.sheet, order.sheet.crop
    # The photo is cut at whole pixels and lies where its part of the print lies.
    top, left = int(crop.top), int(crop.left)
    photo = order.photo[top : ceil(crop.top + crop.height), left : ceil(crop.left + crop.width)]
    height, width = photo.shape[:2]
    with (
        no_half_folder(target.with_name(f"{target.stem}_before_files")) as folder,
        DeepZoom(folder, height, width) as sink,
    ):
        for first in range(0, height, STRIP):
            sink.write(plain(photo[first : first + STRIP]))
    down, across = sheet.picture_height / crop.height, sheet.picture_width / crop.width
    after = Placed(f"{target.stem}_files", sheet.height, sheet.width)
    before = Placed(
        f"{target.stem}_before_files", height, width, sheet.top + (top - crop.top) * down,
        sheet.left + (left - crop.left) * across, height * down, width * across,
    )  # fmt: skip
    down, across = sheet.picture_height / sheet.paint_height, sheet.picture_width / sheet.paint_width
    lines = ([round(sheet.top + y * down) for y in cuts[0]], [round(sheet.left + x * across) for x in cuts[1]])
    write_viewer(target.with_suffix(".html"), order.name, sheet.told("the photo"), after, before, lines)
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


def _seams(canvas: Canvas, source: Source, cuts: tuple[list[int], list[int]]) -> dict[str, float | None]:
    """The steps of tone at the cuts, of the painting and of the photo; see seams.py."""
    ratios = [seam_ratio(area, canvas.height, canvas.width, cuts) for area in (canvas.area, source.area)]
    return dict(
        zip(("step_ratio", "step_ratio_of_photo"), (ratio and round(ratio, 4) for ratio in ratios), strict=True)
    )


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
