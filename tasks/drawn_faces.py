"""Faces drawn in the manner of cartoons by a small painter of our own, no two alike.

Hair, eyes, mouth, mood, dress, background and what is worn are chosen apart from each other, and all stand where chance
puts them: tilted, shifted, nearer or farther. They show nobody; nothing is learned from any drawing.
"""

import math
from dataclasses import dataclass

import numpy as np

from tasks.easel import Colour, Easel, Mask, Picture, Points, blend, box, curve, ellipse, hue, mirrored, shade

Chance = np.random.Generator
Knots = list[tuple[float, float]]

SKINS = ((1.0, 0.89, 0.80), (0.99, 0.84, 0.73), (0.94, 0.76, 0.62), (0.80, 0.60, 0.46), (0.60, 0.42, 0.32))
# hue in degrees, saturation, value: black, brown, blond, red, pink, violet, blue, teal, green, silver
HAIRS = (
    (240, 0.25, 0.24), (22, 0.62, 0.42), (44, 0.52, 0.93), (10, 0.72, 0.78), (340, 0.36, 0.95), (275, 0.42, 0.66),
    (218, 0.58, 0.76), (180, 0.48, 0.72), (135, 0.40, 0.60), (230, 0.09, 0.88),
)  # fmt: skip
INK: Colour = (0.20, 0.12, 0.16)
WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Person:
    """Who is drawn: one choice of each kind, made by chance and apart from the others."""

    skin: Colour
    hair: Colour
    iris: Colour
    dress: Colour
    back: str  # hair behind the face
    fringe: str
    eyes: str
    mouth: str
    worn: str
    chin: float  # 0 round, 1 pointed
    mood: float  # -1 stern, 1 cheerful: how the brows stand


BACKS = ("short", "bob", "long", "tails", "buns", "spikes", "pony")
FRINGES = ("straight", "parted", "swept", "spiky", "bare", "middle")
EYES = ("round", "tall", "sharp", "droopy", "laughing", "half")
MOUTHS = ("smile", "open", "flat", "cat", "small", "pout")
WORN = ("nothing", "nothing", "nothing", "ribbon", "glasses", "band", "ears", "flower")


def face(number: int, side: int = 96, seed: int = 1) -> Picture:
    """Face `number`, uint8 [side, side, 3] sRGB; the same for the same arguments, at any side the same one."""
    rng = np.random.default_rng([seed, 0xFACE, number])
    person = _person(rng)
    easel = Easel(side, hue(rng.uniform(0, 360), rng.uniform(0.1, 0.45), rng.uniform(0.6, 1.0)))
    _background(easel, rng)
    easel.turn, easel.scale = float(rng.normal(0, 0.07)), float(rng.uniform(0.92, 1.12))
    easel.shift = (float(rng.normal(0, 0.02)), float(rng.normal(0.02, 0.015)))
    way = 1 if rng.random() < 0.5 else -1  # the side to which hair falls and a head is dressed
    _hair_behind(easel, person, way)
    _body(easel, person, rng)
    skin = _head(easel, person)
    _fringe(easel, person, way, skin)
    _eyes(easel, person)
    _mouth(easel, person)
    _wear(easel, person, way)
    return easel.finished(grain=0.006, seed=number)


def _person(rng: Chance) -> Person:
    hair, eye = HAIRS[int(rng.integers(len(HAIRS)))], rng.uniform(0, 360)
    return Person(
        skin=shade(SKINS[int(rng.choice(5, p=(0.32, 0.30, 0.18, 0.12, 0.08)))], rng.uniform(0.97, 1.05)),
        hair=hue(hair[0] + rng.normal(0, 7), hair[1] + rng.normal(0, 0.05), hair[2] + rng.normal(0, 0.05)),
        iris=hue(eye, rng.uniform(0.5, 0.85), rng.uniform(0.55, 0.85)),
        dress=hue(rng.uniform(0, 360), rng.uniform(0.15, 0.7), rng.uniform(0.3, 0.95)),
        back=_one(BACKS, rng), fringe=_one(FRINGES, rng), eyes=_one(EYES, rng), mouth=_one(MOUTHS, rng),
        worn=_one(WORN, rng), chin=float(rng.uniform(0, 1)), mood=float(rng.uniform(-1, 1)),
    )  # fmt: skip


