"""What the tear-sheet's sections on attribution, counterfactuals and the account hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delever.report.pages.account_tables import account_table, costs_table, rules_table
from delever.report.pages.what_if_table import what_if_table
from delever.report.table import Table
from delever.research.evaluation import Evaluation
from delever.research.what_if import WhatIf, counterfactual_outcomes

__all__ = ["account_tables", "what_if_table_of"]


def what_if_table_of(evaluation: Evaluation, found: WhatIf | None) -> Table | None:
    """Counterfactuals of one run beside it."""
    if found is None or not (len(found.paths) or found.refused):
        return None
    name = evaluation.name
    return what_if_table({name: counterfactual_outcomes(evaluation, found)}, {name: found.refused})


def account_tables(evaluation: Evaluation, manifest: Mapping[str, Any]) -> dict[str, Table]:
    """The account, its costs and its rules, as far as the manifest tells them."""
    study = manifest.get("study") or {}
    account = study.get("account") or {}
    simulated = (manifest.get("simulation") or {}).get("backtest") or {}
    rules = simulated.get("rules") or []
    return {
        "account": account_table(account),
        "rules": rules_table(rules),
        "costs": costs_table(
            evaluation.backtest.costs,
            times=float(study.get("costs_times", 1.0)),
            slippage=account.get("slippage") or {},
            rules=rules if study.get("costs") is None else [],
        ),
    }
