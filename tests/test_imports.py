"""What a person brings: folders, archives, data sets and lists of addresses, in others' layouts, and damaged."""

import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tasks.errors import BarenError, ParamsError
from tasks.rows import Scraped
from tasks.scrape import folder, members, table
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Museum
from tasks.scrape.registry import find
from tests.visits import Elsewhere, collect, picture, zipped

PLACE = "https://elsewhere.example"
GENRES = ["abstract_painting", "portrait", "Unknown Genre"]
ARTISTS = ["Unknown Artist", "berthe-morisot"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def brought(tmp_path: Path) -> Callable[..., list[Scraped]]:
    """The rows of what a source collects; each call into a set of its own."""
    number = iter(range(100))

    def run(use: str, **query: Any) -> list[Scraped]:
        return collect(tmp_path / f"raw{next(number)}", Museum([Elsewhere()]), use, **query)

    return run


def lay(files: dict[str, bytes], where: str = "mine") -> None:
    for name, data in files.items():
        path = Path(where, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tarred(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def hugging_face(path: Path, rows: int = 6, told: bool = True) -> None:
    """A shard as `datasets` writes it: pictures inside, classes as numbers whose names stand in the schema."""
    columns = {
        "image": [{"bytes": picture(n), "path": None} for n in range(rows)],
        "artist": [n % 2 for n in range(rows)],
        "genre": [n % 3 for n in range(rows)],
    }
    features = {
        "image": {"_type": "Image"}, "artist": {"names": ARTISTS, "_type": "ClassLabel"},
        "genre": {"names": GENRES, "_type": "ClassLabel"},
    }  # fmt: skip
    data = pyarrow.table(columns)
    if told:
        data = data.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(data, path)


GANGOGH = {
    "portrait/berthe-morisot+the-cradle-1872.jpg": picture(1),
    "portrait/lady-with-an-ermine.jpg": picture(2),
    "still-life/paul-c%C3%A9zanne+apples.jpg": picture(3),
}


@pytest.mark.parametrize("lain", ["folder", "zip", "tar"])
def test_of_kaggles_gangogh_only_the_portraits_are_taken_with_their_artists(lain: str, brought: Any) -> None:
    lay(GANGOGH, "wikiart") if lain == "folder" else Path("wikiart").write_bytes(
        zipped(GANGOGH) if lain == "zip" else tarred(GANGOGH)
    )
    rows = brought("folder", path="wikiart", only=["Portrait"], names="artist+title")
    assert [(row.origin.author, row.origin.title) for row in rows] == [
        ("berthe morisot", "the cradle 1872"), ("", "lady with an ermine")
    ]  # fmt: skip
    assert {row.origin.tags for row in rows} == {("portrait",)}
    rows = brought("folder", path="wikiart", only=["still_life"], names="artist+title")
    assert [row.origin.author for row in rows] == ["paul cézanne"]


def test_a_category_that_is_not_there_is_told_with_those_that_are(brought: Any) -> None:
    lay(GANGOGH)
    with pytest.raises(ParamsError, match="has no pictures called portraits; it has: portrait, still-life; correct"):
        brought("folder", path="mine", only=["portraits"])


def test_hugging_faces_labels_become_tags_and_artists(brought: Any) -> None:
    for shard in range(2):
        hugging_face(Path(f"wikiart/train-{shard:05}-of-00002.parquet"), rows=6 + shard)
    rows = brought("folder", path="wikiart", only=["portrait"])
    assert len(rows) == 4
    assert {row.origin.tags for row in rows} == {("wikiart", "portrait")} or all(
        "portrait" in r.origin.tags for r in rows
    )
    assert {row.origin.author for row in rows} == {"", "berthe-morisot"}
    assert {row.outcome for row in brought("folder", path="wikiart/train-00000-of-00002.parquet")} == {"kept"}
    assert {row.sha256 for row in rows} <= {sha256(picture(n)).hexdigest() for n in range(7)}


def test_a_class_folder_is_a_tag_and_its_table_may_be_hugging_faces(brought: Any) -> None:
    lay({"cats/1.jpg": picture(1), "dogs/2.jpg": picture(2)})
    Path("mine/metadata.csv").write_text("file_name,text\ncats/1.jpg,A cat\n")
    rows = brought("folder", path="mine", metadata="mine/metadata.csv")
    assert {(row.origin.tags, row.origin.title) for row in rows} == {(("cats",), "A cat"), (("dogs",), "2")}


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("file", ["faces/1.jpg", "faces\\1.jpg"])
def test_a_table_beside_an_archive_is_of_the_archive_whatever_lies_beside_it_too(
    file: str, unpacked: bool, brought: Any
) -> None:
    lay({"faces.zip": zipped({"faces/1.jpg": picture(1)}), **({"faces/1.jpg": picture(1)} if unpacked else {})}, "sub")
    Path("sub/about.csv").write_text(f"file,author\n{file},Ran\n")
    (row,) = brought("folder", path="sub/faces.zip", metadata="sub/about.csv")
    assert row.origin.author == "Ran"
    if unpacked:
        (row,) = brought("folder", path="sub/faces", metadata="sub/about.csv")
        assert row.origin.author == "Ran"


def test_a_table_that_names_none_of_the_pictures_is_told_of() -> None:
    lay({"a/1.jpg": picture(1), "a/2.jpg": picture(2)})
    Path("about.csv").write_text(f"file,author\nb/1.jpg,Ran\n{'x' * 300}.jpg,Ran\n")
    said: list[str] = []
    query = folder.FolderQuery(path="mine", metadata="about.csv")
    for found in folder.pictures(Path("mine"), "mine", query, said.append):
        assert found.author == ""
        break  # enough were read
    assert said == [
        "about.csv names none of the pictures that were read (it begins with 'b/1.jpg', they with 'a/1.jpg'), so "
        "nothing it says is used; correct its column `file`"
    ]
    Path("about.csv").write_text("file,author\na/2.jpg,Ran\n")
    assert [item.author for item in folder.pictures(Path("mine"), "mine", query, said.append)] == ["", "Ran"]
    assert len(said) == 1


def test_a_table_beside_pictures_is_no_picture_and_a_data_set_may_call_its_own_as_it_likes(brought: Any) -> None:
    lay({"1.jpg": picture(1)})
    pyarrow.parquet.write_table(pyarrow.table({"file_name": ["1.jpg"], "caption": ["One"]}), "mine/metadata.parquet")
    rows = brought("folder", path="mine", metadata="mine/metadata.parquet")
    assert [row.origin.title for row in rows] == ["One"]
    said = {"info": {"features": {"scan": {"_type": "Image"}}}}
    scans = pyarrow.table({"scan": [picture(2)]}).replace_schema_metadata({"huggingface": json.dumps(said)})
    pyarrow.parquet.write_table(scans, "scans.parquet")
    assert [row.outcome for row in brought("folder", path="scans.parquet")] == ["kept"]


@pytest.mark.parametrize("lain", ["folder", "zip"])
def test_gallery_dls_notes_and_img2datasets_say_whose_a_picture_is(lain: str, brought: Any) -> None:
    note = {
        "category": "flickr", "title": "Dunes", "user": {"username": "ran", "realname": "Ran Ō", "nsid": "1@N0"},
        "license": "4", "license_name": "Attribution License", "tags": ["sand", "sea"], "date": "2020-01-02 00:00:00",
    }  # fmt: skip
    files = {
        "a.jpg": picture(1), "a.jpg.json": json.dumps(note).encode(), "b.jpg": picture(2), "b.jpg.json": b"[broken",
        "c.jpg": picture(3), "c.json": json.dumps({"url": f"{PLACE}/c", "caption": "Sea", "key": "c"}).encode(),
    }  # fmt: skip
    lay(files) if lain == "folder" else Path("mine").write_bytes(zipped(files))
    a, b, c = (row.origin for row in brought("folder", path="mine"))
    assert (a.title, a.author, a.licence, a.tags) == ("Dunes", "Ran Ō", "Attribution License", ("sand", "sea"))
    assert (b.title, b.author, b.licence) == ("b", "", "unknown")
    assert (c.title, c.page) == ("Sea", f"{PLACE}/c")


def test_a_parquet_without_pictures_says_what_it_has(brought: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"img": [b"x"], "genre": [1]}), "a.parquet")
    with pytest.raises(ParamsError, match=r"no column 'image' .* it has: img, genre; .* `use: url_list`"):
        brought("folder", path="a.parquet")


def test_a_zip_with_tricks_or_bombs_inside_gives_the_rest(brought: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LARGE", 100_000)
    names = ["../out.jpg", "/root.jpg", "C:\\windows\\a.jpg", "a/../../b.jpg", "..\\c.jpg"]
    tricks = dict.fromkeys(names, picture(5))
    Path("faces.zip").write_bytes(zipped({"good.jpg": picture(1), **tricks, "bomb.jpg": bytes(10_000_000)}))
    rows = brought("folder", path="faces.zip")
    assert sorted(row.reason for row in rows) == ["", *["path leads outside"] * 5, "too many bytes"]
    assert [row.id.split("@")[0] for row in rows if row.outcome == "kept"] == ["folder.museum:good.jpg"]
    assert sorted(path.name for path in Path().iterdir()) == [".scratch", "faces.zip", "raw0"]


def test_a_tar_that_unpacks_without_end_is_left_where_it_begins_to(brought: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(members, "LARGE", 100_000)
    files = {"a.jpg": picture(1), "bomb.bin": bytes(30_000_000), "z.jpg": picture(2)}
    Path("faces.tar.gz").write_bytes(tarred(files))
    assert [row.reason for row in brought("folder", path="faces.tar.gz")] == ["", "too many bytes"]


def test_a_cut_archive_keeps_what_came_before_the_cut(brought: Any) -> None:
    whole = tarred({f"{n}.jpg": picture(n) for n in range(200)}, "w")
    Path("cut.tar").write_bytes(whole[: len(whole) // 2])
    rows = brought("folder", path="cut.tar")
    assert sum(row.outcome == "kept" for row in rows) > 50
    assert {row.reason for row in rows if row.outcome == "refused"} == {"damaged", "damaged archive"}


LISTED = [{"url": f"{PLACE}/{n}.jpg", "caption": f"No. {n}", "license": "CC0", "tags": "sea,sand"} for n in range(5)]


def write_list(kind: str, rows: Sequence[dict[str, str]] = LISTED) -> Path:
    path = Path(f"list.{kind}")
    plain = kind.removesuffix(".gz")
    if plain == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return path
    comma = {"csv": ",", "tsv": "\t"}.get(plain, "")
    text = {
        "txt": "# mine\n" + "".join(f"{row['url']}\n" for row in rows),
        "json": json.dumps(rows),
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }.get(plain) or "\n".join(
        comma.join(f'"{value}"' for value in values) for values in [rows[0].keys(), *(row.values() for row in rows)]
    )
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "json", "jsonl", "parquet", "csv.gz", "jsonl.gz", "txt.gz"])
def test_a_list_of_addresses_is_read_in_every_form(kind: str, brought: Any) -> None:
    write_list(kind)
    rows = brought("url_list", path=f"list.{kind}")
    assert len({row.sha256 for row in rows}) == 5
    assert {row.outcome for row in rows} == {"kept"}
    if not kind.startswith("txt"):
        assert {row.origin.title for row in rows} == {f"No. {n}" for n in range(5)}
        assert {(row.origin.licence, row.origin.tags) for row in rows} == {("CC0", ("sea", "sand"))}


def test_a_folder_of_lists_with_other_names_for_its_columns(brought: Any) -> None:
    Path("laion").mkdir()
    for part in range(3):
        rows = [{"URL": f"{PLACE}/{3 * part + n}.jpg", "TEXT": f"{part}/{n}"} for n in range(3)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), f"laion/part-{part}.parquet")
    rows = brought("url_list", path="laion", url="URL", caption="TEXT")
    assert sorted(row.origin.title for row in rows) == [f"{part}/{n}" for part in range(3) for n in range(3)]


def test_a_list_goes_on_behind_its_mark() -> None:
    write_list("txt", [{"url": f"{PLACE}/{n}.jpg"} for n in range(450)])
    source = find("url_list")

    class Web:
        def at(self, url: str) -> str:
            return url

    query = source.Query.read({"path": "list.txt"}, "query")
    rest = [found for found in source.discover(query, Web(), {"done": 400}) if hasattr(found, "shots")]  # type: ignore[arg-type]
    assert [item.shots[0].url for item in rest][:1] == [f"{PLACE}/400.jpg"]  # type: ignore[union-attr]
    assert len(rest) == 50


def test_a_host_that_wants_hours_stops_none_of_the_others(tmp_path: Path) -> None:
    class Two(Elsewhere):
        hosts = ("elsewhere.example", "busy.example")

    urls = [f"https://{host}/{n}.jpg" for n in range(6) for host in Two.hosts]
    Path("list.txt").write_text("\n".join(urls))
    museum = Museum([Two()])
    museum.faults.append(Fault("429", "busy.example", retry_after=3_600))
    rows = collect(tmp_path / "raw", museum, "url_list", path="list.txt")
    ends = Counter((row.outcome, row.reason) for row in rows)
    assert ends == {("kept", ""): 6, ("failed", "told to come later"): 6}
    assert [asked.host for asked in museum.log].count("busy.example") == 1


def test_addresses_that_are_none_and_pages_that_are_no_pictures_end_under_a_name(brought: Any) -> None:
    none = ["", "not an address", "ftp://elsewhere.example/1.jpg", "http://[half", "data:image/png;base64,AAAA"]
    pages, gone = [f"{PLACE}/login.jpg", f"{PLACE}/page.html"], [f"{PLACE}/gone", "https://nobody.example/1.jpg"]
    urls = [*none, f"{PLACE}/1.jpg", *pages, *gone]
    Path("list.csv").write_text("url\n" + "".join(f'"{url}"\n' for url in urls))
    rows = brought("url_list", path="list.csv")
    ends = {row.origin.page.replace(".museum.test", ""): (row.outcome, row.reason) for row in rows}
    assert len(ends) == 10
    assert {ends[url or "(empty)"] for url in none} == {("refused", "no address of the web")}
    assert ends[f"{PLACE}/1.jpg"] == ("kept", "")
    assert {ends[url] for url in pages} == {("failed", "a page instead of a picture")}
    assert {ends[url] for url in gone} == {("refused", "gone")}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"link,text\nx,y\n", r"no column 'url'; it has: link, text; name the right one as query.url"),
        ("a.csv", "url,caption\nhttps://a.example/1.jpg,Café am Meer\n".encode("latin-1"),
         r"a.csv is not in utf-8 .the byte 0xe9 does not fit.; save it as UTF-8, or name its encoding"),
        ("a.json", b'{"url": "x"}', "holds no list of rows"), ("a.json", b"[1]", "has the row '1'"),
        ("a.json", b"[{", "cannot be read as json"), ("a.jsonl", b'{"url": 1}\n{"u', "cannot be read as jsonl"),
        ("a.parquet", b"PAR1 and no more", "a.parquet is no Parquet file"), ("a.doc", b"", "is no table that can be"),
        ("a.csv.gz", b"url\nhttps://a.example/1.jpg\n", "cannot be read as csv .Not a gzipped file"),
        ("a.txt", b"", "has none for this query"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_one_sentence(name: str, data: bytes, words: str, brought: Any) -> None:
    Path(name).write_bytes(data)
    with pytest.raises(BarenError, match=words):
        brought("url_list", path=name)


def test_half_a_character_in_an_address_costs_that_row_alone(brought: Any) -> None:
    urls = [json.loads(f'"{PLACE}/{name}.jpg"') for name in ("1", r"\ud83d", "2")]
    Path("list.jsonl").write_text("".join(json.dumps({"url": url}) + "\n" for url in urls))
    rows = brought("url_list", path="list.jsonl")
    assert sorted(row.outcome for row in rows) == ["failed", "kept", "kept"]


def test_a_parquet_list_with_a_missing_column_says_what_it_has(brought: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"URL": [f"{PLACE}/1.jpg"], "TEXT": ["a"]}), "list.parquet")
    with pytest.raises(ParamsError, match=r"has no column 'url'; it has: URL, TEXT; name the right one as query.url"):
        brought("url_list", path="list.parquet")


