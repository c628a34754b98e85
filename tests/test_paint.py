"""python -m pipelines paint: what the command line names, and what is said before any work."""

import io
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import paint, stages
from pipelines.photographs import named
from pipelines.stages import kept_seeds
from tasks.credits import add_credits
from tasks.errors import BarenError, ParamsError
from tasks.files import write_json
from tasks.infer import Infer, Photo, Trained
from tasks.infer.earlier import own_name
from tasks.progress import Progress
from tasks.rows import Origin


def names(*words: str) -> list[str]:
    photos, missing = named(words, "", Progress(io.StringIO()))
    assert missing == []
    return [photo[1].name for photo in photos]


def test_pictures_folders_and_lists_name_photographs(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.png", "b/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path / 'a.jpg'}\n\n{tmp_path / 'b'}\n")
    assert names(str(tmp_path / "a.jpg"), str(tmp_path / "b")) == ["a.jpg", "c.png", "d.jpg"]
    assert names(str(tmp_path / "list.txt")) == ["a.jpg", "c.png", "d.jpg"]


@pytest.mark.parametrize("kind", ["gif", "jfif", "ppm"])
def test_a_folder_gives_every_kind_that_opens_by_name(kind: str, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / f"a.{kind}")
    assert names(str(tmp_path)) == [f"a.{kind}"]


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match="is not there"):
        names(str(tmp_path / "none.jpg"))
    with pytest.raises(BarenError, match="holds no picture"):
        names(str(tmp_path))


def test_a_list_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "ä.jpg")
    words = tmp_path / "list.txt"
    words.write_text(f"{tmp_path / 'ä.jpg'}\n", encoding="utf-8-sig")  # as Windows' Notepad saves it
    assert names(str(words)) == ["ä.jpg"]
    words.write_text(f"{tmp_path / 'ä.jpg'}\n", encoding="latin-1")
    with pytest.raises(ParamsError, match=r"is not written in UTF-8 .* save it as UTF-8"):
        names(str(words))
    words.write_text(f"{words}\n")
    with pytest.raises(ParamsError, match="a list holds no list"):
        names(str(words))


class Site(BaseHTTPRequestHandler):
    """A site with a picture, a page, and a folder that machines are to leave alone."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        Site.asked.append((self.path, self.headers["User-Agent"]))
        picture = io.BytesIO()
        Image.new("RGB", (30, 20), (9, 99, 199)).save(picture, "PNG")
        answers = {
            "/robots.txt": b"User-agent: *\nDisallow: /private\n", "/a%20b.png": picture.getvalue(),
            "/page.png": b"<html>", "/private/c.png": picture.getvalue(),
        }  # fmt: skip
        body = answers.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_asked_for_politely_and_once(site: str, tmp_path: Path) -> None:
    words = [f"{site}/{name}" for name in ("a%20b.png", "page.png", "private/c.png", "gone.png")]

    def fetched() -> tuple[list[Photo], list[str]]:
        return named(words, "me@example.org", Progress(io.StringIO()), private=("127.0.0.1",), folder=tmp_path)

    photos, missing = fetched()
    assert [(photo[1].name, photo[2].url) for photo in photos] == [("a b.png", words[0])]
    with Image.open(photos[0][1]) as image:
        assert image.size == (30, 20)
    assert [sentence.split(" ")[0] for sentence in missing] == words[1:]
    assert "robots.txt" in missing[1]
    assert "/private/c.png" not in [path for path, _ in Site.asked]
    assert all("me@example.org" in agent for _, agent in Site.asked)
    fetched()
    assert [path for path, _ in Site.asked].count("/a%20b.png") == 1
    assert not list(tmp_path.rglob("*.part"))


def test_nobody_is_asked_without_a_contact_and_no_private_machine_at_all(site: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="--contact is missing"):
        named([f"{site}/a.png"], "", Progress(io.StringIO()), folder=tmp_path)
    _, missing = named([f"{site}/a.png"], "me@example.org", Progress(io.StringIO()), folder=tmp_path)
    assert "private address" in missing[0]
    assert Site.asked == []


def test_prints_never_go_into_a_stage_s_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match="belongs to the stages"):
        paint.main(["a.jpg", "--recipe", "travelgan", "--out", "data/6-prints/mine"])


def test_of_a_population_the_kept_seeds_paint_the_chosen_one_first(tmp_path: Path) -> None:
    keys = ("seed", "kept", "best", "chosen")
    rows = [(0, True, 3.0, False), (1, False, None, False), (2, True, None, False), (3, True, 2.0, True)]
    rows = [dict(zip(keys, row, strict=True)) for row in rows]
    write_json(tmp_path / "population.json", rows)
    assert kept_seeds(tmp_path) == ["seed-3", "seed-0"]
    assert kept_seeds(tmp_path / "of one seed") == []


class Painting:
    """A project in a folder of its own, whose travelgan paints every photograph as it is."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("tasks.progress.Progress.listen", lambda self: None)
        shutil.copy(Path(__file__).parent.parent / "params.yaml", folder)
        monkeypatch.setattr(stages, "open_painter", lambda *_: Trained("best", torch.nn.Identity(), "abc"))
        monkeypatch.setattr(stages, "learned_from", lambda *_: [])
        monkeypatch.setattr(stages, "learned_photos", lambda *_: np.zeros((0, 8, 8, 3), np.uint8))

    def __call__(self, *words: str) -> None:
        assert paint.main([*words, "--recipe", "travelgan", "--device", "cpu"]) == 0


