"""How a number is written for people; the one place where a fraction becomes a percentage.

Everything is plain ASCII, so the same text stands in a terminal, a file and a page. A value
that is undefined reads ``n/a``; zero is never written with a sign.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import pandas as pd

from delever.units import DAYS_PER_YEAR

NOT_AVAILABLE: Final = "n/a"

_BEYOND = 700.0
_YEAR = DAYS_PER_YEAR - 0.5  # a year of bars may lack its first or last hours

MARK: Final = " *"
"""Behind a yearly figure of less than a year."""
SPEED: Final = "* Of less than a year: a speed, not a forecast."
"""What the mark means."""

_TRAILING_ZEROS = re.compile(r"(?<=\d)\.0+(?!\d)|(?<=\.\d)0+(?!\d)")
_SCALES = ((1e12, " T"), (1e9, " B"), (1e6, " M"))
_IN_WORDS = 1e15  # all digits of more would push a table's columns out
_WORDS = {"T": "trillion", "B": "billion", "M": "million"}


def number(amount: float, digits: int = 2) -> str:
    """Write a number with thousands separators."""
    if math.isnan(amount):
        return NOT_AVAILABLE
    if math.isinf(amount):
        return "inf" if amount > 0 else "-inf"
    text = f"{amount:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def percent(fraction: float, digits: int = 1) -> str:
    """Write a fraction as a percentage.

    A loss short of everything is never rounded to -100%: decimals are added, up to four, until
    it reads as what it is. From 1,000% on decimals are dropped, and millions are said in words;
    from 1e15% on it is written as a power of ten.
    """
    if math.isfinite(100 * fraction) and abs(fraction) >= 10:
        text = money(round(100 * fraction))
        return f"{text[:-1]}{_WORDS[text[-1]]} %" if text[-1] in _WORDS else f"{text}%"
    text = number(100 * fraction, digits)
    while -1 < fraction < 0 and float(text.replace(",", "")) <= -100 and digits < 4:
        digits += 1
        text = number(100 * fraction, digits)
    return f"{text}%" if math.isfinite(100 * fraction) else text


def growth(log: float) -> str:
    """Write a log growth as a percentage.

    Examples
    --------
    >>> growth(math.log(1.5)), growth(900.0)  # a bound of an interval may lie beyond any number
    ('50.0%', 'inf')
    """
    return percent(math.expm1(log) if log < _BEYOND else math.inf)


def points(fraction: float) -> str:
    """Write points saved, with their sign."""
    text = number(100 * fraction, 1)
    return text if text.startswith("-") or text in ("0.0", NOT_AVAILABLE) else f"+{text}"


def figure(amount: float) -> str:
    """Write a number of unknown size: four digits that matter below 1,000."""
    if not math.isfinite(amount):
        return number(amount)
    if abs(amount) < 1_000:
        return f"{Decimal(f'{amount:.4g}'):f}"
    return number(amount) if abs(amount) < 1e6 else money(amount)


def whole(amount: float) -> str:
    """Write a number without decimals."""
    return number(amount, 0)


def one_digit(amount: float) -> str:
    """Write a number with one decimal."""
    return number(amount, 1)


def three_digits(amount: float) -> str:
    """Write a p-value with three decimals, and none as 0.000, which no p-value is."""
    return "<0.001" if 0 <= amount < 0.0005 else number(amount, 3)


def whole_percent(fraction: float) -> str:
    """Write a fraction as a percentage without decimals."""
    return percent(fraction, 0)


def speed(text: str, days: float) -> str:
    """Mark a yearly figure of so many days where they are less than a year."""
    return f"{text}{MARK}" if days < _YEAR and text not in ("", NOT_AVAILABLE) else text


def of_years(days: float) -> str:
    """Say in a sentence how long the time behind a yearly figure is, where less than a year."""
    return f" (of {days / DAYS_PER_YEAR:.2f} years)" if days < _YEAR else ""


def short_span(days: float) -> list[str]:
    """What to say first of a span of less than a year."""
    if days >= _YEAR:
        return []
    lasts = "a day" if days == 1 else f"{value(days, 'days')} days"
    return [f"less than a year, {lasts}: yearly figures, marked *, are a speed and not a forecast"]


def interval(low: float, high: float, form: Callable[[float], str] = percent) -> str:
    """Write both ends of an interval, where there is one."""
    return NOT_AVAILABLE if math.isnan(low) else f"{form(low)} to {form(high)}"


def multiple(factor: float) -> str:
    """Write what wealth was multiplied by."""
    if not math.isfinite(factor):
        return number(factor)
    if factor >= 1e6:
        return f"{_scaled(factor)} x"
    return f"{number(factor, 2 if factor < 100 else 0)}x"


def money(amount: float) -> str:
    """Write an amount of the account's currency."""
    size = abs(amount)
    if not math.isfinite(amount) or size < 1e6:
        return number(amount, 2 if size < 1_000 else 0)
    return _scaled(amount)


def price(amount: float) -> str:
    """Write a price with about five digits that matter, whatever its magnitude."""
    if not math.isfinite(amount) or amount == 0:
        return number(amount)
    return number(amount, min(12, max(2, 4 - math.floor(math.log10(abs(amount))))))


def value(amount: float, unit: str) -> str:
    """Write a metric in its unit."""
    if unit == "fraction":
        return percent(amount)
    if unit in {"bars", "days", "count"}:
        whole = not math.isfinite(amount) or float(amount).is_integer() or abs(amount) >= 100
        return number(amount, 0 if whole else 1)
    return number(amount, 2)


def reported(amount: float, unit: str) -> str:
    """Write a figure as someone reported it."""
    text = percent(amount) if unit == "fraction" else money(amount)
    return _TRAILING_ZEROS.sub("", text) + ("" if unit == "fraction" else f" {unit}")


def day(stamp: pd.Timestamp) -> str:
    """Write the UTC date of a stamp."""
    return NOT_AVAILABLE if pd.isna(stamp) else f"{stamp:%Y-%m-%d}"


def when(stamp: pd.Timestamp) -> str:
    """Write a UTC stamp, with its time of day only where it is not midnight."""
    if pd.isna(stamp) or stamp == stamp.normalize():
        return day(stamp)
    return f"{stamp:%Y-%m-%d %H:%M}"


def _scaled(amount: float) -> str:
    if abs(amount) >= _IN_WORDS:
        return f"{amount:.2e}"
    scale, letter = next(item for item in _SCALES if abs(amount) >= item[0])
    return f"{number(amount / scale)}{letter}"
