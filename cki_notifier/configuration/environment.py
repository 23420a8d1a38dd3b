"""Reads variables of the environment and collects all faults."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.typos import check_ends, check_visible
from cki_notifier.configuration.variables import Variable, variables_of

T = TypeVar("T")

#: Characters that UTF-8 text can't have: surrogates, which Python also uses for invalid bytes, and
#: the null character, which would end the text.
NO_TEXT = re.compile("[\0\ud800-\udfff]")


def of_process(text: str) -> str:
    """Return the text that the process got in UTF-8, with any locale."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


class Reader:
    """Reads variables and collects faults. The value of a faulty variable must not be used.

    Args:
        environ: the variables; None for the process's own.
    """

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        if environ is None:
            environ = {of_process(name): of_process(it) for name, it in os.environ.items()}
        self._environ = environ
        self.faults: list[str] = []

    def fault(self, name: str, text: str) -> None:
        """Note a fault."""
        if f"{name}: {text}" not in self.faults:
            self.faults.append(f"{name}: {text}")

    def has_fault(self, name: str) -> bool:
        """Tell whether a variable has a fault."""
        return any(fault.startswith(f"{name}:") for fault in self.faults)

    def raw(self, name: str) -> str:
        """Return the text of a variable, unchecked; ``""`` for an unset one."""
        return self._environ.get(name, "")

    def is_set(self, variable: Variable[Any]) -> bool:
        """Tell whether a variable, or the one for its file, is set and not empty."""
        return bool(self.raw(variable.name) or (variable.is_secret and self.raw(variable.file)))

    def values(self, kind: type[Any], *, needed: bool = True) -> dict[str, Any]:
        """Return the values of the fields of a class that variables fill.

        Args:
            kind: the class.
            needed: whether an unset required variable is a fault.
        """
        found = variables_of(kind).items()
        return {name: self.value(it, needed=needed and it.default is None) for name, it in found}

    def value(self, variable: Variable[T], *, needed: bool = False) -> T:
        """Return the value of a variable; note a fault, also if it is needed and not set."""
        name, text = variable.name, self.raw(variable.name)
        path = self.raw(variable.file) if variable.is_secret else ""
        if text and path:
            self.fault(name, f"is set, and so is {variable.file}; unset one of them")
        elif needed and not (text or path):
            file = f", or {variable.file} to a file with it" if variable.is_secret else ""
            self.fault(name, f"is not set; set it to {variable.holds}{file}")
        else:
            try:
                if path:
                    name = variable.file
                    text, name = _content_of_secret(path), variable.name
                    return _secret(variable, text, is_in_file=True)
                if text:
                    _check_text(text)
                    return _secret(variable, text) if variable.is_secret else _value(variable, text)
            except ValueError as error:
                self.fault(name, str(error))
        if variable.default:
            return variable.parse(variable.default)
        return None  # type: ignore[return-value]  # it is optional, or there is a fault


def _check_text(text: str) -> None:
    if NO_TEXT.search(text):
        raise ValueError("contains bytes that are not UTF-8")


def _value(variable: Variable[T], text: str) -> T:
    """Return the value of a variable that is not secret."""
    check_ends(text, is_spaced=variable.is_spaced)
    value = variable.parse(text)
    check_visible("".join(text.split()) if variable.is_spaced else text)
    return value


def _secret(variable: Variable[T], text: str, *, is_in_file: bool = False) -> T:
    """Return a secret. A password from a file may begin and end with any character."""
    name, is_password = variable.name, variable.parse is Secret
    if re.search("[\r\n\0]", text):
        raise ValueError("contains a line end or a null character; write one line")
    value = variable.parse(text)
    check_visible(text, is_secret=True)
    if is_password and is_in_file:
        return value
    if text.startswith("/") and os.path.isfile(text):  # noqa: PTH113  # unlike pathlib's it raises nothing
        raise ValueError(f"is the path of a file; set {name}_FILE to it instead")
    try:
        check_ends(text)
    except ValueError as error:
        meant = f" (or set {name}_FILE to a file with the password as it is)"
        raise ValueError(f"{error}{meant if is_password else ''}") from error
    return value


def _content_of_secret(path: str) -> str:
    """Return the content of a file, without its last line end."""
    _check_text(path)
    check_ends(path)
    # Anything but a path may be the secret itself.
    shown = repr(path) if path.startswith(("/", "./", "../")) else "that it names"
    text = re.sub(r"\r?\n\Z", "", content(path, shown))
    if not text:
        raise ValueError(f"the file {path!r} is empty")
    return text


def content(path: str, shown: str) -> str:
    """Return the text of a file."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # skips a byte order mark
    except UnicodeDecodeError:  # its text would quote the content
        raise ValueError(f"the file {shown} can't be read: it is not UTF-8") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"the file {shown} can't be read: {why}") from error
