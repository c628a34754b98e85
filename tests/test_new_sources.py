"""What whoever adds a source meets: the list, the contract that catches each mistake, and the skeleton."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import sources
from tasks.errors import BarenError, Exhausted, ParamsError
from tasks.scrape import collect
from tasks.scrape.contract import Visit, check
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Museum
from tasks.scrape.registry import known
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings
from tests.test_polite_web import FakeClock, Plain
from tests.visits import SOURCES, Elsewhere, lay_out

ROOT = Path(__file__).parents[1]


class Query(Settings):
    text: str = "a"


class Good(Source[Query]):
    """Three pages of two items; each mistake below changes one thing."""

    name = "good"
    Query = Query

    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        for page in range(cursor["page"] if cursor else 0, 3):
            for n in range(2):
                yield self.item(2 * page + n)
            yield Mark({"page": page + 1})

    def item(self, n: int) -> Item:
        return Item(str(n), f"https://a.example/{n}", (Shot(f"https://a.example/{n}.jpg", 20, 10),))


class NoShots(Good):
    def item(self, n: int) -> Item:
        return Item(str(n), "https://a.example", ())


class Nothing(Good):
    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        return iter(())


class Relative(Good):
    manners = Manners(hosts=("a.example",), robots=False)

    def item(self, n: int) -> Item:
        return Item(str(n), f"/{n}", (Shot(f"/{n}.jpg"),))


class WorstFirst(Good):
    def item(self, n: int) -> Item:
        return Item(str(n), "p", (Shot("a", 2, 2), Shot("b", 20, 20)))


class Counting(Good):
    count = 0

    def item(self, n: int) -> Item:
        Counting.count += 1
        return Item(str(Counting.count), "p", (Shot("a"),))


class Forgetful(Good):
    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        yield from super().discover(query, web, None)


class Skipping(Good):
    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        yield from super().discover(query, web, {"page": cursor["page"] + 1} if cursor else None)


class NotJson(Good):
    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        yield self.item(1)
        yield Mark({"page": {1, 2}})


class Picky(Good):
    def refuse(self, url: str) -> str | None:
        return "never good enough"


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    with ExitStack() as stack:

        def enter(source: Source[Any], query: Mapping[str, Any], museum: Museum | None = None) -> Visit:
            settings = Scrape(use="x", limit=1, site="museum")
            now, asked = datetime.now(UTC), source.Query.read(query, "query")
            web = collect.open_web(
                source,
                asked,
                settings,
                tmp_path / "pages",
                now,
                FakeClock(),
                stack,
                (lambda: museum) if museum else None,
            )
            return Visit(source, asked, web)

        yield enter


@pytest.mark.parametrize("name", list(known()))
def test_every_registered_source_keeps_the_contract(
    name: str, visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out()
    kind = known()[name]
    found = visit(kind(), kind.example or SOURCES[name].query, None if kind.example else Museum([Elsewhere()]))
    assert [told for told in check(found) if told[1]] == []


def test_a_good_source_of_ones_own_keeps_it_too(visit: Any) -> None:
    assert [told for told in check(visit(Good(), {})) if told[1]] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoShots, "lacks one of key, page, shots"), (Nothing, "nothing was found"), (Relative, "not absolute"),
        (WorstFirst, r"renditions of \[4, 400\]"), (Counting, "not from a counter"), (Forgetful, "not looked at"),
        (Skipping, "came only without the mark"), (NotJson, "not JSON serializable"), (Picky, "never good enough"),
    ],
)  # fmt: skip
def test_the_contract_catches_each_mistake(kind: type[Good], words: str, visit: Any) -> None:
    import re

    told: list[str] = []
    try:
        told += [broken for _, broken in check(visit(kind(), {})) if broken]
    except (TypeError, KeyError) as error:
        told.append(str(error))
    assert any(re.search(words, broken) for broken in told), told


def test_the_list_names_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in known())
    assert "FLICKR_API_KEY" in shown


def test_check_and_try_visit_the_museum(capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.main(["check", "ukiyoe"]) == 0
    assert "ukiyoe keeps the contract" in capsys.readouterr().out
    assert sources.main(["try", "flickr", "-n", "3", "--query", "{text: cat}"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("Chelsea the cat") == 3
    assert "nothing was fetched or kept" in shown


def test_a_real_site_is_not_asked_without_a_contact() -> None:
    with pytest.raises(ParamsError, match="--contact is missing"):
        sources.main(["try", "ukiyoe", "--site", "web"])


def test_a_new_source_is_short_and_its_test_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("tasks/scrape", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    sources.main(["new", "my_site"])
    text = (tmp_path / "tasks/scrape/my_site.py").read_text()
    assert len(text.splitlines()) <= 45
    from tasks.scrape.registry import find

    assert find("./tasks/scrape/my_site.py:MySite").name == "my_site"
    with pytest.raises(BarenError, match="is there already"):
        sources.main(["new", "my_site"])
    with pytest.raises(ParamsError, match="must be a lower-case word"):
        sources.main(["new", "../My site"])
    (tmp_path / "other.py").write_text(text)
    linted = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "other.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout


class Wordy(Good):
    """Its site says in words why it refuses."""

    manners = Manners(hosts=("pictures.example",), robots=False)

    def discover(self, query: Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        web.json(web.at("http://pictures.example/a"), key="secret")
        return iter(())

    def explain(self, url: str, status: int, body: str) -> Exhausted | None:
        return Exhausted(f"{url} answered {status}: come back tomorrow") if "429 Too Many" in body else None


def test_what_a_site_says_of_its_refusal_is_not_asked_twice(tmp_path: Path) -> None:
    settings, asked = Scrape(use="x", limit=1, site="museum"), Query()
    with Museum([Plain()]) as museum, ExitStack() as stack:
        museum.faults.append(Fault("429"))
        now = datetime.now(UTC)
        web = collect.open_web(Wordy(), asked, settings, tmp_path, now, FakeClock(), stack, lambda: nullcontext(museum))
        with pytest.raises(Exhausted, match=r"test/a answered 429: come back tomorrow"):
            Wordy().discover(asked, web, None)
        assert len(museum.log) == 1
