"""One variable of the environment, declared once: as the field of the configuration it fills."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Generic, NamedTuple, TypeVar, dataclass_transform

from cki_notifier.configuration.secret import Secret

T = TypeVar("T")
C = TypeVar("C")


class Variable(NamedTuple, Generic[T]):
    """What is known of a variable.

    Attributes:
        name: its name.
        parse: returns its value; raises ValueError for a faulty one, without showing a secret.
        holds: what it has to hold, in plain text, so that "it has to hold …" can be said.
        note: what else is to be known, in sentences of Markdown.
        default: its value when it isn't set, as text; ``""`` for none, None when it is required.
        unset: where there is no default, what comes of that, unless it is plain.
    """

    name: str
    parse: Callable[[str], T]
    holds: str
    note: str = ""
    default: str | None = None
    unset: str = ""

    @property
    def is_secret(self) -> bool:
        """Whether it is never shown, and may come from a file."""
        return self._kind is Secret

    @property
    def is_spaced(self) -> bool:
        """Whether spaces and line ends at its ends are no part of it: of numbers, lists, JSON."""
        return self._kind in (int, float, tuple[str, ...], dict[str, str])

    @property
    def _kind(self) -> object:
        is_class = isinstance(self.parse, type)
        return self.parse if is_class else self.parse.__annotations__["return"]

    @property
    def file(self) -> str:
        """Which variable names the file with it, if it is a secret."""
        return f"{self.name}_FILE"


def setting(  # noqa: PLR0913  # most by name
    name: str,
    parse: Callable[[str], T],
    holds: str,
    note: str = "",
    *,
    default: str | None = None,
    unset: str = "",
) -> T:
    """Return a field that a variable fills, whose attributes the arguments are."""
    metadata = {"variable": Variable(name, parse, holds, note, default, unset)}
    if default is None:
        required: T = field(metadata=metadata)
        return required
    return field(default=parse(default) if default else None, metadata=metadata)  # type: ignore[return-value]  # a field


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting, field))
def settings(kind: type[C]) -> type[C]:
    """Make a class one of frozen values, whose fields may be declared by :func:`setting`."""
    return dataclass(frozen=True, kw_only=True)(kind)


def variables_of(kind: type[Any]) -> dict[str, Variable[Any]]:
    """Return the variables that fill fields of a class, by the fields' names."""
    metadata = {it.name: it.metadata for it in fields(kind)}
    return {name: it["variable"] for name, it in metadata.items() if "variable" in it}
