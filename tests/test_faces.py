"""Faces are found, squared without squashing, and refused by name where they cannot be used."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from tasks.errors import BarenError, ParamsError, PictureRefused
from tasks.picture import cut
from tasks.prepare import faces as module
from tasks.prepare.faces import Face, aligned, cascade_file, face_crops, find_faces, square
from tasks.prepare.settings import Faces, Prepare
from tasks.rows import Crop

ASTRONAUT = data.astronaut()
EYES = np.array([(210, 98), (250, 103)])  # of the astronaut, by eye


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)


def reason(picture: np.ndarray, **settings: object) -> str:
    with pytest.raises(PictureRefused) as refusal:
        face_crops(picture, Faces(**settings), 64, 8)
    return refusal.value.reason


def test_a_face_is_found_where_it_is_at_any_size() -> None:
    for width in (512, 128, 1500):
        picture = cv2.resize(ASTRONAUT, (width, width), interpolation=cv2.INTER_AREA)
        face = find_faces(picture, Faces())[0]
        assert face.x == pytest.approx(226 * width / 512, abs=14 * width / 512)
        assert face.y == pytest.approx(112 * width / 512, abs=20 * width / 512)
        assert 60 * width / 512 < face.side < 150 * width / 512


def test_a_turned_face_is_found_too() -> None:
    assert find_faces(turned(ASTRONAUT, 35), Faces())


def test_the_network_finds_a_face_where_hog_does() -> None:
    small = cv2.resize(ASTRONAUT[30:230, 130:330], (100, 100), interpolation=cv2.INTER_AREA)
    (network,), (hog,) = find_faces(small, Faces(find="cnn")), find_faces(small, Faces())
    assert (network.x, network.y, network.side) == pytest.approx((hog.x, hog.y, hog.side), abs=12)


def test_what_shows_no_face_is_refused() -> None:
    assert reason(data.coffee()) == "no face"
    assert reason(ASTRONAUT, min_side=200) == "small face"
    assert reason(np.hstack([ASTRONAUT[:300, 100:400]] * 2), which="one") == "several faces"


def test_a_face_at_the_edge_is_mirrored_or_refused_never_squashed() -> None:
    cropped = ASTRONAUT[62:400, 60:400]  # the top of the head is gone
    assert reason(cropped, at_edge="refuse", margin=0.8) == "face at the edge"
    ((crop, score),) = face_crops(cropped, Faces(margin=0.8), 64, 1)
    assert crop.top < 0
    assert crop.width == crop.height
    assert score > 0
    assert cut(cropped, crop).shape == (64, 64, 3)


def test_the_margin_is_of_the_face() -> None:
    assert square(Face(50, 40, 20, 1.0), 0.5, 64) == Crop(30, 20, 40, 40, 64)


def test_alignment_levels_the_eyes_and_puts_them_in_one_place() -> None:
    places = []
    for degrees in (-18, 0, 14):
        picture = turned(ASTRONAUT, degrees)
        face = find_faces(picture, Faces(align=True))[0]
        crop = aligned(face, 0.4, 128)
        assert crop.turn == pytest.approx(-degrees + 7, abs=5)  # her head is tilted by 7 degrees already
        found = find_faces(cut(picture, crop), Faces(align=True))[0]
        assert found.points is not None
        places.append([found.points[36:42].mean(0), found.points[42:48].mean(0)])
    assert np.abs(np.diff(np.array(places)[:, :, 1], axis=1)).max() < 4, "the eyes are level"
    assert np.std(places, axis=0).max() < 3, "of 128 pixels"


def test_a_cascade_of_ones_own_is_used() -> None:
    path = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    assert find_faces(ASTRONAUT, Faces(find="cascade", cascade=path))


def test_a_cascade_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match="which is not there"):
        cascade_file(str(tmp_path / "nowhere.xml"))
    (tmp_path / "no.xml").write_text("<opencv_storage></opencv_storage>")
    with pytest.raises(BarenError, match="no cascade that OpenCV"):
        find_faces(ASTRONAUT, Faces(find="cascade", cascade=str(tmp_path / "no.xml")))
    with pytest.raises(ParamsError, match="no cascade is named"):
        Prepare.read({"faces": {"find": "cascade"}}, "pictures.faces.prepare")


def test_the_published_cascade_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.xml"
    served.write_text("another file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ANIME_URL", served.as_uri())
    with pytest.raises(BarenError, match="is not the file it was"):
        cascade_file("anime")
    assert not list(tmp_path.rglob("lbpcascade*"))
    monkeypatch.setattr(module, "ANIME_SHA256", module.hashlib.sha256(served.read_bytes()).hexdigest())
    assert cascade_file("anime").read_text() == "another file"


def test_anime_faces_are_found(real_pictures: Path) -> None:
    settings = Faces(find="cascade", cascade=str(real_pictures / "cascades" / "lbpcascade_animeface.xml"))
    path = real_pictures / "anime_illustrations" / "anime_illustrations_0000_eileen-concerned.jpg"
    assert find_faces(module.np.asarray(cv2.imread(str(path))[..., ::-1].copy()), settings)
