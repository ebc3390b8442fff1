"""How ccxt's requests are sent: bodies bounded, and redirects kept to the host that was asked."""

from __future__ import annotations

from typing import Any

from requests import Response, Session

from delever.data.bounds import LARGEST_BODY, REDIRECTS, joined, redirected_to
from delever.errors import SchemaError, VenueError


class BoundedSession(Session):
    """A session of requests; `who` is named in what it refuses."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    def request(self, method: str, url: str | bytes, *args: Any, **more: Any) -> Response:
        """Send a request; its body is read before this returns.

        Raises VenueError if it is redirected to another host, or the body is too large.
        """
        where = url if isinstance(url, str) else url.decode()
        for _ in range(REDIRECTS + 1):
            more |= {"stream": True, "allow_redirects": False}
            answer = super().request(method, where, *args, **more)
            if not answer.is_redirect:
                return self._read(answer)
            answer.close()
            where = redirected_to(where, answer.headers["Location"], self.who)
        raise VenueError(f"{self.who}: {where} redirects again and again; nothing was read")

    def _read(self, answer: Response) -> Response:
        try:
            body = joined(answer.iter_content(1 << 16), LARGEST_BODY, f"an answer of {self.who}")
        except SchemaError as error:
            answer.close()
            raise VenueError(str(error)) from error
        answer._content = body  # where requests looks first
        return answer
