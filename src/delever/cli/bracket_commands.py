"""``delever data import-brackets``, and the part of ``delever data fetch`` that brings brackets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json
from delever.errors import DeleverError

if TYPE_CHECKING:
    from delever.data.exchange.client import Client
    from delever.study.kept_brackets import Kept

__all__ = ["BRACKETS", "describe", "fetch_tables", "print_brackets", "register"]

BRACKETS = "brackets"
"""The kind that is no data set: tables kept beside the rulebooks."""


def register(app: typer.Typer) -> None:
    """Add the command to ``delever data``."""
    app.command("import-brackets")(import_brackets)


def import_brackets(
    venue: Annotated[str, typer.Argument(help="A venue with a rulebook: binanceusdm.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON: Binance's answer of leverageBracket, or of ccxt's fetch_leverage_tiers."
        ),
    ],
    as_of: Annotated[
        str,
        typer.Option(
            help="When it was saved, UTC: a day, at whose end it was known, or a moment such as "
            "2026-11-22T08:12:00Z."
        ),
    ],
    symbol: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as BTC/USDT:USDT; may be repeated. By default all the rulebook lists.",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Import leverage brackets that were saved, for venues that give them to a key alone.

    Studies use them from the first day on which they were known.
    """
    from delever.study.kept_brackets import import_brackets as take
    from delever.study.workspace import Workspace

    venues = Workspace.find(workspace).root / "data" / "venues"
    kept = take(file, venue, venues, as_of=as_of, symbols=symbol or ())
    named = {f"{one.venue}/{BRACKETS}/{one.symbol}": one for one in kept}
    if as_json:
        echo_json([describe(name, one) for name, one in named.items()])
        return
    for name, one in named.items():
        print_brackets(name, one)


def fetch_tables(
    clients: Mapping[str, Client], symbols: Sequence[str], venues: Path
) -> dict[str, Kept | DeleverError]:
    """Fetch and keep each table by itself: what fails does not stop the others."""
    from delever.data.exchange.bracket_tables import fetch_brackets
    from delever.study.kept_brackets import keep_brackets

    results: dict[str, Kept | DeleverError] = {}
    for name, client in clients.items():
        for symbol in symbols:
            try:
                (kept,) = keep_brackets([fetch_brackets(client, symbol)], venues)
                results[f"{name}/{BRACKETS}/{symbol}"] = kept
            except DeleverError as error:
                results[f"{name}/{BRACKETS}/{symbol}"] = error
    return results


def print_brackets(name: str, kept: Kept) -> None:
    """Print what became of one table."""
    rows = kept.table.brackets
    seen = f"{len(rows)} brackets up to {rows[-1].cap:,.10g}, seen {kept.known_at:%Y-%m-%d %H:%M}"
    if kept.added:
        typer.echo(f"{name}: {seen}, used from {kept.valid_from}; added to {kept.path}")
    else:
        typer.echo(f"{name}: {seen}; the rules in force say the same; nothing added")


def describe(name: str, kept: Kept) -> dict[str, Any]:
    """What became of one table, as JSON."""
    return {
        "reference": name,
        "added": kept.added,
        "known_at": kept.known_at.isoformat(),
        "valid_from": kept.valid_from.isoformat(),
        "formula": kept.table.name,
        "brackets": [
            {
                "cap": row.cap,
                "maintenance_margin_rate": row.maintenance_margin_rate,
                "max_leverage": row.max_leverage,
                "maintenance_amount": row.maintenance_amount,
            }
            for row in kept.table.brackets
        ],
        "file": str(kept.path),
    }