@pytest.mark.parametrize("encoding", ["cp1252", "shift_jis", "utf-16", "utf-8-sig"])
def test_a_list_in_another_encoding_is_read_when_that_is_said_or_says_itself(encoding: str, brought: Any) -> None:
    caption = "浮世絵" if encoding == "shift_jis" else "Café"
    Path("list.csv").write_bytes(f"url,caption\n{PLACE}/1.jpg,{caption}\n".encode(encoding))
    said = {} if encoding.startswith("utf") else {"encoding": encoding}
    assert [row.origin.title for row in brought("url_list", path="list.csv", **said)] == [caption]


def test_a_table_made_to_fill_the_memory_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_LINE", 1_000)
    monkeypatch.setattr(table, "MAX_JSON", 1_000)
    monkeypatch.setattr(table, "LARGE", 1_000)
    for name in ("a.txt.gz", "a.csv.gz", "a.jsonl.gz", "a.json.gz"):
        Path(name).write_bytes(gzip.compress(b"x" * 1_000_000))
        with pytest.raises(ParamsError, match="more than 1,000 characters"):
            list(table.read_table(Path(name)))
    same = pyarrow.table({"url": ["x" * 1_000_000] * 3})
    pyarrow.parquet.write_table(same, "a.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(ParamsError, match="as only a bomb does"):
        list(table.read_table(Path("a.parquet")))


def test_an_archive_on_the_web_is_fetched_once_and_checked(brought: Any, tmp_path: Path) -> None:
    rows = brought("archive", url=f"{PLACE}/faces.zip")
    assert len(rows) == 12
    assert {(row.origin.tags, row.outcome) for row in rows} == {(("faces",), "kept")}
    museum = Museum([Elsewhere()])
    assert len(collect(tmp_path / "again", museum, "archive", url=f"{PLACE}/faces.zip")) == 12
    assert museum.log == []
    with pytest.raises(ParamsError, match=r"has the sha256 [0-9a-f]{64} and not abc; correct either"):
        brought("archive", url=f"{PLACE}/faces.zip", sha256="abc")


def test_an_archive_behind_a_login_page_says_what_to_do(brought: Any) -> None:
    with pytest.raises(ParamsError, match=r"a page to log in at, perhaps.; download the archive by hand"):
        brought("archive", url=f"{PLACE}/page.html")
    assert not list(Path(".scratch/fetched").glob("*.file"))


@pytest.mark.parametrize(
    ("use", "block", "words"),
    [
        ("archive", {"url": "faces.zip"}, "is no address of the web; for a file on this machine say `use: folder`"),
        ("folder", {"path": "x", "encoding": "klingon"}, "no encoding 'klingon'"),
        ("folder", {"path": "x", "names": "any"}, "names is 'any'"),
        ("url_list", {}, "path is missing"),
    ],
)
def test_an_impossible_import_is_one_sentence(use: str, block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        find(use).Query.read(block, "query")
