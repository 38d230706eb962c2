"""What of NumPy has no meaning on traced arrays, and what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from graphad.numpy.arguments import untraceable
from graphad.tracing.protocols import implements_newer

_DATA_DEPENDENT = "the shape of its result depends on the elements, which are not known while tracing. "
_IN_PLACE = "it writes into an array in place; values of a graph do not change. "

CURES: dict[str, str] = {
    "trim_zeros": _DATA_DEPENDENT + "Compute it outside the traced function",
    "put": _IN_PLACE + "Use y = x.ravel().at[indices].set(values).reshape(x.shape)",
    "put_along_axis": _IN_PLACE + "Use y = graphad.numpy.put_along_axis(x, indices, values, axis)",
    "place": _IN_PLACE + "Use np.where(mask, values, x)",
    "putmask": _IN_PLACE + "Use np.where(mask, values, x)",
    "copyto": _IN_PLACE + "Use the source itself, np.where(mask, source, x), or x.at[index].set(source)",
    "fill_diagonal": _IN_PLACE + "Use np.where(np.eye(n, dtype=bool), value, x)",
    "array2string": "its elements are not known while tracing. Return the array and print it after the call",
    "array_repr": "its elements are not known while tracing. Return the array and print it after the call",
    "array_str": "its elements are not known while tracing. Return the array and print it after the call",
    "save": "its elements are not known while tracing. Return the array and save it after the call",
    "savetxt": "its elements are not known while tracing. Return the array and save it after the call",
    "savez": "its elements are not known while tracing. Return the array and save it after the call",
}
"""What to do instead of a NumPy function that cannot be traced."""


def _refusal(name: str, cure: str) -> Any:
    def refuse(*arguments: Any, **keywords: Any) -> NoReturn:
        untraceable(f"np.{name} cannot be traced: {cure}")

    return refuse


for _name, _cure in CURES.items():
    implements_newer(_name)(_refusal(_name, _cure))
