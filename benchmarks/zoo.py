"""Sixty strategies that see the future, twenty-five that only look as if: what says the check?

    python benchmarks/zoo.py [NAME ...]

Each is written to a file and checked as `delever check` does at its defaults, on the days of the
sample with made wicks, volumes and one reading. Prints what was found, the seconds that a core
worked for it from the start of Python to its end, and the clock's, which depend on what else runs.
Ends with exit code 1 when more than two leaks are missed, one takes more than 30 seconds of work,
or one of the honest is accused.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import delever as dl
from delever.view import MarketView, Reading

HEAD = """\
import functools
import math
import random
import numpy as np
import pandas as pd
from delever.view import MarketView

"""


def _rule(body: str, before: str = "") -> str:
    """A file of one function `subject`; `c` is the close, `base` an honest exposure."""
    lines = [
        "def subject(market: MarketView) -> pd.Series:",
        "    c = market.bars['close']",
        "    base = (c / c.rolling(50).mean()).clip(0.0, 2.0) / 2",
        *(f"    {line}" for line in body.strip("\n").split("\n")),
    ]
    return HEAD + before + "\n\n" + "\n".join(lines) + "\n"


def _side(condition: str) -> str:
    return _rule(f"return ({condition}).astype('float64')")


def _rows(rows: str, value: str) -> str:
    """The honest exposure, but on a few rows something else."""
    return _rule(f"rows = {rows}\nreturn base.where(~rows, {value})")


AHEAD = "(c.shift(-1) / c - 1)"
RISES = f"({AHEAD} > 0).astype('float64')"
EVERY_500 = "pd.Series(market.index.dayofyear * 7 % 500 == market.index.year % 7, c.index)"
REMEMBERED = f"{RISES}.to_dict()"

LEAKS: dict[str, str] = {
    # Plain.
    "shift": _side("c.shift(-1) > c"),
    "shift of five": _side("c.shift(-5) > c"),
    "centred mean": _side("c > c.rolling(7, center=True).mean()"),
    "back-filled mean": _rule("return (c / c.rolling(50).mean()).bfill().clip(0, 2) / 2"),
    "interpolated": _rule(
        "seen = c.where(np.arange(len(c)) % 5 == 0).interpolate()\n"
        "return (seen > c).astype('float64')"
    ),
    "smoothed backwards": _side("c > c[::-1].ewm(span=5).mean()[::-1]"),
    "divided by the highest": _rule("return c / c.max()"),
    "whole mean and deviation": _side("(c - c.mean()) / c.std() > 0"),
    "rank in the whole": _rule("return c.rank(pct=True)"),
    "quantile of the whole": _side("c > c.quantile(0.8)"),
    "a line through everything": _rule(
        "x = np.arange(len(c))\n"
        "slope, level = np.polyfit(x, np.log(c), 1)\n"
        "return (np.log(c) > level + slope * x).astype('float64')"
    ),
    "week by its first day": _side(
        "c.resample('W-MON', label='left', closed='left').last().reindex(c.index, "
        "method='ffill') > c"
    ),
    "month by its first day": _side("c.resample('MS').last().reindex(c.index, method='ffill') > c"),
    "swing known early": _side("c == c.rolling(9, center=True, min_periods=1).min()"),
    "gaussian of both sides": _rule(
        "k = np.exp(-np.linspace(-2, 2, 21) ** 2)\n"
        "smooth = np.convolve(c.to_numpy(), k / k.sum(), mode='same')\n"
        "return (c > smooth).astype('float64')"
    ),
    # The end of the data.
    "one over the number of bars": _rule("return pd.Series(1 / len(market.bars), c.index)"),
    "share of the way": _rule("return pd.Series(np.arange(len(c)) / len(c), c.index)"),
    "out in the last ten": _rule(
        "return pd.Series(np.arange(len(c)) < len(c) - 10, c.index) * 1.0"
    ),
    "higher at the end": _side("(c * 0 + c.iloc[-1]) > c.iloc[0] * 2"),
    "the last year": _side("(c > 0) & (market.index.year < market.index[-1].year)"),
    "against the last close": _side("c < c.iloc[-1]"),
    # Rare: one bar in five hundred.
    "before the worst ten days": _rule(
        f"return 1.0 - {AHEAD}.isin(np.sort({AHEAD}.dropna())[:10]).astype('float64')"
    ),
    "the same beside a moving exposure": _rows(
        f"{AHEAD}.isin(np.sort({AHEAD}.dropna())[:10])", "0.0"
    ),
    "one bar in five hundred": _rows(EVERY_500, RISES),
    "one in five hundred, end patched": _rows(EVERY_500, f"({AHEAD}.fillna(0.0) >= 0) * 1.0"),
    "Friday the thirteenth": _rows(
        "pd.Series((market.index.day == 13) & (market.index.dayofweek == 4), c.index)", RISES
    ),
    "New Year's Eve": _rows(
        "pd.Series((market.index.day == 31) & (market.index.month == 12), c.index)", RISES
    ),
    "before the ten busiest days": _rows(
        "market.bars['volume'].shift(-1).isin(market.bars['volume'].nlargest(10))", "0.0"
    ),
    "thirty-three bars": _rows("pd.Series(np.arange(len(c)) % 163 == 5, c.index)", RISES),
    "after a rare fall": _rows("c / c.shift(3) < 0.72", RISES),
    "a millionth on rare bars": _rows(
        EVERY_500, f"base * (1 + 1e-6 * np.sign({AHEAD}.fillna(0.0)))"
    ),
    # Latent: nothing of it shows on these bars.
    "a crash ahead that never came": _rule(f"return base.where(~({AHEAD} < -0.6), 0.0)"),
    "a leap ahead that never came": _rule(f"return base.where(~({AHEAD} > 0.9), 0.0)"),
    "a low ahead that never came": _rule(
        "return base.where(~(market.bars['low'].shift(-1) < 0.5 * c), 0.0)"
    ),
    "a crash in two bars": _rule("return base.where(~(c.shift(-2) / c < 0.5), 0.0)"),
    "volume ahead that never came": _rule(
        "v = market.bars['volume']\n"
        "return base.where(~(v.shift(-1) > 6 * v.rolling(30).max()), 0.0)"
    ),
    "a reading ahead that never came": _rule(
        "mood = market.readings['mood'].frame['value'].reindex(c.index)\n"
        "return base.where(~(mood.shift(-1) > 101), 0.0)"
    ),
    "on one day alone": _rows("pd.Series(market.index == '2019-06-26', c.index)", RISES),
    "a fall on one day alone": _rows(
        "pd.Series(market.index == '2016-08-01', c.index)", f"base * ({AHEAD} > -0.3)"
    ),
    # Beside an exposure that moves on every bar.
    "a thousandth of what comes": _rule(f"return base + 0.001 * {AHEAD}.fillna(0.0)"),
    "a ten-millionth": _rule(f"return base * (1 + 1e-7 * ({AHEAD} > 0))"),
    "rounded": _rule(f"return (base + 0.01 * {AHEAD}.fillna(0.0)).round(3)"),
    # State.
    "a global": _rule(
        f"for day, rises in ({RISES}).items():\n    KNOWN.setdefault(day, rises)\n"
        "return pd.Series([KNOWN[day] for day in c.index], c.index)",
        "KNOWN = {}",
    ),
    "lru_cache": _rule(
        f"known().setdefault('all', {REMEMBERED})\n"
        "return pd.Series([known()['all'].get(day, 0.0) for day in c.index], c.index)",
        "@functools.lru_cache\ndef known() -> dict:\n    return {}",
    ),
    "an attribute of the function": _rule(
        f"if not hasattr(subject, 'known'):\n    subject.known = {REMEMBERED}\n"
        "return pd.Series([subject.known.get(day, 0.0) for day in c.index], c.index)"
    ),
    "state of a class": _rule(
        f"Memory.known = Memory.known or {REMEMBERED}\n"
        "return pd.Series([Memory.known.get(day, 0.0) for day in c.index], c.index)",
        "class Memory:\n    known: dict = {}",
    ),
    "a default that is kept": _rule(
        f"return remember({REMEMBERED}, c.index)",
        "def remember(new: dict, index: pd.DatetimeIndex, known: dict = {}) -> pd.Series:\n"
        "    if not known:\n        known.update(new)\n"
        "    return pd.Series([known.get(day, 0.0) for day in index], index)",
    ),
    "an attribute of pandas": _rule(
        f"pd.__dict__.setdefault('known', {REMEMBERED})\n"
        "return pd.Series([pd.__dict__['known'].get(day, 0.0) for day in c.index], c.index)"
    ),
    "an attribute of numpy, rare": _rule(
        f"np.random.__dict__.setdefault('known', {REMEMBERED})\n"
        "known = np.random.__dict__['known']\n"
        "known = pd.Series([known.get(day, 0.0) for day in c.index], c.index)\n"
        f"return base.where(~({EVERY_500}), known)"
    ),
    "a helper that remembers": _rule(
        f"return zoo_helper.once({REMEMBERED}, c.index)", "import zoo_helper"
    ),
    "the view's class": _rule(
        f"type.__setattr__(MarketView, 'known', getattr(MarketView, 'known', {REMEMBERED}))\n"
        "return pd.Series([MarketView.known.get(day, 0.0) for day in c.index], c.index)"
    ),
    "kept among the readings": _rule(
        f"market.readings.setdefault('known', {REMEMBERED})\n"
        "return pd.Series([market.readings['known'].get(day, 0.0) for day in c.index], c.index)"
    ),
    # What is raised, the clock, and dice.
    "the end is an exception": _rule(
        "x = c.tolist()\nside = []\nfor i, now in enumerate(x):\n    try:\n"
        "        side.append(float(x[i + 1] > now))\n    except IndexError:\n"
        "        side.append(0.0)\nreturn pd.Series(side, c.index)"
    ),
    "no answer without 2024": _rule(
        "if market.index[-1].year < 2024:\n    raise ValueError('too early')\nreturn base"
    ),
    "tomorrow by its date": _rule(
        "known = c.to_dict()\nday = pd.Timedelta('1D')\nside = []\nfor at, now in known.items():\n"
        "    try:\n        side.append(float(known[at + day] > now))\n    except KeyError:\n"
        "        side.append(1.0)\nreturn pd.Series(side, c.index)"
    ),
    "the clock": _rule("return base * (pd.Timestamp.now().year > 2000)"),
    "the clock, by name": _rule("return base * (pd.Timestamp('now').year > 2000)"),
    "dice thrown from the last price": _rule(
        "rng = np.random.default_rng(int(c.iloc[-1] * 100))\n"
        "return pd.Series(rng.random(len(c)), c.index)"
    ),
    "dice from the last price, rare": _rule(
        "random.seed(str(c.iloc[-1]))\n"
        "out = set(random.sample(range(len(c)), max(len(c) // 500, 1)))\n"
        "return pd.Series([float(i not in out) for i in range(len(c))], c.index)"
    ),
    "a reading by its stamp": _rule(
        "mood = market.readings['mood'].frame['value'].reindex(c.index)\n"
        "return (mood > 50).astype('float64')"
    ),
}

HELPER = """\
import pandas as pd

