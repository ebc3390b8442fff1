"""Series fetched from the web: asked for politely, again while that may help, and read whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import pandas as pd

from delever.data.body import rows_of
from delever.data.exchange.pacing import Pacing, backoff, retry_after
from delever.data.references import Dataset
from delever.data.web import HttpSource
from delever.errors import ConfigError, VenueError
from delever.frames import validate

__all__ = ["read_series"]

_AGENT = "delever (historical series for research)"


def read_series(
    source: HttpSource, *, pacing: Pacing | None = None, now: pd.Timestamp | None = None
) -> Dataset:
    """Read a series from the web.

    Raises
    ------
    VenueError
        If the server refuses or does not answer, or has no row yet.
    SchemaError
        If what it sends is not what `source` describes.
    """
    body, date = _get(source, pacing or Pacing())
    frame = rows_of(body, source)
    moment = now if now is not None else date
    stamps = pd.DatetimeIndex(frame.index)
    frame = frame.loc[stamps <= moment - source.publication_lag]
    if frame.empty:
        raise VenueError(f"{source.url} has no row that was known on {moment:%Y-%m-%d %H:%M}")
    return Dataset(
        reference=source.reference,
        frame=validate(frame, "series", source.timeframe, where=source.url),
        id="",
        publication_lag=source.publication_lag,
        notes=(source.note,) if source.note else (),
        provenance=({"url": source.url},),
    )


def _get(source: HttpSource, pacing: Pacing) -> tuple[bytes, pd.Timestamp]:
    """Body and server date, asked for again while that may help."""
    parts = urlsplit(source.url)
    query = f"?{parts.query}" if parts.query else ""
    url = source.url
    if source.api_url:
        url = source.api_url.rstrip("/").replace("{host}", parts.netloc) + parts.path + query
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(
                f"api_url must begin with http:// or https://; got {source.api_url!r}; correct it "
                "in sources.toml or the environment"
            )
    trouble = ""
    for attempt in range(1, pacing.attempts + 1):
        status, headers, body, trouble = _once(url, pacing.timeout)
        if status == 200 and not trouble:
            return body, _date(headers)
        if status is not None and status in (400, 401, 403, 404, 410, 451):
            raise VenueError(
                f"{source.url} answers {status}, and asking again would not change that; correct "
                f"the url of series.{source.name} in sources.toml, or import a file"
            )
        if attempt < pacing.attempts:
            asked = retry_after(headers)
            pacing.sleep(backoff(attempt, pacing) if asked is None else asked)
    raise VenueError(f"{source.url} failed {pacing.attempts} times, last with {trouble}")


def _once(url: str, timeout: float) -> tuple[int | None, Mapping[str, str], bytes, str]:
    import http.client
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    request = Request(url, headers={"User-Agent": _AGENT})
    try:
        with urlopen(request, timeout=timeout) as answer:
            body = answer.read()
            trouble = "" if body.strip() else "an empty body"
            if body.lstrip()[:1] == b"<":
                trouble = "a page instead of data"
            return answer.status, dict(answer.headers), body, trouble
    except HTTPError as error:
        return error.code, dict(error.headers), b"", f"status {error.code}"
    except (URLError, http.client.HTTPException, OSError) as error:
        return None, {}, b"", f"{type(error).__name__}: {error}"


def _date(headers: Mapping[str, str]) -> pd.Timestamp:
    from email.utils import parsedate_to_datetime

    text = {name.lower(): value for name, value in headers.items()}.get("date")
    if text is None:
        return pd.Timestamp.now(tz="UTC")
    moment: datetime = parsedate_to_datetime(text)
    return pd.Timestamp(moment).tz_convert("UTC")
