"""``data/sources.toml``: what a workspace says about venues and about series from the web."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from delever.data.bounds import checked_url
from delever.errors import ConfigError
from delever.toml_file import read_toml

"""Name of the file, in the workspace's ``data`` folder."""

API_URL = "DELEVER_API_URL"
"""Environment variable that redirects every venue."""


_PROXIES = ("http", "https", "socks5h", "socks5", "socks4", "socks4a")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSettings:
    """How one venue is reached."""

    # replaces ``https://HOST`` in every API URL, ``{host}`` standing for the host; empty for the
    # venue itself
    api_url: str = ""
    proxy: str = ""  # URL of a proxy, ``http://`` or ``socks5h://``; empty for none
    rate: float = 1.0  # share of the permitted rate to use, in (0, 1]
    timeout: float = 20.0  # seconds to wait for an answer
    workers: int = 4  # requests under way at once, in 1..16
    options: Mapping[str, object] = field(default_factory=dict)  # ccxt's ``options``


def read_sources(path: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Read ``sources.toml``.

    Raises ConfigError if it is no TOML, or holds anything but tables of venues and series.
    """
    try:
        document = read_toml(path)
    except FileNotFoundError:
        document = {}
    sections: dict[str, dict[str, dict[str, object]]] = {"venues": {}, "series": {}}
    for name, tables in document.items():
        nested = isinstance(tables, dict) and all(isinstance(t, dict) for t in tables.values())
        if name not in sections or not nested:
            raise ConfigError(
                f"{path} must hold tables named venues.NAME and series.NAME; got {name}"
            )
        sections[name] = tables
    return sections


def settings_of(venue: str, path: Path) -> VenueSettings:
    """Settings of one venue; the environment goes before the file.

    Raises ConfigError if a setting is unknown or not of its form.
    """
    table = dict(read_sources(path)["venues"].get(venue, {}))
    redirect = os.environ.get(API_URL, "")
    if redirect:
        table["api_url"] = redirect
    where = f"{path}, venues.{venue}"
    known = {item.name: type(item.default) for item in fields(VenueSettings)} | {"options": dict}
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"{where}: settings are {', '.join(known)}; got {name}")
        kinds = (int, float) if known[name] is float else known[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            word = "a table" if known[name] is dict else known[name].__name__
            raise ConfigError(f"{where}: {name} must be {word}; got {value!r}")
    settings = VenueSettings(**table)  # type: ignore[arg-type]  # checked above
    if settings.api_url:
        checked_url(settings.api_url, f"{where}: api_url")
    if settings.proxy:
        checked_url(settings.proxy, f"{where}: proxy", _PROXIES)
    if not (0 < settings.rate <= 1 and settings.timeout > 0 and 1 <= settings.workers <= 16):
        raise ConfigError(
            f"{where}: rate must be in (0, 1], timeout > 0, workers in 1..16; got "
            f"{settings.rate}, {settings.timeout}, {settings.workers}"
        )
    return settings
