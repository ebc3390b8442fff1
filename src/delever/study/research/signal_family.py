"""Several signals studied together, and a plan of how many events a study takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.errors import ConfigError
from delever.report.page import block, render_page
from delever.report.pages import signal_asides as asides
from delever.report.pages import signal_page as page
from delever.report.table import Table
from delever.research.signal.family import family_tests
from delever.research.signal.level_break import LevelRule
from delever.research.signal.study import StudyDesign, as_family
from delever.research.signal.study_plan import StudyPlan, plan_study
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About
from delever.study.research.signal_report import SignalReport
from delever.study.research.signal_rules import parameters_for
from delever.study.research.signal_study import Setting, SignalQuestion
from delever.study.runs.answering import Progress
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

SAMPLE = "sample/ohlcv/BTC/USD/1d"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SignalFamily(Result):
    """Several signals studied together: every p-value is corrected for their number.

    Attributes
    ----------
    reports : tuple of SignalReport
        One per signal, p-values corrected.
    tests : pandas.DataFrame
        A row per signal: ``p_alone``, ``p_holm``, ``p_stepm`` and ``false_discoveries``.
    asked : mapping of str to object
        What was asked.
    """

    reports: tuple[SignalReport, ...]
    tests: pd.DataFrame
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """Which of the signals are found."""
        return page.family_headline([one.study for one in self.reports], self.tests)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """A row per signal, then the tables of each under its number."""
        studies = [one.study for one in self.reports]
        found = {"family": page.family_rows(studies, self.tests)}
        for number, one in enumerate(self.reports, 1):
            found |= {f"{number} {name}": table for name, table in one.tables.items()}
        return found

    @property
    def table(self) -> Table:
        """The family as a table of its page."""
        return page.family_table([one.study for one in self.reports], self.tests)

    def html(self) -> str:
        """One page: the family, and every signal's own tables."""
        first = self.reports[0].study
        return render_page(
            title=f"{counted(len(self.reports), 'signal')} - signal study",
            name=f"{counted(len(self.reports), 'signal')} studied together",
            span=f"{', '.join(first.symbols)}, {first.timeframe}",
            headline=self.headline,
            notes=tuple(dict.fromkeys(note for one in self.reports for note in one.notes)),
            blocks=[
                block("family", "Together", self.table),
                *(
                    block(
                        f"signal-{number}",
                        one.study.name,
                        one.headline,
                        asides.sequence_sentence(one.study, len(self.reports)),
                        *(page.own_tables(one.study, one.ladder, f"-{number}")),
                    )
                    for number, one in enumerate(self.reports, 1)
                ),
            ],
        )

    @property
    def about(self) -> About:
        """What a listing says of it."""
        studies = [one.study for one in self.reports]
        data, design = list(self.reports[0].data), studies[0].design
        return About(
            kind="signal",
            name=" and ".join(one.name for one in studies),
            page="signal.html",
            start=f"{min(one.start for one in studies):%Y-%m-%d}",
            end=f"{max(one.end for one in studies):%Y-%m-%d}",
            params={"data": data, "decides": design.decides, "draws": design.draws},
            inputs={**plain(self.asked), "data": data, "design": plain(asdict(design))},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever study signal A B --json`` prints, the path of its page aside."""
        return {
            "sentence": self.headline,
            "tests": plain(self.tests),
            "studies": [one.to_dict() for one in self.reports],
        }


def signal_family(
    signals: Sequence[str | LevelRule],
    data: str | MarketView | Sequence[str | MarketView] = SAMPLE,
    params: Mapping[str, Any] | None = None,
    *,
    design: StudyDesign | None = None,
    series: Mapping[str, str] | None = None,
    rungs: Sequence[float] | None = None,
    prices: Sequence[float] = (),
    rung_bars: int = 90,
    benchmark: str | pd.Series | None = None,
    when: Sequence[str] = (),
    cluster: str | Executor | None = None,
    progress: Progress = lambda step: None,
    workspace: Workspace | Path | str | None = None,
) -> SignalFamily:
    """Study several signals as one family: chance is to find any of them in 5 % of cases.

    Parameters
    ----------
    signals : sequence of str or LevelRule
        Two or more, as `signal_study` takes them.
    data : str, MarketView or a sequence of these
        References of bars or markets; several are pooled.
    params : mapping, optional
        Parameters: ``weeks`` of every signal that has it, ``average.weeks`` of one.
    design, series, rungs, prices, rung_bars, benchmark, when, cluster, progress, workspace
        As of `signal_study`.

    Raises
    ------
    ConfigError
        If there are fewer than two signals, or one, a parameter or a condition is unknown.
    InputError
        If there is no bar to compare, or a setting lies outside its range.

    Notes
    -----
    The p-values that decide are corrected by Holm's method, no other p-value of a signal is below
    its own, and what would be found is that of the corrected test. `tests` has StepM and the false
    discovery rate beside it (`delever.research.signal.family.family_tests`).

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2016-01-01")
    >>> design = dl.StudyDesign(horizons=(7,), decides=7, draws=20)
    >>> family = dl.signal_family(["rolling_low", "round_number"], market, design=design)
    >>> len(family.reports)
    2
    """
    if isinstance(signals, str) or len(signals) < 2:
        raise ConfigError("a family needs two signals or more; of one, ask for a signal study")
    asked = SignalQuestion.of(params, rungs, prices, rung_bars, benchmark, when)
    with Setting.of(data, design, series, workspace, cluster, progress) as setting:
        own = parameters_for(signals, asked.params, setting.rules, setting.features)
        loaded = [setting.load(one, chosen) for one, chosen in zip(signals, own, strict=True)]
    for one in loaded:
        one.further(asked)
    progress("comparing")
    alone = [one.study(setting.design, len(loaded)) for one in loaded]
    reports = [
        setting.report(one, study, asked, before)
        for one, study, before in zip(loaded, as_family(alone), setting.look(loaded), strict=True)
    ]
    return SignalFamily(
        reports=tuple(reports),
        tests=family_tests(alone, [one.pool for one in loaded], [one.placebos for one in loaded]),
        asked={"signals": [dict(one.asked) for one in reports]},
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SignalPlan(Result):
    """How many events or coins it takes until an effect would be found.

    Attributes
    ----------
    plan : StudyPlan
        What was worked out.
    name : str
        The signal.
    """

    plan: StudyPlan
    name: str

    @property
    def headline(self) -> str:
        """How many events, years or coins, in one sentence."""
        return asides.plan_sentence(self.plan)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Smallest effect found, by number of distinct events."""
        return {"plan": self.plan.table}

    def to_dict(self) -> dict[str, Any]:
        """What ``delever study plan --json`` prints."""
        plan = self.plan
        return {
            "signal": self.name,
            "sentence": self.headline,
            "effect": plan.effect,
            "distinct": plan.distinct,
            "events": plain(plan.events),
            "more_years": plain(plan.more_years),
            "coins": plain(plan.coins),
            "correlation": plan.alike,
            "table": plain(plan.table),
        }


def signal_plan(
    signal: str | LevelRule | pd.Series,
    effect: float,
    data: str | MarketView | Sequence[str | MarketView] = SAMPLE,
    params: Mapping[str, Any] | None = None,
    *,
    design: StudyDesign | None = None,
    series: Mapping[str, str] | None = None,
    workspace: Workspace | Path | str | None = None,
) -> SignalPlan:
    """Plan a signal study: how many events or coins until an effect would be found.

    Parameters
    ----------
    signal : str, LevelRule or pandas.Series of bool
        As `signal_study` takes it.
    effect : float
        To be found over the deciding horizon, a fraction in (0, 1).
    data : str, MarketView or a sequence of these
        References of bars or markets; several are pooled, and tell how alike coins are.
    params : mapping, optional
        Parameters of the rule.
    design : StudyDesign, optional
        The horizon that decides, level and power.
    series : mapping of str to str, optional
        Readings the rule needs, and their references.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    ConfigError
        If there is no such signal or parameter.
    InputError
        If the effect is not between 0 and 1, or the history is too short for five events.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", start="2016-01-01")
    >>> planned = dl.signal_plan("rolling_low", 0.2, market, design=dl.StudyDesign(draws=50))
    >>> planned.plan.events > 8
    True
    """
    with Setting.of(data, design, series, workspace) as setting:
        loaded = setting.load(signal, params or {})
    return SignalPlan(
        plan=plan_study(loaded.pool, effect, design=setting.design), name=loaded.title
    )