@pytest.fixture
def painting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Painting:
    return Painting(tmp_path, monkeypatch)


def photograph(path: Path, grey: int = 9) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (grey, 99, 199)).save(path)
    return path.read_bytes()


def test_nothing_but_earlier_prints_is_written_over(painting: Painting) -> None:
    album = Path("album")
    mine = {name: photograph(album / name, place) for place, name in enumerate(("hill.png", "sea.jpg", "proof.jpg"))}
    mine |= {"other.png": photograph(album / "other.png", 5), "note.json": b"[1]", "bay.json": b'{"photo": "bay"}'}
    for name in ("note", "bay"):
        (album / f"{name}.json").write_bytes(mine[f"{name}.json"])
    words = ["--out", "album", "--format", "png,jpg", "album/hill.png", "album/sea.jpg", "album/proof.jpg"]
    for name in ("other", "note", "bay"):
        photograph(Path("elsewhere") / f"{name}.tif")
        words.append(f"elsewhere/{name}.tif")
    for _ in range(2):  # what was painted is known again, and so is the sheet
        painting(*words)
        assert {name: (album / name).read_bytes() for name in mine} == mine
        made = {path.name for path in album.iterdir()} - {*mine, "previews", "CREDITS.csv"}
        stems = ("hill-2", "sea-2", "proof-3", "other-2", "note-2", "bay-2")
        assert made == {f"{stem}.{kind}" for stem in stems for kind in ("png", "jpg", "json")} | {"proof-2.jpg"}


@pytest.mark.parametrize("out", ["mine/album/prints", "mine/album", "mine"])
def test_prints_among_the_photographs_are_not_painted(out: str, painting: Painting) -> None:
    photograph(Path("mine/album/hill.jpg"))
    Path("list.txt").write_text("mine/album")
    for words in ("mine/album", "mine/album", "list.txt"):
        painting(words, "--out", out, "--format", "png,dzi")
    painting("mine/album", "--out", "mine/album/others")
    for folder in (out, "mine/album/others"):
        assert [path.name for path in Path(folder).glob("*.png")] == ["hill.png"]
    with pytest.raises(BarenError, match=r"holds no picture .* that is no print"):
        painting("mine/album/others", "--out", "more")


