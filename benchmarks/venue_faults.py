"""Every fault at every venue: is the store the source once the venue is healthy, or said not to be?

python -m benchmarks.venue_faults [VENUE ...]

Each case fetches from a venue at fault, makes it healthy, lets a few bars pass and fetches again.
Wrong is a stored row that is not the final one, and a row that is missing without being held back,
unknown, or refused.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.data.fetching import BARS, SYMBOLS, Patience, bars_of, stored
from tests.exchange import Fault, Loopback, Market, World, generate, milliseconds, serve

from delever.data.catalog import Catalog
from delever.data.exchange.client import Client, connect
from delever.data.exchange.fetch import Fetched, fetch, repair
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
from delever.errors import DeleverError

VENUES = (
    "binance", "binanceusdm", "bybit", "okx", "kraken", "deribit", "hyperliquid", "bitstamp",
)  # fmt: skip
ROWS = {"1m": 4_000, "1h": 600, "1d": 300}
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LAGS = {"5 h": 5 * HOUR, "30 h": 30 * HOUR, "40 h": 40 * HOUR}
CLOCKS = {
    "-1 h": -HOUR,
    "+31 s": 31_000,
    "+29 min": 29 * MINUTE,
    "+31 min": 31 * MINUTE,
    "+25 h": 25 * HOUR,
    "+10 d": 10 * DAY,
}
LINES = ("429", "418", "500", "502", "503", "504", "520", "599", "reset", "reset_body", "cut_body")
BODIES = ("cut_chunks", "truncated", "html", "empty_body", "bare", "odd_lists")
PAGES = ("nulls", "conflicts", "gap", "empty_page", "duplicates", "shuffled", "ignore_limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to be at fault."""

    venue: str
    timeframe: str
    name: str
    faults: tuple[Fault, ...]
    within: float = 0.5  # where in its bar the first fetch falls, share of the bar
    ours: int = 0  # how far this machine's clock is off, ms
    hours: int = 0  # that pass before a second fetch from the venue still at fault


def cases(venue: str) -> Iterator[Case]:
    """Every case of a venue."""
    for timeframe in ROWS:
        step = milliseconds(timeframe)
        same = {"venue": venue, "timeframe": timeframe}
        for name, lag in LAGS.items():
            for within in (0.02, 0.5, 0.98):
                fault = Fault("lag", times=None, shift=lag)
                yield Case(**same, name=f"lag {name}", faults=(fault,), within=within)
        for name, shift in CLOCKS.items():
            critical = 1 - (shift - 1_000) / step  # the clock says: a second past the close
            for within in sorted({0.02, 0.5, 0.98} | ({critical} if 0 < critical < 1 else set())):
                for ours in (0, 1_500 * DAY):
                    fault = Fault("clock", times=None, shift=shift)
                    more = {"within": within, "ours": ours}
                    yield Case(**same, name=f"clock {name}", faults=(fault,), **more)
        span = {"start": (100 * step, 130 * step), "end": (130 * step, 160 * step)}
        for part, (low, high) in enumerate(zip(span["start"], span["end"], strict=True)):
            gap = Fault("gap", match=BARS[venue], times=None, start=low, end=high)
            yield Case(**same, name="withheld always", faults=(gap,), within=0.3 + part / 2)
            yield Case(**same, name="withheld 7 h", faults=(gap,), hours=7)
            yield Case(**same, name="withheld 7 h lag", faults=(gap, Fault("lag")), hours=7)
        gap = Fault("gap", match=BARS[venue], times=1)
        yield Case(**same, name="withheld once", faults=(gap,))
        for after in (0, 1, 2, 3):  # some answers come from a server that lags behind the others
            for times in (2, 8):
                late = Fault("lag", match=BARS[venue], after=after, times=times, shift=30 * HOUR)
                yield Case(**same, name=f"{times} answers lag", faults=(late,))
    for kind in (*LINES, *BODIES, *PAGES):
        for after in (0, 2):
            fault = Fault(kind, match=BARS[venue], after=after, times=2)
            yield Case(venue=venue, timeframe="1m", name=kind, faults=(fault,))


