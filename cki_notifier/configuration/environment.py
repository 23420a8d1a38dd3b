"""Variables of the environment: reads them, and gathers every fault there is."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import javaproperties

from cki_notifier.configuration.checks import cause
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.typos import stray, unseen
from cki_notifier.configuration.variables import Variable

T = TypeVar("T")

#: What no text in UTF-8 has, or what would end it: half of a pair of UTF-16, as which Python also
#: has bytes that are not UTF-8, and the null character.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def of_process(text: str) -> str:
    """Return what the process was given as UTF-8, whatever the locale made of it."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


class Reader:
    """Reads variables and gathers faults; after a fault the value is a stand-in nobody uses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def fault(self, name: str, text: str) -> None:
        """Note a fault."""
        self.faults.append(f"{name}: {text}")

    def raw(self, variable: Variable) -> str:
        """Return what a variable holds, whatever that is."""
        return self._environ.get(variable.name, "")

    def _held(self, name: str) -> str:
        """Return what a variable holds, nothing when that is no text."""
        value = self._environ.get(name, "")
        if not _NO_TEXT.search(value):
            return value
        if not self.has_fault(name):
            self.fault(name, "holds bytes that are not UTF-8")
        return ""

    def _meant(self, name: str, *, is_spaced: bool = False) -> str:
        """Return what a variable holds, nothing when nobody can mean it."""
        value = self._held(name)
        if not (value and (wrong := stray(value, is_spaced=is_spaced))):
            return value
        if not self.has_fault(name):
            self.fault(name, wrong)
        return ""

    def text(self, variable: Variable, *, needed: bool = False) -> str:
        """Return a variable's value; an empty variable counts as one that isn't set."""
        return self.value(variable, str, needed=needed) or ""

    def value(self, variable: Variable, parse: Callable[[str], T], *, needed: bool = False) -> T:
        """Return a variable's parsed value; ``parse`` raises ValueError for a faulty one."""
        name, is_spaced = variable.name, variable.is_spaced
        text = self._meant(name, is_spaced=is_spaced)
        if not text and needed and not self.has_fault(name):
            self.fault(name, f"is not set; it has to hold {variable.holds}")
        try:
            parsed = parse(text) if text else None
            if parsed is not None and not (wrong := unseen(text, is_spaced=is_spaced)):
                return parsed
        except ValueError as error:
            wrong = str(error)
        if text and not self.has_fault(name):
            self.fault(name, wrong)
        # None for what is optional, or after a fault.
        return parse(variable.default) if variable.default else None  # type: ignore[return-value]

    def secret(
        self,
        variable: Variable,
        check: Callable[[str], None] | None = None,
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
        self, name: str, check: Callable[[str], None] | None = None
    ) -> Secret | None:
        """Return a secret, None when neither its variable nor its file is set.

        Args:
            name: of the variable.
            check: raises ValueError for a faulty one, without showing it; None for a password, in
                which there may be anything: from a file it is taken with its spaces and quotes.
        """
        value, file = self._held(name), self._meant(f"{name}_FILE")
        if value and file:
            self.fault(name, f"is set, and so is {name}_FILE; set one of them")
            return None
        if file:
            # What is no path may be the secret itself.
            shown = repr(file) if file.startswith(("/", "./", "../")) else "that it names"
            value = self._content(f"{name}_FILE", file, shown)
            value = re.sub(r"\r?\n\Z", "", value)
            if not value and not self.has_fault(f"{name}_FILE"):
                self.fault(f"{name}_FILE", f"the file {file!r} is empty")
        if any(character in value for character in "\r\n\0"):
            self.fault(name, "holds a line end or a null character within; it must be one line")
            return None
        try:
            if value and check:
                check(value)
        except ValueError as error:
            self.fault(name, str(error))
            return None
        if wrong := self._wrong_in_secret(name, value, may_be_spaced=check is None):
            self.fault(name, wrong)
            return None
        return Secret(value) if value else None

    def _wrong_in_secret(self, name: str, value: str, *, may_be_spaced: bool) -> str:
        """Say what nobody means in a secret; what is in a file is meant where it may be."""
        if wrong := unseen(value, is_secret=True):
            return wrong
        if not value or (may_be_spaced and not self._held(name)):
            return ""
        if value.startswith("/") and os.path.isfile(value):  # noqa: PTH113  # unlike pathlib's it raises nothing
            return f"is the path of a file; set {name}_FILE to it instead"
        wrong = stray(value)
        if wrong and may_be_spaced:
            wrong += f" (or, if that is meant, into a file that {name}_FILE names)"
        return wrong

    def _content(self, name: str, file: str, shown: str) -> str:
        try:
            return Path(file).read_text(encoding="utf-8-sig")  # editors leave a mark at its begin
        except (OSError, ValueError) as error:
            self.fault(name, f"the file {shown} can't be read: {cause(error)}")
            return ""

    def properties(self, variable: Variable) -> dict[str, str]:
        """Return what the properties file named by a variable holds, nothing when it isn't set."""
        name, file = variable.name, self.text(variable)
        if not file:
            return {}
        content = self._content(name, file, repr(file))
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
