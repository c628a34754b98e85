"""The engine: what is painted does not depend on batches, devices, memory, or on being killed on the way."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.errors import BarenError
from tasks.infer.ahead import ahead, merged
from tasks.infer.canvas import Canvas
from tasks.infer.memory import bytes_a_pixel
from tasks.infer.norms import Painter
from tasks.infer.paint import paint
from tasks.infer.probe import Reach, probe
from tasks.infer.source import Box, Source, resized
from tasks.infer.tiles import Span, plan_tiles
from tasks.progress import Progress

CPU = torch.device("cpu")


def soft(height: int = 300, width: int = 410) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17 + y / 31), np.cos(x / 41), np.sin(y / 13)], axis=-1)
    return np.clip(127 + 120 * waves, 0, 255).astype(np.uint8)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Tanh()).eval()


def quiet() -> Progress:
    return Progress(io.StringIO())


def painted(
    folder: Path, painters: Sequence[Painter] | None = None, tile: int = 128, batch: int = 1, reach: Reach | None = None
) -> np.ndarray:
    source, progress = Source.whole(soft()), quiet()
    painters = painters or [Painter(network(), CPU)]
    reach = reach or probe(network())
    with Canvas(folder, source.height, source.width, "key") as canvas:
        paint(
            painters, source, canvas, plan=lambda size: plan_tiles(300, 410, reach=reach, tile=size),
            tile=tile, batch=batch, progress=progress, check=progress.check,
        )  # fmt: skip
        return canvas.rows(0, 300)


class Short(Painter):
    """Memory for a certain number of pixels at once."""

    room = 10**9

    def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
        if tiles.numel() > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().__call__(tiles, row, columns)


def test_batches_and_devices_change_nothing(tmp_path: Path) -> None:
    one = painted(tmp_path / "1")
    assert np.array_equal(painted(tmp_path / "2", batch=3), one)
    assert np.array_equal(painted(tmp_path / "3", [Painter(network(), CPU) for _ in range(3)]), one)


def test_out_of_memory_halves_batch_then_tile_and_paints_the_same(tmp_path: Path) -> None:
    one = painted(tmp_path / "1")
    for name, room in (("batch", 2 * 3 * 128 * 128), ("tile", 3 * 150 * 150)):
        painter = Short(network(), CPU)
        painter.room = room
        again = painted(tmp_path / name, [painter], tile=256, batch=4)
        assert np.abs(again.astype(int) - one).max() <= 1


def test_no_memory_at_all_is_one_sentence(tmp_path: Path) -> None:
    painter = Short(network(), CPU)
    painter.room = 0
    with pytest.raises(BarenError, match="does not fit into memory"):
        painted(tmp_path, [painter], tile=256)


def test_an_error_in_the_network_is_raised(tmp_path: Path) -> None:
    class Broken(Painter):
        def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        painted(tmp_path, [Broken(network(), CPU)])


def test_a_canvas_goes_on_where_it_was_left(tmp_path: Path) -> None:
    class Counting(Painter):
        tiles = 0

        def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
            Counting.tiles += len(tiles)
            if Counting.tiles == 6:
                raise KeyboardInterrupt
            return super().__call__(tiles, row, columns)

    whole = painted(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        painted(tmp_path / "cut", [Counting(network(), CPU)])
    with Canvas(tmp_path / "cut", 300, 410, "key") as canvas:
        assert 0 < canvas.rows_done < 300
    Counting.tiles = 100
    assert np.array_equal(painted(tmp_path / "cut", [Counting(network(), CPU)]), whole)
    assert Counting.tiles < 100 + 12


def test_a_canvas_of_something_else_is_begun_anew(tmp_path: Path) -> None:
    painted(tmp_path)
    with Canvas(tmp_path, 300, 410, "another key") as canvas:
        assert canvas.rows_done == 0


def test_a_band_that_overlaps_what_is_done_leads_on_to_those_below(tmp_path: Path) -> None:
    """Two devices paint other tiles than the run before them: the lower band is there first."""
    with Canvas(tmp_path, 240, 4, "key") as canvas:
        for band in ((0, 100), (160, 240), (80, 160)):
            canvas.finish(*band)
        assert canvas.rows_done == 240


KILLED = """
import sys, torch; from pathlib import Path
sys.path[:0] = [".", "tests"]
import test_infer_engine as engine
class Slow(engine.Painter):
    def __call__(self, *arguments):
        import time; time.sleep(float(sys.argv[2])); return super().__call__(*arguments)
