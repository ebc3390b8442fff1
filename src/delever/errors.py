"""Every error delever raises on purpose.

::

    DeleverError
    ├── InputError            the caller asked for something that cannot be (exit code 2)
    │   ├── ConfigError       a study file, a parameter, a command-line value
    │   └── StrategyError     a strategy file that does not load or does not keep its contract
    ├── DataError             data that cannot be trusted or found (exit code 1)
    │   ├── SchemaError       a frame or file breaks its contract
    │   ├── ConflictError     new data disagrees with what is stored
    │   ├── NotStoredError    no such data set, run or file
    │   ├── StoreError        the store itself is damaged or locked
    │   └── VenueError        an exchange or a web source refuses, or does not answer
    └── SimulationError       a backtest that cannot be computed (exit code 1)

A message is one sentence that says what was required, what came, where, and what to do.
"""

from __future__ import annotations

import re

# How numpy writes a scalar: np.float64(0.1), np.str_('a'), np.True_.
_SCALAR = re.compile(r"\bnp\.(?:\w+\(('[^']*'|[^()]*)\)|(True|False)_)")


class DeleverError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line ends with.

    Examples
    --------
    >>> import numpy as np
    >>> print(DeleverError(f"got {[np.float64(0.1), np.True_]!r}"))
    got [0.1, True]
    """

    exit_code = 1

    def __init__(self, said: object = "") -> None:
        # Whoever writes a value into a sentence need not know which library it came from.
        super().__init__(_SCALAR.sub(lambda found: found[1] or found[2] or "", str(said)))


class InputError(DeleverError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class ConfigError(InputError):
    """A study file, a parameter or a command-line value is wrong."""


class StrategyError(InputError):
    """A strategy file does not load or does not keep its contract."""


class DataError(DeleverError):
    """Data that cannot be trusted or found."""


class SchemaError(DataError):
    """A frame or file breaks the contract of its kind."""


class ConflictError(DataError):
    """New data disagrees with what is stored."""


class NotStoredError(DataError):
    """No such data set, run or file."""


class StoreError(DataError):
    """The store itself is damaged or locked by another writer."""


class VenueError(DataError):
    """An exchange or a web source refuses, or does not answer."""


class SimulationError(DeleverError):
    """A backtest that cannot be computed."""