def run(case: Case, market: Market, folder: Path) -> str:
    """What a case comes to: identical, refused and then identical, unknown, or WRONG."""
    step = milliseconds(case.timeframe)
    catalog, reference = Catalog(folder), bars_of(case.venue, case.timeframe)
    first = int(market.times[-1]) - 3 * step - case.hours * HOUR
    first = first // step * step + round(case.within * step)
    moved = tuple(_placed(fault, market, step) for fault in case.faults)
    refused = False
    with serve(World(markets=(market,), now=first), moved) as exchange:
        for hours in (0, case.hours) if case.hours else (0,):
            exchange.now = first + hours * HOUR
            try:
                done = fetch(_client(exchange, case), catalog, reference)
            except DeleverError as error:
                refused, done = True, None
                told = str(error)
            else:
                told = "; ".join(done.notes)
            wrong = _wrong(catalog, reference, market, exchange.now, done)
            if wrong:
                return f"WRONG at fault: {wrong} ({told})"
        exchange.faults.clear()
        exchange.now = int(market.times[-1]) + step // 2
        done = fetch(_client(exchange, case), catalog, reference)
        if case.hours:
            repair(_client(exchange, case), catalog, reference, absent=True)
        wrong = _wrong(catalog, reference, market, exchange.now, done)
        ended = not _lacking(catalog, reference, market, exchange.now).size
    if wrong:
        return f"WRONG when healthy: {wrong}"
    if ended:
        return "refused, then identical" if refused else "identical"
    return "unknown" if done.unknown else "WRONG when healthy: rows are missing without a word"


def _placed(fault: Fault, market: Market, step: int) -> Fault:
    """A fault with the rows that it harms counted from the last but 200."""
    from dataclasses import replace

    if fault.start is None:
        return fault
    begin = int(market.times[-200])
    return replace(fault, start=begin + int(fault.start), end=begin + int(fault.end or 0))


def _client(exchange: Loopback, case: Case) -> Client:
    settings = VenueSettings(api_url=exchange.api_url, workers=1)
    wall = Patience().pacing(wall=lambda: (exchange.now + case.ours) / 1000)
    return connect(case.venue, settings, wall)


def _final(market: Market, now: int) -> np.ndarray:
    return market.times[market.times + market.step <= now]


def _lacking(catalog: Catalog, reference: Reference, market: Market, now: int) -> np.ndarray:
    times, _ = stored(catalog, reference)
    begin = times[0] if len(times) and reference.venue == "kraken" else 0  # serves the newest 720
    due = _final(market, now)
    return np.setdiff1d(due[due >= begin], times)


def _wrong(
    catalog: Catalog, reference: Reference, market: Market, now: int, done: Fetched | None
) -> str:
    """What is claimed and not so; empty where all that is claimed is so."""
    times, values = stored(catalog, reference)
    due = _final(market, now)
    place = np.searchsorted(market.times, times)
    if not np.isin(times, due).all():
        return f"{int((~np.isin(times, due)).sum())} unfinished rows stored"
    if not np.array_equal(market.bars[place], values):
        return f"{int((market.bars[place] != values).any(axis=1).sum())} rows differ"
    if not len(times):
        return "" if done is None else "no row, and no word"
    if catalog.store.problems(reference.folder):
        return catalog.store.problems(reference.folder)[0]
    table = catalog.coverage(reference)
    lacking = _lacking(catalog, reference, market, now)
    for state, start, end in zip(table["state"], table["start"], table["end"], strict=True):
        low, high = (moment.value // 1_000_000 for moment in (start, end))
        inside = lacking[(lacking >= low) & (lacking < high)]
        lacking = np.setdiff1d(lacking, inside)
        if len(inside) and state == "present":
            return f"{len(inside)} missing rows called {state}"
    beyond = lacking[lacking > times[-1]]
    if len(lacking) > len(beyond):
        return f"{len(lacking) - len(beyond)} rows before the first are missing without a word"
    # What ends early without a word ends in the last hour, or with a bar that is held back.
    late = beyond[beyond < now - market.step - HOUR]
    if done is not None and len(late) > 1 and not done.unknown:
        return f"{len(late)} rows overdue without a word"
    return ""


def main(venues: tuple[str, ...]) -> None:
    failed = 0
    for venue in venues:
        markets = {
            timeframe: generate(SYMBOLS[venue], rows=rows, timeframe=timeframe)
            for timeframe, rows in ROWS.items()
        }
        begun, counts, by_fault = time.perf_counter(), Counter[str](), Counter[tuple[str, str]]()
        for case in cases(venue):
            with tempfile.TemporaryDirectory() as folder:
                came = run(case, markets[case.timeframe], Path(folder))
            kind = "WRONG" if came.startswith("WRONG") else came
            counts[kind] += 1
            by_fault[case.name, kind] += 1
            if kind == "WRONG":
                where = f"{case.venue} {case.timeframe} {case.name} at {case.within:.3f} of the bar"
                print(f"  {where}, our clock off by {case.ours // DAY} d: {came}", flush=True)
        said = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        seconds = time.perf_counter() - begun
        print(f"{venue}: {sum(counts.values())} cases: {said} ({seconds:.0f} s)", flush=True)
        for other in ("unknown", "refused, then identical"):
            names = sorted(name for name, kind in by_fault if kind == other)
            if names:
                print(f"  {other}: {', '.join(names)}")
        failed += counts["WRONG"]
    print(f"{failed} wrong")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or VENUES)
