"""What the package shows the world, and that the sample is what its metadata says."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib
import json
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import delever as dl
from delever.study.workspaces.workspace import TEMPLATE
from tests.sources import GROUP, sources

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"


def test_every_public_name_is_there():
    assert set(dl.__all__) == set(dl._HOME)
    for name in dl.__all__:
        shown = getattr(dl, name)
        assert callable(shown), name
        assert shown.__module__ == dl._HOME[name], name
    assert set(dl.__all__) < set(dir(dl))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dl.nothing


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == dl.__version__


def test_a_wheel_carries_what_a_new_workspace_is_made_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(TEMPLATE) == set(wheel["include"]) - {"src/delever"}
    for pattern in TEMPLATE:
        top = pattern.split("/")[0]
        assert wheel["sources"][top] == f"delever/_workspace/{top}"
        assert list(ROOT.glob(pattern)), f"{pattern} matches no file"


def test_constraints_are_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert "==" in line, line
        assert "://" not in line, line
        assert "@" not in line, line


def test_the_sample_is_what_its_metadata_says():
    metadata = json.loads((SAMPLE / "metadata.json").read_text())
    content = (SAMPLE / metadata["file"]).read_bytes()
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert hashlib.sha256(content).hexdigest() == metadata["sha256"]
    assert len(rows) == metadata["rows"]
    assert (rows[0]["timestamp"], rows[-1]["timestamp"]) == (metadata["start"], metadata["end"])
    assert metadata["close_only"] is True


def test_a_day_of_the_sample_opens_at_the_previous_close():
    rows = list(csv.DictReader((SAMPLE / "btc_usd_1d.csv").read_text().splitlines()))
    for before, row in pairwise(rows):
        assert row["open"] == before["close"]
        ends = sorted((float(row["open"]), float(row["close"])))
        assert [float(row["low"]), float(row["high"])] == ends
        assert row["volume"] == ""


def test_known_closes_are_there():
    """Closes as CoinMetrics' community data give them, within 2 % of another vendor's.

    Yahoo's daily closes: 2017-12-17 19,141; 2018-12-15 3,237; 2020-03-12 4,971;
    2021-11-08 67,567; 2022-11-09 15,881.
    """
    rows = csv.DictReader((SAMPLE / "btc_usd_1d.csv").read_text().splitlines())
    close = {row["timestamp"][:10]: float(row["close"]) for row in rows}
    known = {
        "2017-12-17": 19_141,
        "2018-12-15": 3_237,
        "2020-03-12": 4_971,
        "2021-11-08": 67_567,
        "2022-11-09": 15_881,
    }
    for day, value in known.items():
        assert close[day] == pytest.approx(value, rel=0.02)


@pytest.mark.xdist_group(GROUP)
def test_no_file_and_no_function_is_longer_than_one_reads():
    """At most 450 lines a file, and 60 lines of code a function, its docstring left out."""
    files, functions = [], []
    for path, (text, tree) in sources().items():
        lines = text.splitlines()
        if len(lines) > 450:
            files.append(f"{path}: {len(lines)}")
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            first, own = node.body[0], lines[node.lineno - 1 : node.end_lineno]
            if ast.get_docstring(node):
                del own[first.lineno - node.lineno : first.end_lineno - node.lineno + 1]
            code = [line for line in own if line.strip() and not line.strip().startswith("#")]
            if len(code) > 60:
                functions.append(f"{path}, {node.name}: {len(code)}")
    assert files == []
    assert functions == []


@pytest.mark.xdist_group(GROUP)
def test_no_two_files_and_no_two_classes_share_a_name():
    stems: dict[str, Path] = {}
    classes: dict[str, Path] = {}
    twice = []
    for path, (_, tree) in sources().items():
        names = [] if path.stem == "__init__" else [(stems, path.stem)]
        names += [(classes, node.name) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        twice += [f"{name}: {path} and {seen[name]}" for seen, name in names if name in seen]
        for seen, name in names:
            seen[name] = path
    assert twice == []


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_what_a_benchmark_takes_from_the_package_is_there(path):
    """No benchmark is run here, but none may fall behind either."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in taken:
        if (node.module or "").partition(".")[0] == "delever":
            there = importlib.import_module(node.module)
            missing = [one.name for one in node.names if not hasattr(there, one.name)]
            for name in missing:
                importlib.import_module(f"{node.module}.{name}")
