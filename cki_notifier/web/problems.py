"""What is wrong, in words that say what comes of it and what to do."""

from msgspec import Struct

#: For the person on call, with a section for each alert.
RUNBOOK = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs/runbook.md"


class Problem(Struct, frozen=True, kw_only=True):
    """Something that an operator has to know.

    Attributes:
        id: of the connection it is about, or ``loop``, ``blocked``, ``copies``, ``standstill``,
            ``dead-letters``, ``delayed``.
        says: what is wrong.
        since: when it began, ISO 8601 in UTC; None when that is not known.
        answered: what was answered last, or became of the request; ``""`` where nothing was asked.
        means: what comes of it.
        do: what to do about it.
        runbook: the address of its section.
    """

    id: str
    says: str
    since: str | None = None
    answered: str = ""
    means: str
    do: str
    runbook: str

    @property
    def text(self) -> str:
        """All but what to do, in a sentence or two."""
        since = f" since {self.since[11:16]} UTC" if self.since else ""
        answered = f" ({self.answered})" if self.answered else ""
        return f"{self.says}{since}{answered}. {self.means}"


def runbook(section: str) -> str:
    """Return the address of a section of the runbook, by its heading."""
    return f"{RUNBOOK}#{section.lower()}"
