"""The ``[account]`` table of a study: spot, or a margin account when it names a contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel, ConfigDict

from delever.data.catalog import Catalog
from delever.data.references import Dataset
from delever.deleveraging.detect import detect
from delever.engine.settings import FundingSeries, PerpSettings
from delever.errors import ConfigError
from delever.study.kept_brackets import seen_brackets
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import Rulebook
from delever.venues.slippage import Slippage

__all__ = ["Account", "AccountConfig", "SlippageConfig", "load_account"]

Distance = Annotated[float, Gt(0)]


class SlippageConfig(BaseModel):
    """The ``[account.slippage]`` table: parts that add up, as fractions of a fill's notional."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    fixed: Annotated[float, Ge(0)] = 0.0  # such as half a spread
    # share of a bar's volatility, of bars closed before
    volatility_share: Annotated[float, Ge(0)] = 0.0
    # coefficient of square-root impact on the share of volume
    impact: Annotated[float, Ge(0)] = 0.0
    # factor on the whole while the causal detector sees deleveraging
    stress_multiplier: Annotated[float, Ge(1)] = 1.0


class AccountConfig(BaseModel):
    """The ``[account]`` table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # symbol of the perpetual, such as ``"BTC/USDT:USDT"``; None holds spot
    contract: str | None = None
    rules: str | None = None  # name of a rulebook in ``data/venues``; needed with a contract
    # setting of the position, and the most that may be asked for
    leverage: Annotated[float, Ge(1)] = 1.0
    # what the strategy's target exposures are multiplied by
    exposure: Annotated[float, Gt(0)] = 1.0
    margin_mode: Literal["isolated", "cross"] = "isolated"  # what a liquidation takes
    # references of funding rates, mark-price bars, and finer bars walked inside the bars
    funding: str | None = None
    # whether a run that funding does not cover is refused
    funding_policy: Literal["required", "missing-is-zero"] = "required"
    mark: str | None = None
    detail: str | None = None
    stop_loss: Distance | None = None  # fractions of the entry price
    take_profit: Distance | None = None
    trailing_stop: Distance | None = None
    # entries rest this fraction better than the open
    limit_offset: Annotated[float, Ge(0), Lt(1)] | None = None
    borrow_rate: Annotated[float, Ge(0)] = 0.0  # fraction per year on the coins of a spot short
    bounds: bool = False  # whether the best and the worst that the bars hide are run, too
    slippage: SlippageConfig | None = None  # in place of the fixed slippage of ``[costs]``


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account with everything it names, loaded."""

    config: AccountConfig  # as the study says it
    rulebook: Rulebook | None = None  # fees and brackets by date
    # funding, mark and detail, those that are named
    data: Mapping[str, Dataset] = field(default_factory=dict)

    def settings(self, bars: pd.DataFrame, begin: int) -> PerpSettings:
        """What the engine is told for a run."""
        config = self.config
        slippage = None if config.slippage is None else Slippage(**config.slippage.model_dump())
        contract = None
        if self.rulebook is not None and config.contract is not None:
            first = pd.Timestamp(bars.index[begin]).date()
            contract = self.rulebook.at(first, config.contract).contract
        frames = {role: data.frame for role, data in self.data.items()}
        detail = self.data.get("detail")
        return PerpSettings(
            contract=contract,
            rules=self.rulebook,
            leverage=config.leverage,
            margin_mode=config.margin_mode,
            funding=FundingSeries.of(frames["funding"]["funding_rate"])
            if "funding" in frames
            else None,
            funding_policy=config.funding_policy,
            mark=frames.get("mark"),
            detail=frames.get("detail"),
            detail_timeframe=None if detail is None else detail.reference.timeframe,
            stop_loss=config.stop_loss,
            take_profit=config.take_profit,
            trailing_stop=config.trailing_stop,
            limit_offset=config.limit_offset,
            slippage=slippage,
            earlier=bars.iloc[:begin] if begin else None,
            stress=_stress(bars).iloc[begin:]
            if slippage and slippage.stress_multiplier > 1
            else None,
            borrow_rate=config.borrow_rate,
            bounds=config.bounds,
        )


def load_account(config: AccountConfig, *, catalog: Catalog, venues: Path) -> Account:
    """Load what an account names.

    Raises
    ------
    ConfigError
        If a contract has no rules or the other way round, or there is no such rulebook.
    NotStoredError
        If a data set is not stored.
    """
    if (config.contract is None) != (config.rules is None):
        raise ConfigError(
            "account: contract and rules go together; "
            f"got contract {config.contract!r} and rules {config.rules!r}"
        )
    return Account(
        config=config,
        rulebook=None if config.rules is None else _rules(config.rules, venues),
        data={
            role: catalog.load(reference)
            for role in ("funding", "mark", "detail")
            if (reference := getattr(config, role)) is not None
        },
    )


def _rules(name: str, venues: Path) -> Rulebook:
    """The rulebook of this name, with the brackets its venue was seen to have."""
    path = venues / f"{name}.toml"
    if path.parent == venues and path.is_file():
        return load_rulebook(path, seen=seen_brackets(venues, name))
    there = ", ".join(sorted(file.stem for file in venues.glob("*.toml"))) or "none"
    raise ConfigError(
        f"account: rules must name a file in {venues}; got {name!r}; there are: {there}"
    )


def _stress(bars: pd.DataFrame) -> pd.Series:
    """Whether deleveraging was detected by the close before each bar's open."""
    return detect(bars["close"]).shift(1, fill_value=False)
