"""What a signal study found, and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from delever.report.figures.look import Chart
from delever.report.pages import signal_page as page
from delever.research.signal.event_study import EventStudy
from delever.research.signal.ladder import Ladder
from delever.research.signal.robustness import RobustnessMap
from delever.research.signal.study import SignalStudy
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SignalReport(Result):
    """Everything a signal study found.

    Attributes
    ----------
    study : SignalStudy
        Forward returns against all bars, volatility-matched bars and placebo levels.
    ladder : Ladder or None
        The way to further levels; None where the signal has no level, or it never broke.
    abnormal : EventStudy or None
        Abnormal returns over the deciding horizon; None where no event can be used.
    conditions : pandas.DataFrame or None
        Events with and without each condition asked for.
    robustness : RobustnessMap or None
        The signal varied, if that was asked for.
    data : tuple of str
        References of the markets.
    notes : tuple of str
        What a reader must know, why a part is missing among it.
    asked : mapping of str to object
        Signal, parameters and further levels as they were asked for.
    """

    study: SignalStudy
    ladder: Ladder | None
    abnormal: EventStudy | None
    data: tuple[str, ...]
    notes: tuple[str, ...]
    conditions: pd.DataFrame | None = None
    robustness: RobustnessMap | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return page.headline(self.study)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Outcomes, comparisons, power, further levels and abnormal returns, where they are."""
        found = {
            "outcomes": self.study.outcomes,
            "comparisons": self.study.comparisons,
            "power": self.study.power,
            "events": self.study.events,
            "sequence": self.study.sequence,
        }
        if self.ladder is not None:
            found["ladder"] = self.ladder.table
        if self.abnormal is not None:
            found["abnormal"] = self.abnormal.path
        if self.conditions is not None:
            found["conditions"] = self.conditions
        if self.robustness is not None:
            found["map"] = self.robustness.cells
        return found

    @property
    def charts(self) -> dict[str, Chart]:
        """Placebo means, abnormal returns, and the way to further levels, where they are."""
        return page.charts(self.study, self.ladder, self.abnormal, self.robustness)

    def html(self) -> str:
        """The study as a page."""
        return page.render(
            self.study,
            self.ladder,
            self.abnormal,
            data=self.data,
            notes=self.notes,
            conditions=self.conditions,
            robustness=self.robustness,
        )

    @property
    def about(self) -> About:
        """What a listing says of it."""
        design = self.study.design
        return About(
            kind="signal",
            name=self.study.name,
            page="signal.html",
            start=f"{self.study.start:%Y-%m-%d}",
            end=f"{self.study.end:%Y-%m-%d}",
            params={"data": list(self.data), "decides": design.decides, "draws": design.draws},
            inputs={**plain(self.asked), "data": list(self.data), "design": plain(asdict(design))},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever study signal --json`` prints, the path of its page aside."""
        study = self.study
        return {
            "study": study.name,
            "data": list(self.data),
            "span": {"start": str(study.start), "end": str(study.end)},
            "verdict": study.verdict,
            "sentence": self.headline,
            "rejects": study.rejects,
            "placebo_rank": plain(study.placebo_rank),
            "outcomes": plain(study.outcomes),
            "comparisons": plain(study.comparisons),
            "detectable": plain(study.detectable),
            "power": plain(study.power),
            "sequence": plain(study.sequence.to_dict("records")),
            "ladder": None if self.ladder is None else plain(self.ladder.table),
            "abnormal": None if self.abnormal is None else plain(self.abnormal.path),
            "conditions": None if self.conditions is None else plain(self.conditions),
            "map": None if self.robustness is None else plain(self.robustness.cells),
            "notes": list(self.notes),
        }
