"""What comes from elsewhere, held to bounds: bytes, seconds, one host, an address that is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from delever.errors import ConfigError, SchemaError, VenueError

LARGEST_BODY = 256 << 20
"""Bytes of an answer, unpacked; the largest that a known venue gives are a tenth of it."""

LARGEST_FILE = 1 << 30
"""Bytes of a packed file, unpacked: ten years of minutes as text are half of it."""

REDIRECTS = 5
"""Redirects that are followed."""

_CHUNK = 1 << 16
T = TypeVar("T")


class OverdueError(Exception):
    """A call that was not over in its time."""


def in_time(seconds: float, call: Callable[[], T]) -> T:
    """Call, and give up waiting after so long, however much has come by then.

    A timeout of a socket counts from byte to byte: a server that drips never meets it. The call
    is left to itself on a thread that keeps no process alive.

    Raises OverdueError when the time is up; else whatever the call raises.
    """
    done = threading.Event()
    answers: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as failure:  # noqa: BLE001 - raised below, where it was asked for
            failures.append(failure)
        finally:
            done.set()

    threading.Thread(target=run, name="in-time", daemon=True).start()
    if not done.wait(seconds):
        raise OverdueError(f"no whole answer after {seconds:g} s")
    if failures:
        raise failures[0]
    return answers[0]


def joined(chunks: Iterable[bytes], limit: int, where: str) -> bytes:
    """Bytes that come piece by piece.

    Raises SchemaError as soon as they are more than `limit`.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise SchemaError(
                f"{where} must unpack to at most {limit >> 20:,} MiB; it holds more; it was not "
                "read any further: give a smaller one, or split it"
            )
    return bytes(body)


class Readable(Protocol):
    """What can be read from."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, or what is left."""


def pieces(stream: Readable) -> Iterable[bytes]:
    """What a stream holds, piece by piece."""
    return iter(lambda: stream.read(_CHUNK), b"")


def checked_url(url: str, where: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """An address that can be asked.

    Raises ConfigError if it has another scheme, no host, a port that is none, or a space in it.
    """
    said = " or ".join(f"{scheme}://" for scheme in schemes[:2])
    problem = ""
    try:
        parts = urlsplit(url)
        if parts.scheme not in schemes:
            problem = f"it must begin with {said}"
        elif not parts.hostname:
            problem = "it names no host"
        elif any(not letter.isprintable() or letter.isspace() for letter in url):
            problem = "it holds a space or a control character"
        elif parts.port == 0:
            problem = "its port is 0"
    except ValueError as error:
        problem = str(error)
    if problem:
        raise ConfigError(
            f"{where} must be an address such as {said}HOST/path; got {url!r}: {problem}"
        )
    return url


def redirected_to(url: str, location: str, who: str) -> str:
    """Where a redirect leads, if that is the same host and no less safe.

    Raises VenueError if it is another host: what another host says would be stored as this one's.
    """
    target = urljoin(url, location)
    try:
        old, new = urlsplit(url), urlsplit(target)
        here, there = (old.hostname, old.port), (new.hostname, new.port)
    except ValueError:
        raise VenueError(f"{who}: {old.netloc} redirects to {location!r}, no address") from None
    safe = new.scheme == old.scheme or (old.scheme, new.scheme) == ("http", "https")
    same = here == there or (here[0] == there[0] and new.scheme != old.scheme)
    if safe and same:
        return target
    raise VenueError(
        f"{who}: {old.netloc} redirects to {new.scheme}://{new.netloc}, which was not followed: "
        "what another host says is not this one's; if it is the right one, set api_url or url in "
        "data/sources.toml"
    )
