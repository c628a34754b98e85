"""What the sites' answers mean, and what may be asked of them: codes, licences, queries, pages; no server needed."""

from typing import Any

import pytest

from tasks.errors import BarenError, Blocked, ParamsError, ShapeChanged, Transient
from tasks.scrape import flickr, ukiyoe
from tasks.scrape.wikiart_catalogue import read_site_work


@pytest.mark.parametrize(
    ("code", "error"),
    [(105, Transient), (201, Transient), (0, Transient), (3, BarenError), (18, BarenError), (98, Blocked)],
)
def test_flickrs_codes_mean_what_they_mean(code: int, error: type[Exception]) -> None:
    assert isinstance(flickr._problem(code, "said so"), error)
    assert "said so" in str(flickr._problem(code, "said so"))


def test_all_of_flickrs_licences_are_known_and_the_default_is_free_to_change() -> None:
    assert sorted(flickr.LICENCES) == list(range(17))
    for licence in flickr.FREE:
        assert "-N" not in flickr.LICENCES[licence][0]
    assert flickr.LICENCES[11][0] == "CC BY 4.0"
    assert flickr.LICENCES[16][1].endswith("by-nc-nd/4.0/")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({}, "give text or tags"),
        ({"text": "a", "licences": [99]}, "licence 99 is unknown"),
        ({"text": "a", "uploaded_after": 5, "uploaded_before": 4}, "lies before uploaded_after"),
    ],
)
def test_an_impossible_flickr_query_is_one_sentence(block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        flickr.FlickrQuery.read(block, "query")


def test_a_ukiyoe_listing_without_results_is_empty_and_a_strange_one_an_error() -> None:
    nothing = '<span class="total"><strong>0</strong></span><div class="row"></div>'
    listing = ukiyoe.read_listing(nothing, "https://ukiyo-e.org/search")
    assert (listing.items, listing.total, listing.further) == ([], 0, False)
    for strange in ("<html></html>", '<span class="total"><strong>12</strong></span>'):
        with pytest.raises(ShapeChanged, match="must follow"):
            ukiyoe.read_listing(strange, "https://ukiyo-e.org/search")
    cards = '<span class="total"><strong>2</strong></span>' + '<div class="img"><a class="new"></a></div>' * 2
    with pytest.raises(ShapeChanged, match="2 of 2 prints"):
        ukiyoe.read_listing(cards, "https://ukiyo-e.org/search")


def test_an_address_that_makes_no_sense_costs_its_picture_alone() -> None:
    card = '<div class="img"><a class="img" href="{}/image/a"><img src="/thumbs/a.jpg"></a></div>'
    cards = "".join(card.format(host) for host in ("", "", "http://[broken"))
    listing = ukiyoe.read_listing(f'<span class="total"><strong>3</strong></span>{cards}', "https://ukiyo-e.org/search")
    assert [item.key for item in listing.items] == ["a"] * 2
    broken = '<div id="result"><div class="imageholder"><a href="http://[broken/a.jpg"></a></div></div>'
    assert ukiyoe.read_print(broken, listing.items[0]).shots[1:] == listing.items[0].shots
    row = {"id": "1", "image": "https://uploads.wikiart.org/a.jpg", "paintingUrl": "http://[broken/a"}
    assert read_site_work(row, "https://www.wikiart.org/en", "https://www.wikiart.org").shots[0].url == row["image"]
