"""Variables of the environment: reads them, and gathers every fault there is."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import javaproperties

from cki_notifier.configuration.checks import cause
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import Variable

T = TypeVar("T")

#: What no text in UTF-8 has, or what would end it: half of a pair of UTF-16, as which Python also
#: has bytes that are not UTF-8, and the null character.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Reader:
    """Reads variables and gathers faults; after a fault the value is a stand-in nobody uses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def fault(self, name: str, text: str) -> None:
        """Note a fault."""
        self.faults.append(f"{name}: {text}")

    def _held(self, name: str) -> str:
        """Return what a variable holds, nothing when that is no text."""
        value = self._environ.get(name, "")
        if not _NO_TEXT.search(value):
            return value
        if not self.has_fault(name):
            self.fault(name, "holds bytes that are not UTF-8")
        return ""

    def text(self, variable: Variable, *, needed: bool = False) -> str:
        """Return a variable's value; an empty variable counts as one that isn't set."""
        value = self._held(variable.name)
        if not value and needed and not self.has_fault(variable.name):
            self.fault(variable.name, f"is not set; it has to hold {variable.holds}")
        return value or variable.default

    def value(self, variable: Variable, parse: Callable[[str], T], *, needed: bool = False) -> T:
        """Return a variable's parsed value; ``parse`` raises ValueError for a faulty one."""
        text = self.text(variable, needed=needed)
        try:
            if text:
                return parse(text)
        except ValueError as error:
            self.fault(variable.name, str(error))
        # None for what is optional, or after a fault.
        return parse(variable.default) if variable.default else None  # type: ignore[return-value]

    def secret(
        self,
        variable: Variable,
        check: Callable[[str], None] = lambda _: None,
        *,
        needed: bool = False,
    ) -> Secret:
        """Return a secret from its variable or from the file that ``<NAME>_FILE`` names."""
        name = variable.name
        found = self.optional_secret(name, check)
        if (
            found is None
            and needed
            and not (self.has_fault(name) or self.has_fault(f"{name}_FILE"))
        ):
            self.fault(
                name, f"is not set; it (or the file {name}_FILE) has to hold {variable.holds}"
            )
        return found if found is not None else Secret(variable.default)

    def optional_secret(
        self, name: str, check: Callable[[str], None] = lambda _: None
    ) -> Secret | None:
        """Return a secret, None when neither its variable nor its file is set.

        Args:
            name: of the variable.
            check: raises ValueError for a faulty one, without showing it.
        """
        value, file = self._held(name), self._held(f"{name}_FILE")
        if value and file:
            self.fault(name, f"is set, and so is {name}_FILE; set one of them")
            return None
        if file:
            value = self._content(f"{name}_FILE", file)
            value = re.sub(r"\r?\n\Z", "", value)
            if not value and not self.has_fault(f"{name}_FILE"):
                self.fault(f"{name}_FILE", f"the file {file!r} is empty")
        if any(character in value for character in "\r\n\0"):
            self.fault(name, "holds a line end or a null character within; it must be one line")
            return None
        try:
            if value:
                check(value)
        except ValueError as error:
            self.fault(name, str(error))
            return None
        return Secret(value) if value else None

    def _content(self, name: str, file: str) -> str:
        try:
            return Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            self.fault(name, f"the file {file!r} can't be read: {cause(error)}")
            return ""

    def properties(self, variable: Variable) -> dict[str, str]:
        """Return what the properties file named by a variable holds, nothing when it isn't set."""
        name, file = variable.name, self.text(variable)
        if not file:
            return {}
        content = self._content(name, file)
        try:
            held = dict(javaproperties.loads(content))
        except ValueError:  # its text is not shown, as it quotes the file, which may hold secrets
            self.fault(name, f"the file {file!r} is no properties file: an invalid \\u escape")
            return {}
        if bad := [key for key, value in held.items() if _NO_TEXT.search(key + value)]:
            text = f"in the file {file!r} {bad[0]!r} has a \\u escape that is no text"
            self.fault(name, text)
        return {key: value for key, value in held.items() if key not in bad}

    def has_fault(self, name: str) -> bool:
        """Tell whether a variable is at fault."""
        return any(fault.startswith(f"{name}:") for fault in self.faults)
