"""Brackets that venues were seen to have, beside the rulebooks: dated rows, only ever added."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from delever.data.disk import Disk
from delever.errors import ConfigError, ConflictError, InputError, SchemaError
from delever.venues.margin_formulas import MarginTable, margin_table
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import EVERY_SYMBOL, Dated, Listing, Rulebook, first_day

if TYPE_CHECKING:
    from delever.data.exchange.bracket_tables import Brackets

_FOLDER = "brackets"
_WAIT = 30.0
_HEAD = """\
# Leverage brackets of {venue} as they were seen, each used from the first day on which it was known
# all day, and contracts it was seen to list. Rows are only ever added here. What the keys mean:
# docs/venues.md.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of one table."""

    venue: str  # whose
    symbol: str
    known_at: dt.datetime  # UTC, when it was seen
    valid_from: dt.date  # first day it is used on
    table: MarginTable  # with the amounts computed, and held against the published ones
    added: bool  # false where the rules in force say the same already
    like: str  # the contract whose formula, fees and funding intervals are taken for its own
    listed: bool  # whether facts of the contract were added beside the rulebook
    path: Path  # where rows are kept

    def to_dict(self) -> dict[str, Any]:
        """The table, for scripts."""
        return {
            "added": self.added,
            "contract_added": self.listed,
            "known_at": self.known_at.isoformat(),
            "valid_from": self.valid_from.isoformat(),
            "formula": self.table.name,
            "brackets": [asdict(row) for row in self.table.brackets],
            "file": str(self.path),
        }


def seen_brackets(venues: Path, name: str) -> Path:
    """Where the brackets are kept that a venue was seen to have."""
    return venues / _FOLDER / f"{name}.toml"


def keep_brackets(tables: Sequence[Brackets], venues: Path) -> tuple[Kept, ...]:
    """Add tables to what is known of a venue, where they differ from the rules in force.

    Raises ConfigError if the venue has no rulebook, or a file breaks its rules; InputError if the
    rulebook does not list the contract; SchemaError if a table is impossible, or a published amount
    does not follow from its rows; ConflictError if another table of the contract was seen at the
    same moment; StoreError if the disk refuses, or another process does not stop writing.
    """
    name = tables[0].venue
    path = _rulebook(venues, name)
    place, disk = seen_brackets(venues, name), Disk(root=venues)
    with disk.lock(_FOLDER, wait=_WAIT):
        kept = []
        text = place.read_text("utf-8") if place.is_file() else _HEAD.format(venue=name)
        book = load_rulebook(path, seen=place)
        for brackets in tables:
            result = _weighed(brackets, book, place)
            kept.append(result)
            if result.listed:
                text += "\n" + _contract_row(brackets, result)
            if result.added:
                text += "\n" + _row(brackets, result)
        if any(result.added or result.listed for result in kept):
            disk.write(_FOLDER, {place.name: text.encode("utf-8")})
    return tuple(kept)


def import_saved(
    file: Path,
    venue: str,
    venues: Path,
    *,
    as_of: str,
    symbols: Sequence[str] = (),
    now: pd.Timestamp | None = None,
) -> tuple[Kept, ...]:
    """Keep the brackets of a file that was saved at a venue.

    Raises InputError if `as_of` is no such day or still to come, or the file has none of the
    contracts; ConfigError, NotStoredError, SchemaError, ConflictError or StoreError as
    `keep_brackets` and `read_brackets`.
    """
    from delever.data.exchange.bracket_tables import read_brackets

    day, known_at = _dated(as_of, pd.Timestamp.now(tz="UTC") if now is None else now)
    book = load_rulebook(_rulebook(venues, venue))
    tables = {table.symbol: table for table in read_brackets(file, venue, known_at, day)}
    brought = (name for name, table in tables.items() if table.contract is not None)
    wanted = symbols or tuple(dict.fromkeys((*book.listings, *brought)))
    found = {
        symbol: tables[name]
        for symbol in wanted
        for name in (symbol, symbol.split(":")[0].replace("/", ""))
        if name in tables
    }
    lacking = [symbol for symbol in wanted if symbol not in found]
    if not found or (symbols and lacking):
        raise InputError(
            f"{file} must hold {' and '.join(lacking)}; it holds {_some(tuple(tables))}; save the "
            "table of that contract"
        )
    return keep_brackets([replace(t, symbol=symbol) for symbol, t in found.items()], venues)


def _rulebook(venues: Path, name: str) -> Path:
    path = venues / f"{name}.toml"
    if path.parent != venues or not path.is_file():
        raise ConfigError(
            f"brackets of {name} need its rulebook, which says how margin is computed from them; "
            f"there is none at {path}; copy generic.toml there and give the venue's contracts, "
            "fees and formula"
        )
    return path


