"""Models of slippage: how much worse than the price they were meant for fills are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.venues.costs import CostPart, Costs, check_fraction

Fractions: TypeAlias = pd.Series | npt.NDArray[np.float64] | float


class Slippage(CostPart):
    """Base of every model of slippage; a model of one's own says `fraction`.

    A model is given the bars that have closed and says, for each, what a fill at the next open is
    worse by. A backtest asks twice, once with the last bars cut off, and refuses a model whose
    answers change with bars that were not known yet.

    Examples
    --------
    Fills cost more while fewer coins are traded than usual:

    >>> @dataclass(frozen=True, slots=True, kw_only=True)
    ... class ThinMarket(Slippage):
    ...     usual: float
    ...
    ...     def fraction(self, bars):
    ...         mean = bars["volume"].rolling(20, min_periods=1).mean()
    ...         return self.usual * (mean / bars["volume"]).clip(1.0, 10.0).fillna(10.0)
    >>> costs = Costs(taker_fee=0.001) + ThinMarket(usual=0.0002)
    >>> bars = pd.DataFrame({"volume": [100.0, 100.0, 25.0]})
    >>> costs.parts[0].fraction(bars).round(6).tolist()  # after the third: a mean of 75 for 25
    [0.0002, 0.0002, 0.0006]
    """

    __slots__ = ()

    def fraction(self, bars: pd.DataFrame) -> Fractions:
        """What the fills of the next bar are worse by, known at the close of each bar.

        Parameters
        ----------
        bars : pandas.DataFrame, shape (n, 4 or more)
            Bars that have closed, the oldest first: open, high, low, close in quote units, volume
            where there is one.

        Returns
        -------
        array_like, shape (n,), or float
            Fraction of the price, >= 0; row i from the bars up to row i. NaN where it is not
            known yet. One number holds for all bars, the first as well.
        """
        return 0.0

    def impact(self, bars: pd.DataFrame, *, inverse: bool) -> Fractions:
        """What the square root of an order's notional adds to it; as `fraction`.

        Parameters
        ----------
        bars : pandas.DataFrame, shape (n, 4 or more)
            As in `fraction`.
        inverse : bool
            Whether notional is in coins, and volume in quote units.

        Returns
        -------
        array_like, shape (n,), or float
            Fraction per root of a settlement unit, >= 0.
        """
        return 0.0

    @property
    def impacts(self) -> bool:
        """Whether the size of an order matters to it."""
        return type(self).impact is not Slippage.impact

    @property
    def at_first(self) -> float:
        """What is paid before any bar has closed; NaN where that is not known."""
        return math.nan

    def times(self, factor: float) -> Slippage:
        """The same model, `factor` times as high."""
        return StressSlippage(models=(self,), multiple=factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSlippage(Slippage):
    """The same fraction of the price at every fill, such as half a spread.

    Attributes
    ----------
    share : float
        Fraction of the price, 0 <= share < 1.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> round((FixedSlippage(share=0.0005) + FixedSlippage(share=0.0003)).slippage, 12)
    0.0008
    """

    share: float

    def __post_init__(self) -> None:
        check_fraction("share", self.share)

    def fraction(self, bars: pd.DataFrame) -> Fractions:
        """The share, whatever the bars."""
        return self.share

    @property
    def at_first(self) -> float:
        """The share."""
        return self.share

    def added_to(self, costs: Costs) -> Costs:
        """`costs` with this much more slippage."""
        return replace(costs, slippage=costs.slippage + self.share)

    def times(self, factor: float) -> FixedSlippage:
        """The share, `factor` times as high."""
        return FixedSlippage(share=self.share * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilitySlippage(Slippage):
    """A share of the volatility of a bar, estimated from the ranges of finished bars.

    Attributes
    ----------
    share : float
        Share of the volatility, >= 0.
    bars : int
        How many finished bars the volatility is taken from, fewer where there are fewer; >= 1.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    ``share * sigma`` with ``sigma = sqrt(mean(ln(high / low) ** 2) / (4 ln 2))``, exact for a
    driftless Brownian motion watched without pause; with few trades in a bar it is too low.

    References
    ----------
    Parkinson, M. (1980). The extreme value method for estimating the variance of the rate of
    return. Journal of Business 53(1), 61-65. doi:10.1086/296071

    Examples
    --------
    >>> bars = pd.DataFrame({"high": [110.0, 100.0], "low": [100.0, 100.0]})
    >>> VolatilitySlippage(share=0.1).fraction(bars).round(6).tolist()
    [0.005724, 0.004047]
    """

    share: float
    bars: int = 20

    def __post_init__(self) -> None:
        _check_model(self.share, self.bars)

    def fraction(self, bars: pd.DataFrame) -> Fractions:
        """The share of the volatility."""
        return self.share * _range_volatility(bars, self.bars)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact(Slippage):
    """Square-root impact of an order on the price.

    Attributes
    ----------
    coefficient : float
        >= 0; of the order of one.
    bars : int
        How many finished bars the volatility is taken from, as in `VolatilitySlippage`.

    Raises
    ------
    InputError
        If a number is out of range; in a run, if no bar has volume, or one that is filled at has
        none before it.

    Notes
    -----
    ``coefficient * sigma * sqrt(order / traded)`` with the notional of the order and that of all
    trades in the bar before, or where nothing was traded in it, in the last bar in which
    something was; a run says how many of its fills lean on such a bar.

    References
    ----------
    The square-root law: Tóth, B. et al. (2011). Anomalous price impact and the critical nature of
    liquidity in financial markets. Physical Review X 1, 021006. doi:10.1103/PhysRevX.1.021006.
    Almgren, R., Thum, C., Hauptmann, E., Li, H. (2005). Direct estimation of equity market impact,
    Risk 18(7), 58-62, found an exponent near 0.6 for US shares; the root is the usual round figure.
    """

    coefficient: float
    bars: int = 20

    def __post_init__(self) -> None:
        _check_model(self.coefficient, self.bars)

    def impact(self, bars: pd.DataFrame, *, inverse: bool) -> Fractions:
        """What the root of an order's notional adds."""
        traded = _traded(bars, inverse=inverse)
        sigma = _range_volatility(bars, self.bars)
        return pd.Series(self.coefficient * sigma / np.sqrt(traded))

    @property
    def at_first(self) -> float:
        """Nothing beside the impact, which is not known."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StressSlippage(Slippage):
    """Other models, a multiple of them, and another multiple while the market is in stress.

    Attributes
    ----------
    models : tuple of Slippage
        What is multiplied; they add up.
    multiple : float
        On all of it, >= 0.
    in_stress : float
        On top of that, while the detector says so; >= 1.
    detector : callable, optional
        From closes to whether the market is in stress at each, known at that close, such as
        `delever.deleveraging.detect.detect`. Without it there is no stress.

    Raises
    ------
    InputError
        If a number is out of range, or stress has no detector.

    Examples
    --------
    >>> calm = FixedSlippage(share=0.001)
    >>> fell = lambda close: close.diff() < 0.0
    >>> model = StressSlippage(models=(calm,), in_stress=3.0, detector=fell)
    >>> np.asarray(model.fraction(pd.DataFrame({"close": [5.0, 4.0, 4.5]}))).tolist()
    [0.001, 0.003, 0.001]
    """

    models: tuple[Slippage, ...]
    multiple: float = 1.0
    in_stress: float = 1.0
    detector: Callable[[pd.Series], pd.Series] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_fraction("multiple", self.multiple, below=math.inf)
        check_fraction("in_stress", self.in_stress, lowest=1.0, below=math.inf)
        if self.in_stress > 1.0 and self.detector is None:
            raise InputError("costs: slippage in stress needs a detector of it; give detector")

    def fraction(self, bars: pd.DataFrame) -> Fractions:
        """The sum of the models, multiplied."""
        return self._times(bars) * sum(np.asarray(model.fraction(bars)) for model in self.models)

    def impact(self, bars: pd.DataFrame, *, inverse: bool) -> Fractions:
        """The sum of their impacts, multiplied."""
        total = sum(np.asarray(model.impact(bars, inverse=inverse)) for model in self.models)
        return self._times(bars) * total if np.any(total) else 0.0

    @property
    def impacts(self) -> bool:
        """Whether the size of an order matters to one of them."""
        return any(model.impacts for model in self.models)

    @property
    def at_first(self) -> float:
        """The sum without stress, which no close has shown yet."""
        return self.multiple * sum(model.at_first for model in self.models)

    def times(self, factor: float) -> StressSlippage:
        """All of it, `factor` times as high."""
        return replace(self, multiple=self.multiple * factor)

    def _times(self, bars: pd.DataFrame) -> npt.NDArray[np.float64] | float:
        if self.detector is None:
            return self.multiple
        stressed = self.detector(bars["close"]).to_numpy(dtype=bool)
        return self.multiple * np.where(stressed, self.in_stress, 1.0)


def _check_model(strength: float, bars: int) -> None:
    check_fraction("the strength of a model of slippage", strength, below=math.inf)
    if not (isinstance(bars, int) and bars >= 1):
        raise InputError(f"costs: a model of slippage needs 1 or more bars; got {bars!r}")


def _range_volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Volatility of a bar, from the ranges of a window of bars."""
    squares = pd.Series(np.log(bars["high"] / bars["low"]) ** 2)
    mean = squares.rolling(window, min_periods=1).mean()
    return pd.Series(np.sqrt(mean / (4.0 * math.log(2.0))))


def _traded(bars: pd.DataFrame, *, inverse: bool) -> pd.Series:
    """Notional of all trades in each bar, in the currency that orders are settled in.

    Of a bar in which nothing was traded, that of the last bar before it in which something was;
    NaN where there is none.
    """
    if "volume" not in bars.columns:
        raise InputError(
            "slippage with impact needs a column volume in the bars; add it or leave impact out"
        )
    volume = bars["volume"].astype("float64")
    volume = volume.where(volume > 0.0)
    return (volume if inverse else volume * bars["close"]).ffill()
