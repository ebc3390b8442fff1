"""Runs by the loops in plain Python, which are written apart from the compiled ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.reference.account_plain import run_plain
from tests.reference.book_plain import run_book_plain


@contextmanager
def plain_loops() -> Iterator[None]:
    """Let what is run inside go through them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delever.engine.kernel.run_account", lambda *laid, engine: run_plain(*laid))
        patch.setattr(
            "delever.engine.book_kernel.run_book",
            lambda *laid, engine, **told: run_book_plain(*laid, **told),
        )
        yield
