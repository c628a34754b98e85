"""What a robots.txt allows us, after RFC 9309: our group or the general one, and the longest rule that fits.

Also the X-Robots-Tag of a picture, by which a site says that it is not to be learned from.
"""

import re
from dataclasses import dataclass

from requests.utils import requote_uri

AGENT = "baren"
# The words of X-Robots-Tag that keep us off a picture; "none" stands for noindex and nofollow.
NOT_FOR_US = ("noai", "noimageai", "noindex", "noimageindex", "none")
VALUED = re.compile(r"\b(max-(snippet|image-preview|video-preview)|unavailable_after)\s*:\s*[^,\s]*")  # no robot's name


@dataclass(frozen=True)
class Rule:
    """One Allow or Disallow line; the longer its pattern, the more it counts."""

    allow: bool
    pattern: str

    def fits(self, path: str) -> bool:
        """Whether the rule speaks of `path` (with its query)."""
        pattern = self.pattern[:-1] if self.pattern.endswith("$") else self.pattern + "*"
        first, *others = pattern.split("*")
        if not others:
            return path == first
        if not path.startswith(first):
            return False
        place, (*middle, last) = len(first), others
        for part in middle:  # the first place that fits leaves most to the others, so none is ever tried again
            if (found := path.find(part, place)) < 0:
                return False
            place = found + len(part)
        return path.endswith(last, place)


@dataclass(frozen=True)
class Robots:
    """The rules for us, and how many seconds the site wants between two requests."""

    rules: tuple[Rule, ...] = ()
    delay: float = 0.0
    unread: str = ""  # why the rules could not be had; then nothing is allowed

    def allows(self, path: str) -> bool:
        """Whether `path` (with its query) may be asked for."""
        if self.unread:
            return False
        path = _quoted(path)
        fitting = [rule for rule in self.rules if rule.pattern and rule.fits(path)]
        return not fitting or max(fitting, key=lambda rule: (len(rule.pattern), rule.allow)).allow


EVERYTHING = Robots()
RULES = ("allow", "disallow", "crawl-delay")
MOST = 512_000  # bytes of a robots.txt that are read, as many as the standard asks for


def read_robots(text: str) -> Robots:
    """The rules of the group that names us, or of the group for all; lines that make no sense are passed over."""
    groups: dict[str, list[tuple[str, str]]] = {}
    names: set[str] = set()  # whom the lines are for, as far as it concerns us: a file may name thousands
    naming = False
    for line in text.removeprefix("\ufeff").splitlines():
        key, colon, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        key = key.lower()
        if not colon:
            continue
        if key == "user-agent":
            names = ((names if naming else set()) | {value.lower()}) & {AGENT, "*"}
            naming = True
            for name in names:
                groups.setdefault(name, [])
        elif key in RULES:  # any other line, of a sitemap say, stands in no group and ends none
            naming = False
            for name in names:
                groups[name].append((key, value))
    lines = groups.get(AGENT, groups.get("*", []))
    rules = tuple(Rule(key == "allow", _quoted(value)) for key, value in lines if key in ("allow", "disallow"))
    return Robots(rules, max((_seconds(value) for key, value in lines if key == "crawl-delay"), default=0.0))


def forbids(tag: str) -> str | None:
    """The word of one X-Robots-Tag that keeps us off, or None; words said to another robot do not concern us."""
    agent = ""
    for said in re.split(r"[,\s]+", VALUED.sub("", tag.lower())):
        word, colon, rest = said.partition(":")
        if colon and word not in NOT_FOR_US and not word.isdecimal():  # the hour of a date is no robot either
            agent, word = word, rest
        if agent in ("", "*", AGENT) and word in NOT_FOR_US:
            return word
    return None


def _quoted(path: str) -> str:
    """The one spelling in which rules and addresses are compared: what is not ASCII is quoted, no letter is."""
    return re.sub("%[0-9a-f]{2}", lambda match: match[0].upper(), requote_uri(path), flags=re.IGNORECASE)


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
