"""Count the lines of the package: all, code, docstring, comment, blank.

python -m benchmarks.lines
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "delever"
KINDS = ("all", "code", "docstring", "comment", "blank")
_SPACE = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def count(text: str) -> Counter[str]:
    """Count one module's lines; a line of code with a comment behind it is code."""
    docstring: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if ast.get_docstring(node):
            docstring |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    code: set[int] = set()
    comment: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        lines = set(range(token.start[0], token.end[0] + 1)) - docstring
        if token.type == tokenize.COMMENT:
            comment |= lines
        elif token.type not in _SPACE:
            code |= lines
    comment -= code
    every = len(text.splitlines())
    blank = every - len(code) - len(comment) - len(docstring)
    found = (every, len(code), len(docstring), len(comment), blank)
    return Counter(dict(zip(KINDS, found, strict=True)))


def main() -> None:
    """Print a row per room and the total."""
    rooms: dict[str, Counter[str]] = {}
    for path in sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")]):
        inside = path.relative_to(SOURCE).parts
        room = "/".join(inside[:-1]) if inside[0] == "study" else inside[0]
        room = room if len(inside) > 1 else "."
        rooms.setdefault(room, Counter()).update(count(path.read_text()))
    rooms["total"] = sum(rooms.values(), Counter())
    print(f"{'room':<18}" + "".join(f"{kind:>11}" for kind in KINDS))
    for room, counts in rooms.items():
        print(f"{room:<18}" + "".join(f"{counts[kind]:>11,}" for kind in KINDS))


if __name__ == "__main__":
    main()
