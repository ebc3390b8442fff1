"""What each symbol did to a run of several: causes, periods, correlations, margin, protection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from delever.deleveraging.membership import membership
from delever.engine.ledger import Backtest, signed_parts
from delever.engine.portfolio import PortfolioBacktest
from delever.research.answer import causal_periods
from delever.research.evaluation import SCOPES, Evaluation, scope_masks
from delever.research.protection import protection

_FEWEST = 20


def portfolio_of(evaluation: Evaluation) -> PortfolioBacktest | None:
    """The run as one of several symbols; None where it is of one."""
    run = evaluation.backtest
    return run if isinstance(run, PortfolioBacktest) else None


def leg_changes(run: PortfolioBacktest) -> pd.DataFrame:
    """What each leg did to the equity over each row, quote units, shape (n, legs)."""
    return pd.DataFrame({name: signed_parts(leg).sum(axis=1) for name, leg in run.legs.items()})


def symbol_attribution(run: PortfolioBacktest) -> pd.DataFrame:
    """What made the change in equity, by symbol (rows) and cause, quote units.

    Rows add up to their ``change``, and changes to the change of the account's equity.
    """
    rows = {name: signed_parts(leg).sum() for name, leg in run.legs.items()}
    table = pd.DataFrame(rows).T.rename_axis(index="symbol")
    return table.assign(change=table.sum(axis=1))


def saved_by_symbol(evaluation: Evaluation) -> pd.DataFrame:
    """What each symbol contributed to the points saved in each period.

    A contribution is what a leg did to the equity over the equity before the period, of the run
    and of its benchmark. Contributions of a period add up to its return, so what they differ by
    adds up to the points saved.
    """
    run, benchmark = evaluation.backtest, evaluation.benchmark
    assert isinstance(run, PortfolioBacktest)
    assert isinstance(benchmark, PortfolioBacktest)
    masks = scope_masks(pd.DatetimeIndex(run.ledger.index), run.timeframe, evaluation.periods)
    closes = evaluation.closes
    assert closes is not None
    rows = []
    for period in evaluation.periods:
        inside = np.flatnonzero(masks[period.id])
        own, other = (_contributed(one, inside) for one in (run, benchmark))
        before = closes.iloc[max(inside[0] - 1, 0)]
        moved = closes.iloc[inside[-1]] / before - 1.0
        for symbol in run.legs:
            rows.append(
                {
                    "id": period.id,
                    "title": period.title,
                    "start": period.start,
                    "symbol": symbol,
                    "symbol_return": float(moved[symbol]),
                    "contribution": own[symbol],
                    "benchmark_contribution": other.get(symbol, 0.0),
                    "points_saved": own[symbol] - other.get(symbol, 0.0),
                }
            )
    columns = ["id", "title", "start", "symbol", "symbol_return", "contribution"]
    return pd.DataFrame(rows, columns=[*columns, "benchmark_contribution", "points_saved"])


def protection_by_symbol(evaluation: Evaluation) -> pd.DataFrame:
    """How each symbol's position protected, and in the row ``all`` the account.

    Of each symbol, as an account in which nothing else was held: what its leg did to the equity
    before each row, of the run and of its benchmark; a symbol that the benchmark does not hold is
    beside cash. Columns as the properties of `delever.research.protection.Protection`; without a
    period of the catalogue, on those detected as they began.
    """
    run, benchmark = evaluation.backtest, evaluation.benchmark
    assert isinstance(run, PortfolioBacktest)
    assert isinstance(benchmark, PortfolioBacktest)
    periods = evaluation.periods or causal_periods(evaluation.bars["close"], run.timeframe)
    pairs: dict[str, tuple[Backtest, Backtest]] = {"all": (run, benchmark)}
    pairs |= {name: (_alone(run, name), _alone(benchmark, name)) for name in run.legs}
    rows = {}
    for name, (own, other) in pairs.items():
        found = protection(own, other, periods, undecided=evaluation.undecided)
        rows[name] = {
            "periods": float(len(found.insured)),
            "helped": float(found.count("helped")),
            "hurt": float(found.count("hurt")),
            "points_saved": float(found.insured["points_saved"].mean()),
            "payouts": found.payouts,
            "relative_growth": found.relative_growth,
            "payout_ratio": found.payout_ratio,
            "down_capture": found.down_capture,
        }
    return pd.DataFrame(rows, dtype="float64").T.rename_axis(index="symbol")


def _alone(run: PortfolioBacktest, symbol: str) -> Backtest:
    """A symbol's position as an account of its own: what it made of the equity before each row."""
    before = run.equity.shift(fill_value=run.initial_equity)
    made = leg_changes(run)[symbol] if symbol in run.legs else pd.Series(0.0, before.index)
    share = (made / before.where(before > 0.0)).fillna(0.0).clip(lower=-1.0)
    exposure = run.legs[symbol]["exposure"] if symbol in run.legs else 0.0
    ledger = pd.DataFrame(
        {"equity": run.initial_equity * (1.0 + share).cumprod(), "exposure": exposure},
        index=run.ledger.index,
    )
    return Backtest(
        timeframe=run.timeframe,
        initial_equity=run.initial_equity,
        costs=run.costs,
        ledger=ledger.fillna({"exposure": 0.0}),
        fills=run.fills.iloc[:0],
        trades=run.trades.iloc[:0],
    )


