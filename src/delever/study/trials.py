"""The ledger of trials: every combination ever tried in a study on the same data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from delever.study.config import Study
from delever.study.provenance import Inputs

_ID = slice(len('{"id": "'), len('{"id": "') + 16)


def n_trials(ledger: Path) -> int:
    """Distinct combinations that a ledger of trials holds; 0 where there is none."""
    return len(_tried(ledger))


def trial_keys(study: Study, inputs: Inputs) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What identifies a trial: strategy, all its parameters, costs, account and span."""
    span: dict[str, Any] = {"start": str(study.start), "end": str(study.end)}
    if study.costs_times != 1.0:
        span["costs_times"] = study.costs_times
    strategy = {"name": inputs.strategy.name, "sha256": inputs.strategy.sha256}

    def key(combination: Mapping[str, Any]) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {
            "params": {**study.params},
            "costs": {} if study.costs is None else study.costs.model_dump(),
            "account": study.model_dump(include={"account"})["account"] or {},
        }
        for name, value in combination.items():
            table, _, own = name.partition(".")
            tables[table][own] = value
        tables["params"] = inputs.strategy.bind(tables["params"])
        trial = {"strategy": strategy, **span, **tables}
        text = json.dumps(trial, sort_keys=True, default=str)
        return {"id": hashlib.sha256(text.encode()).hexdigest()[:16], **trial}

    return key


def record_trials(ledger: Path, trials: Sequence[Mapping[str, Any]]) -> None:
    """Append trials that the ledger does not hold yet."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{ledger}.lock"):
        known = _tried(ledger)
        lines = [json.dumps(one, default=str) for one in trials]  # the id stands first
        new = [line for line, one in zip(lines, trials, strict=True) if one["id"] not in known]
        with ledger.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in new)


def _tried(ledger: Path) -> set[str]:
    if not ledger.is_file():
        return set()
    with ledger.open(encoding="utf-8") as file:
        return {line[_ID] for line in file}
