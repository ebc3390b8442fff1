"""The ledger of trials: everything ever tried on a market, whatever file asked for it.

A folder of text files that are only appended to: ``markets.jsonl`` tells markets apart by their
prices, one file a market holds a line for each trial, or for many of a sweep together; others
a line for each look at a signal, and for what the trials of a sweep are worth. Two ledgers are
merged by their lines.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.engine.settings import Account
from delever.errors import StoreError
from delever.research.decision import Decided
from delever.research.evaluation import Evaluation
from delever.study.inputs.fingerprint import anchors, digest, is_one, kept
from delever.study.kept.provenance import file_sha256
from delever.study.ledger.ledger_lines import (
    LOOKS,
    WORTH,
    append,
    parsed,
    read_looks,
    read_worth,
    whole_lines,
    writing,
)
from delever.study.ledger.trial_blocks import (
    NO_IDS,
    Ids,
    TrialBlock,
    block_line,
    identity,
    joined_ids,
    line_ids,
    unknown,
)
from delever.study.workspaces.any_strategy import called
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs
from delever.venues.rules import Rulebook, Rules
from delever.view import MarketView

MARKETS = "markets.jsonl"
_ID = slice(len('{"id": "'), len('{"id": "') + 16)
_TAIL, _TAIL_AT = '"end": ', 40  # what a line that is whole ends with
_NUMBERS = (
    *("leverage", "exposure", "margin_mode", "funding_policy", "mark_policy", "stop_loss"),
    *("take_profit", "trailing_stop", "limit_offset"),
)
_COSTS = ("maker_fee", "taker_fee", "slippage", "liquidity")
_GIVEN = ("funding", "mark", "detail")


def trial_of(
    strategy: Strategy | Decided,
    *,
    params: Mapping[str, Any],
    costs: Costs,
    account: Account | None,
    market: MarketView,
    start: pd.Timestamp | None,
    answered: Decided | None = None,
) -> dict[str, Any]:
    """What makes a trial the same as another, but for its market and where that ends.

    A file is known by its bytes; exposures, and what a function of a notebook `answered`, by their
    values: a function may read more than its own text says. Costs are as they are paid.
    """
    first = [time for time in (start, market.trading_start) if time is not None]
    begun = max(first, default=market.index[0])
    return {
        "strategy": strategy_facts(strategy, answered),
        "params": dict(params),
        "costs": costs_facts(costs),
        "account": None if account is None else account_facts(account),
        "timeframe": market.timeframe,
        "start": None if begun <= market.index[0] else f"{begun:%Y-%m-%dT%H:%M}",
    }


def costs_facts(costs: Costs) -> dict[str, Any]:
    """What makes costs the same as others."""
    said = {name: getattr(costs, name) for name in _COSTS}
    return {**said, "parts": sorted(map(repr, costs.parts))}


def strategy_facts(strategy: Strategy | Decided, answered: Decided | None) -> dict[str, str]:
    """What makes a strategy the same as another: its bytes, or what was answered."""
    if isinstance(strategy, Strategy):
        path = strategy.path
        of_a_file = path.is_file() and file_sha256(path) == strategy.sha256
        if of_a_file or answered is None:
            return {"name": strategy.name, "sha256": strategy.sha256}
        values: pd.Series | pd.DataFrame = answered
    else:
        values = strategy
    index = pd.DatetimeIndex(values.index).as_unit("ns").asi8
    columns = [] if values.ndim == 1 else [",".join(map(str, values))]
    told = digest(index.tobytes(), values.to_numpy(dtype="float64").tobytes(), *columns)
    return {"name": called(strategy), "exposures": told}


def account_facts(account: Account) -> dict[str, Any]:
    """What makes an account the same as another."""
    contract, rules = account.contract, account.rules
    if isinstance(rules, Rulebook | Rules):
        rules = rules.venue
    return {
        **{name: getattr(account, name) for name in _NUMBERS},
        **{name: getattr(account, name) is not None for name in _GIVEN},
        **({} if account.rebalance_band is None else {"rebalance_band": account.rebalance_band}),
        "contract": getattr(contract, "symbol", contract),
        "rules": rules if isinstance(rules, str | None) else "given",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A market as a ledger knows it."""

    id: str
    anchors: Mapping[str, str]
    references: tuple[str, ...]  # names it came under, the first one first
    since: str  # when it was first seen, UTC
    until: str  # open of the last bar that was ever seen


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The ledger of a workspace, opened for a market."""

    folder: Path
    found: dict[str, str]  # anchors of the market
    reference: str  # what it is called
    last: str  # open of its last bar
    recorded: list[Ids] = field(default_factory=list)  # of trials that it was told of, new or not
    _known: dict[str, Ids] = field(default_factory=dict)  # by file
    _read: dict[str, int] = field(default_factory=dict)  # bytes of the file that were read

    @classmethod
    def of(cls, workspace: Workspace, bars: pd.DataFrame, reference: str) -> Ledger:
        """Open the ledger of a workspace for the market of some bars."""
        return cls(
            folder=workspace.trials,
            found=anchors(bars),
            reference=reference,
            last=f"{bars.index[-1]:%Y-%m-%dT%H:%M}",
        )

    def record(
        self,
        trials: Sequence[Mapping[str, Any]],
        *,
        by: str,
        study: str,
        until: pd.Timestamp,
        blocks: Sequence[TrialBlock] = (),
        family: str | None = None,
    ) -> int:
        """Append trials that were never made before, and count all of the market.

        They go to the bar that opens at `until`: one that goes to the end of its data stays the
        same trial when they grow. Those of `blocks` differ in parameters alone; `family` is the id
        of the sweep they belong to, which says what they are worth (`worth`).

        Raises StoreError if the ledger cannot be written.
        """
        with writing(self.folder):
            markets = self._markets()
            own = markets[0]
            last = f"{until:%Y-%m-%dT%H:%M}"
            end = None if last >= own.until else last
            told = {"at": _now(), "by": by, "study": study, "data": self.reference}
            if family is not None:
                told["family"] = family
            known = joined_ids([self._ids(each.id) for each in markets])
            names = [digest(identity(trial, end)) for trial in trials]
            own_ids = np.array([int(name, 16) for name in names], dtype=np.uint64)
            self.recorded.append(own_ids)
            new = unknown(own_ids, known)
            lines = [
                json.dumps({"id": name, **told, **trial, "end": end}, default=str)
                for name, trial, first in zip(names, trials, new.tolist(), strict=True)
                if first
            ]
            for block in blocks:
                ids = block.ids(end)
                self.recorded.append(ids)
                if len(ids := ids[unknown(ids, known)]):
                    lines.append(block.line(ids, told, end))
            append(self.folder / f"{own.id}.jsonl", lines)
        new_ids = np.concatenate([NO_IDS, *map(line_ids, lines)])
        return len(known) + len(np.unique(new_ids))

    def record_run(
        self,
        evaluation: Evaluation,
        market: MarketView,
        strategy: Strategy | Decided,
        *,
        params: Mapping[str, Any],
        account: Account | None,
        start: pd.Timestamp | None,
        by: str,
    ) -> int:
        """Append a run, and count all trials of the market; raises as `record`."""
        trial = trial_of(
            strategy,
            params=params,
            costs=evaluation.backtest.costs,
            account=account,
            market=market,
            start=start,
            answered=(evaluation.backtest.request or {}).get("target_exposure"),
        )
        return self.record([trial], by=by, study=evaluation.name, until=evaluation.bars.index[-1])

    def look(self, questions: Sequence[Mapping[str, Any]], *, until: pd.Timestamp) -> list[str]:
        """Append questions that were put to a signal, and say where the first was put before.

        Raises StoreError if the ledger cannot be written. Returns the ends of the data that the
        first question was put to before these, in order of time: it is looked at anew whenever
        there are more.
        """
        end = f"{until:%Y-%m-%dT%H:%M}"
        named = [digest(json.dumps(one, sort_keys=True, default=str)) for one in questions]
        with writing(self.folder):
            own = self._markets()[0]
            path = self.folder / f"{own.id}{LOOKS}"
            there = {(one["question"], one["end"]) for one in read_looks(self.folder, own.id)}
            told = {"at": _now(), "data": self.reference}
            lines = [
                json.dumps({"id": digest(name, end), "question": name, **told, **one, "end": end})
                for name, one in dict(zip(named, questions, strict=True)).items()
                if (name, end) not in there
            ]
            append(path, lines)
        return sorted({seen for name, seen in there if name == named[0] and seen < end})

    def worth(self, family: str, trials: int, effective: float) -> None:
        """Append how many independent trials those of a sweep are worth.

        Raises StoreError if the ledger cannot be written.
        """
        with writing(self.folder):
            own = self._markets()[0].id
            if family not in read_worth(self.folder, own):
                line = json.dumps({"id": family, "trials": trials, "effective": effective})
                append(self.folder / f"{own}{WORTH}", [line])

    def elsewhere(self) -> float:
        """How many independent trials those of the market are worth that are not `recorded` here.

        A trial counts for what it adds to the sweep that first made it: the effective trials of
        that over its trials; one of a run, a walk or a notebook's backtest counts whole.
        """
        seen, effective = np.unique(np.concatenate([NO_IDS, *self.recorded])), 0.0
        for market in self.matching():
            worth, others = read_worth(self.folder, market.id), [NO_IDS]
            for said, ids in read_trials(self.folder, market.id):
                others.append(ids[unknown(ids, seen)])
                effective += len(others[-1]) * worth.get(said.get("family", ""), 1.0)
            seen = joined_ids([seen, np.concatenate(others)])
        return effective

    def family(self, trials: Sequence[Mapping[str, Any]]) -> str:
        """Id of a sweep of the market that these are the trials of, for `record`."""
        return digest(*sorted(identity(one, None) for one in trials), *self.found.items())

    def count(self) -> int:
        """Distinct trials ever made on the market."""
        return len(joined_ids([self._ids(each.id) for each in self.matching()]))

    def matching(self) -> list[Known]:
        """What the ledger knows of this market; several where each saw another stretch of it."""
        return [each for each in read_markets(self.folder) if is_one(self.found, each.anchors)]

    def _markets(self) -> list[Known]:
        """The same, with what is new about it written; at least one."""
        there = self.matching()
        own = there[0] if there else None
        held = {} if own is None else own.anchors
        new = {name: ratio for name, ratio in kept(self.found).items() if name not in held}
        if own is None:
            own = Known(id=digest(*sorted(new.items())), anchors=new, references=(), since=_now(),
                        until="")  # fmt: skip
        if new or self.last > own.until or self.reference not in own.references:
            line = _market_line(own.id, self.reference, self.last, new)
            append(self.folder / MARKETS, [line])
        return self.matching()

    def _ids(self, market: str) -> Ids:
        """Ids in a file, of which only what is new is read."""
        path = self.folder / f"{market}.jsonl"
        found = [NO_IDS]
        for line, end in whole_lines(path, self._read.get(market, 0)):
            if _TAIL in line[-_TAIL_AT:]:
                found.append(line_ids(line))
            self._read[market] = end
        known = self._known.get(market, NO_IDS)
        self._known[market] = joined_ids([known, np.concatenate(found)])
        return self._known[market]


def read_markets(folder: Path) -> list[Known]:
    """Every market that a ledger knows, in order of time."""
    found: dict[str, Known] = {}
    for line, _ in whole_lines(folder / MARKETS):
        said = parsed(line)
        if said is None:
            continue
        was = found.get(said["id"])
        names = () if was is None else was.references
        found[said["id"]] = Known(
            id=said["id"],
            anchors={**({} if was is None else was.anchors), **said["anchors"]},
            references=tuple(dict.fromkeys((*names, said["data"]))),
            since=said["at"] if was is None else min(was.since, said["at"]),
            until=max(said["until"], "" if was is None else was.until),
        )
    return list(found.values())


def read_trials(folder: Path, market: str) -> Iterator[tuple[dict[str, Any], Ids]]:
    """Lines of a market, each with the ids of those of its trials that no line before it holds.

    A line that a killed writer left half is passed over.
    """
    lines = [line for line, _ in whole_lines(folder / f"{market}.jsonl")]
    told = [(said, line_ids(line)) for line in lines if (said := parsed(line)) is not None]
    every = np.concatenate([NO_IDS, *(ids for _, ids in told)])
    new, begin = unknown(every, NO_IDS), 0
    for said, ids in told:
        first = new[begin : begin + len(ids)]
        begin += len(ids)
        if first.any():
            yield said, ids[first]


def merge(ours: Path, theirs: Path) -> int:
    """Append what another ledger holds and this one does not; returns how many trials.

    Raises StoreError if there is no ledger, or this one cannot be written.
    """
    if not (theirs / MARKETS).is_file():
        raise StoreError(
            f"a ledger of trials is a folder with {MARKETS}; there is none at {theirs}; name a "
            "workspace or its backtests/trials"
        )
    added = 0
    for market in read_markets(theirs):
        ledger = Ledger(
            folder=ours,
            found=dict(market.anchors),
            reference=market.references[0],
            last=market.until,
        )
        with writing(ours):
            there = ledger.matching()
            own = there[0].id if there else market.id
            known = joined_ids([ledger._ids(each.id) for each in there])
            for name in market.references:
                line = _market_line(own, name, market.until, market.anchors, at=market.since)
                append(ours / MARKETS, [line])
            lines = []
            for said, ids in read_trials(theirs, market.id):
                new = ids[unknown(ids, known)]
                added += len(new)
                if len(new):
                    lines.append(block_line(said, new) if "ids" in said else json.dumps(said))
            append(ours / f"{own}.jsonl", lines)
            asked = {one["id"] for one in read_looks(ours, own)}
            looks = [one for one in read_looks(theirs, market.id) if one["id"] not in asked]
            append(ours / f"{own}{LOOKS}", [json.dumps(one) for one in looks])
            told = read_worth(ours, own)
            worth = (parsed(line) for line, _ in whole_lines(theirs / f"{market.id}{WORTH}"))
            new_worth = [one for one in worth if one is not None and one["id"] not in told]
            append(ours / f"{own}{WORTH}", [json.dumps(one) for one in new_worth])
    return added


def _market_line(
    market: str, reference: str, until: str, found: Mapping[str, str], *, at: str | None = None
) -> str:
    said = {"id": market, "at": at or _now(), "data": reference, "until": until}
    return json.dumps({**said, "anchors": dict(found)})


def _now() -> str:
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
