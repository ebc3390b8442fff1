"""The answer of a run in one sentence; the rules of its words stand in docs/methods.md."""

from __future__ import annotations

import math
from collections.abc import Mapping

from delever.report.format import of_years, percent, points, when
from delever.research.answer import FEWEST, Answer
from delever.research.luck import NullTest
from delever.research.protection import Protection

_SAID = 3
"""Runs that a sentence names each."""

_VERDICTS = {
    "ruined": "The account was ruined on {ruined}: what it saved before does not count.",
    "protective": "Its timing was better than luck ({tests}).",
    "harmful": "Its timing did harm: worse than luck ({tests}).",
    "mechanical": (
        "It protected by being small: a constant position of {exposure} would have saved "
        "{share} of it ({tests})."
    ),
    "luck": "Not distinguishable from luck ({tests}).",
    "nothing": "It changed nothing inside them ({tests}).",
    "untested": "Whether that is more than luck needs both tests ({tests}).",
    "too few": "Too few periods to tell skill from luck: at least {fewest} are needed.",
}


def answer_sentence(found: Answer) -> str:
    """Say what a run did in its periods, what that cost, and whether it is more than luck."""
    if found.verdict == "no periods":
        return f"No deleveraging period lies in this run: nothing to protect from. {_whole(found)}"
    words = _VERDICTS[found.verdict]
    if found.verdict == "mechanical":
        words = words.format(
            tests=tests_said(found),
            exposure=percent(found.protection.mean_exposure, 0),
            share=_share_of_size(found.protection),
        )
    else:
        ruined = found.protection.ruined
        words = words.format(
            tests=tests_said(found),
            fewest=FEWEST,
            ruined="" if ruined is None else when(ruined),
        )
    forced = f" It was {_forced(found)}." if found.liquidations else ""
    if found.protection.periods.empty:  # ruin goes before the want of periods
        return f"No deleveraging period lies in this run.{forced} {words}"
    said = f"{_inside(found)}, {_outside(found.protection)}.{forced} {words}"
    if found.disagrees and found.causal_saved is not None:
        said += (
            " On periods detected as they began it is another story: "
            f"{points(found.causal_saved.mean)} points a period."
        )
    return said


def compared_sentence(found: Mapping[str, Answer]) -> str:
    """Say what each run saved and what that cost; of many, the ones that saved most and least."""
    by_saved = sorted(found, key=lambda name: -found[name].saved.mean)
    shown = by_saved if len(by_saved) <= _SAID else [by_saved[0], by_saved[-1]]
    total = len(found[by_saved[0]].protection.periods)
    if not total:
        return f"No deleveraging period lies in the span of these {len(found)} runs."
    parts = [
        f"{name} saved {_saved(found[name])}, {_outside(found[name].protection)}"
        + (f", and was {_forced(found[name])}" if found[name].liquidations else "")
        for name in shown
    ]
    many = "1 deleveraging period" if total == 1 else f"{total} deleveraging periods"
    return f"In {many} {'; '.join(parts)}."


def counts(split: Protection, kind: str = "deleveraging") -> str:
    """In how many periods the strategy helped, hurt and did nothing."""
    total = len(split.periods)
    noun = f"{kind} period{'' if total == 1 else 's'}".strip()
    parts = [f"hurt in {split.count('hurt')}", f"did nothing in {split.count('nothing')}"]
    if split.count("ruined"):
        parts.append(f"was ruined before {split.count('ruined')}")
    if split.count("not begun"):
        parts.append(f"had no history to decide on in {split.count('not begun')}")
    return f"Helped in {split.count('helped')} of {total} {noun}, {', '.join(parts)}"


def p_value(value: float) -> str:
    """Write a p-value."""
    return "p < 0.01" if value < 0.01 else f"p = {value:.2f}"


def tests_said(found: Answer) -> str:
    """What luck came to in both tests."""
    named: list[tuple[str, str, NullTest | None]] = [
        ("timing", "its own shifts in time", found.timing),
        ("redrawn periods", "resampled markets", found.redrawn),
    ]
    said = [
        f"{name}: better than {test.beaten} {luck}, {p_value(test.p_value)}"
        for name, luck, test in named
        if test is not None and test.known
    ]
    return "; ".join(said) or "not tested"


def _forced(found: Answer) -> str:
    return f"liquidated {'once' if found.liquidations == 1 else f'{found.liquidations} times'}"


def _inside(found: Answer) -> str:
    kind = "detected deleveraging" if found.detected else "deleveraging"
    return f"{counts(found.protection, kind)}: {_saved(found)}"


def _saved(found: Answer) -> str:
    """Mean points saved a period with their interval."""
    saved = found.saved
    if math.isnan(saved.mean):
        return "of no period can anything be said"
    text = f"{points(saved.mean)} points a period"
    if math.isnan(saved.low):
        return text
    return f"{text} (90% interval {points(saved.low)} to {points(saved.high)})"


def _outside(split: Protection) -> str:
    change = split.relative_growth
    text = percent(abs(change))
    if text == percent(0.0):
        return "at no cost in growth outside"
    yearly = f"a year{of_years(split.days)}"
    if change < 0:
        return f"for {text} {yearly} of growth outside"
    return f"and {text} {yearly} more growth outside"


def _whole(found: Answer) -> str:
    ratio = found.protection.log_wealth_ratio
    return f"Against its benchmark it kept {percent(math.exp(ratio))} of the wealth."


def _share_of_size(split: Protection) -> str:
    insured = split.insured
    return percent(float(insured["size"].sum() / insured["payout"].sum()), 0)
