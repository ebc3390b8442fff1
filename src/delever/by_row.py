"""What NumPy, pandas and Python compute alike of one number, and of each row of a series."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

PYTHON: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul,
        np.true_divide: operator.truediv, np.floor_divide: operator.floordiv,
        np.remainder: operator.mod, np.power: operator.pow, np.negative: operator.neg,
        np.positive: operator.pos, np.absolute: abs, np.less: operator.lt,
        np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
        np.equal: operator.eq, np.not_equal: operator.ne, np.bitwise_and: operator.and_,
        np.bitwise_or: operator.or_, np.bitwise_xor: operator.xor, np.invert: operator.invert,
    }
)  # fmt: skip
"""Python's own operators, for numbers: theirs are what a parameter meets elsewhere."""

BY_ROW = frozenset(
    {
        np.add, np.subtract, np.multiply, np.true_divide, np.negative, np.positive, np.absolute,
        np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
        np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.logical_and, np.logical_or,
        np.logical_not, np.minimum, np.maximum, np.log, np.log1p, np.exp, np.sqrt, np.floor,
        np.ceil, np.sign,
    }
)  # fmt: skip
"""What NumPy and pandas compute alike, each row of a series from that row alone."""
