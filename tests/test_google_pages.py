"""Google's result pages that a person saved: every shape read, and whatever changed, broke off or is a wall, said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import Blocked, ParamsError, SourceError
from tasks.scrape import google_pages
from tasks.scrape.museum.google import GoogleSite
from tasks.scrape.museum.server import Museum
from tests.visits import collect, works


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cell(number: int, host: str = "art.example") -> list[Any]:
    thumbnail = f"https://encrypted-tbn0.gstatic.com/images?q=tbn:{number}"
    about = {"2003": [None, f"DOC{number}", f"https://{host}/page/{number}", f"Work {number}"], "183836587": [host]}
    picture = [f"https://{host}/full/wörk-{number}.jpg?x=1&y=2", 20, 24 + number % 5]
    return [0, f"ID{number}M", [thumbnail, 168, 300], picture, None, 0, "rgb(1,2,3)", None, False, about]


def escaped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("=", "\\u003d").replace("&", "\\u0026")


def page_of_2021(host: str = "art.example") -> str:
    grid = [[1, cell(n, host)] for n in range(4)] + [[2, None]]
    data = [None] * 31 + [[[None] * 12 + [[None, None, grid]]]]
    return (
        "<!doctype html><html itemscope><head><title>sea - Google Search</title></head><body>"
        f"<script nonce=\"x\">AF_initDataCallback({{key: 'ds:1', isError:  false , hash: '2', data:{escaped(data)}, "
        "sideChannel: {}});</script></body></html>"
    )


def page_of_2024(host: str = "art.example") -> str:
    cells = escaped({f"ID{n}M": cell(n, host) for n in range(4)})
    return (
        '<!doctype html><html><head><title>sea - Google Search</title></head><body><div class="isv-r" data-id="ID0M" '
        f'data-ow="24" data-oh="20"></div><script nonce="x">(function(){{var m={cells};google.ldi=m;}})();</script>'
        "</body></html>"
    )


def app_answer(host: str = "art.example") -> str:
    rows = [
        {
            "result": {"referrer_url": f"https://{host}/page/{n}", "page_title": f"Work {n}", "site_title": host,
                       **({"iptc": {"creator": ["Änne"], "copyright_notice": "(c)"}} if n else {})},
            "thumbnail": {"url": "https://encrypted-tbn0.gstatic.com/1", "height": 168, "width": 300},
            "original_image": {"url": f"https://{host}/full/wörk-{n}.jpg?x=1&y=2", "height": 20, "width": 24 + n % 5},
        }
        for n in range(4)
    ]  # fmt: skip
    return ')]}\'\n22;["SYNTHETIC","0"]\n' + json.dumps({"ischj": {"metadata": rows}})


def wml_page(host: str = "art.example") -> str:
    links = "".join(
        f'<a href="/imgres?imgurl=https%3A%2F%2F{host}%2Ffull%2Fw%C3%B6rk-{n}.jpg%3Fx%3D1%26y%3D2&amp;imgrefurl='
        f'https%3A%2F%2F{host}%2Fpage%2F{n}&amp;h=20&amp;w={24 + n % 5}&amp;tbnid=T{n}"><img src="https://t.example/" '
        'alt=""/></a>'
        for n in range(4)
    )
    following = '<a href="/search?q=sea&amp;tbm=isch&amp;start=10">Next</a>'
    return f'<?xml version="1.0"?>\n<!DOCTYPE wml><wml><card title="sea"><p>{links}{following}</p></card></wml>'


def cse_answer(host: str = "art.example") -> str:
    rows = [
        {"kind": "customsearch#result", "title": f"Work {n}", "link": f"https://{host}/full/wörk-{n}.jpg?x=1&y=2",
         "image": {"contextLink": f"https://{host}/page/{n}", "height": 20, "width": 24 + n % 5}}
        for n in range(4)
    ]  # fmt: skip
    queries = {"request": [{"totalResults": "9", "count": 4, "startIndex": 1}], "nextPage": [{"startIndex": 5}]}
    return json.dumps({"kind": "customsearch#search", "queries": queries, "items": rows})


SHAPES = {
    "2021.html": page_of_2021, "2024.html": page_of_2024, "app.txt": app_answer, "telephone.xml": wml_page,
    "answer.json": cse_answer,
}  # fmt: skip
URLS = [f"https://art.example/full/wörk-{n}.jpg?x=1&y=2" for n in range(4)]


def names_in(page: str) -> list[str]:
    """Every key, tag, attribute and other name in a page, but those inside the addresses that it tells of."""
    patterns = (r'"(\w+)":', r"</?(\w+)", r"[?;& ]([\w-]+)=", r"/(imgres)", r"(AF_initDataCallback)", r"(isv-r)")
    return sorted({name for pattern in patterns for name in re.findall(pattern, page)} - {"x", "y"})


def told(text: str, name: str) -> Any:
    """The addresses that are read, or what is said where they cannot be."""
    try:
        items = google_pages.read_saved(text.encode(), name)
    except SourceError as error:
        return str(error)
    return [
        item.shots[0].url for item in items if item.page == f"https://art.example/page/{URLS.index(item.shots[0].url)}"
    ]


class TestSavedPages:
    @pytest.mark.parametrize("name", SHAPES)
    def test_every_shape_gives_the_same_pictures(self, name: str) -> None:
        items = google_pages.read_saved(SHAPES[name]().encode(), name)
        assert [item.shots[0].url for item in items] == URLS
        assert [(item.shots[0].width, item.shots[0].height) for item in items] == [
            (24, 20),
            (25, 20),
            (26, 20),
            (27, 20),
        ]
        assert [item.page for item in items] == [f"https://art.example/page/{n}" for n in range(4)]
        assert len({item.key for item in items}) == 4
        assert {item.licence for item in items} == {"unknown"}

    def test_only_the_apps_answer_names_authors(self) -> None:
        authors = [item.author for item in google_pages.read_saved(app_answer().encode(), "app.txt")]
        assert authors == ["", "Änne", "Änne", "Änne"]

    @pytest.mark.parametrize(
        ("name", "word"),
        [
            (name, word)
            for name, shape in SHAPES.items()
            for word in names_in(shape())
        ],
    )  # fmt: skip
    def test_with_any_one_name_changed_a_page_says_so_or_loses_nothing(self, name: str, word: str) -> None:
        found = told(re.sub(rf"\b{word}\b", f"{word}New", SHAPES[name]()), name)
        assert found == URLS or (name in found and word in found), found

    @pytest.mark.parametrize("name", SHAPES)
    def test_a_page_cut_short_is_said_and_never_empty(self, name: str) -> None:
        whole = SHAPES[name]()
        for part in range(1, 10):
            found = told(whole[: len(whole) * part // 10], name)
            assert found == URLS[: len(found)] if isinstance(found, list) else name in found
            assert found

    def test_half_a_page_of_unreadable_results_is_an_error(self) -> None:
        page = page_of_2024()
        for n in (1, 3):
            page = page.replace(f'[0,"ID{n}M",[', f'[0,"ID{n}M",null,[')
        assert told(page, "p.html") == (
            "2 of 4 results in p.html cannot be read ([picture, height, width]); save the page again, or let "
            "tasks/scrape/google_pages.py follow"
        )

    @pytest.mark.parametrize(("page", "words"), [
        ("<html><title>Before you continue to Google Search</title></html>", "before you continue to"),
        ('<html><meta content="0;url=/httpservice/retry/enablejs?sei=S" http-equiv="refresh"></html>', "enablejs"),
        ('<html><form id="captcha-form"><div class="g-recaptcha"></div></form></html>', "g-recaptcha"),
        ('<html><a href="/sorry/index?continue=x">why</a></html>', "/sorry/"),
    ])  # fmt: skip
    def test_walls_are_named_as_what_they_are(self, page: str, words: str) -> None:
        with pytest.raises(Blocked, match=f"wall.html is a page that keeps machines out .*{words}"):
            google_pages.read_saved(page.encode(), "wall.html")

    @pytest.mark.parametrize(("page", "words"), [
        ("", "no result page as we know one"),
        ("some notes of mine", "no result page as we know one"),
        ("<html><body>a blog</body></html>", "holds no result"),
        ('{"error": {"code": 403, "message": "no access"}}', "is an error of Google's and no result page: no access"),
        ('{"queries": {"request": [{"count": 0}]}}', "without a single picture"),
        ('{"ischj": {"metadata": []}}', "without a single picture"),
        ('{"queries": [', "breaks off or is no JSON"),
        ("[1, 2]", "no result page as we know one"),
        ('{"rows": []}', "lacks 'queries'"),
    ])  # fmt: skip
    def test_what_is_no_result_page_is_said(self, page: str, words: str) -> None:
        assert words in told(page, "p.html")

    def test_a_page_saved_in_one_file_is_taken_out_of_it(self) -> None:
        import email.message

        message = email.message.EmailMessage()
        message["From"] = "<Saved by Blink>"
        message.set_content(page_of_2024(), subtype="html", cte="quoted-printable")
        message.add_related(b"\xff\xd8\xff", "image", "jpeg")
        assert told(message.as_bytes().decode("ascii"), "p.mhtml") == URLS

    def test_pictures_inside_documents_have_no_address_and_are_passed_over(self) -> None:
        answer = json.loads(cse_answer())
        answer["items"][1]["link"] = "x-raw-image:///0123"
        assert told(json.dumps(answer), "a.json") == [URLS[0], *URLS[2:]]

    def test_a_folder_of_pages_is_collected_each_picture_once(self, tmp_path: Path) -> None:
        host = "www.gallery-one.example.museum.test"
        saved = tmp_path / "saved"
        (saved / "2024_files").mkdir(parents=True)
        (saved / "2024_files" / "thumb.txt").write_text("what a browser saves beside a page")
        for name, shape in SHAPES.items():
            page = re.sub(r"w(ö|%C3%B6|\\u00f6)rk-", "work-0000", shape(host))
            (saved / name).write_text(page)
        museum = Museum([GoogleSite(works(4))])
        rows = collect(tmp_path / "raw", museum, "google_images", backend="saved", pages=str(saved))
        assert [row.outcome for row in rows] == ["kept"] * 4
        assert {row.origin.page for row in rows} == {f"https://{host}/page/{n}" for n in range(4)}
        assert {asked.host for asked in museum.log} == {"www.gallery-one.example"}
        assert len([asked for asked in museum.log if asked.path == "/robots.txt"]) == 1


@pytest.mark.parametrize("pages", ["nowhere", "empty"])
def test_saved_pages_that_are_not_there_are_said(pages: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParamsError, match=r"is not there|holds no saved page"):
        collect(tmp_path / "raw", Museum([]), "google_images", backend="saved", pages=str(tmp_path / pages))
