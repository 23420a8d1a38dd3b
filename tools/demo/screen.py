"""The demo's output: in colors on a terminal, else as plain text."""

import sys
from collections.abc import Iterable
from datetime import datetime

import msgspec
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from cki_notifier.message.contract import BuildInfo, JiraIssue, ReadyForTest
from cki_notifier.notification.reasons import DeadLetterReason, IgnoreReason
from tools.brokers.kafka import Record
from tools.demo.bus import Letter

_STYLES = {
    "sent": "bold green",
    "ignored": "bold yellow",
    "delayed": "bold magenta",
    "dead-lettered": "bold red",
}
_RESULTS = {"success": "green", "fail": "red", "error": "magenta"}
_STAGES = {
    "pre-test": "the builds are ready to be tested",
    "post-test": "CKI's own testing is over",
}
_REASONS = (*IgnoreReason, *DeadLetterReason)

#: Indentation of a scene below its heading.
_INDENT = 4


class Screen:
    """The screen; `full` shows whole messages."""

    def __init__(self, *, full: bool) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            # The locale's encoding may lack characters of a message.
            sys.stdout.reconfigure(errors="replace")
        self._console = Console(highlight=False, soft_wrap=False)
        self._full = full

    def title(self, text: str) -> None:
        """Print the title of a part of the demo."""
        self._console.print()
        self._console.print(Rule(Text(text, style="bold cyan"), align="left", style="cyan"))

    def tell(self, text: str) -> None:
        """Print a text of a line or two."""
        self._wrapped(Text(text))

    def is_up(self, what: str, where: str, seconds: float) -> None:
        """Print that something is up, where, and how long its start took."""
        line = Text.assemble("  ", ("up", "green"), f"  {what:<36}", (f"{where:<28}", "cyan"))
        self._console.print(line.append(f"{seconds:4.1f} s", style="dim"))

    def scene(self, number: str, story: str, facts: Iterable[str]) -> None:
        """Show the story and the facts of a notification."""
        self._console.print()
        heading = Text.assemble((f"{number:>2}  ", "bold cyan"), ("  ".join(facts), "bold"))
        self._console.print(heading)
        self._indented(Text(story))

    def decision(self, outcome: str, reason: str, seconds: float) -> None:
        """Show the daemon's decision, its reason, and its duration."""
        line = Text.assemble((outcome.upper(), _STYLES.get(outcome, "bold")), "  ")
        line.append(explanation(outcome, reason))
        self._indented(line.append(f"  {seconds * 1000:.0f} ms", style="dim"))

    def note(self, text: str) -> None:
        """Add an observation to a scene."""
        self._indented(Text(text, style="dim"))

    def record(self, record: Record, message: ReadyForTest) -> None:
        """Show a message as it was read from Kafka."""
        place = f"partition {record.partition}, offset {record.offset}, key {record.key}"
        self._indented(Text.assemble(("read from Kafka  ", "green"), (place, "dim")))
        if self._full:
            self._fields(record.headers.items())
            self._console.print_json(msgspec.json.format(record.value).decode(), indent=2)
        else:
            headers = [(each, record.headers.get(each, "")) for each in ("ce_type", "ce_id")]
            self._fields([*headers, *_fields(message)])

    def letter(self, queue: str, letter: Letter) -> None:
        """Show a message as it was found in the dead-letter queue."""
        self._indented(Text.assemble(("found in  ", "red"), (queue, "dim")))
        names = ("x-cki-reason", "x-cki-error", "x-cki-attempts")
        headers = [(name, str(letter.headers.get(name, ""))) for name in names]
        body = letter.body[:40].decode(errors="replace")
        self._fields([*headers, ("body", f"{body}… ({len(letter.body)} bytes)")])

    def happened(self, text: str | Text) -> None:
        """Print an event with the current time."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self._wrapped(Text.assemble(text), Text(f"{now}  "))

    def settled(self, about: str, outcome: str, reason: str) -> None:
        """Show a decision about a notification of the user's in a line."""
        line = Text.assemble(about, "  ", (outcome.upper(), _STYLES.get(outcome, "bold")))
        self.happened(line.append(f"  {explanation(outcome, reason)}"))

    def command(self, purpose: str, command: str) -> None:
        """Show a shell command on a line of its own, for copying."""
        self._wrapped(Text(purpose))
        self._console.print(f"    {command}", markup=False, style="cyan", soft_wrap=True)

    def summary(self, text: str) -> None:
        """Show how it all ended."""
        self._console.print()
        self._wrapped(Text(text, style="bold green"))

    def failure(self, text: str, log: str = "") -> None:
        """Show what went wrong, and the end of the daemon's log."""
        self._console.print()
        self._wrapped(Text.assemble(("The demo failed: ", "bold red"), text))
        if log:
            self._console.print("The end of the daemon's log:", style="bold")
            self._console.print(log, markup=False, soft_wrap=True)

    def _fields(self, fields: Iterable[tuple[str, str | Text]]) -> None:
        listed = [(name, Text.assemble(value)) for name, value in fields]
        width = max(len(name) for name, _ in listed) + 2
        for name, value in listed:
            # A span, because the style of a text applies to all text added to it.
            heading = Text.assemble((f"{'':{_INDENT + 2}}{name:<{width}}", "dim"))
            self._wrapped(value, heading)

    def _indented(self, text: Text) -> None:
        self._wrapped(text, Text(" " * _INDENT))

    def _wrapped(self, text: Text, heading: Text | None = None) -> None:
        """Print a text in lines, the first one after the heading, the others below each other."""
        heading = heading or Text()
        for line in text.wrap(self._console, self._console.width - len(heading)):
            line.rstrip()
            self._console.print(heading + line)
            heading = Text(" " * len(heading))


def explanation(outcome: str, reason: str) -> str:
    """Return a sentence about a decision, with its reason."""
    if outcome == "sent":
        return f"a {reason} message: {_STAGES[reason]}"
    if outcome == "delayed":
        return f"({reason}) the daemon retries it later"
    sentence = next((each.sentence for each in _REASONS if each == reason), "")
    return f"({reason}) {sentence}"


def _fields(message: ReadyForTest) -> Iterable[tuple[str, str | Text]]:
    """Yield the fields of a message that a lab looks at first."""
    yield "checkout_id", message.checkout_id
    yield "system", ", ".join(f"{each.os} ({each.stream})" for each in message.system)
    yield "issuer", message.artifact.issuer
    yield "cki_finished", str(message.cki_finished).lower()
    if isinstance(message.status, str):
        yield "status", Text(message.status, style=f"bold {_RESULTS[message.status]}")
    yield "builds", _builds(message.build_info)
    change = message.merge_request
    if change.merge_request_url:
        yield "merge_request", change.merge_request_url
        yield "subsystems", ", ".join(change.subsystems)
        if change.external_ci:
            yield "external_ci", ", ".join(change.external_ci)
    for issue in change.jira_issues or ():
        yield "jira_issue", _issue(issue)


def _builds(builds: Iterable[BuildInfo]) -> str:
    """Return the builds by the version of their packages."""
    versions: dict[str, list[str]] = {}
    for build in builds:
        version = f"{build.package_version}-{build.package_release}"
        debug = " (debug)" if build.debug_kernel else ""
        versions.setdefault(version, []).append(f"{build.architecture}{debug}")
    return "; ".join(f"{version}: {', '.join(names)}" for version, names in versions.items())


def _issue(issue: JiraIssue) -> str:
    return f"{issue.key} ({issue.status}, {issue.priority}) {issue.summary}"
