"""The sitters: portraits that are found as faces, and held out by sitting."""

from itertools import islice

import numpy as np
import pytest

from tasks.painterly import Head, manner, portrait
from tasks.picture import Pixels
from tasks.prepare.faces import find_faces
from tasks.prepare.settings import Faces
from tasks.scrape import sitters
from tasks.scrape.sample import pixels
from tasks.scrape.source import Item, Web


def portraits(sitter: sitters.Sitter, sitting: int, numbers: range) -> list[Pixels]:
    how, head = manner([1, sitting]), Head(*sitters.HEADS[sitter])
    return [portrait(pixels(sitter), head, how, [sitting, number], 192) for number in numbers]


def test_a_number_is_one_picture_for_ever() -> None:
    assert sitters.picture_bytes("astronaut", 3, 2, 128, 1) == sitters.picture_bytes("astronaut", 3, 2, 128, 1)
    others = [("grace_hopper", 3, 2, 128, 1), ("astronaut", 4, 2, 128, 1), ("astronaut", 3, 1, 128, 1)]
    assert len({sitters.picture_bytes(*other) for other in others}) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("sitter", list(sitters.HEADS))
def test_nearly_every_portrait_shows_one_face_in_its_middle(sitter: sitters.Sitter) -> None:
    shown = [portraits(sitter, sitting, range(1))[0] for sitting in range(12)]
    found = [find_faces(picture, Faces()) for picture in shown]
    assert sum(len(faces) == 1 for faces in found) >= 11
    for face in (faces[0] for faces in found if faces):
        assert abs(face.x - 96) < 25
        assert abs(face.y - 96) < 25


def test_a_sitting_is_more_alike_than_two_sittings_are() -> None:
    def colour(sitting: int) -> np.ndarray:
        return np.stack([picture.mean((0, 1)) for picture in portraits("astronaut", sitting, range(4))])

    sittings = np.stack([colour(sitting) for sitting in range(8)])  # [sittings, numbers, 3]
    within = sittings.std(axis=1).mean()
    assert within < 0.6 * sittings.mean(axis=1).std(axis=0).mean()


def test_the_source_groups_by_sitting_and_names_whose_photograph_it_is() -> None:
    web: Web = None  # type: ignore[assignment]
    query = sitters.SittersQuery.read({"sittings": 3}, "query")
    found = [item for item in islice(sitters.Sitters().discover(query, web, None), 14) if isinstance(item, Item)]
    assert len({item.key for item in found}) == len(found) == 12
    assert len({item.group for item in found}) == 6
    assert {item.author for item in found} == {"NASA", "United States Navy"}
    assert all("varied by a program" in item.title for item in found)
