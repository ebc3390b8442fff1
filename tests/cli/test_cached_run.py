"""What a cached run does without: its imports are most of what it costs."""

from __future__ import annotations

import subprocess
import sys

from delever.cli.app import main

UNUSED = {
    "arch",
    "ccxt",
    "fsspec",
    "jinja2",
    "numba",
    "plotly",
    "pyarrow.dataset",
    "ta",
    "vectorbt",
}
UNUSED |= {"delever.data.web", "delever.engine.kernel", "delever.signals.network"}


def test_a_cached_run_imports_neither_engine_nor_figures_nor_vendors(workspace, capsys):
    words = ["run", "backtests/buy_and_hold.toml", "--workspace", str(workspace.root)]
    assert main(words) == 0
    capsys.readouterr()
    code = (
        "import sys; from delever.cli.app import main; code = main(sys.argv[1:]); "
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    exit_code, *modules = done.stderr.split()
    assert exit_code == "0", done.stderr
    assert "buy_and_hold" in done.stdout
    assert not UNUSED & set(modules)
