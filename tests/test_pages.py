"""What Prefect's links lead to: report and prints by HTTP, and nothing else of the checkout."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from served import free_port

from flows.pages import link, pages


def test_report_and_prints_are_served_and_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/7-report/index.html", "prints/ink/a hill.png", ".dvc/config.local"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    page, secret = Path("data/7-report/index.html"), Path(".dvc/config.local")
    assert link(page) == (tmp_path / page).as_uri()
    with pages(free_port()) as base:
        for path in (page, Path("prints/ink/a hill.png")):
            with urllib.request.urlopen(link(path.absolute())) as answer:
                assert answer.read().decode() == str(path)
        assert link(Path("prints")) == f"{base}/prints/"
        assert link(secret) == (tmp_path / secret).as_uri()
        for address in (".dvc/config.local", "data/../.dvc/config.local", "data/%2e%2e/.dvc/config.local", ""):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{base}/{address}")
    assert link(page) == (tmp_path / page).as_uri()


def test_somebody_elses_server_may_give_them_and_a_port_that_is_taken_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pages(port := free_port()), pages(port) as second:
        assert second == ""
    monkeypatch.setenv("BAREN_PAGES", "https://studio.example/baren")
    with pages(port) as base:
        assert base == "https://studio.example/baren"
        assert link(Path("data/7-report/index.html")) == f"{base}/data/7-report/index.html"