def test_a_print_is_replaced_by_the_next_of_its_photograph_unless_it_was_changed(painting: Painting) -> None:
    photograph(Path("hill.jpg"))
    for kinds, size in (("png,tif", "50x40px"), ("png", "60x50px"), ("tif", "60x50px")):
        painting("hill.jpg", "--out", "out", "--format", kinds, "--print", size)
    assert {path.name for path in Path("out").glob("hill*")} == {"hill.png", "hill.tif", "hill.json"}
    Path("out/hill.png").write_bytes(b"retouched")
    painting("hill.jpg", "--out", "out", "--print", "50x40px")
    assert Path("out/hill.png").read_bytes() == b"retouched"
    assert Path("out/hill-2.png").exists()


def test_a_page_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "hill_files").mkdir()
    assert own_name(tmp_path, "hill", ["png"], "a", ()) == "hill"
    assert own_name(tmp_path, "hill", ["dzi"], "a", ()) == "hill-2"
    write_json(tmp_path / "hill.json", {"photo": {"sha256": "a"}, "key": "k", "files": {"hill.dzi": 9}})
    assert own_name(tmp_path, "hill", ["dzi"], "a", ()) == "hill"
    assert own_name(tmp_path, "hill", ["dzi"], "b", ()) == "hill-2"
    assert own_name(tmp_path, "hill", ["dzi"], "a", {(tmp_path / "previews/hill.jpg").resolve()}) == "hill-2"


def test_credits_of_two_models_stand_in_one_folder(tmp_path: Path) -> None:
    wave, hill = (Origin("museum", f"https://museum.example/{name}", "", title=name) for name in ("wave", "hill"))
    add_credits(tmp_path, [wave])
    add_credits(tmp_path, [hill, wave])
    lines = (tmp_path / "CREDITS.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["title", "hill", "wave"]


@pytest.mark.parametrize("text", ["title;author\na;b\n", "title,author\nä\n", "title\nä"])
def test_credits_written_otherwise_are_said_before_the_work(text: str, tmp_path: Path) -> None:
    (tmp_path / "CREDITS.csv").write_text(text, encoding="latin-1")
    with pytest.raises(BarenError, match=r"CREDITS.csv is no list of credits as written here, .* move it away"):
        paint.main(["none.jpg", "--recipe", "travelgan", "--out", str(tmp_path)])
    assert (tmp_path / "CREDITS.csv").read_text(encoding="latin-1") == text


def test_an_unknown_format_ends_with_the_known_ones() -> None:
    with pytest.raises(ParamsError, match=r"--format webp is none .* choose of png, tif, jpg, dzi"):
        paint._formats("tif,webp")


def test_a_format_named_twice_is_written_once() -> None:
    assert paint._formats("png,.PNG, tif,png") == ("png", "tif")


@pytest.mark.parametrize("name", ["meta", "nowhere"])
def test_a_device_that_paints_nothing_is_one_sentence(name: str) -> None:
    with pytest.raises(ParamsError, match=f"--device {name} is not to be had here; choose cpu"):
        paint._device(name)


def test_a_wish_of_the_command_line_goes_before_params() -> None:
    chosen = paint._parser().parse_args(["a.jpg", "--recipe", "r", "--print", "12x15in", "--paint-ppi", "75"])
    assert paint._wishes(chosen) == {"size": "12x15in", "paint_ppi": 75.0}


@pytest.mark.parametrize("option", ["--dpi", "--paint-ppi"])
@pytest.mark.parametrize("resolution", ["inf", "nan", "0", "-1"])
def test_a_resolution_that_no_file_holds_is_one_sentence(option: str, resolution: str) -> None:
    chosen = paint._parser().parse_args(["a.jpg", "--recipe", "r", option, resolution])
    with pytest.raises(ParamsError, match=option[2:].replace("-", "_")):
        Infer.read(paint._wishes(chosen), "infer", "the command line")
