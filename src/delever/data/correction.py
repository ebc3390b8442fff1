"""A stored last row that was not final: what it was, and what it has come out as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One row that was the newest when it was stored."""

    stamp: pd.Timestamp
    stored: Mapping[str, float]  # its values by column, before and after
    served: Mapping[str, float]

    @property
    def record(self) -> dict[str, object]:
        """What provenance says of it."""
        return {
            "corrected": self.stamp.isoformat(),
            "stored": dict(self.stored),
            "served": dict(self.served),
        }

    @property
    def sentence(self) -> str:
        """What a user must be told."""
        column = [name for name, value in self.stored.items() if value != self.served[name]][-1]
        return (
            f"the row of {self.stamp:%Y-%m-%d %H:%M} was the newest when it was stored and has "
            f"come out otherwise ({column} {self.stored[column]!r} is {self.served[column]!r}); it "
            "was corrected, and the data set's provenance holds both"
        )


def correction_of(
    stored: pd.DataFrame, frame: pd.DataFrame, tentative: pd.Timestamp | None
) -> Correction | None:
    """What becomes of the row that nothing had proven final; None where it comes as it was."""
    if tentative is None or tentative not in stored.index or tentative not in frame.index:
        return None
    was = stored[stored.index == tentative]
    now = frame.loc[frame.index == tentative, list(stored.columns)]
    if np.array_equal(was.to_numpy(), now.to_numpy(), equal_nan=True):
        return None
    return Correction(stamp=tentative, stored=_values(was), served=_values(now))


def _values(row: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(row[name].iloc[0]) for name in row}
