"""What a study names, loaded, and described by hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from delever.data.references import Dataset
from delever.deleveraging.period import Period, load_catalog
from delever.engine.settings import Account
from delever.errors import ConfigError
from delever.study.account_table import load_account
from delever.study.config import Study
from delever.study.declared_lags import early_series
from delever.study.provenance import code_sha256, describe, file_sha256, run_id, versions
from delever.study.strategy import Strategy
from delever.study.workspace import Workspace
from delever.venues.rules import Rulebook

__all__ = ["Inputs", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a study names, loaded."""

    data: Dataset
    warmup: Dataset | None
    series: dict[str, Dataset]
    strategy: Strategy
    benchmark: Strategy
    params: dict[str, Any]
    account: Account | None  # with everything it names loaded
    account_data: Mapping[str, Dataset]  # behind its funding, mark and detail
    periods: tuple[Period, ...]
    periods_sha256: str

    def manifest(self, study: Study) -> dict[str, Any]:
        """The inputs by hash, and the hash over all of them."""
        study_inputs = study.model_dump(mode="json", exclude={"sweep"})
        made_from: dict[str, Any] = {
            "study": study_inputs,
            "params": self.params,
            "account": self._account(),
            "data": describe(self.data),
            "warmup": describe(self.warmup) if self.warmup else None,
            "series": {name: describe(data) for name, data in sorted(self.series.items())},
            "strategy": {"name": self.strategy.name, "sha256": self.strategy.sha256},
            "benchmark": {"name": self.benchmark.name, "sha256": self.benchmark.sha256},
            "periods_sha256": self.periods_sha256,
            "code_sha256": code_sha256(),
            "versions": versions(),
        }
        return {
            "run_id": run_id(made_from),
            **made_from,
        }

    def _account(self) -> dict[str, Any] | None:
        if self.account is None:
            return None
        rules = self.account.rules
        return {
            "rules_sha256": rules.sha256 if isinstance(rules, Rulebook) else None,
            "data": {name: describe(data) for name, data in sorted(self.account_data.items())},
        }


def gather(study: Study, workspace: Workspace) -> Inputs:
    """Load everything a study names."""
    catalog = workspace.catalog
    strategy = workspace.strategy(study.strategy)
    benchmark = workspace.strategy(study.benchmark)
    periods_path = workspace.root / study.periods
    if not periods_path.is_file():
        raise ConfigError(f"periods must name a catalogue file; there is none at {periods_path}")
    data = catalog.load(study.data)
    series = {name: catalog.load(reference) for name, reference in study.series.items()}
    account: Account | None = None
    account_data: Mapping[str, Dataset] = {}
    if study.account is not None:
        venues = workspace.root / "data" / "venues"
        account, account_data = load_account(study.account, catalog=catalog, venues=venues)
    early = early_series(series, workspace.root / "data" / "sources.toml")
    return Inputs(
        data=replace(data, notes=data.notes + early),
        warmup=catalog.load(study.warmup) if study.warmup is not None else None,
        series=series,
        strategy=strategy,
        benchmark=benchmark,
        params=strategy.bind(study.params),
        account=account,
        account_data=account_data,
        periods=load_catalog(periods_path),
        periods_sha256=file_sha256(periods_path),
    )