def _one(choices: tuple[str, ...], rng: Chance) -> str:
    return choices[int(rng.integers(len(choices)))]


def _background(easel: Easel, rng: Chance) -> None:
    ground = easel.ground
    match int(rng.integers(5)):
        case 0:
            down = np.linspace(0, 1, easel.side, dtype=np.float32)[:, None].repeat(easel.side, 1)
            easel.lay(down, shade(ground, 0.65))
        case 1:
            easel.fill(box(0.5, 1.0, 1.2, 0.5, rng.uniform(-0.5, 0.5)), hue(rng.uniform(0, 360), 0.3, 0.9))
        case 2:
            for x in np.linspace(-0.1, 1.1, 7):
                easel.fill(box(x, 0.5, 0.05, 1.0, 0.3), shade(ground, 1.35))
        case 3:
            for x, y in rng.uniform(0, 1, (14, 2)):
                radius = rng.uniform(0.02, 0.08)
                easel.fill(ellipse(x, y, radius, radius), shade(ground, 1.4), 0.8)
        case _:
            easel.fill(ellipse(0.5, 0.45, 0.42, 0.42), shade(ground, 1.3))


def _hair_behind(easel: Easel, person: Person, way: int) -> None:
    """All hair that lies behind face and shoulders."""
    dark = shade(person.hair, 0.8)
    cap: Knots = [(0.5, 0.12), (0.68, 0.15), (0.80, 0.28), (0.82, 0.45)]
    match person.back:
        case "short":
            half = [*cap, (0.78, 0.58), (0.70, 0.66)]
        case "bob":
            half = [*cap, (0.85, 0.60), (0.82, 0.74), (0.70, 0.76)]
        case "long":
            half = [*cap, (0.86, 0.62), (0.90, 0.85), (0.86, 1.10)]
        case "tails":
            for side in (1, -1):
                tail = curve([(0.76, 0.27), (0.95, 0.30), (1.02, 0.55), (0.93, 0.92), (0.88, 0.60), (0.80, 0.40)], True)
                easel.shape(_sided(tail, side), dark)
            half = [*cap, (0.78, 0.56), (0.70, 0.64)]
        case "buns":
            for side in (1, -1):
                easel.shape(_sided(ellipse(0.75, 0.15, 0.12, 0.12), side), dark)
            half = [*cap, (0.79, 0.58), (0.72, 0.66)]
        case "pony":
            tail = curve([(0.70, 0.16), (0.92, 0.10), (1.04, 0.35), (0.96, 0.75), (0.90, 0.45), (0.78, 0.30)], True)
            easel.shape(_sided(tail, way), dark)
            half = [*cap, (0.78, 0.56), (0.70, 0.64)]
        case _:
            angles = np.linspace(-0.15 * math.pi, 1.15 * math.pi, 19)
            radii = np.where(np.arange(19) % 2, 0.44, 0.31)
            spikes = np.stack([0.5 + radii * np.cos(angles), 0.43 - radii * np.sin(angles)], 1)
            easel.shape(spikes, dark)
            half = [*cap, (0.79, 0.58), (0.72, 0.66)]
    easel.shape(_both(half), dark)


