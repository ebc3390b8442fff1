"""A workspace is found from below, made whole, and never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from delever.errors import ConfigError, InputError
from delever.study.workspaces.workspace import Workspace, init


def test_a_made_workspace_holds_what_a_study_needs(workspace):
    names = {path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*.*")}
    assert {
        "strategies/buy_and_hold.py",
        "strategies/ma200w_break.py",
        "strategies/support_breach.py",
        "backtests/ma200w_break.toml",
        "data/deleveraging.toml",
        "data/sample/btc_usd_1d.csv",
        "data/sample/metadata.json",
    } <= names
    assert "data/sample/make_sample.py" not in names
    assert not any("results" in name or "store" in name for name in names)


def test_it_is_found_from_a_folder_below_and_from_the_environment(workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(workspace.strategies)
    assert Workspace.find().root == workspace.root
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DELEVER_WORKSPACE", str(workspace.root))
    assert Workspace.find().root == workspace.root


def test_where_there_is_none_the_mend_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="delever init"):
        Workspace.find()
    with pytest.raises(InputError, match="delever init"):
        Workspace.find(tmp_path / "absent")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="empty folder"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_strategies_are_found_by_name_and_by_path(workspace):
    by_name = workspace.strategy("buy_and_hold")
    assert workspace.strategy("strategies/buy_and_hold.py").sha256 == by_name.sha256
    with pytest.raises(ConfigError, match="there are: buy_and_hold, carry, funding_capitulation"):
        workspace.strategy("buy_and_sell")


def test_a_file_is_named_from_the_current_folder_or_from_the_workspace(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    study = Path("backtests/buy_and_hold.toml")
    assert workspace.file(study) == workspace.root / study
    assert workspace.file(Path("absent.toml")) == Path("absent.toml")
    (tmp_path / "backtests").mkdir()
    (tmp_path / study).write_text("")
    assert workspace.file(study) == study  # what is at hand goes first
