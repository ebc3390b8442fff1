"""From values to a page: one HTML text that opens without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pandas as pd

from delever.errors import InputError
from delever.report.figures.look import Chart, chart, themes
from delever.report.figures.packing import library, packed
from delever.report.table import Table, frame_table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_ID = re.compile(r"[a-z][a-z0-9-]*")
_MINUS = re.compile(r"(?<!\w)-(?=[\d.])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2})?")
_LINK = re.compile(r"https?://[^\s<>\"'()]*[^\s<>\"'().,;:]")

Part: TypeAlias = Any
"""A `Table` or DataFrame, a `Chart` or figure of plotly, a text (a paragraph), texts (a list), a
mapping (names and texts side by side), or a `Block` under a smaller heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the tear-sheet from an extension.

    Raises InputError if the id has other characters.

    Parameters
    ----------
    id : str
        Its place on the page: lowercase letters, digits and hyphens, unlike those there are.
    title : str
        Heading, also among the links at the top.
    build : callable
        Given the `delever.research.evaluation.Evaluation` of the run, returns what stands under
        the heading, top to bottom: DataFrames, figures of plotly, texts (paragraphs), lists of
        texts, mappings of names to texts. All text is shown as text: markup in it is escaped.

    Examples
    --------
    >>> import pandas as pd
    >>> def worst_days(evaluation):
    ...     worst = evaluation.backtest.returns.nsmallest(3)
    ...     return ["The three worst bars.", worst.to_frame("return")]
    >>> SECTIONS = (Section(id="worst-days", title="Worst days", build=worst_days),)
    """

    id: str
    title: str
    build: Callable[[Any], Sequence[Part]]

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise InputError(
                "the id of a section must be lowercase letters, digits and hyphens, a letter "
                f"first; got {self.id!r}"
            )

    def block(self, about: object) -> Block:
        """The section as it is shown."""
        # Plain text alone: what an extension marks as safe is escaped like the rest.
        parts = [str(one) if isinstance(one, str) else one for one in self.build(about)]
        return Block(id=self.id, title=self.title, parts=parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A section of a page as it is shown, or within one what stands under a smaller heading."""

    title: str
    parts: Sequence[Part]
    id: str = ""  # with one, there is a link to it at the top
    link: str = ""  # what the link says where it isn't the title
    kind: Literal["", "notes", "folded"] = ""
    half: bool = False  # beside its neighbour, which is one as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number that catches the eye, and what stands beside it."""

    label: str
    value: str
    beside: str = ""
    tone: str = ""


def block(id: str, title: str, *parts: Part | None, **more: Any) -> Block:
    """Make a block; `more` are further fields of `Block`."""
    return Block(id=id, title=title, parts=parts, **more)


def render_page(
    *,
    title: str,
    blocks: Sequence[Block],
    name: str = "",
    span: str = "",
    headline: str = "",
    grounds: Sequence[str] = (),
    chip: str = "",
    tiles: Sequence[Tile] = (),
    notes: Sequence[str] = (),
) -> str:
    """Write a page; blocks that hold nothing are left out, `grounds` stand below the headline.

    Raises InputError if two blocks have one id, or if a figure cannot be drawn on a page.
    """
    shown = [block for block in map(_prepared, blocks) if block.parts]
    ids = [block.id for block in shown if block.id]
    for place, found in enumerate(ids):
        if found in ids[:place]:
            raise InputError(f"every section of a page needs an id of its own; {found!r} repeats")
    drawn = list(_charts(shown))
    return _environment().get_template("page.html").render(
        title=title,
        name=name or title,
        span=span,
        headline=headline,
        grounds=grounds,
        chip=chip,
        tiles=tiles,
        notes=notes,
        blocks=shown,
        library=library(drawn) if drawn else "",
        themes=themes() if drawn else "",
        version=version("delever"),
    )  # fmt: skip


def frame_of(drawn: Chart) -> Markup:
    """The chart in a frame of its own for a notebook, which needs no network to show it.

    Raises InputError if it cannot be drawn on a page.
    """
    from markupsafe import Markup

    page = _environment().get_template("figure.html").render(
        figure=drawn, library=library([drawn]), themes=themes(dark=False)
    )  # fmt: skip
    return Markup(
        '<iframe title="{}" srcdoc="{}" style="width:100%;height:{}px;border:0"></iframe>'
    ).format(drawn.title, page, drawn.height + 60)


def fragment(template: str, macro: str, *given: object) -> Markup:
    """What a macro of a template makes, as a part of a block."""
    made: Markup = getattr(_environment().get_template(template).module, macro)(*given)
    return made


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
        elif isinstance(entry, (list, tuple)) and any(isinstance(part, Mapping) for part in entry):
            yield from facts({str(place): part for place, part in enumerate(entry, 1)}, f"{name}.")
        elif isinstance(entry, (list, tuple)):
            if entry:
                yield name, "; ".join(map(_said, entry))
        else:
            yield name, _said(entry)


def _said(entry: object) -> str:
    if isinstance(entry, (list, tuple)):
        return ", ".join(map(_said, entry))
    return "none" if entry is None else str(entry)


def _prepared(block: Block) -> Block:
    """The block with what a page shows; tables without rows or words for it are left out."""
    parts: list[Part] = []
    for place, part in enumerate(block.parts, start=1):
        name = f"{block.id}-{place}"
        if isinstance(part, Block):
            part = _prepared(part)
        elif isinstance(part, pd.DataFrame):
            part = frame_table(name, part)
        elif hasattr(part, "to_plotly_json"):
            part = chart(f"fig-{name}", block.title, part)
        empty = (
            part is None
            or (isinstance(part, Table) and not (part.rows or part.empty))
            or (isinstance(part, Block) and not part.parts)
            or (isinstance(part, list) and not part)
        )
        if not empty:
            parts.append(part)
    return replace(block, parts=parts)


def _charts(parts: Iterable[Part]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Chart) and not part.is_empty:
            yield part
        elif isinstance(part, Block):
            yield from _charts(part.parts)


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
    environment.filters["packed"] = packed
    for kind in (Block, Chart, Table):
        environment.tests[kind.__name__.lower()] = lambda part, kind=kind: isinstance(part, kind)
    environment.tests["alarming"] = _alarming
    environment.tests["dated"] = lambda text: bool(_DATE.fullmatch(text))
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
