"""What parameters of signals mean, said once: `described` puts it into the docstrings.

A docstring says only what is particular: a parameter it does not describe means what stands here,
and its last paragraph says what is returned.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from delever.arguments import aligned
from delever.docstrings import completed

_P = ParamSpec("_P")
_R = TypeVar("_R")

_SERIES = "pandas.Series, shape (n,)"
_HLC = "With ``high``, ``low`` and ``close``, in quote units."

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "market": "MarketView\n    The market; n bars.",
        "bars": f"pandas.DataFrame, shape (n, k)\n    {_HLC}",
        "values": f"{_SERIES}\n    In any unit.",
        "high": f"{_SERIES}\n    High of each bar, in quote units.",
        "low": f"{_SERIES}\n    Low of each bar, in quote units.",
        "close": f"{_SERIES}\n    Closes, > 0, in quote units.",
        "level": f"{_SERIES}, or float\n    In the unit of `values`.",
        "support": f"{_SERIES}\n    Level known before each bar opens, in quote units.",
        "window": "int\n    Rows, at least 1.",
        "weeks": "int\n    Closed weeks, at least 1.",
        "timeframe": "str\n    Timeframe of the bars.",
        "average": '{"sma", "ema", "wma"}\n    Simple, exponential (span as long as the window) or '
        "linearly weighted.",
        "levels": "sequence of float\n    Prices > 0, in quote units, in any order.",
        "false_bars": "int\n    At most so many bars from a break to the close above that makes it "
        "a false one, >= 1.",
        "hours": "int\n    Length of the window, at least the interval of the rows.",
        "longs": "str\n    Column of what was liquidated of longs per interval.",
        "shorts": "str\n    Column of what was liquidated of shorts per interval.",
        "near": "float\n    How far below the line a high counts as a retest, fraction in [0, 1).",
        "series": "str\n    Name of the reading.",
        "column": "str, optional\n    Column of the reading, where it has several.",
    }
)
"""What a parameter of this name is, from its type on."""

_RAISES = "InputError\n    If an argument is not what is said of it"


def describe(function: Callable[..., Any], **words: str) -> None:
    """Complete the docstring of a function with `WORDS`; `words` go before them."""
    text = inspect.getdoc(function)
    if text is None:  # python -OO leaves none
        return
    names = list(inspect.signature(function).parameters)
    one_series = function.__annotations__.get("return") == "pd.Series"
    function.__doc__ = completed(
        text,
        names,
        {**WORDS, **words},
        returned=_SERIES if one_series else "",
        Raises=_RAISES + (", or a reading is missing." if "market" in names else "."),
    )


def described(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Check the arguments of a function, all on one index, and complete its docstring.

    Examples
    --------
    >>> import pandas as pd
    >>> @described
    ... def gain(close: pd.Series, window: int) -> pd.Series:
    ...     "Change over a window."
    ...     return close.pct_change(window)
    >>> "Rows, at least 1." in gain.__doc__
    True
    """
    guarded = aligned(function)
    describe(guarded)
    return guarded
