"""The configuration: its faults by variable, and the checks that they prevent."""

from collections.abc import Collection, Iterator, Sequence

from cki_notifier.configuration.settings import CKI_DEPLOYMENT_ENVIRONMENT, Config, holds
from cki_notifier.configuration.typos import SENDING_ENVIRONMENTS
from cki_notifier.doctor.check import Check, Finding, failed, ok, skipped, warning

_NAME, _ENVIRONMENT = "configuration", "environment"
_VARIABLE = CKI_DEPLOYMENT_ENVIRONMENT.name
_FAULTY = "not checked: its variables have faults"
_VARIABLES = {
    "environment": (_VARIABLE,),
    "rabbitmq": ("RABBITMQ_", "WEBHOOK_RECEIVER_EXCHANGE"),
    "kafka": ("KAFKA_",),
    "datawarehouse": ("DATAWAREHOUSE_",),
    "gitlab": ("GITLAB_TOKENS",),
    "jira": ("JIRA_",),
}


def findings(config: Config, faults: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each fault, or one for no faults, then one for the environment.

    Args:
        config: the configuration; the values of faulty variables are ignored.
        faults: its faults, each with its variable and a colon at the beginning.
    """
    for fault in faults:
        variable, _, text = fault.partition(": ")
        held = holds(variable)
        action = f"set {variable} to {held}" if held else f"correct {variable}"
        advice = f"{action}; see docs/configuration.md"
        yield failed(f"{_NAME} {variable}", text, advice)
    if not faults:
        yield ok(_NAME, "all variables are valid")
    if not is_faulty("environment", faults):
        yield _environment(config)


def is_faulty(dependency: str, faults: Sequence[str]) -> bool:
    """Tell whether faults prevent the checks of a dependency (``rabbitmq``, ``kafka``, …)."""
    return any(fault.startswith(_VARIABLES[dependency]) for fault in faults)


def usable(
    name: str, faults: Sequence[str], checks: Collection[Check], unset: str = ""
) -> Iterator[Check]:
    """Yield the checks of a dependency, or one that says why they are skipped.

    Args:
        name: the name of the dependency.
        faults: all faults of the configuration.
        checks: its checks; none if it is not configured.
        unset: the consequence of that.
    """
    if not is_faulty(name, faults) and checks:
        yield from checks
    else:
        text = _FAULTY if is_faulty(name, faults) else unset
        yield Check(name, lambda _: [skipped(name, text)])


def _environment(config: Config) -> Finding:
    what = f"is {config.environment!r}" if config.environment else "is not set"
    if config.sends:
        return ok(_ENVIRONMENT, f"{_VARIABLE} {what}: the daemon publishes messages")
    senders = " or ".join(sorted(SENDING_ENVIRONMENTS))
    return warning(
        _ENVIRONMENT,
        f"{_VARIABLE} {what}: the daemon only prints messages, so no lab gets them",
        f"to publish messages, set {_VARIABLE} to {senders}",
    )
