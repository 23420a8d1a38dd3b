"""The configuration: each fault by its variable, and what it keeps from being looked at."""

from collections.abc import Collection, Iterator, Sequence

from cki_notifier.configuration.settings import CKI_DEPLOYMENT_ENVIRONMENT, Config, holds
from cki_notifier.configuration.typos import SENDING_ENVIRONMENTS
from cki_notifier.doctor.check import Check, Finding, failed, ok, skipped, warning

_NAME, _ENVIRONMENT = "configuration", "environment"
_VARIABLE = CKI_DEPLOYMENT_ENVIRONMENT.name
_FAULTY = "its configuration has faults"
_VARIABLES = {
    "environment": (_VARIABLE,),
    "rabbitmq": ("RABBITMQ_", "WEBHOOK_RECEIVER_EXCHANGE"),
    "kafka": ("KAFKA_",),
    "datawarehouse": ("DATAWAREHOUSE_",),
    "gitlab": ("GITLAB_TOKENS",),
    "jira": ("JIRA_",),
}


def findings(config: Config, faults: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each fault, or that there is none, and whether anything is sent.

    Args:
        config: as far as it could be read.
        faults: each beginning with its variable and a colon.
    """
    for fault in faults:
        variable, _, text = fault.partition(": ")
        held = holds(variable)
        action = f"set {variable} to {held}" if held else f"correct {variable}"
        advice = f"{action}; see docs/configuration.md"
        yield failed(f"{_NAME} {variable}", text, advice)
    if not faults:
        yield ok(_NAME, "every variable can be used")
    if not is_faulty("environment", faults):
        yield _environment(config)


def is_faulty(dependency: str, faults: Sequence[str]) -> bool:
    """Tell whether faults keep a dependency (``rabbitmq``, ``kafka``, …) from being looked at."""
    return any(fault.startswith(_VARIABLES[dependency]) for fault in faults)


def usable(
    name: str, faults: Sequence[str], checks: Collection[Check], unset: str = ""
) -> Iterator[Check]:
    """Yield the checks of a dependency, or one that says why it is skipped.

    Args:
        name: the dependency's.
        faults: of the configuration; those that concern it have it skipped.
        checks: none where it is not configured.
        unset: what that means.
    """
    if not is_faulty(name, faults) and checks:
        yield from checks
    else:
        text = _FAULTY if is_faulty(name, faults) else unset
        yield Check(name, lambda _: [skipped(name, text)])


def _environment(config: Config) -> Finding:
    what = f"is {config.environment!r}" if config.environment else "is not set"
    if config.sends:
        return ok(_ENVIRONMENT, f"{_VARIABLE} {what}: messages are sent")
    senders = " and ".join(sorted(SENDING_ENVIRONMENTS))
    return warning(
        _ENVIRONMENT,
        f"{_VARIABLE} {what}: messages are only shown, and nobody's testing begins",
        f"if this is to send, set it: {senders} send",
    )
