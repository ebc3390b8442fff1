"""A workspace: the folders a researcher edits, and where results go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delever.errors import ConfigError, InputError

# What is stored and what strategies need is imported where it is asked for: a missing file is
# refused before pandas is there.
if TYPE_CHECKING:
    from delever.data.catalog import Catalog
    from delever.data.holdout import Holdout
    from delever.data.references import Dataset
    from delever.engine.settings import Account
    from delever.study.workspaces.extensions import Extensions
    from delever.study.workspaces.strategy import Strategy

TEMPLATE = (
    "strategies/*.py",
    "backtests/*.toml",
    "data/*.toml",
    "data/venues/*.toml",
    "data/sample/*.csv",
    "data/sample/*.json",
)
"""What a new workspace is made of; a wheel carries the same files."""

_FOLDERS = ("strategies", "data", "backtests")
_IGNORED = "data/store/\ndata/venues/brackets/.lock\nbacktests/results/\n__pycache__/\n"
_WELCOME = """\
# A delever workspace

    delever run backtests/ma200w_break.toml        one study; name several to compare them
    delever claims backtests/claims_2026_02.toml   what was said, and what the data say
    delever data list                              what is stored
    delever check strategies/ma200w_break.py       does it peek?

Studies that name series beside the bars (funding, Fear & Greed) need those stored first.

`strategies/` holds one function per file, `backtests/` one study per file, `data/` the sample, the
catalogue of deleveraging periods and, once you import or fetch some, your own data sets.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The folders ``strategies/``, ``data/`` and ``backtests/`` below one root."""

    root: Path  # absolute path
    opened: Holdout | None = None  # a holdout that may be read, the look at it being recorded

    @classmethod
    def find(
        cls, path: Workspace | Path | str | None = None, *, or_shipped: bool = False
    ) -> Workspace:
        """Find the workspace at or above a folder, or take the files that come with the package.

        Raises InputError if there is none; the message says how to make one.
        """
        if isinstance(path, Workspace):
            return path
        given = path if path is not None else os.environ.get("DELEVER_WORKSPACE")
        if given is not None and not isinstance(given, (str, Path)):
            raise InputError(f"workspace must be the path of a folder; got {given!r}")
        start = Path(given if given is not None else Path.cwd()).expanduser().resolve()
        for folder in (start,) if given is not None else (start, *start.parents):
            if all((folder / name).is_dir() for name in _FOLDERS):
                return cls(root=folder)
        if or_shipped and given is None:
            return cls(root=_template())
        raise InputError(
            f"a workspace (folders {', '.join(_FOLDERS)}) is required; found none at {start}; "
            "run: delever init DIR"
        )

    @property
    def strategies(self) -> Path:
        """One file per strategy."""
        return self.root / "strategies"

    @property
    def backtests(self) -> Path:
        """One file per study."""
        return self.root / "backtests"

    @property
    def results(self) -> Path:
        """One folder per study, one below it per run."""
        return self.backtests / "results"

    @property
    def trials(self) -> Path:
        """The ledger of trials."""
        return self.backtests / "trials"

    @property
    def shipped(self) -> bool:
        """Whether these are the files that come with the package, which hold nobody's research."""
        return self.root == _template()

    @property
    def periods(self) -> Path:
        """The catalogue of deleveraging periods."""
        return self.root / "data" / "deleveraging.toml"

    @property
    def catalog(self) -> Catalog:
        """The data sets of this workspace."""
        from delever.data.catalog import Catalog
        from delever.data.holdout import read_holdout

        folder = self.root / "data"
        return Catalog(folder, holdout=self.opened or read_holdout(folder))

    @property
    def extensions(self) -> Extensions:
        """What ``extensions/*.py`` and installed packages add."""
        from delever.study.workspaces.extensions import load_extensions

        return load_extensions(self.root / "extensions")

    def file(self, path: Path) -> Path:
        """Find a file that may be named from the current folder or from the workspace."""
        given = path.expanduser()
        below = self.root / given
        return below if below.exists() and not given.exists() else given

    def study(self, path: Path) -> Path:
        """Find a study file. Raises ConfigError if there is none."""
        return self._there(path, "a study file")

    def claims(self, path: Path) -> Path:
        """Find a file of claims. Raises ConfigError if there is none."""
        return self._there(path, "a file of claims")

    def _there(self, path: Path, what: str) -> Path:
        found = self.file(path)
        if not found.is_file():
            raise ConfigError(f"{what} is required; there is none at {found}")
        return found

    def account(self, said: Account | None) -> tuple[Account | None, Mapping[str, Dataset]]:
        """Load what an account names: the account, and the data sets behind it by setting.

        Raises ConfigError if there is no such rulebook, or a data set is of another kind;
        NotStoredError if one is not stored.
        """
        if said is None:
            return None, {}
        from delever.study.settings.account_table import load_account

        return load_account(said, catalog=self.catalog, venues=self.root / "data" / "venues")

    def has_strategy(self, reference: str) -> bool:
        """Whether a name or path is one of a strategy, readable or not."""
        return reference.endswith(".py") or (self.strategies / f"{reference}.py").is_file()

    def strategy(self, reference: str) -> Strategy:
        """Load a strategy by its name in ``strategies/``, or by a path ending in ``.py``.

        Raises ConfigError if there is no such file; the message lists those there are.
        """
        from delever.study.workspaces.strategy import load_strategy

        paths = [self.file(Path(reference))] if reference.endswith(".py") else []
        for path in (*paths, self.strategies / f"{reference}.py"):
            if path.is_file():
                return load_strategy(path)
        there = ", ".join(sorted(path.stem for path in self.strategies.glob("*.py")))
        raise ConfigError(
            f"strategy must be a name in {self.strategies} or a path ending in .py; "
            f"got {reference!r}; there are: {there or 'none'}"
        )


def init(directory: Path | str) -> Workspace:
    """Make a workspace that runs: the shipped strategies, studies, periods and sample.

    Parameters
    ----------
    directory : path
        A new or empty folder.

    Raises
    ------
    InputError
        If something is there already; nothing is overwritten.

    Examples
    --------
    >>> import delever as dl
    >>> dl.init("mine").root  # doctest: +SKIP
    PosixPath('/home/you/mine')
    """
    target = Path(directory).expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"a new workspace needs an empty folder; {target} is not")
    source = _template()
    for pattern in TEMPLATE:
        for file in sorted(source.glob(pattern)):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    (target / ".gitignore").write_text(_IGNORED)
    (target / "README.md").write_text(_WELCOME)
    return Workspace.find(target)


def _template() -> Path:
    package = Path(__file__).resolve().parents[2]
    shipped = package / "_workspace"
    return shipped if shipped.is_dir() else package.parents[1]
