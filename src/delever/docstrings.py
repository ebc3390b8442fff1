"""What many functions would say of the same parameters, said once and put into their docstrings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import indent

_ORDER = ("Parameters", "Returns", "Raises", "Notes", "References", "Examples")
_HEADING = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\S.*?)(?: : .*)?$", re.MULTILINE)


def completed(
    text: str,
    names: Sequence[str],
    words: Mapping[str, str],
    *,
    returned: str = "",
    **sections: str,
) -> str:
    r"""A numpydoc text with what it leaves out: parameters it does not describe, whole sections.

    Parameters stand in the order of `names`; `words` says what each is, from its type on. A
    section, such as ``Returns="float"``, is taken where the text has none of that name. With a
    type as `returned`, what is returned is that, and what it means the last paragraph of the text.

    Examples
    --------
    >>> text = completed("Twice it.\n\nIn its unit.", ["x"], {"x": "float"}, returned="float")
    >>> text.splitlines()[2:]
    ['Parameters', '----------', 'x : float', '', 'Returns', '-------', 'float', '    In its unit.']
    """
    head, *parts = _HEADING.split(text)
    found = {name: part.rstrip() for name, part in zip(parts[::2], parts[1::2], strict=True)}
    if returned and "Returns" not in found:
        head, _, meaning = head.rstrip().partition("\n\n")
        more, _, meaning = meaning.rpartition("\n\n")
        head += f"\n\n{more}" if more else ""
        found["Returns"] = returned + (f"\n{indent(meaning, '    ')}" if meaning else "")
    entries: dict[str, str] = {}
    described: set[str] = set()
    for entry in re.split(r"\n(?=\S)", found.pop("Parameters", "")):
        if match := _ENTRY.match(entry):
            own = [name.lstrip("*") for name in match[1].split(", ")]
            entries[own[0]] = entry
            described |= {*own}
    for name in names:
        if name not in described and name in words:
            entries[name] = f"{name} : {words[name]}"
    place = {name: row for row, name in enumerate(names)}
    rows = sorted(entries, key=lambda name: place.get(name, len(place)))
    told = {"Parameters": "\n".join(entries[name] for name in rows), **sections, **found}
    shown = [f"{name}\n{'-' * len(name)}\n{told[name]}" for name in _ORDER if told.get(name)]
    return "\n\n".join([head.rstrip(), *shown])
