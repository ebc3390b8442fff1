"""The way back from a change by hand: `undo.json`, what a data set was, until it is verified.

Parts never change, so an old manifest and the parts it names are the old data set. The store keeps
both as long as `undo.json` names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from delever.data.manifest import Manifest
from delever.errors import StoreError

UNDO = "undo.json"
"""Its file, beside the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change, and the data set before it."""

    record: Mapping[str, object]  # what was done, by whom, when and why
    before: Manifest


def steps_to_bytes(steps: Sequence[Step]) -> bytes:
    """Write steps as JSON, the newest last."""
    document = [
        {"record": dict(step.record), "before": json.loads(step.before.to_bytes())}
        for step in steps
    ]
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def steps_from_bytes(data: bytes, where: str) -> tuple[Step, ...]:
    """Read steps from JSON. Raises StoreError if they are damaged."""
    try:
        return tuple(
            Step(
                record=dict(step["record"]),
                before=Manifest.from_bytes(json.dumps(step["before"]).encode(), where),
            )
            for step in json.loads(data)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{where} is damaged ({type(error).__name__}: {error}); remove that file: the data set "
            "beside it is whole without it, and what it would undo stays done"
        ) from None