def _dated(text: str, now: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Moment a table is of, and the moment it was known at."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    try:
        moment = pd.Timestamp(day or text).as_unit("ns")
    except ValueError:  # pandas' own bounds, which its nanoseconds reach in 2262, among them
        moment = None
    if moment is None or (day is None and moment.tz is None):
        raise InputError(
            "as-of must be a day such as 2026-11-22, or a moment with its zone such as "
            f"2026-11-22T08:12:00Z; got {text!r}"
        )
    moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    moment = moment.floor("s")
    if moment > now:
        raise InputError(f"as-of must not be still to come; got {text}, and it is {now:%Y-%m-%d}")
    return moment, moment if day is None else moment + pd.Timedelta(days=1)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _weighed(brackets: Brackets, book: Rulebook, place: Path) -> Kept:
    """A table in the form of the rulebook, and whether it says anything new."""
    symbol = brackets.symbol
    listing, like = _listing(brackets, book)
    known_at = brackets.known_at.to_pydatetime()
    new = Dated(
        valid_from=first_day(known_at),
        rule=None,
        source=brackets.source,
        as_of=brackets.as_of.date(),
        known_at=known_at,
    )
    own = symbol in book.listings
    before = [dated for dated in listing.margin if dated.order <= new.order]
    now = (before or listing.margin[:1])[-1]
    if brackets.by_size != (now.rule.formula.bracket_by == "size"):
        raise SchemaError(
            f"{book.path}: {now.rule.name} chooses brackets by {now.rule.formula.bracket_by}; the "
            f"caps of {symbol} are {'sizes' if brackets.by_size else 'notionals'}; name a formula "
            "that goes with them"
        )
    try:
        table = margin_table(now.rule.name, brackets.cells, progressive=now.rule.progressive)
    except InputError as error:
        raise SchemaError(
            f"the brackets of {symbol} at {brackets.venue} cannot be used: {error}; nothing was "
            "stored"
        ) from None
    same = own and bool(before) and now.rule.brackets == table.brackets
    if own and now.known_at == known_at and not same:
        raise ConflictError(
            f"{place}: brackets of {symbol} seen at {known_at:%Y-%m-%d %H:%M:%S} are there already "
            "and differ; give the moment at which these were seen"
        )
    return Kept(
        venue=brackets.venue,
        symbol=symbol,
        known_at=known_at,
        valid_from=new.valid_from,
        table=table,
        added=not same,
        path=place,
        like=like,
        listed=_says_more(brackets, book),
    )


def _listing(brackets: Brackets, book: Rulebook) -> tuple[Listing, str]:
    """The contract in a rulebook, or one of its kind that it is like.

    Raises InputError if the rulebook lists none of its kind, or nothing is known of the contract.
    """
    listing = book.listings.get(brackets.symbol)
    if listing is not None:
        return listing, brackets.symbol
    kind = None if brackets.contract is None else brackets.contract["kind"]
    for symbol, other in book.listings.items():
        if kind is not None and other.contract.kind == kind and symbol != EVERY_SYMBOL:
            return other, symbol
    what = f"a contract that is {kind}" if kind else "the contract"
    raise InputError(
        f"{book.path}: {what} must be one of {', '.join(book.listings)}; got {brackets.symbol}; "
        "add it there with its fees and the formula of its margin"
        + ("" if kind else ', or save its market beside its tiers as {"market": …, "tiers": […]}')
    )


def _says_more(brackets: Brackets, book: Rulebook) -> bool:
    """Whether the venue says of a contract what the rulebook does not know."""
    if brackets.contract is None:
        return False
    listing = book.listings.get(brackets.symbol)
    least = float(brackets.contract["min_notional"])
    return listing is None or (listing.contract.min_notional == 0.0 and least > 0.0)


def _contract_row(brackets: Brackets, kept: Kept) -> str:
    """A contract as TOML."""
    assert brackets.contract is not None
    facts = "".join(
        f"{name} = {_text(value) if isinstance(value, str) else repr(value)}\n"
        for name, value in brackets.contract.items()
    )
    return f"""\
[[contracts]]
symbol = {_text(kept.symbol)}
{facts}like = {_text(kept.like)}
source = {_text(brackets.source)}
as_of = {brackets.as_of:%Y-%m-%d}
"""


def _row(brackets: Brackets, kept: Kept) -> str:
    """One table as TOML."""
    rows = "\n".join(f"  [{', '.join(map(repr, cells))}]," for cells in brackets.cells)
    return f"""\
[[margin]]
symbols = [{_text(kept.symbol)}]
known_at = {kept.known_at:%Y-%m-%dT%H:%M:%SZ}
formula = {_text(kept.table.name)}
progressive = {str(kept.table.progressive).lower()}
brackets = [
{rows}
]
source = {_text(brackets.source)}
as_of = {brackets.as_of:%Y-%m-%d}
"""


def _text(value: str) -> str:
    """A basic string of TOML, which escapes as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
