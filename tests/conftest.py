"""What every test shares: no reach beyond loopback, the same chance each time, real pictures, a Prefect server."""

import ipaddress
import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from served import built, built_once, server, start, toy

__all__ = ["built", "built_once", "server", "start", "toy"]  # fixtures

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts and stops with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches beyond this machine fails at the attempt."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Iterator[None]:
    """A training that takes two threads does not leave them to the tests after it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def same_chance() -> None:
    """What a test draws without a seed of its own is the same in every run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def real_pictures() -> Path:
    """The folder of real pictures that BAREN_PICTURES names."""
    folder = os.environ.get("BAREN_PICTURES")
    if not folder:
        pytest.skip("BAREN_PICTURES is unset: it names a folder of real pictures (landscape, ukiyoe, ...)")
    return Path(folder)
