"""Data sets checked: their bytes, what is known of every bar, and what is doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.agreement import Agreement, agreement
from delever.data.catalog import Catalog, Check
from delever.data.references import Reference
from delever.errors import InputError
from delever.report.pages.coverage_page import render
from delever.study.data.datasets import described, found_doubt
from delever.study.kept.result import Result, plain
from delever.study.workspaces.workspace import Workspace

Place = Workspace | Path | str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataCheck(Result):
    """Data sets read again from their bytes; `data_check` makes it."""

    checks: tuple[Check, ...]
    forgotten: tuple[str, ...] = ()  # changes by hand that `data_verify` settled, a line each
    against: Agreement | None = None  # how it stands to another data set, where that was asked

    @property
    def headline(self) -> str:
        """Whether everything is whole, and how many bars are unknown."""
        broken = [one.name for one in self.checks if one.problems]
        unknown = sum(one.unknown for one in self.checks)
        damage = f"broken: {', '.join(broken)}" if broken else "none is broken"
        bars = f"{unknown:,} bar{'' if unknown == 1 else 's'}"
        return f"Data sets read: {len(self.checks)}; {damage}; {bars} unknown."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``data sets``, and under each reference its stretches present, absent and unknown."""
        if not self.checks:
            return {"data sets": pd.DataFrame()}
        rows = [
            {
                "reference": one.name,
                "unknown": one.unknown,
                "problems": "; ".join(one.problems),
                "implausible": "; ".join(found.said for found in one.doubts),
            }
            for one in self.checks
        ]
        each = {one.name: one.coverage for one in self.checks if one.coverage is not None}
        if self.against is not None:
            each[f"against {self.against.other}"] = self.against.rows
        return {"data sets": pd.DataFrame(rows).set_index("reference"), **each}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is implausible, and how it stands to another data set; a line each."""
        lines = [f"{one.name}: {found.said}" for one in self.checks for found in one.doubts]
        if self.against is not None:
            lines += [f"beside {self.against.other}: {line}" for line in self.against.said]
        return tuple(lines)

    def html(self) -> str:
        """The page: a strip for each data set."""
        drawn = {one.name: one.coverage for one in self.checks if one.coverage is not None}
        broken = {one.name: one.problems for one in self.checks if one.problems}
        return render(drawn, broken, notes=self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """The headline, and ``data_sets`` with their stretches without rows and their damage."""
        return {
            "headline": self.headline,
            "data_sets": [
                ({"reference": one.name} if one.entry is None else described(one.entry))
                | {
                    "unknown": one.unknown,
                    "holes": [] if one.coverage is None else _holes(one.coverage),
                    "problems": list(one.problems),
                    "implausible": [found_doubt(found) for found in one.doubts],
                    "against": _compared(self.against),
                }
                for one in self.checks
            ],
        }


def data_check(
    reference: str | None = None, *, against: str | None = None, workspace: Place = None
) -> DataCheck:
    """Hold stored bytes to their checksums, and say what is known about every bar.

    Parameters
    ----------
    reference : str, optional
        Such as ``"bitstamp/ohlcv/BTC/USD/1d"``; by default every data set.
    against : str, optional
        Bars of the same market from another venue, as fine or finer, to hold these against.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    DataCheck
        A bar is present, absent (its source has none) or unknown.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    InputError
        If the two hold no prices or share no bar.

    Examples
    --------
    >>> import delever as dl
    >>> dl.data_check("sample/ohlcv/BTC/USD/1d").headline
    'Data sets read: 1; none is broken; 0 bars unknown.'
    """
    catalog = Workspace.find(workspace, or_shipped=True).catalog
    compared = None
    if against is not None:
        if reference is None:
            raise InputError("name the data set that is to be held against another one; got none")
        compared = agreement(catalog.load(reference), catalog.load(against))
    return DataCheck(checks=tuple(catalog.check(reference)), against=compared)


def data_verify(reference: str | None = None, *, workspace: Place = None) -> DataCheck:
    """Check data sets, and settle what was changed by hand in those that are whole.

    Parameters
    ----------
    reference : str, optional
        By default every data set.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    DataCheck
        ``forgotten`` names the changes that `delever.data_undo` took back until now.

    Raises
    ------
    NotStoredError
        If there is no such data set.
    StoreError
        If the store cannot be written.
    """
    place = Workspace.find(workspace, or_shipped=True)
    catalog = place.catalog
    checks = () if _removed(catalog, reference) else tuple(catalog.check(reference))
    settled = catalog.forget(reference)
    forgotten = tuple(
        f"{name}: the {step.record['change']} of {str(step.record['when'])[:10]} cannot be undone "
        "any more"
        for name, steps in settled.items()
        for step in steps
    )
    return DataCheck(checks=checks, forgotten=forgotten)


def _removed(catalog: Catalog, reference: str | None) -> bool:
    """Whether a data set is there only to be undone."""
    if reference is None:
        return False
    folder = Reference.parse(reference).folder
    return not catalog.store.has(folder) and bool(catalog.store.undoable(folder))


def _compared(found: Agreement | None) -> dict[str, Any] | None:
    """How two data sets stand to each other, as documents have it."""
    if found is None:
        return None
    facts = ("other", "said", "shared", "alone", "missing", "scale", "typical", "late")
    rows = found.rows.reset_index(names="time").to_dict("records")
    return {**{name: plain(getattr(found, name)) for name in facts}, "apart": plain(rows)}


def _holes(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain(table[table["state"] != "present"].to_dict("records"))
    return found