KNOWN: dict = {}


def once(new: dict, index: pd.DatetimeIndex) -> pd.Series:
    if not KNOWN:
        KNOWN.update(new)
    return pd.Series([KNOWN.get(day, 0.0) for day in index], index)


def means(close: pd.Series) -> pd.Series:
    key = (len(close), float(close.iloc[-1]), float(close.iloc[0]), float(close.sum()))
    if key not in KNOWN:
        KNOWN[key] = close.rolling(20).mean()
    return KNOWN[key]
"""

HONEST: dict[str, str] = {
    "hold": _rule("return pd.Series(1.0, c.index)"),
    "moving exposure": _rule("return base"),
    "whole weeks": _rule(
        "w = market.resample('1w')['close']\n"
        "return (market.align(w.rolling(20).mean(), '1w') < c).astype('float64')"
    ),
    "expanding rank": _rule("return c.expanding(60).rank(pct=True)"),
    "expanding score": _rule(
        "e = c.expanding(60)\nreturn ((c - e.mean()) / e.std()).clip(-1, 1).abs()"
    ),
    "exponential": _side("c > c.ewm(span=40, adjust=False).mean()"),
    "dice with a fixed seed": _rule(
        "return pd.Series(np.random.default_rng(7).random(len(c)), c.index)"
    ),
    "dice by date": _rule(
        "return pd.Series([random.Random(str(day)).random() for day in c.index], c.index)"
    ),
    "a memo by content": _rule(
        "return (c > average(tuple(c)).set_axis(c.index)).astype('float64')",
        "@functools.lru_cache(maxsize=4)\ndef average(values: tuple) -> pd.Series:\n"
        "    return pd.Series(values).rolling(20).mean()",
    ),
    "counts its calls": _rule("CALLS.append(len(c))\nreturn base * (len(CALLS) > 0)", "CALLS = []"),
    "an attribute that counts": _rule(
        "subject.calls = getattr(subject, 'calls', 0) + 1\nreturn base"
    ),
    "a helper with a memo": _rule(
        "return (c > zoo_helper.means(c)).astype('float64')", "import zoo_helper"
    ),
    "writes into the bars": _rule(
        "market.bars['mine'] = c.rolling(10).mean()\nmarket.bars['close'] = c / 2\n"
        "return (c > market.bars['mine']).astype('float64')"
    ),
    "hysteresis in a loop": _rule(
        "on, held = 0.0, []\nfor fall in (c / c.rolling(50, min_periods=1).max() - 1).tolist():\n"
        "    on = 0.0 if fall < -0.2 else 1.0 if fall > -0.05 else on\n    held.append(on)\n"
        "return pd.Series(held, c.index)"
    ),
    "a trailing regression": _rule(
        "x = np.log(c.to_numpy())\nside = np.full(len(x), np.nan)\n"
        "for i in range(100, len(x), 1):\n    if i % 30 == 10:\n"
        "        slope = np.polyfit(np.arange(100), x[i - 99 : i + 1], 1)[0]\n"
        "        side[i] = float(slope > 0)\n"
        "return pd.Series(side, c.index).ffill()"
    ),
    "strided windows": _rule(
        "x = np.r_[np.full(29, np.nan), c.to_numpy()]\n"
        "w = np.lib.stride_tricks.sliding_window_view(x, 30)\n"
        "over = w[:, -1] > np.median(w, axis=1)\n"
        "return pd.Series(np.where(np.isnan(w[:, 0]), np.nan, over), c.index)"
    ),
    "convolved with the past": _rule(
        "mean = np.convolve(c.to_numpy(), np.ones(20) / 20)[: len(c)]\n"
        "return pd.Series((c.to_numpy() > 1.001 * mean) * 1.0, c.index)"
    ),
    "number of the bar": _rule("return pd.Series(np.arange(len(c)) % 2, c.index).astype(float)"),
    "whole numbers": _rule("return (c > c.shift(1)).astype('int64')"),
    "single precision": _rule("return base.round(3).astype('float32')"),
    "too few bars are refused": _rule(
        "if len(c) < 60:\n    raise ValueError('too few')\n"
        "return base.where(np.arange(len(c)) >= 60)"
    ),
    "odd bars are refused": _rule(
        "assert (c.pct_change().abs().fillna(0) < 1.6).all(), 'not a market'\nreturn base"
    ),
    "a reading as it was known": _rule("return (market.series('mood') > 50).astype('float64')"),
    "asks for its own past": _rule(
        "half = market.upto(market.close_time[len(c) // 2])\n"
        "kept = half.bars['close'].rolling(20).mean().reindex(c.index)\n"
        "whole = c.rolling(20).mean()\n"
        "return (c > kept.fillna(whole)).astype('float64')"
    ),
    "months so far": _rule(
        "month = c.groupby([market.index.year, market.index.month])\n"
        "return (c > month.transform(lambda x: x.expanding().mean())).astype('float64')"
    ),
}


_SAID = "=> "


def zoo_market(days: int | None = None) -> MarketView:
    """Closes of the sample with made wicks, volumes and one reading; all of them, or the last."""
    close = dl.market("sample/ohlcv/BTC/USD/1d").bars["close"].iloc[-(days or 0) :]
    rng = np.random.default_rng(0)
    opens = close.shift(1).fillna(close.iloc[0])
    wick = np.exp(np.abs(rng.normal(0, 0.01, (2, len(close)))))
    bars = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * wick[0],
            "low": np.minimum(opens, close) / wick[1],
            "close": close,
            "volume": rng.lognormal(5, 0.5, len(close)),
        }
    )
    mood = pd.DataFrame({"value": rng.uniform(0, 100, len(close))}, index=close.index)
    readings = {"mood": Reading(frame=mood, publication_lag=pd.Timedelta("25h"))}
    return MarketView(bars=bars, timeframe="1d", symbol="BTC/USD", readings=readings)


def write(folder: Path, source: str) -> Path:
    """The file of one of them, and the helper that some import."""
    (folder / "zoo_helper.py").write_text(HELPER)
    file = folder / "subject.py"
    file.write_text(source)
    return file


def of_one(name: str) -> None:
    """Check one of them and say what was found, on a line that begins with `_SAID`."""
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        file = write(Path(folder), {**LEAKS, **HONEST}[name])
        checked = dl.check(file, data=zoo_market()).targets[0]
    said = "; ".join(one.check for one in checked.findings) or "passed"
    bar = next((str(one.leak)[:90] for one in checked.findings if one.leak), "")
    print(f"\n{_SAID}{said}  {bar}")


def main() -> None:
    """Check all of them, or those named, each in a process of its own."""
    names = sys.argv[1:] or [*LEAKS, *HONEST]
    caught, accused, slowest = 0, 0, 0.0
    for name in names:
        before, begun = os.times(), time.perf_counter()
        asked = [sys.executable, __file__, "--one", name]
        told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        # Beside it stands what libraries print, such as LAPACK of a line that cannot be fitted.
        (said,) = (line for line in told.splitlines() if line.startswith(_SAID))
        said = said.removeprefix(_SAID).rstrip()
        took, after = time.perf_counter() - begun, os.times()
        worked = sum(after[2:4]) - sum(before[2:4])
        kind = "leak  " if name in LEAKS else "honest"
        print(f"{kind} {name:36} {worked:5.1f} s of work, {took:5.1f} s  {said}", flush=True)
        checks = said.partition("  ")[0]
        caught += name in LEAKS and ("prefix invariance" in checks or "self-contained" in checks)
        accused += name in HONEST and checks != "passed"
        slowest = max(slowest, worked if name in LEAKS else 0.0)
    leaks = sum(name in LEAKS for name in names)
    print(
        f"{caught} of {leaks} leaks found, the slowest with {slowest:.1f} s of work; "
        f"{accused} of {len(names) - leaks} honest ones accused"
    )
    sys.exit(caught < leaks - 2 or accused > 0 or slowest > 30)


if __name__ == "__main__":
    of_one(sys.argv[2]) if sys.argv[1:2] == ["--one"] else main()
