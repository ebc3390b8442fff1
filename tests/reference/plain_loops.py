"""Runs by the loops in plain Python, which are written apart from the compiled ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.reference.account_plain import run_plain
from tests.reference.book_plain import run_book_plain


@contextmanager
def plain_loops() -> Iterator[None]:
    """Let what is run inside go through them, and see that it did."""
    run: list[str] = []

    def account(*laid: Any, engine: str) -> Any:
        run.append("account")
        return run_plain(*laid)

    def book(*laid: Any, engine: str, **told: Any) -> Any:
        run.append("book")
        return run_book_plain(*laid, **told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delever.engine.kernel.run_account", account)
        patch.setattr("delever.engine.book_kernel.run_book", book)
        yield
    assert run, "nothing was run by the loops in plain Python; is theirs taken from elsewhere?"
