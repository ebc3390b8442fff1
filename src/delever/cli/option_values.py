"""Words of the command line, read into the values they stand for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from delever.errors import ConfigError


def costs_times(text: str) -> float:
    """Read how many times costs are paid.

    Raises ConfigError if it is anything else.
    """
    found = re.fullmatch(r"x(\d+(?:\.\d+)?)", text.strip())
    if not found:
        raise ConfigError(
            f"--costs takes x and how many times fees and slippage are paid, such as x2; got "
            f"{text!r}; single costs are set with --set costs.taker_fee=0.001"
        )
    return float(found[1])


def parse_named(option: str, assignments: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=REFERENCE`` texts.

    Raises ConfigError if a text has no ``=``, or nothing before or after it.

    Examples
    --------
    >>> parse_named("--data", ["bitcoin=binance/ohlcv/BTC/USDT/1d"])
    {'bitcoin': 'binance/ohlcv/BTC/USDT/1d'}
    """
    out = {}
    for assignment in assignments:
        name, equals, reference = (part.strip() for part in assignment.partition("="))
        if not (name and equals and reference):
            raise ConfigError(
                f"{option} needs NAME=REFERENCE, such as "
                f"funding=binance/funding/BTC/USDT:USDT/8h; got {assignment!r}"
            )
        out[name] = reference
    return out


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts; a value that is no TOML is taken as text.

    Raises ConfigError if a text has no ``=``.
    """
    from delever.toml_file import check_depth

    out: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"--set needs KEY=VALUE, such as params.weeks=150; got {assignment!r}"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
            check_depth(value, f"--set {key.strip()}")
            out[key.strip()] = value
        except RecursionError:
            raise ConfigError(f"--set {key.strip()}: lists must be nested less deeply") from None
        except ValueError:  # no TOML, or a number too long to be read
            out[key.strip()] = text.strip()
    return out