def _body(easel: Easel, person: Person, rng: Chance) -> None:
    """Neck, shoulders and a collar."""
    dark = shade(person.skin, 0.82)
    easel.shape(_both([(0.5, 0.66), (0.58, 0.68), (0.58, 0.84), (0.66, 0.90), (0.5, 1.0)]), dark)
    easel.shape(_both([(0.5, 0.93), (0.58, 0.87), (0.74, 0.92), (0.90, 1.0), (0.95, 1.3), (0.5, 1.3)]), person.dress)
    trim = shade(person.dress, 1.6) if sum(person.dress) < 1.8 else shade(person.dress, 0.55)
    match int(rng.integers(4)):
        case 0:  # a sailor's
            for side in (1, -1):
                easel.shape(_sided(np.array([(0.58, 0.86), (0.80, 0.95), (0.66, 1.1), (0.5, 1.02)]), side), trim)
        case 1:  # open
            easel.shape(np.array([(0.42, 0.88), (0.58, 0.88), (0.5, 1.02)]), dark)
        case 2:  # high
            easel.shape(box(0.5, 0.90, 0.10, 0.045), trim)
        case _:
            easel.stroke(curve([(0.38, 0.89), (0.5, 0.97), (0.62, 0.89)]), 0.03, trim)


def _head(easel: Easel, person: Person) -> Mask:
    """Ears and face with blush and nose; gives the mask of the face."""
    for side in (1, -1):
        easel.shape(_sided(ellipse(0.765, 0.52, 0.035, 0.06), side), shade(person.skin, 0.92))
    chin = 0.035 + 0.06 * (1 - person.chin)  # half its width
    outline = [(0.5, 0.20), (0.66, 0.23), (0.75, 0.36), (0.76, 0.50), (0.72, 0.63), (0.60, 0.74), (0.5 + chin, 0.785)]
    skin = easel.shape(_both([*outline, (0.5, 0.79)]), person.skin)
    for side in (1, -1):
        blush = easel.mask(_sided(ellipse(0.665, 0.63, 0.055, 0.026), side), soft=0.014)
        easel.lay(blush * skin, blend(person.skin, (0.95, 0.35, 0.38), 0.5), 0.8)
    easel.stroke(curve([(0.503, 0.595), (0.512, 0.615), (0.499, 0.62)]), 0.008, shade(person.skin, 0.68))
    return skin


def _fringe(easel: Easel, person: Person, way: int, skin: Mask) -> None:
    """The hair over the forehead, its shadow on the skin, and its gloss."""
    top: Knots = [(0.20, 0.52), (0.18, 0.36), (0.26, 0.20), (0.40, 0.115), (0.5, 0.10), (0.60, 0.115), (0.74, 0.20)]
    top += [(0.82, 0.36), (0.80, 0.52)]
    match person.fringe:
        case "straight":
            lower = [(0.765, 0.42), (0.66, 0.405), (0.5, 0.41), (0.34, 0.405), (0.235, 0.42)]
        case "parted":
            lower = [(0.76, 0.46), (0.70, 0.36), (0.62, 0.27), (0.58, 0.22), (0.48, 0.33), (0.36, 0.40), (0.25, 0.47)]
        case "swept":
            lower = [(0.77, 0.47), (0.68, 0.30), (0.56, 0.33), (0.42, 0.42), (0.30, 0.49), (0.24, 0.50)]
        case "spiky":
            lower = [(0.77, 0.50), (0.71, 0.34), (0.64, 0.45), (0.585, 0.33), (0.51, 0.47), (0.45, 0.33), (0.37, 0.45)]
            lower += [(0.30, 0.34), (0.235, 0.50)]
        case "bare":
            lower = [
                (0.765, 0.44),
                (0.70, 0.29),
                (0.60, 0.225),
                (0.5, 0.21),
                (0.40, 0.225),
                (0.30, 0.29),
                (0.235, 0.44),
            ]
        case _:
            lower = [(0.765, 0.48), (0.70, 0.38), (0.58, 0.30), (0.5, 0.205), (0.42, 0.30), (0.30, 0.38), (0.235, 0.48)]
    sharp = person.fringe == "spiky"
    edge = np.array(lower) if sharp else curve(lower, steps=6)
    outline = _sided(np.vstack([curve(top, steps=6), edge]), way)
    shadow = easel.mask(outline + np.array([0, 0.022]))
    easel.lay(shadow * skin, shade(person.skin, 0.78))
    hair = easel.shape(outline, person.hair)
    for side in (1, -1):  # locks before the ears
        length = 0.70 if person.back in ("long", "bob", "tails") else 0.60
        lock = curve([(0.745, 0.36), (0.81, 0.40), (0.80, 0.54), (0.765, length), (0.755, 0.54)], True)
        easel.shape(_sided(lock, side), person.hair)
    gloss = easel.stroke_mask(curve([(0.27, 0.27), (0.38, 0.215), (0.5, 0.20), (0.62, 0.215), (0.73, 0.27)]), 0.035)
    easel.lay(gloss * hair, shade(person.hair, 1.45), 0.75)
    for x in (0.36, 0.5, 0.64):  # strands
        strand = curve([(0.5 + (x - 0.5) * 0.4, 0.12), (x, 0.22), (0.5 + (x - 0.5) * 1.25, 0.34)])
        easel.lay(easel.stroke_mask(strand, (0.003, 0.009, 0.003)) * hair, shade(person.hair, 0.6))


