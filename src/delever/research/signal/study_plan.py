"""What a signal study asks, settled before it looks."""

from __future__ import annotations

from dataclasses import dataclass

from delever.errors import InputError
from delever.research.signal.forward import check_horizons
from delever.research.signal.level_break import placebo_factors
from delever.stats.intervals import detectable_deviations

__all__ = ["FEWEST_EVENTS", "StudyDesign"]

FEWEST_EVENTS = 5
"""With fewer distinct events nothing is tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDesign:
    """What a study asks; settled before it looks.

    Raises
    ------
    InputError
        If a setting lies outside its range.
    """

    horizons: tuple[int, ...] = (7, 30, 90)  # bars held after an event
    decides: int = 30  # the one of them that the verdict is about; the others are shown
    draws: int = 1_000  # placebo levels, from 1 to 100,000
    placebo_distance: float = 0.25  # largest distance of a placebo level, as a logarithm
    alpha: float = 0.05  # level of the tests, and the power that defines the detectable difference
    power: float = 0.8
    # smallest difference of mean forward returns that would matter, a fraction > 0
    smallest_effect: float | None = None
    seed: int = 0  # of the placebo levels, from 0 to 4,294,967,295

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        detectable_deviations(self.alpha, self.power)
        placebo_factors(self.draws, self.placebo_distance, self.seed)
        if self.decides not in self.horizons or len(set(self.horizons)) < len(self.horizons):
            raise InputError(
                "horizons must differ and the one that decides must be one of them; "
                f"got {', '.join(map(str, self.horizons))} and {self.decides}"
            )
        if self.smallest_effect is not None and not self.smallest_effect > 0:
            raise InputError(
                f"the smallest effect that matters must be > 0; got {self.smallest_effect!r}"
            )
