"""From values to a page: one HTML text that opens without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from delever.report.figures import library, themes

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["facts", "render_page"]

_MINUS = re.compile(r"(?<!\w)-(?=[\d.])")
_LINK = re.compile(r"https?://[^\s<>\"'()]*[^\s<>\"'().,;:]")


def render_page(template: str, **content: object) -> str:
    """Fill a template."""
    page = _environment().get_template(template)
    return page.render(library=library(), themes=themes(), version=version("delever"), **content)


def facts(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested mappings into names and texts.

    Examples
    --------
    >>> list(facts({"data": {"rows": 3, "notes": ["a", "b"]}, "warmup": None}))
    [('data.rows', '3'), ('data.notes', 'a; b'), ('warmup', 'none')]
    """
    for key, entry in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping):
            yield from facts(entry, f"{name}.")
        elif isinstance(entry, (list, tuple)):
            if entry:
                yield name, "; ".join(str(part) for part in entry)
        else:
            yield name, "none" if entry is None else str(entry)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("delever.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["links"] = _links
    environment.filters["minus"] = _minus
    environment.tests["alarming"] = _alarming
    return environment


def _minus(text: str) -> str:
    """The text with a minus sign before its numbers; dates keep their hyphens."""
    return _MINUS.sub("\N{MINUS SIGN}", text)


def _links(text: str) -> Iterator[tuple[str, bool]]:
    """Pieces of a text, and whether each is a web address."""
    end = 0
    for match in _LINK.finditer(text):
        yield text[end : match.start()], False
        yield match.group(), True
        end = match.end()
    yield text[end:], False


def _alarming(note: str) -> bool:
    """Whether a note says that the result leaves out what it should have paid."""
    return note.startswith("funding: missing")
