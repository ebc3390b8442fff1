"""Strategy files: loading one by path, its parameters, and the contract of what it returns."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pandas as pd
import pydantic
from pydantic_core import PydanticSerializationError, to_json

from delever.engine.joint_orders import by_symbol, together
from delever.engine.orders import Target
from delever.errors import ConfigError, StrategyError
from delever.panel import Markets
from delever.research.decision import Decided, Decision, lines_of, target_in
from delever.research.strategy_checks import check_lines, check_panel, check_target, exposures
from delever.study.workspaces.signature import (
    Takes,
    explained,
    hints_of,
    is_price,
    parameter_model,
    takes,
)
from delever.view import MarketView

_TAKES: Mapping[Takes, str] = MappingProxyType(
    {
        "market": "one market",
        "markets": "several symbols, as dl.markets gives them",
        "signals": "several symbols and a signal of each, as a portfolio rule does",
    }
)
MODULES = "_delever_strategy_"
"""What names of modules made of a user's files begin with."""
RAISED = (Exception, SystemExit, GeneratorExit)
"""What a user's code may raise; a strategy that exits has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy file, loaded."""

    name: str  # name of the file and of its function
    path: Path  # absolute
    sha256: str  # of the bytes that were run
    function: Callable[..., Decided]  # from a market and keyword parameters to its answer
    # one field per keyword parameter, with its bounds and default
    parameters: type[pydantic.BaseModel]
    # names of those that are prices (``Annotated[..., Price()]``)
    price_parameters: tuple[str, ...]
    summary: str  # first line of the function's docstring
    # one market; the whole `Markets`; or these and a signal per symbol, of which it makes exposures
    takes: Takes = "market"

    def bind(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Check parameters and fill in defaults.

        Raises
        ------
        ConfigError
            For a name the strategy does not have, a missing one, or a value of the wrong type or
            out of bounds.
        """
        there = self.parameters.model_fields
        unknown = [name for name in params if name not in there]
        if unknown:
            raise ConfigError(
                f"strategy {self.name} has the parameters {', '.join(there) or '(none)'}; "
                f"got {', '.join(map(repr, unknown))}; correct the name or remove it"
            )
        try:
            text = to_json(dict(params), inf_nan_mode="constants", fallback=_plain)
            bound = self.parameters.model_validate_json(text)
        except PydanticSerializationError as error:
            raise ConfigError(
                f"strategy {self.name}: parameters must be numbers, strings, booleans or lists "
                f"of them; {error}"
            ) from None
        except pydantic.ValidationError as error:
            said = "; ".join(explained(error))
            raise ConfigError(f"strategy {self.name}: {said}") from None
        return {name: getattr(bound, name) for name in there}

    def allows(self, params: Mapping[str, Any]) -> bool:
        """Whether `bind` takes these parameters."""
        try:
            self.bind(params)
        except ConfigError:
            return False
        return True

    def __call__(self, market: MarketView | Markets, **params: Any) -> Decided:
        """Call the function as it is; what it raises names the file and line.

        Raises
        ------
        ConfigError
            As `bind`.
        StrategyError
            If the function raises, or takes several markets and is given one, or the reverse.
        """
        return self._asked(market, self.bind(params))

    def target(self, market: MarketView, params: Mapping[str, Any] | None = None) -> Target:
        """Target exposure of every bar, with orders if there are any, checked; lines are unread.

        Raises
        ------
        ConfigError
            As `bind`.
        StrategyError
            If the function raises or breaks its contract; the message names the bar.
        """
        return self.bound_target(market, self.bind(params or {}))

    def bound_target(self, market: MarketView, bound: Mapping[str, Any]) -> Target:
        """As `target`, of parameters as `bind` gives them."""
        return self._target(self._asked(market, bound), market)

    def decide(self, market: MarketView, params: Mapping[str, Any] | None = None) -> Decision:
        """Target exposure of every bar and the lines it was decided by, checked.

        Raises
        ------
        ConfigError
            As `bind`.
        StrategyError
            As `target`, or if a line holds no prices.
        """
        answer = self(market, **(params or {}))
        target = self._target(answer, market)
        broken = check_lines(answer)
        if broken is not None:
            raise StrategyError(f"{self.path}: {broken.message}")
        return Decision(target=target, lines=lines_of(answer).set_axis(market.index))

    def panel_target(
        self, markets: Markets, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Target exposure of every row and symbol, checked; NaN where a symbol cannot be held.

        A strategy of one market is asked for each.

        Raises
        ------
        ConfigError
            As `bind`.
        StrategyError
            As `target`; the message names row and symbol.
        """
        if self.takes == "market":
            return together(
                {name: self._alone(name, markets, params) for name in markets}, markets.index
            )
        return self._panel(self(markets, **(params or {})), markets)

    def allocate(
        self, markets: Markets, signals: pd.DataFrame, params: Mapping[str, Any]
    ) -> pd.DataFrame:
        """Exposures that a portfolio rule makes of signals, checked as `panel_target`.

        Raises
        ------
        ConfigError
            As `bind`, or if it is no portfolio rule.
        StrategyError
            As `target`.
        """
        if self.takes != "signals":
            raise ConfigError(
                f"{self.path}: a portfolio rule must take (markets, signals, *, …); {self.name} "
                f"takes {_TAKES[self.takes]}"
            )
        bound = self.bind(params)
        try:
            with redirect_stdout(sys.stderr):
                answer = self.function(replace(markets), signals.copy(), **bound)
        except RAISED as error:
            raise StrategyError(_at_fault(error, self.path)) from error
        return self._panel(answer, markets)

    def _asked(self, market: MarketView | Markets, bound: Mapping[str, Any]) -> Decided:
        given: Takes = "markets" if isinstance(market, Markets) else "market"
        if self.takes != given:
            several = "; name a universe or a study of several" if given == "market" else ""
            raise StrategyError(
                f"{self.path}: {self.name} takes {_TAKES[self.takes]}; got {_TAKES[given]}{several}"
            )
        try:
            with redirect_stdout(sys.stderr):  # standard output belongs to the command
                return self.function(replace(market), **bound)
        except RAISED as error:
            raise StrategyError(_at_fault(error, self.path)) from error

    def _alone(self, name: str, markets: Markets, params: Mapping[str, Any] | None) -> Target:
        """What is asked of one symbol, on the rows that knew it."""
        target = self.target(markets[name], params)
        if isinstance(target, pd.Series):
            return markets.known(name, target)
        return pd.DataFrame({each: markets.known(name, target[each]) for each in target})

    def _panel(self, answer: object, markets: Markets) -> pd.DataFrame:
        broken = check_panel(answer, markets)
        if broken is not None:
            raise StrategyError(f"{self.path}: {broken.message}")
        assert isinstance(answer, pd.DataFrame)
        each = by_symbol(answer[[*markets.symbols]].set_axis(markets.index))
        return together({name: target_in(one) for name, one in each.items()}, markets.index)

    def _target(self, answer: Decided, market: MarketView) -> Target:
        broken = check_target(answer, market.index, market.bars["close"])
        if broken is not None:
            raise StrategyError(f"{self.path}: {broken.message}")
        target = target_in(answer)
        if isinstance(target, pd.DataFrame):
            return target.set_axis(market.index)
        if target.dtype != "float64":
            target = pd.Series(exposures(target))
        return target.set_axis(market.index).rename("target_exposure")


def load_strategy(path: Path) -> Strategy:
    """Load a strategy file: one file, one function of the file's name.

    Raises StrategyError if the file cannot be read, parsed or run, or its function is missing or
    has a signature that no study could fill in; the message names file and line where there is one.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file():
            raise StrategyError(f"{path}: a strategy must be a file; it is a folder or a device")
        source = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"{path}: a strategy file must be readable; {error.strerror}") from None
    return strategy_from(path, source)


def strategy_from(path: Path, source: bytes) -> Strategy:
    """A strategy from what its file held. Raises as `load_strategy`."""
    sha256 = hashlib.sha256(source).hexdigest()
    name = path.stem
    function = getattr(execute(path, source, sha256), name, None)
    if not inspect.isfunction(function):
        raise StrategyError(
            f"{path}: a strategy file must define one function of its own name, {name}; found none"
        )
    return _strategy(function, name=name, path=path, sha256=sha256)


def _code_sha256(function: Callable[..., Any]) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt that keeps no lines
        code = function.__code__
        source = f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"
    return hashlib.sha256(source.encode()).hexdigest()


def function_strategy(function: Callable[..., Decided]) -> Strategy:
    """A strategy of a function at hand. Raises StrategyError if no study could fill it in."""
    name = function.__name__ if function.__name__.isidentifier() else "strategy"
    path = Path(function.__code__.co_filename)
    return _strategy(function, name=name, path=path, sha256=_code_sha256(function))


def _strategy(function: Callable[..., Decided], *, name: str, path: Path, sha256: str) -> Strategy:
    hints = hints_of(function, path)
    parameters = parameter_model(function, hints, path)
    return Strategy(
        name=name,
        path=path,
        sha256=sha256,
        function=function,
        parameters=parameters,
        price_parameters=tuple(
            field for field in parameters.model_fields if is_price(hints[field])
        ),
        summary=(inspect.getdoc(function) or "").partition("\n")[0],
        takes=takes(list(inspect.signature(function).parameters)),
    )


def execute(path: Path, source: bytes, sha256: str) -> ModuleType:
    """Run a user's file as a module of its own.

    Raises StrategyError if it cannot be parsed or run; the message names file and line.
    """
    key = hashlib.sha256(f"{path}\0{sha256}".encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(f"{MODULES}{key}", path)
    if spec is None:
        raise StrategyError(f"a Python file, ending in .py, is required; got {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        # As Python itself runs it, without the future features of this file.
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (MemoryError, RecursionError):
        raise StrategyError(f"{path}: expressions are nested too deeply; divide them") from None
    except SyntaxError as error:
        line = (error.text or "").strip()[:80]
        raise StrategyError(
            f"{path}:{error.lineno or 1}: {error.msg}" + (f": {line}" if line else "")
        ) from None
    sys.modules[module.__name__] = module  # dataclasses in the file look their module up there
    try:
        with redirect_stdout(sys.stderr):
            exec(code, module.__dict__)
    except RAISED as error:
        del sys.modules[module.__name__]
        raise StrategyError(_at_fault(error, path)) from error
    return module


def _at_fault(error: BaseException, path: Path) -> str:
    """Where in the user's file it happened, and what."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.filename == str(path)]
    place = f"{path}:{lines[-1].lineno}" if lines else str(path)
    return f"{place}: {type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    """What a NumPy scalar holds; anything else is not a parameter."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"got {type(value).__name__}")
