"""The table of variables: exactly those that the code reads, with their documentation."""

from collections.abc import Iterator, Mapping

from cki_notifier.configuration.settings import (
    GROUPS,
    VARIABLES,
    holds,
    read_operator_config,
    read_with_faults,
)
from cki_notifier.doctor.configuration import findings
from tests.factories.environment import environment


class Recorded(Mapping[str, str]):
    """An environment that knows what it was asked for."""

    def __init__(self, environ: dict[str, str]) -> None:
        """Ask nothing yet."""
        self._environ = environ
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def test_every_variable_that_is_read_is_listed_and_the_other_way_round() -> None:
    """Nothing is read that the table does not tell, and the table tells nothing that is not."""
    environ = Recorded(environment())
    read_with_faults(environ)
    files = {f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret}
    assert environ.asked == {variable.name for variable in VARIABLES} | files


def test_what_dead_letters_needs_is_listed_under_rabbitmq_and_the_log() -> None:
    """The operator's commands read those of RabbitMQ and of the log alone."""
    environ = Recorded(environment())
    read_operator_config(environ)
    names = {variable.name for variable in GROUPS["RabbitMQ"]}
    assert environ.asked == names | {
        "RABBITMQ_PASSWORD_FILE",
        "CKI_LOGGING_LEVEL",
        "CKI_LOGGING_FORMAT",
    }


def test_a_default_is_what_counts_without_the_variable() -> None:
    """With every default written out, nothing is a fault, and nothing is different."""
    defaults = {variable.name: variable.default for variable in VARIABLES if variable.default}
    assert read_with_faults(environment(**defaults)) == read_with_faults(environment())


def test_every_variable_has_its_values_and_a_good_example() -> None:
    """The examples are values that the daemon takes; the files need not exist."""
    assert [it.name for it in VARIABLES if not it.values] == []
    for variable in VARIABLES:
        if variable.example and not variable.example.startswith("/"):
            assert variable.parse(variable.example)


def test_the_doctor_says_what_a_faulty_variable_has_to_hold() -> None:
    """Its advice has the words of the table, for a secret's file too, and never guesses."""
    changes = {"RABBITMQ_PORT": "x", "SENTRY_DSN_FILE": "/nowhere", "A_TOKEN_FILE": "/nowhere"}
    config, faults = read_with_faults(
        environment(GITLAB_TOKENS='{"gitlab.example": "A_TOKEN"}', **changes)
    )
    rows = {row.name: row.advice for row in findings(config, faults)}
    assert (
        "set RABBITMQ_PORT to the port of all RabbitMQ nodes (1 to 65535);"
        in rows["configuration RABBITMQ_PORT"]
    )
    assert "the path of a file with the address" in rows["configuration SENTRY_DSN_FILE"]
    assert rows["configuration A_TOKEN_FILE"].startswith("correct A_TOKEN_FILE; see docs/")


def test_only_a_secret_has_a_file() -> None:
    """Other variables have no second one, and unknown variables have no text."""
    assert holds("RABBITMQ_PORT")
    assert not holds("RABBITMQ_PORT_FILE")
    assert not holds("PATH")
