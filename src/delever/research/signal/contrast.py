"""Whether the bars after some events differ from the bars after others.

A contrast gives every bar a weight: the events share a weight of 1, what they are compared with
shares -1. Its value is the difference of two means of forward returns. Its distribution under
chance comes from laying the whole pattern of weights elsewhere on the same history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats
from delever.errors import InputError
from delever.research.signal.forward import distinct
from delever.stats.intervals import detectable_deviations

_HALF_LIFE = 10
_WARM_UP = 20
_MATCHED = 0.1
_FEWEST_MATCHED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A difference of mean forward returns, and its test."""

    difference: float  # mean after the events less mean after the others, a fraction
    # the same of returns scaled by volatility, brought back to a fraction at the mean volatility of
    # the events: what is tested
    adjusted: float
    low: float  # interval around `adjusted`, fractions
    high: float
    p_value: float  # share of circular shifts that differ at least as much, in (0, 1]
    detectable: float  # smallest adjusted difference found with the stated power, > 0


def known_volatility(close: pd.Series) -> pd.Series:
    """Volatility of a bar as known at its close: root of an exponentially weighted mean square."""
    squared = (close / close.shift(1)).transform(np.log) ** 2
    mean = squared.ewm(halflife=_HALF_LIFE, min_periods=_WARM_UP).mean()
    return mean.transform(np.sqrt).rename("volatility")


def event_weights(event: Flags, horizon: int) -> Floats:
    """Weights of events that do not overlap; events of one date share one."""
    dates = distinct(np.flatnonzero(event.any(axis=1)), horizon)
    weights = np.zeros(event.shape)
    members = event[dates]
    weights[dates] = members / members.sum(axis=1, keepdims=True)
    return weights


def evenly(weights: Floats) -> Floats:
    """Each symbol's weight, spread over all its bars."""
    return np.broadcast_to(weights.mean(axis=0), weights.shape).copy()


def matched_weights(weights: Floats, volatility: Floats) -> Floats:
    """Each event's weight, spread over the bars of its symbol nearest in rank of volatility."""
    rows, symbols = weights.shape
    width = min(rows, max(_FEWEST_MATCHED, round(_MATCHED * rows)))
    out = np.zeros(weights.shape)
    for symbol in range(symbols):
        order = np.argsort(volatility[:, symbol], kind="stable")
        ranked = weights[order, symbol]
        places = np.flatnonzero(ranked)
        # At either end of the ranks the neighbourhood is the outermost tenth.
        first = np.clip(places - width // 2, 0, rows - width)
        edges = np.zeros(rows + 1)
        np.add.at(edges, first, ranked[places] / width)
        np.add.at(edges, first + width, -ranked[places] / width)
        out[order, symbol] = np.cumsum(edges)[:-1]
    return out


def compare(
    weights: Floats,
    others: Floats,
    forward: Floats,
    volatility: Floats,
    horizon: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Contrast:
    """Compare forward returns after events with those after others; arrays of (bars, symbols).

    Raises InputError if weights do not sum to a positive number, or a return or volatility is not
    usable.

    Notes
    -----
    With ``w = weights / sum - others / sum``, the difference is ``sum w F``. The test is on
    ``Z = F / (volatility sqrt(horizon))``: ``D[k] = sum over t of w[t - k] Z[t]`` for every
    circular shift k of all symbols together; p is the share of k, 0 included, with ``abs(D[k]) >=
    abs(D[0])``. A shift keeps overlapping holding periods, clusters of events, dates shared with
    the comparison, and symbols that move together. It assumes that Z is stationary and, if the
    events mean nothing, independent of the pattern (Lotwick and Silverman, 1982,
    doi:10.1111/j.2517-6161.1982.tb01221.x).

    `adjusted`, its interval and `detectable` are D[0], the quantiles of D and a multiple of its
    deviation, each times the mean ``volatility sqrt(horizon)`` at the events.
    """
    for name, values in (("weights", weights), ("others", others)):
        if not values.sum() > 0:
            raise InputError(f"{name} must sum to a positive number; there is nothing to compare")
    if not (np.isfinite(forward).all() and np.isfinite(volatility).all() and volatility.min() > 0):
        raise InputError(
            "forward returns must be finite and volatility above 0 on every bar compared; "
            "leave out bars without either"
        )
    chosen = weights / weights.sum()
    pattern = chosen - others / others.sum()
    scale = volatility * np.sqrt(horizon)
    unit = float((chosen * scale).sum())
    chance = _shifted(pattern, forward / scale) * unit
    adjusted = float(chance[0])
    lower, upper = np.quantile(chance, [alpha / 2, 1 - alpha / 2]).tolist()
    # Sums of the same numbers in another order differ in their last digits.
    as_far = np.abs(chance) >= abs(adjusted) * (1 - 1e-9)
    return Contrast(
        difference=float((pattern * forward).sum()),
        adjusted=adjusted,
        low=adjusted - upper,
        high=adjusted - lower,
        p_value=float(as_far.mean()),
        detectable=detectable_deviations(alpha, power) * float(chance.std()),
    )


def _shifted(pattern: Floats, values: Floats) -> Floats:
    """Sum of pattern times values for every circular shift of the pattern; the first is none."""
    rows = len(values)
    product = np.fft.rfft(values, axis=0) * np.conj(np.fft.rfft(pattern, axis=0))
    return np.asarray(np.fft.irfft(product.sum(axis=1), n=rows), dtype="float64")
