"""Faces in photographs, paintings and drawings, and the squares to cut around them.

Every picture is first brought to one working size, where the detector without upsampling is most complete; a large
face is found in less than that. Only where nothing is found are slower ways tried: turned pictures, upsampling, a
Haar cascade.
"""

import hashlib
import importlib
import importlib.util
import math
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt

from tasks.errors import BarenError, PictureRefused
from tasks.files import SCRATCH, write_bytes
from tasks.picture import Pixels
from tasks.prepare.settings import Faces
from tasks.rows import Crop

WORKING = 640  # pixels of the long side at which faces are looked for
WORKING_FOR_ALL = 1024  # small faces beside a large one are found at this size only (HOG's smallest has 80 pixels)
QUICK = 0.7  # of the working size: four in five large faces are found there, in half of the time
ENLARGED = 4.0  # at most: smaller pictures are brought to working size too
TURNS = (30.0, -30.0)  # degrees; upright detectors cope with half of that either way
SURE = 0.0  # HOG scores below are noise; without upsampling few false faces are above
SURER = 0.25  # what is found only by upsampling, or by turning, must convince more
HAAR = "haarcascade_frontalface_alt2.xml"  # comes with OpenCV 4
NEIGHBOURS = 5  # overlapping finds that a cascade needs to call it a face
ANIME_URL = "https://raw.githubusercontent.com/nagadomi/lbpcascade_animeface/master/lbpcascade_animeface.xml"
ANIME_SHA256 = "9376d30ac38db6bda2a68b88b3b76bbd7e6aa33af47f7f5c76bc88ca75f1ce30"

dlib: Any = importlib.import_module("dlib")  # compiled, and without types

Points = npt.NDArray[np.float64]  # [68, 2], x and y


@dataclass(frozen=True)
class Face:
    """The middle and the side of a face's square in pixels of the picture, how sure the detector is, its landmarks."""

    x: float
    y: float
    side: float
    score: float
    points: Points | None = None


def find_faces(picture: Pixels, settings: Faces) -> list[Face]:
    """The faces of `picture`, uint8 [H, W, 3], the largest first; empty where none is found."""
    working = WORKING if settings.which == "largest" or settings.find == "cascade" else WORKING_FOR_ALL
    scale = min(working / max(picture.shape[:2]), ENLARGED)
    copy = _resized(picture, scale)
    match settings.find:
        case "hog":
            found = next((faces for faces in _hog_ladder(copy, settings.which) if faces), [])
        case "cnn":
            found = [_face(find.rect, find.confidence) for find in _cnn()(copy, 0)]
        case "cascade":
            cascade = _cascade(str(cascade_file(settings.cascade)))
            found = _by_cascade(copy, cascade) or _by_cascade(copy, cascade, equalize=True)
    if settings.align:
        found = [_with_points(copy, face) for face in found]
    largest_first = sorted(found, key=lambda face: (-face.side, face.y, face.x))
    return [_scaled(face, 1 / scale) for face in largest_first]


def face_crops(picture: Pixels, settings: Faces, side: int, most: int) -> list[tuple[Crop, float]]:
    """The squares to cut around the faces of `picture`, the largest first, with the detector's scores.

    Raises PictureRefused: "no face", "several faces", "small face", "face at the edge".
    """
    faces = find_faces(picture, settings)
    if not faces:
        raise PictureRefused("no face")
    if settings.which == "one" and len(faces) > 1:
        raise PictureRefused("several faces", f"{len(faces)}")
    large = [face for face in faces if face.side >= settings.min_side]
    if not large:
        raise PictureRefused("small face", f"{faces[0].side:.0f} of at least {settings.min_side} pixels")
    crops = [
        (aligned(face, settings.margin, side) if settings.align else square(face, settings.margin, side), face)
        for face in large
    ]
    height, width = picture.shape[:2]
    inside = [
        (crop, face.score) for crop, face in crops if settings.at_edge == "mirror" or _lies_in(crop, width, height)
    ]
    if not inside:
        raise PictureRefused("face at the edge")
    return inside[: most if settings.which == "all" else 1]


def square(face: Face, margin: float, side: int) -> Crop:
    """The face's square with `margin` of its side on every side; it may reach beyond the picture."""
    width = round(face.side * (1 + 2 * margin))
    return Crop(round(face.x - width / 2), round(face.y - width / 2), width, width, side)


def aligned(face: Face, margin: float, side: int) -> Crop:
    """A turned square that puts eyes and mouth in one place of every crop, after Karras et al. 2019, appendix A.

    The paper's square is that of margin 0.4; a face without landmarks gets its plain square.
    """
    if face.points is None:
        return square(face, margin, side)
    left_eye, right_eye = face.points[36:42].mean(0), face.points[42:48].mean(0)
    eyes, mouth = (left_eye + right_eye) / 2, (face.points[48] + face.points[54]) / 2
    across, down = right_eye - left_eye, mouth - eyes
    way = across + np.array([down[1], -down[0]])  # along the eyes, and at right angles to the line down to the mouth
    half = max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8) * (1 + 2 * margin) / 1.8
    x, y = eyes + 0.1 * down
    width = round(2 * half)
    turn = math.degrees(math.atan2(way[1], way[0]))
    return Crop(round(x - width / 2), round(y - width / 2), width, width, side, round(turn, 2))


