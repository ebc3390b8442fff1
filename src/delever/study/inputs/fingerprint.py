"""Which market prices are of, by the prices themselves: whatever file or name they came under."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

_MONDAY = pd.Timestamp("1970-01-05").value
_STEPS = {"w": 7 * 86_400 * 10**9, "d": 86_400 * 10**9}
_FEWEST = 3
_SHARE = 0.5


def anchors(bars: pd.DataFrame) -> dict[str, str]:
    """How prices moved from the first open of one week, or day, to that of the next.

    Ratios of opens are the same in bars of any timeframe, in a longer or shorter stretch, and on
    another scale. Bars too short for any have their content as their only anchor.
    """
    index = pd.DatetimeIndex(bars.index).as_unit("ns")
    stamps = index.asi8 - _MONDAY
    opens = bars["open"].to_numpy(dtype=np.float64)
    found: dict[str, str] = {}
    for letter, step in _STEPS.items():
        number = stamps // step
        first = np.flatnonzero(np.diff(number, prepend=number[:1] - 1))
        number = number[first]
        beside = np.flatnonzero(np.diff(number) == 1)
        ratios = opens[first[beside + 1]] / opens[first[beside]]
        found |= {
            f"{letter}{number[place]}": f"{ratio:.6g}"
            for place, ratio in zip(beside, ratios, strict=True)
            if ratio != 1.0  # a market that stands still is like any other that does
        }
    if not found:
        found["h"] = hashlib.sha256(stamps.tobytes() + opens.tobytes()).hexdigest()[:16]
    return found


def kept(found: Mapping[str, str]) -> dict[str, str]:
    """Those anchors that are enough to know the market again: of weeks where there are some."""
    weeks = {name: ratio for name, ratio in found.items() if name[0] == "w"}
    return weeks if len(weeks) >= _FEWEST else dict(found)


def is_one(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Whether two sets of anchors are of one market: half of those they share agree."""
    common = ours.keys() & theirs.keys()
    agree = sum(ours[name] == theirs[name] for name in common)
    return bool(common) and agree >= _SHARE * len(common)


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits of some texts."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]
