"""How far a strategy is proven, as a table of a page and of the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import pandas as pd

from delever.report.page import Block, block
from delever.report.table import Cell, Table, tabulate, texts
from delever.research.answer import Answer
from delever.research.rungs import Rung, standing

_SAID = {True: "passed", False: "failed", None: "not asked"}
_TONES: Mapping[bool | None, Literal["best", "loss", "quiet"]] = {
    True: "best",
    False: "loss",
    None: "quiet",
}
OTHERS = {
    "chosen out of sample": "delever walk",
    "chosen without a period": "delever sweep",
    "after deflation": "delever sweep",
    "on the holdout": "delever unseal",
}
"""Rungs that no run tells by itself, and what asks them."""


def rungs_table(rungs: Iterable[Rung]) -> Table:
    """A row per rung."""

    def passed(rung: Rung) -> Cell:
        return Cell(text=_SAID[rung.passed], tone=_TONES[rung.passed])

    return tabulate(
        "rungs",
        list(rungs),
        (
            texts("Rung", "name"),
            texts("", passed),
            texts("Figure", lambda rung: rung.figure or f"asked by {rung.how}"),
        ),
    )


def rungs_block(rungs: Iterable[Rung], answer: Answer, told: Sequence[Rung] = ()) -> Block:
    """What a run by itself tells, what is `told` beside, and what would have to be asked."""
    known = {rung.name: rung for rung in told}
    others = [
        known.get(name, Rung(name=name, passed=None, figure="", how=how))
        for name, how in OTHERS.items()
    ]
    every = [*rungs, *others]
    return block(
        "proven",
        f"How far it is proven: {standing(every, answer)}",
        rungs_table(every),
        "Beyond this run nothing was looked at for this page; `delever verdict` also reads the "
        "newest sweep, walk and unsealed run of the same strategy and data. Intervals at 90%, "
        "tests at 5%; at other costs, later, or with neighbours, half of the growth above holding "
        "has to be left.",
        link="Proven",
    )


def compared_rungs(rungs: Mapping[str, list[Rung]]) -> Table:
    """A row per rung, a column per run."""
    names = [rung.name for rung in next(iter(rungs.values()))]
    rows = pd.DataFrame(
        {run: [_SAID[rung.passed] for rung in own] for run, own in rungs.items()},
        index=pd.Index(names, name="rung"),
    )

    def said(row: dict[str, str], run: str) -> Cell:
        tone = next(_TONES[key] for key, text in _SAID.items() if text == row[run])
        return Cell(text=row[run], tone=tone)

    return tabulate(
        "rungs",
        rows,
        (
            texts("Rung", "rung"),
            *(texts(run, lambda row, run=run: said(row, run)) for run in rungs),
        ),
    )
