"""What a run was made from, every input by its hash, and by which costs and rules."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.references import Dataset
from delever.engine.backtest import Backtest
from delever.engine.terms import dated_rules
from delever.research.evaluation import Evaluation
from delever.venues.rules import EVERY_SYMBOL, Dated, Rulebook

__all__ = [
    "canonical_json",
    "code_sha256",
    "describe",
    "describe_simulation",
    "file_sha256",
    "git_state",
    "run_id",
    "versions",
]

_NUMERIC = ("delever", "numpy", "pandas", "numba", "ta")


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, shortest exact floats, NaN refused."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False, default=str) + "\n"


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_sha256() -> str:
    """Hash of the package's own source, so that no result outlives the code that made it."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".j2", ".html", ".css", ".js"} and "_workspace" not in path.parts:
            digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    return {"python": platform.python_version()} | {name: version(name) for name in _NUMERIC}


def describe_simulation(evaluation: Evaluation) -> dict[str, Any]:
    """What the tables of a run do not say: costs, initial equity, what the engine did not know."""

    def said(run: Backtest) -> dict[str, Any]:
        return {
            "timeframe": run.timeframe,
            "initial_equity": run.initial_equity,
            "costs": asdict(run.costs),
            "pending_target": run.pending_target,
            "fidelity": list(run.fidelity),
            "ambiguous_bars": run.ambiguous_bars,
            "rules": _rules_in_force(run),
        }

    return {"backtest": said(evaluation.backtest), "benchmark": said(evaluation.benchmark)}


def _rules_in_force(run: Backtest) -> list[dict[str, Any]]:
    """Fees and brackets of a margin account, one entry per change; empty without a rulebook."""
    if run.account is None or not isinstance(run.account.rules, Rulebook):
        return []
    index = pd.DatetimeIndex(run.ledger.index)
    book, first = run.account.rules, index[0].date()
    out = []
    for held in dated_rules(run.account, index):
        symbol, day = held.contract.symbol, max(first, held.valid_from)
        listing = book.listings.get(symbol) or book.listings[EVERY_SYMBOL]
        out.append(
            {
                "from": f"{day}",
                "fees_since": _since(listing.fees, day),
                "brackets_since": _since(listing.margin, day),
                "taker": held.fees.taker,
                "maker": held.fees.maker,
                "liquidation": held.fees.liquidation,
                "brackets": [
                    [
                        one.cap if math.isfinite(one.cap) else None,
                        one.maintenance_margin_rate,
                        one.max_leverage,
                    ]
                    for one in held.brackets
                ],
            }
        )
    return out


def _since(rows: Sequence[Dated[Any]], day: dt.date) -> str | None:
    """First day of the row in force; None where a later one was assumed."""
    begun = [row.valid_from for row in rows if row.valid_from <= day]
    return f"{max(begun)}" if begun else None


def git_state(root: Path) -> dict[str, Any]:
    """Commit of the workspace and whether its files differ from it; None where there is no git."""

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = ask("status", "--porcelain")
    return {"sha": ask("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def describe(data: Dataset) -> dict[str, Any]:
    """Reference, content hash, span and gaps of a data set."""
    index = data.frame.index
    return {
        "reference": str(data.reference),
        "sha256": data.id,
        "rows": len(index),
        "start": f"{index[0]:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{index[-1]:%Y-%m-%dT%H:%M:%SZ}",
        "publication_lag": str(data.publication_lag),
        "gaps": len(data.gaps) if data.reference.kind == "ohlcv" else None,
        "notes": list(data.notes),
    }


def run_id(inputs: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for every input of a run."""
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:12]
