"""Objects that are observed while the application uses them: responses and connections.

Their methods are wrapped on the class, when its first object is observed, and ask each object who observes it. So
they are bound as methods are: one that the application keeps (`BackgroundTask(response.aclose)`) keeps its object,
and an object that nobody keeps is collected at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._patch import Patches
    from .._wrap import Wrapper

_OBSERVER = "_otel_zdr_observer"


class Observes:
    """What observes one object. It is not copied with the object, nor pickled."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return (type(None), ())

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        return None


def watch(patches: Patches, watched: Any, observer: Observes, methods: Mapping[str, Wrapper]) -> None:
    """Have `observer` observe `watched`, whose class has these methods wrapped from now on."""
    kind = type(watched)
    for name, wrapper in methods.items():
        patches.wrap_method(kind, name, wrapper)
    vars(watched)[_OBSERVER] = observer


def observed(method: Callable[..., Any]) -> Wrapper:
    """The wrapper of a method: what nobody observes is called as it is, else
    `method(observer, wrapped, args, kwargs)`, which is a coroutine function where the method is one.
    """

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        observer = vars(instance).get(_OBSERVER)
        if observer is None:
            return wrapped(*args, **kwargs)
        return method(observer, wrapped, args, kwargs)

    return wrapper