def _contributed(run: PortfolioBacktest, inside: np.ndarray) -> dict[str, float]:
    """What each leg did over some rows, over the equity before them; NaN for a ruined account."""
    first = int(inside[0])
    before = float(run.equity.iloc[first - 1]) if first else run.initial_equity
    changes = leg_changes(run).iloc[inside].sum()
    return {
        str(name): float(each) / before if before > 0 else np.nan for name, each in changes.items()
    }


def correlations(evaluation: Evaluation) -> pd.DataFrame:
    """Correlation of what two positions earned, inside and outside periods, and over all rows.

    Each leg's change over the equity before, in rows in which both were held; NaN where they are
    fewer than 20. Indexed by the two symbols.
    """
    run = evaluation.backtest
    assert isinstance(run, PortfolioBacktest)
    before = run.equity.shift(fill_value=run.initial_equity)
    earned = leg_changes(run).div(before.where(before > 0.0), axis=0)
    carried = pd.DataFrame({name: leg["position"] for name, leg in run.legs.items()})
    held = (carried != 0.0) | (carried.shift(fill_value=0.0) != 0.0)
    index = pd.DatetimeIndex(run.ledger.index)
    inside = membership(index, run.timeframe, evaluation.periods).to_numpy()
    names = list(run.legs)
    rows = {}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = (held[one] & held[other]).to_numpy()
            rows[one, other] = {
                scope: _correlation(earned[one], earned[other], both & mask)
                for scope, mask in zip(
                    SCOPES, (np.ones(len(index), bool), inside, ~inside), strict=True
                )
            }
    table = pd.DataFrame(rows, dtype="float64").T
    if not rows:
        return pd.DataFrame(columns=list(SCOPES), dtype="float64")
    return table.rename_axis(index=["symbol", "other"])


def _correlation(one: pd.Series, other: pd.Series, rows: np.ndarray) -> float:
    first, second = one.to_numpy()[rows], other.to_numpy()[rows]
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < _FEWEST or not (np.ptp(first[known]) > 0.0 and np.ptp(second[known]) > 0.0):
        return np.nan
    return float(np.corrcoef(first[known], second[known])[0, 1])


def margin_path(evaluation: Evaluation) -> pd.DataFrame | None:
    """How near the account was to a liquidation at each close; None for one without margin.

    ``margin_ratio`` (maintenance margin over margin balance; NaN while nothing needs margin),
    ``room`` (how far the price of the nearest leg must move, the others standing still) and
    ``nearest`` (that leg; of one symbol nothing).
    """
    run = evaluation.backtest
    ledger, close = run.ledger, evaluation.bars["close"]
    if "margin_ratio" not in ledger:
        return None
    legs = {"": ledger}
    if isinstance(run, PortfolioBacktest):
        legs = dict(run.legs)
    else:
        legs[""] = ledger.assign(mark=ledger.get("mark_price", close))
    rooms = pd.DataFrame(
        {name: (leg["liquidation_price"] / leg["mark"] - 1.0).abs() for name, leg in legs.items()}
    )
    known = rooms.notna().any(axis=1)
    nearest = rooms[known].idxmin(axis=1).reindex(rooms.index, fill_value="").astype("str")
    ratio = ledger["margin_ratio"]
    needed = ledger["maintenance_margin"] > 0.0
    return pd.DataFrame(
        {"margin_ratio": ratio.where(needed), "room": rooms.min(axis=1), "nearest": nearest}
    )


def coin_periods(evaluation: Evaluation) -> pd.DataFrame:
    """Deleveraging as a causal detector saw it on the index of all symbols, and on each of them.

    Rows are ``all`` and the symbols: ``periods``, ``share`` (of the rows with a price that lie
    inside), ``with_all`` (of those, the share that lies in one of all symbols, too), ``deepest``
    (lowest return of a period).
    """
    closes = evaluation.closes
    assert closes is not None
    timeframe = evaluation.backtest.timeframe
    index = pd.DatetimeIndex(closes.index)
    series: Mapping[str, pd.Series] = {"all": evaluation.bars["close"]} | {
        str(name): closes[name] for name in closes
    }
    rows, market = {}, np.zeros(len(index), bool)
    for name, each in series.items():
        moved = each.ne(each.shift()).iloc[::-1].cummax().iloc[::-1]
        known = each[moved & (each > 0.0)]  # what ended keeps its last worth, which may be nothing
        found = causal_periods(known, timeframe) if len(known) else ()
        inside = membership(index, timeframe, found).to_numpy()
        market = inside if name == "all" else market
        falls = [_fall(known, period.start, period.end) for period in found]
        rows[name] = {
            "periods": float(len(found)),
            "share": float(inside[index.isin(known.index)].mean()) if len(known) else np.nan,
            "with_all": float(market[inside].mean()) if inside.any() else np.nan,
            "deepest": min(falls, default=np.nan),
        }
    return pd.DataFrame(rows, dtype="float64").T.rename_axis(index="symbol")


def _fall(close: pd.Series, start: pd.Timestamp, end: pd.Timestamp) -> float:
    before, inside = (
        close.loc[close.index < start],
        close.loc[(close.index >= start) & (close.index < end)],
    )
    if before.empty or inside.empty:
        return 0.0
    return float(inside.iloc[-1] / before.iloc[-1] - 1.0)