def _eyes(easel: Easel, person: Person) -> None:
    x, y = 0.375, 0.53
    lift = {"sharp": 0.022, "droopy": -0.022}.get(person.eyes, 0.0)  # of the outer corner
    for side in (1, -1):  # drawn on the left, then mirrored
        brow = curve([(0.29, 0.425 - 0.02 * person.mood), (0.37, 0.405), (0.445, 0.42 + 0.025 * -person.mood)])
        easel.stroke(_sided(brow, side), (0.006, 0.016, 0.010), shade(person.hair, 0.55))
        if person.eyes == "laughing":
            arc = curve([(x - 0.075, y + 0.025), (x, y - 0.03), (x + 0.075, y + 0.025)])
            easel.stroke(_sided(arc, side), (0.012, 0.022, 0.012), INK)
            continue
        tall = {"tall": 0.095, "round": 0.08, "half": 0.05}.get(person.eyes, 0.066)
        outer, inner = (x - 0.085, y - lift), (x + 0.075, y + 0.012)
        lid: Knots = [outer, (x - 0.05, y - tall * 0.85), (x + 0.01, y - tall), (x + 0.06, y - tall * 0.6), inner]
        under: Knots = [(x + 0.04, y + tall * 0.78), (x - 0.02, y + tall * 0.85), (x - 0.065, y + tall * 0.5)]
        white = easel.fill(_sided(curve([*lid, *under], True), side), WHITE)
        _iris(easel, person, white, side, x, y, tall)
        easel.lay(easel.mask(_sided(curve([*lid, (x, y - tall * 0.45)], True), side)) * white, INK, 0.35)
        easel.stroke(_sided(curve(lid), side), (0.022, 0.026, 0.022, 0.008), INK)
        easel.stroke(_sided(curve(under), side), 0.006, shade(person.skin, 0.55))


def _iris(easel: Easel, person: Person, white: Mask, side: int, x: float, y: float, tall: float) -> None:
    """Iris, its darker half, pupil and the light in it, all within the white of the eye."""
    middle = x if side > 0 else 1 - x
    down = tall * 0.92
    for outline, colour, cover in (
        (ellipse(middle, y, 0.052, down), shade(person.iris, 0.55), 1.0),
        (ellipse(middle, y + 0.008, 0.044, down * 0.86), person.iris, 1.0),
        (ellipse(middle, y + down * 0.45, 0.032, down * 0.42), shade(person.iris, 1.5), 0.8),
        (ellipse(middle, y - 0.004, 0.022, down * 0.48), INK, 1.0),
        (ellipse(middle - 0.02, y - down * 0.42, 0.019, 0.023), WHITE, 1.0),
        (ellipse(middle + 0.02, y + down * 0.42, 0.009, 0.010), WHITE, 1.0),
    ):
        easel.lay(easel.mask(outline) * white, colour, cover)


