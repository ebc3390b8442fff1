"""Point a ccxt exchange of the tests at the loopback exchange."""

from __future__ import annotations

from typing import Any


def redirect(exchange: Any, api_url: str) -> Any:
    """Replace ``https://HOST`` in every API URL of a ccxt exchange; returns the exchange."""

    def moved(url: object) -> object:
        if isinstance(url, dict):
            return {key: moved(value) for key, value in url.items()}
        if not isinstance(url, str):
            return url
        whole = url.replace("{hostname}", getattr(exchange, "hostname", None) or "")
        scheme, _, rest = whole.partition("://")
        if scheme not in ("http", "https"):
            return url
        host, slash, path = rest.partition("/")
        return api_url.replace("{host}", host) + slash + path

    exchange.urls["api"] = moved(exchange.urls["api"])
    return exchange
