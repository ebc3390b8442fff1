"""A market read from CSV files: ``timestamp,open,high,low,close,volume`` and, beside it,
``timestamp,funding_rate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.exchange.world import HOUR, Market, milliseconds


def from_csv(
    path: str | Path, *, symbol: str, timeframe: str, funding: str | Path | None = None
) -> Market:
    """Read a market whose bars, and optionally funding, stand in CSV files (plain or gzipped).

    Parameters
    ----------
    path : str or Path
        Bars, oldest first; stamps are open times in ISO with a zone.
    symbol : str
        Unified symbol under which the market is listed.
    timeframe : str
        Of the bars in the file.
    funding : str or Path, optional
        Funding rates, fractions per interval; the interval is the most frequent distance.
    """
    times, bars = _table(path, ["open", "high", "low", "close", "volume"])
    if funding is None:
        return Market(symbol=symbol, step=milliseconds(timeframe), times=times, bars=bars)
    settled, rates = _table(funding, ["funding_rate"])
    distances, counts = np.unique(np.diff(settled), return_counts=True)
    return Market(
        symbol=symbol,
        step=milliseconds(timeframe),
        times=times,
        bars=bars,
        funding_times=settled,
        funding_rates=rates[:, 0],
        funding_hours=int(distances[counts.argmax()]) // HOUR,
    )


def _table(path: str | Path, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_csv(path, dtype=object)
    missing = {"timestamp", *columns} - set(frame.columns)
    if missing:
        raise ValueError(f"{path}: missing columns {', '.join(sorted(missing))}")
    stamps = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], utc=True)).as_unit("ms")
    # Python's own reading of a number is exact, whatever pandas' default is.
    return stamps.asi8.copy(), frame[columns].to_numpy(dtype=object).astype(float)
