"""The loopback exchange on a port: ``http://127.0.0.1:PORT/HOST/path``."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.exchange.faults import Fault
from tests.exchange.loopback import Loopback
from tests.exchange.wire import Answer, Budget
from tests.exchange.world import World

PHRASES = {status.value: status.phrase for status in HTTPStatus}
HTML = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Soon.</body></html>"


@contextmanager
def serve(
    world: World,
    faults: Iterable[Fault] = (),
    *,
    budgets: Mapping[str, Budget] | None = None,
    clock: Callable[[], float] = time.monotonic,
    port: int = 0,
) -> Iterator[Loopback]:
    """Run a loopback exchange on 127.0.0.1 until the block ends.

    Parameters
    ----------
    world : World
    faults : iterable of Fault
    budgets : mapping, optional
        From host to the weight it permits; a host that is not named refuses no one. What venues
        truly permit is in ``VENUES[host].budget``.
    clock : callable
        Seconds by which budgets are counted.
    port : int
        0 takes a free one.

    Raises
    ------
    ExceptionGroup
        At the end, if a handler of ours failed.
    """
    exchange = Loopback(world, faults, budgets=budgets, clock=clock)
    server = _Server(port, exchange)
    exchange.api_url = f"http://127.0.0.1:{server.server_address[1]}/{{host}}"
    thread = threading.Thread(target=server.serve_until_hung_up, name="loopback")
    thread.start()
    try:
        yield exchange
    finally:
        server.hang_up(thread)
    if server.failures:
        raise ExceptionGroup("the loopback exchange failed", server.failures)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, port: int, exchange: Loopback) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.exchange = exchange
        self.stopping = threading.Event()
        self.failures: list[Exception] = []
        self.to_reset: set[int] = set()
        self._open: dict[int, socket.socket] = {}

    def serve_until_hung_up(self) -> None:
        """Wait for requests; `serve_forever` looks up hundreds of times a second to end at once."""
        while not self.stopping.is_set():
            self.handle_request()

    def hang_up(self, serving: threading.Thread) -> None:
        """Close every connection and wait until every thread has ended."""
        self.stopping.set()
        socket.create_connection(self.server_address[:2]).close()  # the wait ends
        serving.join()
        for connection in list(self._open.values()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side has gone already
                continue
        self.server_close()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self._open[id(request)] = request
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.pop(id(request), None)
        if id(request) in self.to_reset:
            self.to_reset.discard(id(request))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address
        failure = sys.exception()
        # A client may leave when it likes; anything else is ours.
        if isinstance(failure, Exception) and not isinstance(failure, ConnectionError):
            self.failures.append(failure)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        del format, args  # the exchange keeps a log of its own

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Mapping[str, object] | None) -> None:
        try:
            reply = self.server.exchange.reply(self._target(), body)
        except Exception as failure:  # noqa: BLE001 - shown to whoever runs the exchange
            self.server.failures.append(failure)
            self._send(Answer(payload={"error": repr(failure)}, status=500))
            return
        kind = None if reply.fault is None else reply.fault.kind
        if reply.fault is not None and kind == "stall":
            self.server.stopping.wait(reply.fault.seconds)
            self.close_connection = True
        elif kind == "reset":
            self._reset()
        elif kind == "redirect":  # the same server, under a name that is not the one asked
            port = self.server.server_address[1]
            line = f"HTTP/1.1 302 Found\r\nLocation: http://localhost:{port}{self.path}\r\n"
            self.wfile.write(f"{line}Content-Length: 0\r\n\r\n".encode())
        else:
            self._send(reply.answer, kind)

    def _target(self) -> str:
        """The path; a client that takes us for its proxy names the whole address."""
        return urlsplit(self.path)._replace(scheme="", netloc="").geturl()

    def _send(self, answer: Answer, fault: str | None = None) -> None:
        edge = answer.payload is None or fault == "html"
        payload = (
            _odd(answer.payload, fault) if fault in ("odd_items", "odd_lists") else answer.payload
        )
        body = HTML if edge else json.dumps(payload, separators=(",", ":")).encode()
        if fault in ("empty_body", "bare"):
            body = b"" if fault == "empty_body" else b"{}"
        elif fault == "truncated":
            body = body[: len(body) // 2]
        head = self._head(answer, "text/html" if edge else "application/json")
        if fault == "cut_chunks":
            half = body[: len(body) // 2]
            self.wfile.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            self.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
            self.close_connection = True
            return
        head += f"Content-Length: {len(body)}\r\n\r\n".encode()
        if fault == "drip":
            self.wfile.write(head)
            for place in range(len(body)):
                if self.server.stopping.wait(0.05):
                    break
                self.wfile.write(body[place : place + 1])
            self.close_connection = True
            return
        if fault in ("cut_body", "reset_body"):
            self.wfile.write(head + body[: len(body) // 2])
            self.close_connection = True
            if fault == "reset_body":
                self._reset()
            return
        self.wfile.write(head + body)

    def _head(self, answer: Answer, content_type: str) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {PHRASES.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Content-Type: {content_type}; charset=utf-8", ""]
        return "\r\n".join(lines).encode()

    def _reset(self) -> None:
        """Leave so that the other side sees a reset instead of an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.to_reset.add(id(self.connection))
        self.close_connection = True


def _odd(payload: object, fault: str) -> object:
    """The same JSON with words in its lists, or in place of them."""
    if isinstance(payload, dict):
        return {key: _odd(value, fault) for key, value in payload.items()}
    if not isinstance(payload, list):
        return payload
    return ["odd"] * len(payload) if fault == "odd_items" else "odd"