def _mouth(easel: Easel, person: Person) -> None:
    y, line, red = 0.695, shade(person.skin, 0.4), (0.80, 0.28, 0.32)
    match person.mouth:
        case "smile":
            easel.stroke(curve([(0.44, y - 0.008), (0.5, y + 0.018), (0.56, y - 0.008)]), (0.006, 0.012, 0.006), line)
        case "open":
            mouth = curve(
                [(0.435, y - 0.014), (0.5, y - 0.006), (0.565, y - 0.014), (0.535, y + 0.036), (0.465, y + 0.036)], True
            )
            inside = easel.shape(mouth, red)
            easel.lay(easel.mask(ellipse(0.5, y + 0.04, 0.04, 0.02)) * inside, (0.96, 0.55, 0.55))
        case "flat":
            easel.stroke(curve([(0.455, y), (0.5, y - 0.003), (0.545, y)]), 0.010, line)
        case "cat":
            cat = [(0.445, y - 0.01), (0.472, y + 0.012), (0.5, y - 0.006), (0.528, y + 0.012), (0.555, y - 0.01)]
            easel.stroke(curve(cat), 0.009, line)
        case "small":
            easel.shape(ellipse(0.5, y, 0.022, 0.026), red)
        case _:
            easel.stroke(curve([(0.452, y + 0.012), (0.5, y - 0.012), (0.548, y + 0.012)]), (0.006, 0.012, 0.006), line)


def _wear(easel: Easel, person: Person, way: int) -> None:
    """A ribbon, glasses, a hair band, a cat's ears or a flower."""
    bright = shade(hue(300 * person.chin, 0.7, 0.9), 1.0)
    match person.worn:
        case "ribbon":
            for turn in (-0.5, math.pi + 0.5):
                loop = ellipse(0.72 + 0.07 * math.cos(turn), 0.17 + 0.07 * math.sin(turn), 0.075, 0.045, turn)
                easel.shape(_sided(loop, way), bright)
            easel.shape(_sided(ellipse(0.72, 0.17, 0.025, 0.025), way), shade(bright, 0.8))
        case "glasses":
            for side in (1, -1):
                rim = _sided(ellipse(0.625, 0.535, 0.10, 0.085), side)
                easel.stroke(np.vstack([rim, rim[:1]]), 0.012, shade(bright, 0.5))
            easel.stroke(np.array([(0.475, 0.53), (0.525, 0.53)]), 0.012, shade(bright, 0.5))
        case "band":
            easel.stroke(curve([(0.19, 0.34), (0.30, 0.20), (0.5, 0.135), (0.70, 0.20), (0.81, 0.34)]), 0.04, bright)
        case "ears":
            for side in (1, -1):
                easel.shape(_sided(np.array([(0.60, 0.14), (0.76, -0.03), (0.80, 0.24)]), side), person.hair)
                easel.fill(_sided(np.array([(0.66, 0.13), (0.75, 0.04), (0.77, 0.19)]), side), (0.97, 0.72, 0.74))
        case "flower":
            for angle in np.linspace(0, 2 * math.pi, 6)[:-1]:
                petal = ellipse(0.74 + 0.04 * math.cos(angle), 0.24 + 0.04 * math.sin(angle), 0.033, 0.033)
                easel.shape(_sided(petal, way), bright, 0.004)
            easel.fill(_sided(ellipse(0.74, 0.24, 0.022, 0.022), way), (0.98, 0.86, 0.35))
        case _:
            pass


def _both(half: Knots) -> Points:
    """The closed curve whose right half is given from top to bottom."""
    right = np.array(half)
    left = mirrored(right)[::-1]
    return curve(np.vstack([right, left[left[:, 0] < 0.5 - 1e-9]]), closed=True)


def _sided(outline: Points, side: int) -> Points:
    return outline if side > 0 else mirrored(outline)
