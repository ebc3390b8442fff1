"""What goes to a cluster comes back as at home; what is lost or unlike ends in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from distributed import LocalCluster

import delever as dl
from delever.errors import ConfigError, SimulationError
from delever.research.null_markets import simulate_bars
from delever.research.signal.level_break import LevelRule
from delever.study.machines import cluster as cluster_module
from delever.study.machines.cluster import open_cluster
from delever.study.sweeps import study_sweep as sweep_module

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

END = "end = 2014-07-01"
SAMPLE = "sample/ohlcv/BTC/USD/1d"
MADE = "made/ohlcv/BTC/USDT/1d"
STUDY = """
strategy = "{strategy}"
data = "{data}"
{end}
[params]
weeks = 10
[sweep.params]
weeks = [10, 20, 30, 40]
"""
EXTENSION = '''
from dataclasses import dataclass

from delever.research.signal.level_break import LevelRule
from delever.venues.slippage import Slippage


@dataclass(frozen=True)
class Wide(Slippage):
    """A part of the bar's width."""

    part: float = 0.1

    def fraction(self, bars):
        return self.part * (bars["high"] / bars["low"] - 1.0)


def half_high(bars: int = 100):
    def levels(market):
        top = market.bars["high"].rolling(bars).max() / 2.0
        return lambda factor: factor * top

    return LevelRule(name=f"half the high of {bars} bars", levels=levels)


