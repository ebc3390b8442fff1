"""Inside compiled functions: a tuple handed on as where it is, not word by word.

An account of several positions is some forty arrays, seven to eleven words each. A function that
is not put in the place of its call would be given them one by one, at each of its calls.
"""

from __future__ import annotations

from typing import Any

from numba import extending
from numba.core import cgutils, types
from numba.core.typing.templates import AttributeTemplate

_emit: Any = cgutils  # numba's annotations do not own up to what they take
_extending: Any = extending
_PrimitiveModel: Any = extending.models.PrimitiveModel


class _Held(types.Type):
    """A tuple with names in the frame of a function that has not ended."""

    def __init__(self, of: Any) -> None:
        super().__init__(name=f"Held({of})")
        self.of = of

    def of_field(self, name: str) -> Any:
        """Type of a field: a tuple in the tuple is held as well."""
        found = self.of.types[self.of.fields.index(name)]
        return _Held(found) if isinstance(found, types.BaseNamedTuple) else found


@_extending.register_model(_Held)
class _HeldModel(_PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: _Held) -> None:
        super().__init__(manager, of, manager.lookup(of.of).get_value_type().as_pointer())


@_extending.infer_getattr
class _HeldFields(AttributeTemplate):
    key = _Held

    def generic_resolve(self, held: Any, name: str) -> Any:  # type: ignore[override]
        return held.of_field(name) if name in held.of.fields else None


@_extending.lower_getattr_generic(_Held)  # type: ignore[untyped-decorator]
def _field(context: Any, builder: Any, held: _Held, place: Any, name: str) -> Any:
    at = _emit.gep_inbounds(builder, place, 0, held.of.fields.index(name))
    return at if isinstance(held.of_field(name), _Held) else builder.load(at)


def _put(_: Any, value: Any) -> Any:
    """Where a tuple with names is: for functions called from here, never to be returned."""

    def put(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _emit.alloca_once_value(builder, given[0])

    return _Held(value)(value), put


by_reference: Any = _extending.intrinsic(_put)
