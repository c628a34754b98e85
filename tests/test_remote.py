"""A DVC remote that speaks S3: what is pushed comes back in a fresh clone, where there is nothing left to do."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from served import free_port, wait_until
from test_versions import NOW, checkout
from toy import PARAMS, environment, run

from flows.publish import push_data, waiting
from flows.settings import Operations
from flows.versions import keep_version
from tasks.errors import BarenError

__all__ = ["checkout"]  # fixture


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server, a process of its own, that knows a bucket `pictures`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    # From the second request on a key must be one that the server gave out; the first makes the bucket.
    env = environment(INITIAL_NO_AUTH_ACTION_COUNT="1") if "refuses" in os.environ["PYTEST_CURRENT_TEST"] else None
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", f"{port}"]
    server = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(url), seconds=60)
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="pictures")
        yield url
    finally:
        server.kill()
        server.wait()


def listens(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/moto-api/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def use_store(root: Path, url: str) -> None:
    assert run("dvc", "remote", "add", "--local", "-d", "store", "s3://pictures/baren", cwd=root).returncode == 0
    assert run("dvc", "remote", "modify", "--local", "store", "endpointurl", url, cwd=root).returncode == 0


def test_a_fresh_clone_pulls_from_s3_and_has_nothing_to_do(checkout: Path, store: str, tmp_path: Path) -> None:
    use_store(checkout, store)
    assert run("dvc", "repro", cwd=checkout).returncode == 0
    assert keep_version("kept", "a night", NOW, checkout) is not None
    said: list[str] = []
    push_data(Operations(), said.append, checkout)
    assert "pushed" in said[0]

    clone = tmp_path / "clone"
    assert run("git", "clone", "-q", "-b", "kept", str(checkout), str(clone), cwd=tmp_path).returncode == 0
    (clone / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {clone}/.dvc/site\n")
    use_store(clone, store)
    pulled = run("dvc", "pull", cwd=clone)
    assert pulled.returncode == 0, pulled.stderr
    done = run("dvc", "repro", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "Data and pipelines are up to date." in done.stdout
    assert not (clone / "ran").exists()
    for recipe in PARAMS["recipes"]:
        model = f"data/4-models/{recipe}/losses.csv"
        assert (clone / model).read_bytes() == (checkout / model).read_bytes()


def test_a_store_that_refuses_our_key_is_one_sentence_and_nothing_is_lost(checkout: Path, store: str) -> None:
    use_store(checkout, store)
    assert run("dvc", "repro", "report", cwd=checkout).returncode == 0
    keep_version("kept", "a night", NOW, checkout)
    with pytest.raises(BarenError, match="dvc push failed: ") as refused:
        push_data(Operations(), print, checkout)
    assert len(str(refused.value).splitlines()) == 1
    assert "Traceback" not in str(refused.value)
    assert waiting(Operations(), checkout) == ["the DVC remote"]
    print(refused.value)