COSTS = (Wide,)
SIGNALS = (half_high,)
'''


def begun(workers: int, port: int = 0) -> LocalCluster:
    """Scheduler and workers in threads of this process, spoken to over the loopback."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp",
        host="127.0.0.1", scheduler_port=port, dashboard_address="127.0.0.1:0", silence_logs=50,
    )  # fmt: skip


@pytest.fixture(scope="module")
def address():
    with begun(2) as there:
        yield there.scheduler_address


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """What workers keep; and a chunk per combination."""
    monkeypatch.setenv("DELEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sweep_module, "_MOST", 1)
    return tmp_path / "cache"


def written(workspace, strategy: str = "ma200w_break", data: str = SAMPLE, end: str = END) -> Path:
    path = workspace.backtests / "grid.toml"
    path.write_text(STUDY.format(strategy=strategy, data=data, end=end))
    return path


def stored(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def told(one: dl.Result) -> str:
    """All that a result says, its page aside."""
    return json.dumps([one.to_dict(), {name: t.to_csv() for name, t in one.tables.items()}])


@pytest.mark.otherwise(True)
def test_walks_signal_studies_and_runs_are_those_at_home(workspace, address, monkeypatch) -> None:
    planted = pd.DataFrame(columns=["effect", "found"])  # no worker is asked for it
    monkeypatch.setattr("delever.research.signal.study._power", lambda *_, **__: planted)
    (workspace.root / "extensions").mkdir()
    (workspace.root / "extensions" / "mine.py").write_text(EXTENSION)
    study = written(workspace)
    study.write_text(f"{study.read_text()}[costs.models.Wide]\npart = 0.2\n")
    steps: list[str] = []
    pace = {"window": 400, "step": 180, "shifts": 5, "progress": steps.append}
    with open_cluster(address) as cluster:
        home, away = (dl.walk_forward(study, cluster=where, **pace) for where in (None, cluster))
        assert json.dumps(away.to_dict()) == json.dumps(home.to_dict())
        assert away.shifted == home.shifted
        assert len(set(home.shifted)) == 5
        assert steps.count("shifted walks, 5 of 5") == 2

        swept = dl.sweep(study, cluster=cluster)  # leaves no workspace behind that others move to
        kept = stored(swept.folder)
        assert stored(dl.sweep(study, workers=1, fresh=True).folder) == kept

        market = dl.market(SAMPLE, end="2016-01-01")
        asked = {"design": dl.StudyDesign(draws=60, decides=7, horizons=(7, 30))}
        for rule, vary in (("half_high", None), ("rolling_low", {"weeks": [8, 16]})):
            found = [
                dl.signal_study(rule, market, vary=vary, cluster=where, **asked)
                for where in (None, cluster)
            ]
            assert told(found[0]) == told(found[1])
        names = ["half_high", "rolling_low"]
        found = [dl.signal_family(names, market, cluster=one, **asked) for one in (None, cluster)]
        assert told(found[0]) == told(found[1])

        home = dl.run(study)
        kept = stored(home.folder)
        away = dl.run(study, fresh=True, cluster=cluster)
        assert len(home.answer.redrawn.null_values) == 6
        assert stored(away.folder) == kept

        def fails(market):
            def level(factor):
                if factor != 1.0:
                    raise TypeError("no placebo")
                return market.bars["close"].shift()

            return level

        with pytest.raises(TypeError, match="no placebo"):
            dl.signal_study(LevelRule(name="x", levels=fails), market, cluster=cluster, **asked)


@pytest.mark.parametrize("where", ["disk", "memory", "bucket"])
def test_workers_have_no_data_and_no_store(
    where, workspace, address, cache, monkeypatch, request
) -> None:
    if where == "memory":
        monkeypatch.setenv("DELEVER_STORE", "memory://workers")
    elif where == "bucket":
        bucket = request.getfixturevalue("bucket")
        text = f"url = {json.dumps(bucket.url)}\noptions = {{endpoint_url = "
        text += f"{json.dumps(bucket.options['endpoint_url'])}}}\n"
        (workspace.root / "data" / "store.toml").write_text(text)
    bars = simulate_bars(900, seed=3).assign(volume=1.0)
    workspace.catalog.add(bars, MADE)
    study = written(workspace, data=MADE)
    kept = stored(dl.sweep(study, workers=1).folder)
    assert stored(dl.sweep(study, cluster=address, fresh=True).folder) == kept
    [root] = (cache / "workspaces").iterdir()
    assert {path.name for path in (root / "data").iterdir() if path.suffix == ""} == (
        {"venues"} if where == "bucket" else {"venues", "store"}
    )
    parts = list((root / "data").rglob("*.parquet"))
    assert bool(parts) == (where != "bucket")


def test_what_is_held_out_is_sealed_on_a_worker(workspace, address) -> None:
    study = written(workspace, end="")
    whole = dl.sweep(study, cluster=address)
    (workspace.root / "data" / "holdout.toml").write_text("[holdout]\nfrom = 2016-01-01\n")
    since = pd.Timestamp("2016-01-01", tz="UTC")
    sealed = dl.sweep(study, cluster=address)
    assert pd.Timestamp(whole.manifest["data"]["end"]) > since
    assert pd.Timestamp(sealed.manifest["data"]["end"]) < since
    assert sealed.folder != whole.folder
    kept = stored(sealed.folder)
    assert stored(dl.sweep(study, workers=1, fresh=True).folder) == kept
    assert dl.holdout().frame.empty


def test_a_scheduler_that_is_started_again_is_found(workspace) -> None:
    study = written(workspace)
    kept = stored(dl.sweep(study, workers=1).folder)
    running = [begun(1)]
    address = running[0].scheduler_address
    seen: list[int] = []

    def restarting(done: int, total: int, left: float) -> None:
        if not seen:
            running.pop().close()
            running.append(begun(1, int(address.rpartition(":")[2])))
        seen.append(done)

    try:
        away = dl.sweep(study, cluster=address, fresh=True, progress=restarting)
    finally:
        running[0].close()
    assert seen == [1, 2, 3, 4]
    assert stored(away.folder) == kept


class Client:
    """Dask's, with one worker, as far as a cluster asks it."""

    status = "running"
    scheduler = SimpleNamespace(ncores=None)
    tries = 0

    def sync(self, *args, **options):
        return {"a worker": 1}

    def submit(self, *args, **options):
        type(self).tries += 1
        sent = SimpleNamespace(status="finished", result=self.result)
        sent.add_done_callback = lambda told: threading.Thread(target=told, args=(sent,)).start()
        return sent

    def result(self, timeout):
        return 7

    def close(self):
        pass


class Closing(Client):
    """Closes as the first task is sent."""

    def submit(self, *args, **options):
        sent = super().submit()
        if self.tries == 1:
            self.status = "closed"
            raise RuntimeError("Client is closed")
        return sent


class Losing(Client):
    """Loses the first answer as it is fetched."""

    def result(self, timeout):
        if self.tries == 1:
            raise OSError("in the middle")
        return 7


class Silent(Client):
    """Tells of nothing that came."""

    def submit(self, *args, **options):
        sent = super().submit()
        sent.add_done_callback = lambda told: None
        return sent


@pytest.mark.parametrize(("kind", "tries"), [(Closing, 2), (Losing, 2), (Silent, 1)])
def test_an_answer_comes_whatever_happens_to_a_connection(kind, tries, monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "_WATCH", 0.01)
    monkeypatch.setattr(kind, "tries", 0)
    cluster = cluster_module.Cluster(kind)
    try:
        assert cluster.submit(len, "").result(timeout=30) == 7
    finally:
        cluster.shutdown()
    assert kind.tries == tries
    with pytest.raises(SimulationError, match="needs an open cluster"):
        cluster.submit(len, "")


def test_a_task_is_sent_once_however_long_that_takes(monkeypatch) -> None:
    """The keeper looks after tasks meanwhile: one that is on its way is not lost."""
    monkeypatch.setattr(cluster_module, "_WATCH", 0.001)
    looks: list[int] = []
    asker = threading.current_thread()

    class Looked(Client):
        tries = 0

        def sync(self, *args, **options):
            looks.append(1)
            return super().sync()

    def stamp():
        while threading.current_thread() is asker and len(looks) < 5:
            time.sleep(0.001)
        return {}

    monkeypatch.setattr(cluster_module, "stamp", stamp)
    cluster = cluster_module.Cluster(Looked)
    try:
        assert cluster.submit(len, "").result(timeout=30) == 7
    finally:
        cluster.shutdown()
    assert Looked.tries == 1


class Away(Client):
    """Has an error that no one thought of, once it has something to do."""

    def submit(self, *args, **options):
        sent = super().submit()
        sent.status = "pending"
        sent.add_done_callback = lambda told: None
        return sent

    def sync(self, *args, **options):
        if self.tries:
            raise ZeroDivisionError("of its own")
        return {"a worker": 1}


class Never(Client):
    """Loses every answer."""

    def result(self, timeout):
        raise OSError("again and again")


@pytest.mark.parametrize(("kind", "error"), [(Away, ZeroDivisionError), (Never, OSError)])
def test_what_can_not_be_mended_ends_every_task(kind, error, monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "_WATCH", 0.01)
    monkeypatch.setattr(kind, "tries", 0)
    cluster = cluster_module.Cluster(kind)
    try:
        with pytest.raises(error):
            cluster.submit(len, "").result(timeout=30)
    finally:
        cluster.shutdown()


def test_a_cluster_that_stays_away_ends_in_a_sentence_and_what_came_is_kept(
    workspace, address, monkeypatch
) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    monkeypatch.setattr(cluster_module, "_CONNECT", 0.5)
    study = written(workspace)
    gone, many = begun(1), {"sweep.params.weeks": list(range(10, 20))}  # so few are under way
    said = r"^a cluster needs a scheduler .* run the same again$"
    with gone, pytest.raises(SimulationError, match=said):
        dl.sweep(study, cluster=gone.scheduler_address, progress=lambda *_: gone.close(), set=many)
    [folder] = (workspace.results / "grid" / "sweeps").iterdir()
    assert [path.name for path in folder.iterdir()] == ["chunks"]
    left = len(list((folder / "chunks").iterdir()))
    assert 0 < left < 10
    again = dl.sweep(study, cluster=address, set=many)
    assert again.resumed == left
    kept = stored(again.folder)
    assert stored(dl.sweep(study, workers=1, fresh=True, set=many).folder) == kept


def test_a_client_that_is_killed_left_what_came_back(workspace, address, tmp_path) -> None:
    gate, asked = tmp_path / "gate", tmp_path / "asked"
    asked.mkdir()
    # The fourth combination that is asked for, whichever it is: workers here work one at a time.
    (workspace.strategies / "waits.py").write_text(
        "import time\nfrom pathlib import Path\n\n\n"
        "def waits(market, *, weeks: int = 1):\n"
        f"    asked = Path({str(asked)!r})\n"
        "    (asked / str(weeks)).touch()\n"
        f"    while len(list(asked.iterdir())) == 4 and not Path({str(gate)!r}).exists():\n"
        "        time.sleep(0.01)\n"
        "    if weeks == 30:\n"
        "        raise ValueError('no 30')\n"
        "    close = market.bars['close']\n"
        "    return (close > close.rolling(weeks).mean()).astype(float)\n"
    )
    study = written(workspace, strategy="waits")
    gate.touch()
    home = dl.sweep(study, workers=1)
    kept = stored(home.folder)
    for folder in (home.folder, asked):
        shutil.rmtree(folder)
    asked.mkdir()
    gate.unlink()
    code = (
        "from delever.cli.app import main; from delever.study.sweeps import study_sweep; "
        f"study_sweep._MOST = 1; main(['sweep', {str(study)!r}, '--cluster', {address!r}])"
    )
    client = subprocess.Popen([sys.executable, "-c", code], cwd=workspace.root)
    try:
        chunks = home.folder / "chunks"
        while len(list(chunks.glob("*.parquet"))) < 3:
            assert client.poll() is None
            time.sleep(0.02)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == -signal.SIGKILL
    gate.touch()
    assert [path.name for path in home.folder.iterdir()] == ["chunks"]
    again = dl.sweep(study, cluster=address)
    assert again.resumed == 3
    assert stored(again.folder) == kept


@pytest.mark.parametrize("says", [b"", b"220 mail.example ESMTP\r\n"])
def test_what_takes_a_connection_and_is_no_scheduler_is_refused(says, monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT", 0.3)
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            taken.append(server.accept()[0])
            taken[0].sendall(says)

        taking = threading.Thread(target=take)
        taking.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(
                SimulationError, match=rf"^a Dask scheduler must answer at {address}; none"
            ),
            open_cluster(address),
        ):
            pass
        taking.join()
        taken[0].close()


def test_a_worker_with_other_code_is_refused_in_a_sentence(workspace, tmp_path) -> None:
    source = Path(dl.__file__).parent
    shutil.copytree(source, tmp_path / "other" / "delever", ignore=shutil.ignore_patterns("*.pyc"))
    with (tmp_path / "other" / "delever" / "units.py").open("a") as file:
        file.write("\n# another version\n")
    study = written(workspace)
    with begun(0) as alone:
        command = ["worker", alone.scheduler_address, "--nthreads", "1", "--no-nanny"]
        worker = subprocess.Popen(
            [str(Path(sys.executable).with_name("dask")), *command, "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "other")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
        )  # fmt: skip
        try:
            while not alone.scheduler.workers:
                assert worker.poll() is None
                time.sleep(0.05)
            with pytest.raises(SimulationError) as refused:
                dl.sweep(study, cluster=alone.scheduler_address)
        finally:
            worker.kill()
            worker.wait()
    said = str(refused.value)
    assert "must run what the client runs; it has code" in said
    assert said.endswith("install the same there and start it again")
    assert "\n" not in said
    assert not list((workspace.results / "grid").rglob("*.parquet"))


def test_a_cluster_has_nothing_to_do_for_several_symbols(workspace) -> None:
    study = workspace.backtests / "two.toml"
    study.write_text(f'strategy = "ma200w_break"\n[legs]\nA = "{SAMPLE}"\nB = "{MADE}"\n')
    with pytest.raises(ConfigError, match="which a study of several symbols has not"):
        dl.run(study, cluster="tcp://127.0.0.1:9")
