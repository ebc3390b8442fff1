"""Room for some combinations of a sweep of several symbols, which the next ones take over."""

from __future__ import annotations

import math

import numpy as np

from delever.engine.arrays import record
from delever.engine.book_compiled import BOOK_STATE, CompiledBook
from delever.engine.book_kernel import accounts_of, scratch_of
from delever.engine.book_market import BookMarket, BookPath
from delever.engine.book_measured import Way
from delever.engine.book_swept import BookAsks, Room
from delever.engine.kernel_events import PLACE
from delever.engine.ledger import FILL, LEDGER


def ways_of(many: int, bars: int) -> Way:
    """Room for what combinations are worth bar by bar."""
    return Way(*(np.zeros((many, bars)) for _ in Way._fields))


def blank_of(path: BookPath, cash: float, shared: bool) -> CompiledBook:
    """A book that is flat, with room for one bar of fills."""
    market, terms, size = path.market, path.terms, len(path.terms.spot)
    states, places = np.zeros(1, dtype=BOOK_STATE), np.zeros(1, dtype=PLACE)
    states[0]["cash"], states[0]["shared"] = cash, float(shared)
    states[0]["resolve"] = terms.orders[0, -1]
    room = 32 * size * (1 + int(np.diff(market.first).max()))
    return CompiledBook(
        states, accounts_of(market, terms), np.zeros(size, dtype=record(*LEDGER)), places,
        np.empty(room, dtype=record(*FILL)), np.empty(room, dtype=np.int64), market, terms,
        scratch_of(terms), np.full((size, 1, 2), math.nan), np.zeros((max(size, 2), 1 + size)),
    )  # fmt: skip


def room_of(market: BookMarket, blank: CompiledBook, asks: BookAsks) -> Room:
    """As many blank books as there are combinations."""
    many = len(asks.begins)
    states = np.repeat(blank.state, many)
    states["begun"] = market.first[asks.begins[:, 0]]
    accounts, of, rungs = (
        np.repeat(one[None], many, axis=0) for one in (blank.accounts, blank.of, blank.rungs)
    )
    return Room(
        *(states, np.repeat(blank.at, many), accounts, of, rungs),
        at=asks.firsts[:, :-1].copy(),
        times=asks.begins[:, 1].copy(),
        ended=np.zeros((many, 3)),
    )
