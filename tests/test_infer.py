"""The infer stage: photographs of any size become prints with a report each; bad ones are named."""

import csv
import errno
import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines import cyclegan
from tasks import infer
from tasks.errors import BarenError, NoRoom, Stopped
from tasks.infer import Infer, Trained
from tasks.infer.press import Model
from tasks.infer.strips import SRGB
from tasks.progress import Progress
from tasks.rows import Origin


class Negative(nn.Module):
    """Paints every pixel as its opposite, so that the right print is known."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv.weight)
        with torch.no_grad():
            for channel in range(3):
                self.conv.weight[channel, channel, 1, 1] = -1

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def origin(title: str = "A hill") -> Origin:
    return Origin(source="folder", page="page", url="url", title=title, author="Nobody", licence="CC0")


def saved(path: Path, height: int, width: int) -> np.ndarray:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def painted(folder: Path, photos: list[tuple[str, Path, Origin]], progress: Progress | None = None) -> Path:
    infer.run(
        painters=[Trained("best", Negative(), "abc")], photos=photos, out=folder / "prints",
        settings=Infer(tile=128, dpi=150.0),
        scratch=folder / "scratch", progress=progress or Progress(io.StringIO()),
        learned_from=[origin("A wave")],
    )  # fmt: skip
    return folder / "prints"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (201, 1), (65, 130), (131, 257)])
def test_photographs_of_any_size_are_painted_whole(tmp_path: Path, height: int, width: int) -> None:
    pixels = saved(tmp_path / "a.png", height, width)
    prints = painted(tmp_path, [("folder:a/1", tmp_path / "a.png", origin())])
    with Image.open(prints / "folder-a-1.png") as image:
        assert np.array_equal(np.asarray(image), 255 - pixels)
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.013)
        assert image.info["icc_profile"] == SRGB


def deep(path: Path, alpha: bool) -> np.ndarray:
    """A photo of 16 bits, each of them used, in a file; its samples, with opaque transparency where there is none."""
    samples = np.random.default_rng(5).integers(0, 65536, (90, 140, 4), dtype=np.uint16)
    if not alpha:
        samples[..., 3] = 65535
    samples[:9, :9, 3] = 65535
    bgr = samples[..., [2, 1, 0, 3]] if alpha else samples[..., 2::-1]
    assert cv2.imwrite(str(path), bgr)
    return samples


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_and_transparency_come_through_the_painting(tmp_path: Path, kind: str, alpha: bool) -> None:
    samples = deep(tmp_path / f"photo.{kind}", alpha)
    targets = (tmp_path / "print.tif", tmp_path / "print.png", tmp_path / "print.jpg")
    photo, _ = infer.print_photo(
        ("photo", tmp_path / f"photo.{kind}", origin()), targets, Model.of(Negative(), "abc"),
        Infer(tile=128, depth=16), {}, progress=Progress(io.StringIO()), scratch=tmp_path / "scratch",
    )  # fmt: skip
    assert np.abs(photo - samples[..., :3] / 257)[samples[..., 3] > 0].max() <= 0.5
    for target in targets[:2]:
        found = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
        assert found.dtype == np.uint16
        assert found.shape == (90, 140, 4 if alpha else 3)
        shown = samples[..., 3] > 0
        assert np.array_equal(found[..., 2::-1][shown], 65535 - samples[..., :3][shown])
        if alpha:
            assert np.array_equal(found[..., 3], samples[..., 3])
    with Image.open(targets[2]) as image:
        on_white = 255 - samples[..., :3] / 257 * samples[..., 3:] / 65535
        assert np.abs(np.asarray(image) - on_white).mean() < 4  # JPEG's own loss on noise


def test_transparency_grows_with_the_print(tmp_path: Path) -> None:
    image = np.full((60, 60, 4), 255, np.uint8)
    image[:, :30, 3] = 0
    Image.fromarray(image).save(tmp_path / "a.png")
    infer.print_photo(
        ("a", tmp_path / "a.png", origin()), (tmp_path / "b.png",), Model.of(Negative(), "abc"),
        Infer(tile=128, size="160x140px", fit="pad"), {}, progress=Progress(io.StringIO()),
        scratch=tmp_path / "scratch",
    )  # fmt: skip
    with Image.open(tmp_path / "b.png") as found:
        share = np.asarray(found)[..., 3]
    assert share.shape == (140, 160)
    assert (share[:, :10] == 255).all()  # the paper beside the picture
    assert (share[:, 10:70] == 0).mean() > 0.9
    assert (share[:, 90:] == 255).all()


def test_each_print_says_what_made_it(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 100, 150)
    prints = painted(tmp_path, [("folder:a", tmp_path / "a.png", origin())])
    report = json.loads((prints / "folder-a.json").read_text())
    assert report["checkpoint"] == "abc"
    assert report["statistics"] == {"mode": "frozen", "pixels": 0}
    assert report["plan"]["halo"] == 1
    assert report["photo"]["author"] == "Nobody"
    assert report["learned_from"] == {"pictures": 1, "licences": {"CC0": 1}, "credits": "CREDITS.csv"}
    with (prints / "CREDITS.csv").open(newline="") as file:
        assert [row["title"] for row in csv.DictReader(file)] == ["A wave"]


def test_every_photograph_is_painted_by_every_painter_side_by_side(tmp_path: Path) -> None:
    for name, side in (("a", 256), ("b", 512)):
        Image.new("RGB", (side, side), (250, 0, 0)).save(tmp_path / f"{name}.png")
    infer.run(
        painters=[Trained("seed-4", Negative(), "four"), Trained("seed-1", nn.Identity(), "one")],
        photos=[(name, tmp_path / f"{name}.png", origin()) for name in ("a", "b")], out=tmp_path / "prints",
        settings=Infer(tile=128), scratch=tmp_path / "scratch", progress=Progress(io.StringIO()),
    )  # fmt: skip
    prints = tmp_path / "prints"
    assert {path.name for path in prints.rglob("*.png")} == {"a.png", "b.png"}
    for folder, key, red in ((prints, "four", 5), (prints / "seed-1", "one", 250)):
        for name in ("a", "b"):
            with Image.open(folder / f"{name}.png") as image:
                assert image.getpixel((9, 9))[0] == red
            report = json.loads((folder / f"{name}.json").read_text())
            assert (report["checkpoint"], report["painter"]) == (key, "seed-4" if key == "four" else "seed-1")
    with Image.open(prints / "proof.jpg") as sheet:
        reds = [sheet.getpixel((12 + 256 * place + 128, 140))[0] for place in range(3)]
    assert reds == pytest.approx([250, 5, 250], abs=4)  # the photo, and what each painter made of it


def test_a_broken_photograph_is_named_and_the_others_are_painted(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 70, 70)
    (tmp_path / "b.jpg").write_bytes(b"no picture at all")
    prints = painted(tmp_path, [("b", tmp_path / "b.jpg", origin()), ("a", tmp_path / "a.png", origin())])
    assert sorted(path.name for path in prints.iterdir()) == [
        "CREDITS.csv",
        "a.json",
        "a.png",
        "previews",
        "proof.jpg",
        "refused.json",
    ]
    assert json.loads((prints / "refused.json").read_text())[0]["id"] == "b"


def test_nothing_to_paint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"no picture at all")
    with pytest.raises(BarenError, match="could be painted"):
        painted(tmp_path, [("b", tmp_path / "b.jpg", origin())])
    with pytest.raises(BarenError, match="no photograph"):
        painted(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == ["b.jpg"]


def test_stopped_in_the_middle_leaves_the_old_prints(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 300, 300)
    painted(tmp_path, [("old", tmp_path / "a.png", origin())])
    progress = Progress(io.StringIO())
    progress.stop_requested = 15
    with pytest.raises(Stopped):
        painted(tmp_path, [("new", tmp_path / "a.png", origin())], progress)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "prints", "scratch"}
    assert (tmp_path / "prints" / "old.png").exists()


def test_ids_that_look_alike_keep_their_own_prints(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 70, 70)
    prints = painted(tmp_path, [(key, tmp_path / "a.png", origin()) for key in ("a:1", "a/1")])
    assert {path.name for path in prints.glob("*.png")} == {"a-1.png", "a-1-2.png"}


class Counted(Negative):
    """Counts what it paints, and breaks at a chosen picture."""

    def __init__(self, breaks_at: int = 0) -> None:
        super().__init__()
        self.seen: list[int] = []  # also by copies of this network
        self.breaks_at = breaks_at

    @property
    def pictures(self) -> int:
        return len(self.seen)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] > 64:  # smaller ones are looked at to see how much memory they take
            self.seen.append(x.shape[2])
            if self.pictures == self.breaks_at:
                raise KeyboardInterrupt
        return super().forward(x)


def printed(folder: Path, network: nn.Module, told: io.StringIO, kind: str = "png", **wishes: object) -> dict[str, Any]:
    infer.print_photo(
        ("a", folder / "a.png", origin()), (folder / "prints" / f"a.{kind}",), Model.of(network, "abc"),
        Infer.read({"tile": 128, **wishes}, "infer"), {"recipe": "ink"}, progress=Progress(told),
        scratch=folder / "scratch",
    )  # fmt: skip
    return json.loads((folder / "prints" / "a.json").read_text())


def test_a_print_that_lies_there_just_so_is_not_painted_again(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 100, 90)
    network, told = Counted(), io.StringIO()
    report = printed(tmp_path, network, told)
    assert (report["recipe"], network.pictures) == ("ink", 1)
    left = tmp_path / "prints" / f".a.png.{2**22 + 1}.part"  # of a process that was killed: none has that number
    left.write_bytes(b"half")
    assert printed(tmp_path, network, told) == report
    assert network.pictures == 1
    assert not left.exists()
    assert "is there already" in told.getvalue()
    assert set(printed(tmp_path, network, told, kind="tif")["files"]) == {"a.png", "a.tif"}
    printed(tmp_path, network, told)
    assert network.pictures == 2  # both are there now
    assert printed(tmp_path, network, told, size="50x50px")["files"].keys() == {"a.png"}
    (tmp_path / "prints" / "a.png").write_bytes(b"another file of that name")
    saved(tmp_path / "a.png", 100, 91)
    printed(tmp_path, network, told, size="50x50px")
    assert network.pictures == 4


def test_a_run_that_is_killed_keeps_the_prints_it_has_made(tmp_path: Path) -> None:
    photos = [(name, tmp_path / f"{name}.png", origin()) for name in ("a", "b", "c")]
    for number, (_, path, _) in enumerate(photos):
        saved(path, 100, 90 + number)

    def run(network: nn.Module) -> None:
        infer.run(
            painters=[Trained("best", network, "abc")], photos=photos, out=tmp_path / "prints",
            settings=Infer(tile=128), scratch=tmp_path / "scratch", progress=Progress(io.StringIO()),
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(Counted(breaks_at=3))
    assert not (tmp_path / "prints").exists()
    again = Counted()
    run(again)
    assert again.pictures == 1
    assert {path.stem for path in (tmp_path / "prints").glob("*.png")} == {"a", "b", "c"}
    assert {path.stem for path in (tmp_path / "prints" / "previews").iterdir()} == {"a", "b", "c"}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_disk_that_is_full_at_the_last_small_file_loses_no_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "a.png", 100, 90)

    def run(network: nn.Module) -> None:
        infer.run(
            painters=[Trained("best", network, "abc")], photos=[("a", tmp_path / "a.png", origin())],
            out=tmp_path / "prints", settings=Infer(tile=128), scratch=tmp_path / "scratch",
            progress=Progress(io.StringIO()),
        )  # fmt: skip

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(infer, "write_credits", full)
        with pytest.raises(NoRoom):
            run(Counted())
    assert not (tmp_path / "prints").exists()
    assert (tmp_path / "scratch" / "prints" / "a.png").exists()
    again = Counted()
    run(again)
    assert again.pictures == 0
    assert (tmp_path / "prints" / "a.png").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_room_is_asked_for_all_files_of_a_print_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "a.png", 1000, 1000)
    usage = shutil.disk_usage(tmp_path)
    targets = tuple(tmp_path / "prints" / f"a.{kind}" for kind in ("png", "tif"))

    def print_with(free: int) -> None:
        monkeypatch.setattr("tasks.files.shutil.disk_usage", lambda _path: usage._replace(free=free))
        infer.print_photo(
            ("a", tmp_path / "a.png", origin()), targets, Model.of(Negative(), "abc"), Infer(), {},
            progress=Progress(io.StringIO()), scratch=tmp_path / "scratch",
        )  # fmt: skip

    with pytest.raises(NoRoom, match=r"the print a needs about 9 MB in .* and 8 MB are free"):
        print_with(8_000_000)  # enough for any of the three files alone
    assert {path.name for path in tmp_path.iterdir()} == {"a.png"}
    print_with(11_000_000)
    assert all(target.exists() for target in targets)


def test_two_devices_print_what_one_does(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 300, 260)
    torch.manual_seed(0)
    model = Model.of(cyclegan.Generator(4, 1, "resized").eval(), "abc")
    for num_devices in (1, 2):
        infer.print_photo(
            ("a", tmp_path / "a.png", origin()), (tmp_path / f"{num_devices}.png",), model, Infer(tile=128), {},
            progress=Progress(io.StringIO()), devices=[torch.device("cpu")] * num_devices,
            scratch=tmp_path / "scratch",
        )  # fmt: skip
    with Image.open(tmp_path / "1.png") as one, Image.open(tmp_path / "2.png") as two:
        assert np.array_equal(np.asarray(one), np.asarray(two))
