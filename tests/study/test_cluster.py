"""A sweep on a cluster is the sweep at home, byte for byte; what is not alike is refused."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError, NotStoredError, SimulationError
from delever.study.kept.provenance import gather
from delever.study.machines import cluster as cluster_module
from delever.study.machines import errand as errand_module
from delever.study.machines.cluster import open_cluster
from delever.study.machines.parcel import parcel
from delever.study.settings.portfolio_config import load_study
from delever.study.sweeps import study_sweep as sweep_module

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

RECIPE = Path(__file__).parents[2] / "docs" / "cluster.md"
STUDY = """
strategy = "{strategy}"
data = "sample/ohlcv/BTC/USD/1d"
end = 2015-01-01
[sweep.params]
weeks = [10, 20, 30, 40, 50]
[sweep.costs]
taker_fee = [0.0, 0.001]
"""


def commands() -> list[list[str]]:
    """The recipe's commands that start processes, with a port of this machine that is free."""
    text = RECIPE.read_text(encoding="utf-8").split("<!-- recipe -->")[1].split("```")[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [line.rstrip("& ") for line in text.splitlines() if line.endswith("&")]
    return [shlex.split(line.replace("8786", str(port))) for line in lines]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A scheduler and two workers, started as the documentation says; their processes."""
    told = commands()
    folder = tmp_path_factory.mktemp("cluster")
    kept = {**os.environ, "DELEVER_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "ignore"}
    running = []
    try:
        for command in told:
            script = Path(sys.executable).with_name(command[0])
            running.append(
                subprocess.Popen(
                    [str(script), *command[1:]],
                    cwd=folder,
                    env=kept,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        address = next(part for part in told[1] if part.startswith("tcp://"))
        yield address, running
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def study(workspace, monkeypatch):
    monkeypatch.setattr(sweep_module, "_MOST", 1)
    path = workspace.backtests / "grid.toml"
    path.write_text(STUDY.format(strategy="ma200w_break"))
    return path


def stored(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_by_the_recipe_the_same_bytes_come_back_though_a_worker_is_killed(
    workspace, study, there, capsys
) -> None:
    address, running = there
    at_home = dl.sweep(study, workspace=workspace, workers=1)
    kept = stored(at_home.folder)
    seen: list[int] = []

    def killing(done: int, total: int, left: float) -> None:
        if not seen:
            os.killpg(running[1].pid, signal.SIGKILL)
        seen.append(done)

    with open_cluster(address) as cluster:
        deadline = time.monotonic() + 60.0
        while cluster.workers < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert re.match(
            r"cluster tcp://127.0.0.1:\d+: 2 workers; dashboard http://", cluster.headline
        )
        away = dl.sweep(study, workspace=workspace, cluster=cluster, fresh=True, progress=killing)
        assert seen == list(range(1, 11))
        assert stored(away.folder) == kept
        broken = workspace.strategies / "breaks.py"
        broken.write_text(
            "def breaks(market, *, weeks: int = 1):\n    raise ValueError(f'no {weeks} weeks')\n"
        )
        study.write_text(STUDY.format(strategy="breaks"))
        assert main(["sweep", str(study), "--cluster", address]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "1 worker; dashboard" in said[0]
    assert len(said) == 2
    assert "every one of 10 combinations was refused" in said[1]
    assert "breaks.py:2: ValueError: no 10 weeks" in said[1]


def test_a_stranger_is_refused_and_a_worker_asks_for_what_it_lacks(
    tmp_path, monkeypatch, workspace, study
) -> None:
    monkeypatch.setenv("DELEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(errand_module, "_address", lambda: "tcp://there:1")
    other = {**errand_module.stamp(), "code": "0123456789ab", "numba": "0.1"}
    with pytest.raises(SimulationError, match=r"worker tcp://there:1 must run .*code .*numba"):
        errand_module.errand(other, {}, "none", ())
    assert not (tmp_path / "cache").exists()

    asked = load_study(study)
    inputs = gather(asked, workspace)
    carried = parcel(asked, inputs.strategies(asked), inputs.datasets, workspace)
    assert "strategies/ma200w_break.py" in carried
    assert {path.split("/")[0] for path in carried} == {"strategies", "data"}
    lacking = errand_module.errand(errand_module.stamp(), {"a": "1" * 64}, "2" * 64, ())
    assert lacking == ("tcp://there:1", ("2" * 64, "1" * 64))


def test_what_a_study_names_outside_its_workspace_does_not_travel(
    workspace, study, tmp_path
) -> None:
    elsewhere = tmp_path / "ma200w_break.py"
    elsewhere.write_bytes((workspace.strategies / "ma200w_break.py").read_bytes())
    study.write_text(STUDY.format(strategy=elsewhere))
    asked = load_study(study)
    with pytest.raises(ConfigError, match="must lie in its workspace to travel"):
        parcel(asked, {str(elsewhere): gather(asked, workspace).strategy}, [], workspace)


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("8786", ConfigError, "tcp://HOST:8786"),
        ("local:0", ConfigError, "local:N"),
        ("local:100000", ConfigError, "4 processes per core"),
        ("tcp://127.0.0.1", ConfigError, "tcp://HOST:8786"),
        ("http://127.0.0.1:1", ConfigError, "tcp://HOST:8786"),
        ("tcp://127.0.0.1:9", SimulationError, "must answer at tcp://127.0.0.1:9"),
    ],
)
def test_what_is_no_cluster_is_said(address, kind, words, monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT", 0.5)
    with pytest.raises(kind, match=re.escape(words)), open_cluster(address):
        pass


def test_missing_data_are_said_before_anything_is_asked_of_a_cluster(workspace, study) -> None:
    study.write_text(study.read_text().replace("sample/", "nowhere/"))
    with pytest.raises(NotStoredError, match="nowhere/ohlcv/BTC/USD/1d"):
        dl.sweep(study, workspace=workspace, cluster="tcp://127.0.0.1:9")
    assert not (workspace.results / "grid").exists()