rows = engine.painted(Path(sys.argv[1]), [Slow(engine.network(), engine.CPU)])
sys.stdout.buffer.write(rows.tobytes())
"""


def test_kill_9_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED]
    first = subprocess.Popen([*command, tmp_path / "a", "0.3"], stdout=subprocess.DEVNULL)
    state = tmp_path / "a" / "state.json"
    while not state.exists() and first.poll() is None:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    again = subprocess.run([*command, tmp_path / "a", "0"], stdout=subprocess.PIPE, check=True).stdout
    assert again == painted(tmp_path / "b").tobytes()


def test_readers_wait_for_rows_and_hear_of_failure(tmp_path: Path) -> None:
    with Canvas(tmp_path, 10, 4, "key") as canvas:
        rows = ahead(canvas.rows(start, start + 5) for start in (0, 5))
        canvas.put(5, 0, np.full((5, 4, 3), 2, np.uint8))
        canvas.finish(5, 10)
        assert canvas.rows_done == 0
        canvas.put(0, 0, np.full((5, 4, 3), 1, np.uint8))
        canvas.finish(0, 5)
        assert [int(part.mean()) for part in rows] == [1, 2]
    with Canvas(tmp_path / "b", 10, 4, "key") as canvas:
        waiting = ahead([canvas.rows(0, 5)] for _ in range(1))
        canvas.fail(BarenError("torn"))
        with pytest.raises(BarenError, match="torn"):
            list(waiting)


def test_a_network_that_looks_too_far_is_blended_without_a_step(tmp_path: Path) -> None:
    whole = painted(tmp_path / "whole", tile=2048).astype(int)
    plan = plan_tiles(300, 410, reach=Reach(2, None), tile=128)
    assert not plan.exact
    blended = painted(tmp_path / "blended", reach=Reach(2, None))
    assert np.abs(blended - whole).max() <= 1  # this one looks one pixel far: fading equal tiles changes nothing


def test_a_blended_painting_goes_on_where_it_was_left(tmp_path: Path) -> None:
    class Toned(Painter):
        """Gives each row of tiles a tone of its own, and breaks at a chosen tile."""

        tiles, breaks_at = 0, 0

        def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
            self.tiles += len(tiles)
            if self.tiles == self.breaks_at:
                raise KeyboardInterrupt
            return super().__call__(tiles, row, columns) * (0.5 + row.start / 600)

    def run(name: str, breaks_at: int = 0, tile: int = 128) -> tuple[np.ndarray, int]:
        painter = Toned(network(), CPU)
        painter.breaks_at = breaks_at
        return painted(tmp_path / name, [painter], tile, reach=Reach(2, None)), painter.tiles

    whole, num_tiles = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", breaks_at=num_tiles - 3)
    with Canvas(tmp_path / "cut", 300, 410, "key") as canvas:
        assert 0 < canvas.rows_done < 300
    again, tiles_again = run("cut")
    assert np.array_equal(again, whole)
    assert tiles_again < num_tiles
    with pytest.raises(KeyboardInterrupt):
        run("other", breaks_at=5, tile=192)
    assert np.array_equal(run("other")[0], whole)  # cut otherwise, it begins anew: two tones would meet at a line
    with pytest.raises(KeyboardInterrupt):
        run("exact", breaks_at=num_tiles - 3)
    exact = painted(tmp_path / "exact", [Toned(network(), CPU)])  # what was faded is no part of it
    assert np.array_equal(exact, painted(tmp_path / "exact from the start", [Toned(network(), CPU)]))


def test_memory_that_runs_out_while_tiles_fade_leaves_no_gap(tmp_path: Path) -> None:
    class Shrinking(Short):
        def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
            if row.start > 100:
                self.room = 3 * 150 * 150
            return super().__call__(tiles, row, columns)

    whole = painted(tmp_path / "whole", tile=2048).astype(int)
    blended = painted(tmp_path / "blended", [Shrinking(network(), CPU)], tile=192, reach=Reach(2, None))
    assert np.abs(blended - whole).max() <= 1


def test_a_plan_is_not_exact_where_memory_holds_no_tile_for_it() -> None:
    far = Reach(256, 512)
    assert plan_tiles(9000, 9000, reach=far, tile=1024, most=2048).exact
    assert not plan_tiles(9000, 9000, reach=far, tile=1024, most=1024).exact
    assert plan_tiles(900, 900, reach=far, tile=512, most=1024).exact  # one tile


def test_resizing_is_the_same_for_every_cut() -> None:
    photo = soft(90, 120)
    source = Source(photo, Box(3.5, 2.25, 100.5, 80.0), 333, 417)
    whole = source.tile((0, 333), (0, 417))
    part = source.tile((100, 200), (300, 417))
    assert (whole[:, 100:200, 300:417] - part).abs().max() <= 2e-6


def test_resizing_keeps_a_flat_picture_flat_and_a_slope_straight() -> None:
    flat = np.full((40, 50, 3), 77, np.uint8)
    assert np.allclose(resized(flat, Box(0, 0, 50, 40), 111, 93, np.arange(111), np.arange(93)), 77, atol=1e-3)
    slope = np.repeat(np.arange(0, 200, 4, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    wide = resized(slope, Box(0, 0, 50, 40), 40, 100, np.arange(40), np.arange(20, 80))
    assert np.allclose(np.diff(wide[20, :, 0]), 2, atol=0.2)


def test_a_source_goes_on_as_its_mirror_image() -> None:
    photo = soft(20, 30)
    tile = Source.whole(photo).tile((0, 40), (0, 30))
    assert torch.equal(tile[:, 20:39], tile[:, :19].flip(1))


def test_memory_is_counted_on_a_small_tile() -> None:
    narrow = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Conv2d(5, 3, 1)).eval()
    assert bytes_a_pixel(narrow, 1) == 4 * (3 + 5 + 5)  # the tile, and the features before and after the ReLU

    class Joined(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, x + 1], dim=1)[:, :3]

    assert bytes_a_pixel(Joined(), 1) == 4 * (3 + 3 + 6)


def test_counting_memory_loads_nothing_more() -> None:
    code = """
import sys, torch; from torch import nn; from tasks.infer.memory import bytes_a_pixel
before = set(sys.modules); bytes_a_pixel(nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 3, 3)).eval(), 4)
print(len(set(sys.modules) - before))
"""
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert int(told) < 20


def test_merged_iterators_give_everything_once() -> None:
    assert sorted(merged([range(50), range(50, 100)])) == list(range(100))


def test_leaving_early_ends_the_threads() -> None:
    items = ahead(iter(range(10**9)))
    assert next(items) == 0
    items.close()
