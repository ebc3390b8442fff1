"""Sentences count in words of the right number, wherever they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.sources import GROUP, SOURCE, sources

_COUNTS = re.compile(r"^(len|int)\(|^[^()]+\.(sum|nunique)\(\)$|^(count|many)$")
_PLURAL = re.compile(r" ([a-z]+ )?(?!is\b|was\b|has\b|times\b|as\b)[a-z]+(?<!s)s\b")
_WHOLE = re.compile(r"(?:of|these|the|all|over|are) $")  # where a lone one would read as well


def counts(tree: ast.AST) -> Iterator[str]:
    """Numbers in f-strings with a plural behind them that does not bend."""
    choices = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]  # for one or many
    bent = {id(inside) for choice in choices for inside in ast.walk(choice)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr) or id(node) in bent:
            continue
        before = ""
        for part, after in zip(node.values, [*node.values[1:], None], strict=True):
            if isinstance(part, ast.Constant):
                before = str(part.value)
                continue
            told = ast.unparse(part.value)
            behind = str(after.value) if isinstance(after, ast.Constant) else ""
            spec = "" if part.format_spec is None else ast.unparse(part.format_spec)
            whole = spec in ("", "f','")
            bends = _PLURAL.match(behind) and _COUNTS.search(told) and not _WHOLE.search(before)
            if whole and bends and not told.startswith("counted("):
                yield f"{{{told}}}{behind[:20]}"
            before = ""


@pytest.mark.xdist_group(GROUP)
def test_a_number_bends_the_word_behind_it() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): said
        for path, (_, tree) in sources().items()
        if (said := list(counts(tree)))
    }
    assert found == {}


def test_the_search_finds_what_it_is_for() -> None:
    assert list(counts(ast.parse('f"{len(gaps):,} gaps in {name}"'))) == ["{len(gaps)} gaps in "]
    assert list(counts(ast.parse('f"{counted(len(gaps), name)} in {len(bars)} of them"'))) == []
