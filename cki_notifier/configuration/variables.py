"""A variable of the environment, declared once: as the field of the configuration that it fills."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Generic, NamedTuple, TypeVar, dataclass_transform

from cki_notifier.configuration.secret import Secret

T = TypeVar("T")
C = TypeVar("C")


class Variable(NamedTuple, Generic[T]):
    """A variable and its documentation.

    Attributes:
        name: its name.
        parse: returns the value. Raises ValueError for a faulty text, without showing a secret.
        holds: its purpose, a plain noun phrase that fits "set NAME to …".
        note: further sentences, in Markdown.
        default: the value of an unset variable, as text; ``""`` for none, None for a required one.
        unset: replaces the default in the documentation, in Markdown.
        values: the allowed values, a phrase in Markdown.
        example: a value, where the allowed ones don't show it.
    """

    name: str
    parse: Callable[[str], T]
    holds: str
    note: str = ""
    default: str | None = None
    unset: str = ""
    values: str = ""
    example: str = ""

    @property
    def is_secret(self) -> bool:
        """Whether the value is never shown, and may come from a file."""
        return self._kind is Secret

    @property
    def is_spaced(self) -> bool:
        """Whether surrounding whitespace is ignored: of numbers, lists and JSON."""
        return self._kind in (int, float, tuple[str, ...], dict[str, str])

    @property
    def _kind(self) -> object:
        is_class = isinstance(self.parse, type)
        return self.parse if is_class else self.parse.__annotations__["return"]

    @property
    def file(self) -> str:
        """The variable that names the file with the secret."""
        return f"{self.name}_FILE"


def setting(  # noqa: PLR0913  # most by name
    name: str,
    parse: Callable[[str], T],
    holds: str,
    note: str = "",
    *,
    default: str | None = None,
    unset: str = "",
    values: str = "",
    example: str = "",
) -> T:
    """Return a field that a :class:`Variable` with these attributes fills."""
    metadata = {"variable": Variable(name, parse, holds, note, default, unset, values, example)}
    if default is None:
        required: T = field(metadata=metadata)
        return required
    return field(default=parse(default) if default else None, metadata=metadata)  # type: ignore[return-value]  # a field


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting, field))
def settings(kind: type[C]) -> type[C]:
    """Make a frozen dataclass, whose fields may be declared by :func:`setting`."""
    return dataclass(frozen=True, kw_only=True)(kind)


def variables_of(kind: type[Any]) -> dict[str, Variable[Any]]:
    """Return the variables that fill the fields of a class, by field name."""
    metadata = {it.name: it.metadata for it in fields(kind)}
    return {name: it["variable"] for name, it in metadata.items() if "variable" in it}
