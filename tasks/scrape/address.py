"""Which addresses may be reached: the hosts a source declares, and behind a public name no private machine."""

import ipaddress
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from tasks.errors import Blocked, Gone
from tasks.scrape.slow import Timed, TimedAdapter

MUSEUM = ".museum.test"  # the museum's name for a host is the host's own with this behind it (RFC 6761: never real)


def require_host(url: str, hosts: tuple[str, ...] | None) -> str:
    """The host of `url`, in lower case; Blocked unless it is http(s) and one of `hosts` or below one (None: any).

    Gone where the address makes no sense and so will never lead anywhere.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port  # a port is read, and may be none, only when asked for
    except ValueError as error:
        raise Gone(f"{shown(url)} is no address of the web ({error}) and was not asked for") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Blocked(f"{shown(url)} is no address of the web and was not asked for")
    if hosts is not None and not is_below(host, hosts):
        raise Blocked(
            f"{shown(url)} leads to {host}, which is none of the source's hosts ({', '.join(hosts)}), "
            "and was not asked for; if the site has moved there, its source must name it"
        )
    return host


def is_below(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether the host is one of `hosts` or a subdomain of one."""
    return any(host == allowed or host.endswith("." + allowed) for allowed in hosts)


def whole(url: str, params: Any = None) -> str:
    """The address as it is asked for, `params` (as requests takes them) in its query; Gone where it can be none.

    Whatever is looked at before asking must be looked at in this one: requests resolves /../, and takes another host
    than urlsplit does out of what only looks like an address.
    """
    prepared, before, asked = requests.PreparedRequest(), "", url
    try:
        url.encode()  # half a character can be sent nowhere
        while asked != before:  # /%2e%2e/ becomes /../ and then nothing, and it will be prepared once more
            before = asked
            prepared.prepare_url(before, params)
            asked, params = prepared.url or before, None
    except (requests.RequestException, UnicodeError) as error:
        raise Gone(f"{shown(url)} is no address of the web ({error}) and was not asked for") from error
    return asked


def onward(url: str, response: requests.Response) -> str | None:
    """Where the answer to `url` sends one on to, None where it does not; Gone where that is no address."""
    location = response.headers.get("Location")
    if not (location and response.is_redirect):
        return None
    response.close()
    with suppress(UnicodeError):  # headers are read as Latin-1, and most of what is not ASCII in them is UTF-8
        location = location.encode("latin-1").decode()
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Gone(f"{shown(url)} leads to {shown(location)}, which is no address of the web ({error})") from error


def joined(page: str, link: str) -> str:
    """Where `link` leads from `page`; one that makes no sense as it stands, which is refused when it is asked for."""
    try:
        return urljoin(page, link)
    except ValueError:
        return link


def shown(url: str) -> str:
    """A URL fit for a message: without user, password and query, where secrets would stand."""
    try:
        parts = urlsplit(url)
    except ValueError:  # one that nobody can take apart; what may be secret still stands before the @ or behind the ?
        return url.partition("?")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Public(TimedAdapter):
    """Reaches public addresses, and the `private` hosts; what a name resolves to is looked at before and after.

    A proxy of the environment is used. It resolves names itself, so what they lead to here is all that can be looked
    at; a name that is not known here is not asked of it.
    """

    def __init__(self, connections: int = 10, private: tuple[str, ...] = ()) -> None:
        self._private = private
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Pools whose connections are guarded."""
        super().init_poolmanager(*args, **kwargs)
        plain = type("Plain", (_Guarded,), {"private": self._private})
        secure = type("Secure", (_GuardedSecure,), {"private": self._private})
        pools: dict[str, Any] = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }
        self.poolmanager.pool_classes_by_scheme = pools

    def send(
        self, request: requests.PreparedRequest, *args: Any, proxies: dict[str, str] | None = None, **kwargs: Any
    ) -> requests.Response:
        """The answer; Blocked where the address is private, also behind a proxy."""
        parts = urlsplit(request.url or "")
        host = (parts.hostname or "").lower()
        if host not in self._private and select_proxy(request.url or "", proxies or {}):
            try:
                _look_up(host, parts.port or 443)
            except OSError as error:
                raise Blocked(
                    f"{host} is not known here ({error}), so nobody can tell whether the proxy would lead to a private "
                    "machine; make the name resolve here, or name it in private_hosts if you trust the proxy"
                ) from error
        return super().send(request, *args, proxies=proxies, **kwargs)


class Museum(TimedAdapter):
    """Reaches the museum on this machine, whatever host is asked for, by the name the request gives."""

    def __init__(self, port: int, connections: int) -> None:
        self.port = port
        super().__init__(pool_maxsize=connections)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send to loopback what is meant for a name under MUSEUM; nothing else is let through."""
        parts = urlsplit(request.url or "")
        assert isinstance(parts.hostname, str)
        if not parts.hostname.endswith(MUSEUM):
            raise Blocked(f"{parts.hostname} is not in the museum and was not asked for")
        inner = request.copy()
        inner.headers["Host"] = parts.hostname
        inner.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        response = super().send(inner, *args, **kwargs)
        response.url, response.request = request.url or "", request
        return response


def _require_public(address: str, host: str) -> None:
    if not ipaddress.ip_address(address).is_global:
        raise Blocked(f"{host} leads to the private address {address} and was not asked for")


def _look_up(host: str, port: int) -> None:
    """Raise Blocked where any address of `host` is private, OSError where it has none, Gone where it is no name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:  # a part of the name is empty or too long
        raise Gone(f"{host[:80]} is no name of a host ({error}) and was not asked for") from error
    for *_, address in found:
        _require_public(str(address[0]), host)


class _Guarded(HTTPConnection):
    private: tuple[str, ...] = ()
    response_class = Timed

    def _new_conn(self) -> socket.socket:
        if self.host in self.private:
            return super()._new_conn()
        try:
            _look_up(self._dns_host, self.port)
        except OSError as error:
            raise NewConnectionError(self, f"{self.host} is not known: {error}") from error
        connection: socket.socket = super()._new_conn()
        _require_public(connection.getpeername()[0], self.host)
        return connection


class _GuardedSecure(_Guarded, HTTPSConnection):
    pass
