"""What the pages name is there: modules, functions of `dl`, files, links; their code parses."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import delever as dl

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
]
TEXTS = [pytest.param(page.read_text("utf-8"), id=page.name) for page in PAGES]

FILE = re.compile(r"`((?:src|tests|docs|strategies|backtests|benchmarks|data)/[\w./-]+\.\w+)`")
OF_A_USER = {
    "data/holdout.toml",
    "data/holdout_looks.jsonl",
    "data/store.toml",
    "strategies/above_average.py",
}  # and those in capitals


def resolve(name: str) -> object:
    """Import as many parts of a dotted name as are modules and read the rest as attributes."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("text", TEXTS)
def test_every_dotted_name_is_there(text):
    for name in set(re.findall(r"\bdelever(?:\.[A-Za-z_]\w*)+", text)):
        resolve(name)


@pytest.mark.parametrize("text", TEXTS)
def test_every_function_of_the_face_is_there(text):
    for name in set(re.findall(r"\bdl\.([A-Za-z_]\w*)", text)):
        assert name in dl.__all__


@pytest.mark.parametrize("text", TEXTS)
def test_every_python_block_parses_and_its_imports_resolve(text):
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("delever"):
                for alias in node.names:
                    resolve(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("text", TEXTS)
def test_every_file_that_is_named_is_there(text):
    for name in set(FILE.findall(text)) - OF_A_USER:
        assert Path(name).stem.isupper() or (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_design_names_every_function_of_the_face_and_every_module_that_is_there():
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    face = text[text.index("## The face") :]
    functions = {name for name in dl.__all__ if inspect.isfunction(getattr(dl, name))}
    assert functions <= set(re.findall(r"`(\w+)`", face))
    rooms = text[text.index("| room | modules |") : text.index("## The face")]
    package, named = ROOT / "src" / "delever", set()
    for room, modules in re.findall(r"^\| `?([\w.]+)`? \| (.*) \|$", rooms, re.MULTILINE):
        if room == "room":
            continue
        folder = package / ("" if room == "ground" else room.replace(".", "/"))
        there = {path.stem for path in folder.rglob("*") if path.is_dir() or path.suffix == ".py"}
        own = set(re.findall(r"`([a-z_]+)/?`", modules))
        assert own <= there, room
        named |= own
    # Of these the folder is named, and holds one module a page, a figure or a vendor.
    alike = ("pages", "figures", "vendors")
    files = [path for path in package.rglob("[a-z]*.py") if path.parent.name not in alike]
    assert {path.stem for path in files} <= named
