"""The tables of docs/configuration.md: each variable, as the code declares it."""

from cki_notifier.configuration.settings import GROUPS
from cki_notifier.configuration.variables import Variable
from tools.documentation.markdown import code, sentence, table


def part() -> str:
    """Return a section for each group of variables."""
    headings = ("variable", "default", "purpose and values")
    return "\n\n".join(
        f"## {heading}\n\n" + table(headings, map(_row, variables))
        for heading, variables in GROUPS.items()
    )


def _row(variable: Variable[object]) -> tuple[str, str, str]:
    unset = variable.unset or ("**required**" if variable.default is None else "none")
    default = code(variable.default) if variable.default else unset
    texts = [
        sentence(f"{variable.holds}: {variable.values}"),
        variable.note,
        f"Example: {code(variable.example)}." if variable.example else "",
        "**Secret.**" if variable.is_secret else "",
    ]
    return code(variable.name), default, " ".join(filter(None, texts))
