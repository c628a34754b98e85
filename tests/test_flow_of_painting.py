"""The flow that paints on demand: it says what the painting says, and leaves a link to each print."""

from pathlib import Path

from served import Start, finish, post

DOOR = """
import pathlib, sys
from PIL import Image
words = sys.argv[1:]
print("painting with", *words, flush=True)
if "bad.jpg" in words:
    sys.exit("baren: bad.jpg is no picture; name another")
for kind in ("png", "tif"):
    print(f"a hill.jpg -> prints/ink, 2026/a hill.{kind}")
pathlib.Path("prints/ink, 2026").mkdir(parents=True)
Image.new("RGB", (900, 300), "red").save("prints/ink, 2026/proof.jpg")
print("contact sheet -> prints/ink, 2026/proof.jpg")
"""


def test_a_print_is_linked_and_what_cannot_be_painted_is_said(server: str, start: Start, toy: Path) -> None:
    (toy / "pipelines/__main__.py").write_text(DOOR)
    code, said = finish(start("paint", "a hill.jpg", "--recipe", "ink", "--print", "40x30cm"))
    assert code == 0, said
    assert "painting with paint a hill.jpg --recipe ink --print 40x30cm" in said
    assert f"paint: painted {toy}/prints/ink, 2026/a hill.png, {toy}/prints/ink, 2026/a hill.tif" in said
    links = post(server, "artifacts/filter", {"artifacts": {"key": {"any_": ["print-a-hill"]}}})
    assert len(links) == 2
    for kind in ("png", "tif"):
        assert any((toy / f"prints/ink, 2026/a hill.{kind}").as_uri() in link["data"] for link in links)
    shown = post(server, "artifacts/filter", {"artifacts": {"key": {"any_": ["proof-ink-2026"]}}})
    assert shown[0]["type"] == "image"
    code, said = finish(start("paint", "bad.jpg", "--recipe", "ink"))
    assert code == 1
    assert "paint: bad.jpg is no picture; name another" in said
