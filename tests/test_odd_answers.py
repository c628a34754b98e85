"""Answers of a shape that nobody expects: each is a changed site, said in one sentence, and never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ShapeChanged
from tasks.scrape import commons, flickr, google_pages, google_search, met, openverse
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.museum.wikiart import WikiArtSite
from tests.visits import collect, works

DEEP = "[" * 200_000
WORK = {"objectID": 3, "primaryImage": "https://images.metmuseum.org/a.jpg", "isPublicDomain": True}
ROW = {"img_src": "https://a.example/1.jpg", "url": "https://a.example/1"}
QUERIES = {"request": [{"count": 1}]}


def cse(answer: Any) -> Any:
    return google_pages.read_cse(answer, "an answer of Google's")


def searxng(answer: Any) -> Any:
    return google_search.read_searxng(answer, "https://searx.example/search")


def saved(page: str) -> Any:
    return google_pages.read_saved(page.encode(), "p.html")


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (saved, '<html><script>[0,"a",["https://a",' + DEEP + "</script></html>"),
        (saved, '{"ischj":{"metadata":' + DEEP),
        (saved, '{"ischj": {"metadata": 5}}'),
        (saved, '{"ischj": {"metadata": [{"result": "a", "original_image": {"url": "https://a.example/1.jpg"}}]}}'),
        (saved, '<wml><card><a href="http://[half"><img/></a></card></wml>'),
        (cse, {"queries": {"request": []}}),
        (cse, {"queries": {"request": [{"count": "many"}]}}),
        (cse, {"queries": QUERIES, "items": 5}),
        (searxng, {"results": ["a"]}),
        (searxng, {"results": 5}),
        (searxng, {"results": [], "unresponsive_engines": [5]}),
        (lambda work: met.read_work(work, met.MetQuery(search="a")), {**WORK, "tags": ["wood"]}),
        (lambda work: met.read_work(work, met.MetQuery(search="a")), [WORK]),
        (met.read_search, {"total": 1, "objectIDs": 5}),
        (met.read_search, {"total": float("inf"), "objectIDs": [1]}),
        (commons._further, {"continue": "on"}),
        (commons._further, {"continue": {"gsroffset": "far"}}),
        (commons._problem, "no"),
        (lambda answer: commons.read_answer(answer, commons.CommonsQuery(search="a")), ["a"]),
        (lambda answer: openverse.read_page(answer, 1), {"results": ["a"], "page_count": 1}),
        (flickr.Found, {"photos": {"total": 1, "pages": 1, "photo": ["a"]}}),
    ],
)  # fmt: skip
def test_whatever_is_odd_in_an_answer_is_a_changed_site(read: Callable[[Any], Any], answer: Any) -> None:
    with pytest.raises(ShapeChanged, match=r"; (its API changed, .* must follow|save the page again)"):
        read(answer)
    assert searxng({"results": [ROW]})[0].shots[0].url == ROW["img_src"]


@pytest.mark.parametrize(
    ("said", "odd"), [('"width": 24', '"width": "12.5"'), ('"AllPaintingsCount": 5', '"AllPaintingsCount": "?"')]
)
def test_a_listing_of_wikiart_that_is_odd_is_a_changed_site(
    said: str, odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(WikiArtSite):
        def answer(self, asked: Asked) -> Answer:
            answer = super().answer(asked)
            if answer.kind.startswith("image/"):
                return answer
            assert "paintings-by" not in asked.path or said in answer.body.decode()
            return Answer(answer.body.decode().replace(said, odd).encode(), answer.kind, answer.status, answer.headers)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShapeChanged, match=r"is not built as it was \(.*\); WikiArt changed"):
        collect(tmp_path / "raw", Museum([Odd(works(5))]), "wikiart")


def test_half_a_character_in_an_address_costs_its_picture_alone() -> None:
    half = json.loads('"https://a.example/\\ud83d.jpg"')
    (item,) = google_pages.found(half, "https://a.example", "", "", 0, 0)
    assert item.shots[0].url == "https://a.example/\ufffd.jpg"