def cascade_file(name: str) -> Path:
    """The cascade's file: a path as given, or "anime", fetched once to .scratch and checked. Raises BarenError."""
    if name != "anime":
        if not Path(name).is_file():
            raise BarenError(f"faces.cascade names {name}, which is not there; give an OpenCV cascade's path, or anime")
        return Path(name)
    path = SCRATCH / "cascades" / "lbpcascade_animeface.xml"
    if not path.exists():
        write_bytes(path, _fetched(ANIME_URL, ANIME_SHA256))
    return path


def _fetched(url: str, sha256: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            data: bytes = answer.read(4 * 2**20)
    except OSError as error:
        raise BarenError(
            f"{url} could not be fetched ({error}); fetch it yourself and set faces.cascade to it"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BarenError(f"{url} is not the file it was; set faces.cascade to a copy that you trust")
    return data


def _hog_ladder(copy: Pixels, which: str) -> Iterator[list[Face]]:
    """Ever slower ways of finding faces in a picture of working size."""
    small = _resized(copy, QUICK)
    if which == "largest":
        yield _at_full_size(_hog(small, 0, SURE))
    yield _hog(copy, 0, SURE)
    for degrees in TURNS:
        yield _at_full_size(_turned_back(small, degrees, lambda turned: _hog(turned, 0, SURER)))
    yield _hog(copy, 1, SURER)
    yield _by_cascade(copy, _cascade(cv2.data.haarcascades + HAAR), equalize=True)


def _at_full_size(faces: Sequence[Face]) -> list[Face]:
    return [_scaled(face, 1 / QUICK) for face in faces]


def _hog(copy: Pixels, upsample: int, least: float) -> list[Face]:
    rects, scores, _ = _hog_detector().run(copy, upsample, least)
    return [_face(rect, score) for rect, score in zip(rects, scores, strict=True)]


def _by_cascade(copy: Pixels, cascade: Any, equalize: bool = False) -> list[Face]:
    grey = cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY)
    if equalize:
        grey = cv2.equalizeHist(grey)
    boxes, _, weights = cascade.detectMultiScale3(grey, 1.1, NEIGHBOURS, 0, (24, 24), outputRejectLevels=True)
    return [
        Face(x + w / 2, y + h / 2, float(max(w, h)), float(weight))
        for (x, y, w, h), weight in zip(np.reshape(boxes, (-1, 4)), np.ravel(weights), strict=True)
    ]


def _turned_back(copy: Pixels, degrees: float, find: Callable[[Pixels], Sequence[Face]]) -> list[Face]:
    """Faces found in the picture turned by `degrees`, their middles as they stand in the picture itself."""
    height, width = copy.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    back = cv2.invertAffineTransform(turn)
    turned = np.asarray(cv2.warpAffine(copy, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
    places = [(back @ (face.x, face.y, 1.0), face) for face in find(turned)]
    return [
        Face(float(x), float(y), face.side, face.score)
        for (x, y), face in places
        if 0 <= x < width and 0 <= y < height  # not in the mirrored corners
    ]


def _with_points(copy: Pixels, face: Face) -> Face:
    half = face.side / 2
    rect = dlib.rectangle(*(round(v) for v in (face.x - half, face.y - half, face.x + half, face.y + half)))
    shape = _landmarks()(copy, rect)
    points = np.array([(shape.part(i).x, shape.part(i).y) for i in range(shape.num_parts)], np.float64)
    return Face(face.x, face.y, face.side, face.score, points)


def _face(rect: Any, score: float) -> Face:
    # dlib's boxes are square unless they are clipped; the square about the middle is never squashed.
    return Face(
        rect.left() + rect.width() / 2, rect.top() + rect.height() / 2, float(max(rect.width(), rect.height())), score
    )


def _scaled(face: Face, by: float) -> Face:
    points = None if face.points is None else face.points * by
    return Face(face.x * by, face.y * by, face.side * by, round(face.score, 4), points)


def _lies_in(crop: Crop, width: int, height: int) -> bool:
    spare = 0.0
    if crop.turn:  # a turned square's corners reach further than its sides
        angle = math.radians(crop.turn)
        spare = crop.width * (abs(math.cos(angle)) + abs(math.sin(angle)) - 1) / 2
    return (
        crop.left >= spare
        and crop.top >= spare
        and crop.left + crop.width <= width - spare
        and crop.top + crop.height <= height - spare
    )


def _resized(picture: Pixels, scale: float) -> Pixels:
    if scale == 1:
        return picture
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way), np.uint8)


# Detectors are made once a process: they cannot be sent to another, and take long to make.
@cache
def _hog_detector() -> Any:
    return dlib.get_frontal_face_detector()


@cache
def _landmarks() -> Any:
    return dlib.shape_predictor(_model("shape_predictor_68_face_landmarks.dat"))


@cache
def _cnn() -> Any:
    return dlib.cnn_face_detection_model_v1(_model("mmod_human_face_detector.dat"))


@cache
def _cascade(path: str) -> Any:
    try:
        cascade = cv2.CascadeClassifier(path)
        if not cascade.empty():
            return cascade
    except (cv2.error, SystemError):  # OpenCV's binding lets both through, by what is wrong with the file
        pass
    raise BarenError(f"{path} is no cascade that OpenCV {cv2.__version__} can read; give another file")


def _model(name: str) -> str:
    """A model file of face_recognition; its package is found, not imported: importing it needs an old setuptools."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise BarenError("face_recognition_models is not installed; set up the environment again (make run)")
    return str(Path(spec.origin).parent / "models" / name)
