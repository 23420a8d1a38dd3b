"""Every variable of the configuration: its name, what it has to hold, and what counts without it.

The configuration is read by these, faults and the doctor quote them, and docs/configuration.md is
made of them.
"""

from typing import Final, NamedTuple


class Variable(NamedTuple):
    """One variable of the environment.

    Attributes:
        name: its name; that of the file with it, for a secret, is ``<name>_FILE``.
        holds: what it has to hold, in plain text, so that "it has to hold …" can be said.
        note: what else is to be known, in sentences of Markdown.
        default: its value when it isn't set, as text.
        unset: where there is no default, what comes of that.
        is_secret: whether it is never shown, and may come from a file.
        is_spaced: whether spaces and line ends at its ends are no part of it.
    """

    name: str
    holds: str
    note: str = ""
    default: str = ""
    unset: str = "none"
    is_secret: bool = False
    is_spaced: bool = False


CKI_DEPLOYMENT_ENVIRONMENT: Final = Variable(
    "CKI_DEPLOYMENT_ENVIRONMENT",
    "the name of the environment",
    "`production` and `staging` send messages; anything else only shows them. What only looks "
    "like one of the two (`Production`, `prod`, `stagging`) is a fault.",
)
DATAWAREHOUSE_URL: Final = Variable(
    "DATAWAREHOUSE_URL", "the address of DataWarehouse", "Without `/api/1`.", unset="required"
)
DATAWAREHOUSE_TOKEN: Final = Variable(
    "DATAWAREHOUSE_TOKEN", "the token for DataWarehouse", unset="required", is_secret=True
)
GITLAB_TOKENS: Final = Variable(
    "GITLAB_TOKENS",
    "a JSON object from host to the name of the variable with its token",
    '`{"gitlab.com": "COM_GITLAB_TOKEN"}`, and the token itself in `COM_GITLAB_TOKEN` or in the '
    "file that `COM_GITLAB_TOKEN_FILE` names. The host has the port when the merge requests' "
    "addresses have one; without a port its token goes over https alone. A host without a token "
    "is read anonymously. A GitLab under a path, where merge requests have addresses like "
    "`https://host/gitlab/group/project/-/merge_requests/1`, is named with it, `host/gitlab`, and "
    "needs a token: its API is asked at `https://host/gitlab/api/v4`. No token is for one group or "
    "project: name the host alone.",
    is_spaced=True,
)
JIRA_SERVER: Final = Variable(
    "JIRA_SERVER",
    "the address of Jira",
    "`https://redhat.atlassian.net`, a site of Jira Cloud, say, or "
    "`https://api.atlassian.com/ex/jira/<cloudId>`, or a Data Center's: "
    "[which takes what](services.md#jira). Without it no issues are looked up.",
)
JIRA_EMAIL: Final = Variable(
    "JIRA_EMAIL",
    "the e-mail address of the one whose API token JIRA_TOKEN_AUTH is",
    "For Jira Cloud alone, whose sites take both together.",
)
JIRA_TOKEN_AUTH: Final = Variable(
    "JIRA_TOKEN_AUTH",
    "the token for Jira",
    "An API token of Jira Cloud, a personal access token of a Data Center. Without it Jira is read "
    "anonymously.",
    is_secret=True,
)
RABBITMQ_HOST: Final = Variable(
    "RABBITMQ_HOST",
    "one node of RabbitMQ or several",
    "Names or addresses alone, separated by spaces, tried in random order.",
    unset="required by the daemon",
    is_spaced=True,
)
RABBITMQ_PORT: Final = Variable(
    "RABBITMQ_PORT",
    "the port of RabbitMQ's nodes",
    "TLS on 443 and 5671, with the host's name verified.",
    default="5672",
    is_spaced=True,
)
RABBITMQ_VIRTUAL_HOST: Final = Variable(
    "RABBITMQ_VIRTUAL_HOST",
    "the virtual host at RabbitMQ",
    "As it is called, not as an address has it (`%2F`).",
    default="/",
)
RABBITMQ_USER: Final = Variable("RABBITMQ_USER", "the user's name at RabbitMQ", default="guest")
RABBITMQ_PASSWORD: Final = Variable(
    "RABBITMQ_PASSWORD", "the user's password at RabbitMQ", default="guest", is_secret=True
)
RABBITMQ_CAFILE: Final = Variable(
    "RABBITMQ_CAFILE",
    "the path of a PEM file with the certificate authorities to trust",
    "A fault with a port that is used without TLS.",
    unset="the system's",
)
RABBITMQ_MANAGEMENT_URL: Final = Variable(
    "RABBITMQ_MANAGEMENT_URL",
    "the address of RabbitMQ's management, like https://rabbitmq.example.com:15671",
    "Only the [doctor](doctor.md) uses it, to see policies, as RABBITMQ_USER and with its "
    "password. With http:// the password goes over the wire unencrypted: only for this machine.",
)
WEBHOOK_RECEIVER_EXCHANGE: Final = Variable(
    "WEBHOOK_RECEIVER_EXCHANGE",
    "the exchange that DataWarehouse publishes to",
    "A durable topic exchange, declared if it is missing.",
    default="cki.exchange.webhooks",
)
RABBITMQ_QUEUE: Final = Variable(
    "RABBITMQ_QUEUE",
    "the name of the main queue",
    "Those of the delay queues and of the dead-letter queue begin with it.",
    default="cki.queue.webhooks.cki_notifier",
)
RABBITMQ_ROUTING_KEYS: Final = Variable(
    "RABBITMQ_ROUTING_KEYS",
    "the routing keys by which the queue is bound",
    "Separated by spaces.",
    default="datawarehouse.checkout.*",
    is_spaced=True,
)
KAFKA_BOOTSTRAP_SERVERS: Final = Variable(
    "KAFKA_BOOTSTRAP_SERVERS",
    "the brokers of Kafka, as host:port, separated by commas",
    "Only for the first contact: the cluster tells the others. Without a port it is 9092; an "
    "address of IPv6 with a port is in brackets.",
    unset="required in production and staging",
    is_spaced=True,
)
KAFKA_TOPIC: Final = Variable(
    "KAFKA_TOPIC",
    "the name of the topic",
    "It is never created by us.",
    default="kafka.tx.cki.ready-for-test",
)
_LIBRDKAFKAS: Final = "librdkafka's"
KAFKA_SECURITY_PROTOCOL: Final = Variable(
    "KAFKA_SECURITY_PROTOCOL",
    "the value of librdkafka's security.protocol",
    "librdkafka's own is `PLAINTEXT`. A variable below that the protocol does without is a fault, "
    "but for a password.",
    unset=_LIBRDKAFKAS,
)
KAFKA_SASL_MECHANISM: Final = Variable(
    "KAFKA_SASL_MECHANISM", "the value of librdkafka's sasl.mechanism", unset=_LIBRDKAFKAS
)
KAFKA_SASL_USERNAME: Final = Variable(
    "KAFKA_SASL_USERNAME", "the value of librdkafka's sasl.username"
)
KAFKA_SASL_PASSWORD: Final = Variable(
    "KAFKA_SASL_PASSWORD", "the value of librdkafka's sasl.password", is_secret=True
)
KAFKA_SSL_CA_LOCATION: Final = Variable(
    "KAFKA_SSL_CA_LOCATION", "the value of librdkafka's ssl.ca.location", unset=_LIBRDKAFKAS
)
KAFKA_SSL_CERTIFICATE_LOCATION: Final = Variable(
    "KAFKA_SSL_CERTIFICATE_LOCATION", "the value of librdkafka's ssl.certificate.location"
)
KAFKA_SSL_KEY_LOCATION: Final = Variable(
    "KAFKA_SSL_KEY_LOCATION", "the value of librdkafka's ssl.key.location"
)
KAFKA_SSL_KEY_PASSWORD: Final = Variable(
    "KAFKA_SSL_KEY_PASSWORD", "the value of librdkafka's ssl.key.password", is_secret=True
)
KAFKA_CONFIG_FILE: Final = Variable(
    "KAFKA_CONFIG_FILE",
    "the path of a Java properties file with any of librdkafka's settings",
    "The variables above win, whatever the file calls what they set. A setting that would void a "
    "promise is a fault: of `acks`, idempotence, the order (`partitioner`, `queuing.strategy`), "
    "reports (`delivery.report.only.error`, `enabled_events`), a cluster that is made up "
    "(`test.mock.num.brokers`), batches, topics that are made, transactions. "
    "`delivery.timeout.ms` is at most 600000, `message.max.bytes` at least 1000000.",
)
CKI_LOGGING_LEVEL: Final = Variable(
    "CKI_LOGGING_LEVEL",
    "the level of our own loggers",
    "Third-party ones are quiet.",
    default="WARN",
)
CKI_LOGGING_FORMAT: Final = Variable(
    "CKI_LOGGING_FORMAT",
    "the form of the log, text or json",
    "`json` is one object a line.",
    default="text",
)
CKI_METRICS_ENABLED: Final = Variable(
    "CKI_METRICS_ENABLED",
    "whether there is an HTTP port, true or false",
    "It has the metrics, the probes and the [status page](status-page.md).",
    default="false",
)
CKI_METRICS_PORT: Final = Variable(
    "CKI_METRICS_PORT", "the number of that port", default="8000", is_spaced=True
)
CKI_NOTIFIER_IN_FLIGHT: Final = Variable(
    "CKI_NOTIFIER_IN_FLIGHT",
    "how many notifications are handled at once",
    "Four times as many, and at least 16, are fetched from the queue. What only waits is not "
    "counted.",
    default="32",
    is_spaced=True,
)
CKI_NOTIFIER_SHUTDOWN_SECONDS: Final = Variable(
    "CKI_NOTIFIER_SHUTDOWN_SECONDS",
    "how long what is in flight may take at SIGTERM, in seconds",
    default="25",
    is_spaced=True,
)
CKI_NOTIFIER_RETRY_HOURS: Final = Variable(
    "CKI_NOTIFIER_RETRY_HOURS",
    "how long a notification is tried again, in hours",
    "May have decimals.",
    default="72",
    is_spaced=True,
)
SENTRY_DSN: Final = Variable(
    "SENTRY_DSN",
    "the address where errors are reported",
    "See [Sentry](#sentry).",
    is_secret=True,
)

#: All of them, by what they are for.
GROUPS: Final = {
    "Environment": (CKI_DEPLOYMENT_ENVIRONMENT,),
    "DataWarehouse, GitLab, Jira": (
        DATAWAREHOUSE_URL,
        DATAWAREHOUSE_TOKEN,
        GITLAB_TOKENS,
        JIRA_SERVER,
        JIRA_EMAIL,
        JIRA_TOKEN_AUTH,
    ),
    "RabbitMQ": (
        RABBITMQ_HOST,
        RABBITMQ_PORT,
        RABBITMQ_VIRTUAL_HOST,
        RABBITMQ_USER,
        RABBITMQ_PASSWORD,
        RABBITMQ_CAFILE,
        RABBITMQ_MANAGEMENT_URL,
        WEBHOOK_RECEIVER_EXCHANGE,
        RABBITMQ_QUEUE,
        RABBITMQ_ROUTING_KEYS,
    ),
    "Kafka": (
        KAFKA_BOOTSTRAP_SERVERS,
        KAFKA_TOPIC,
        KAFKA_SECURITY_PROTOCOL,
        KAFKA_SASL_MECHANISM,
        KAFKA_SASL_USERNAME,
        KAFKA_SASL_PASSWORD,
        KAFKA_SSL_CA_LOCATION,
        KAFKA_SSL_CERTIFICATE_LOCATION,
        KAFKA_SSL_KEY_LOCATION,
        KAFKA_SSL_KEY_PASSWORD,
        KAFKA_CONFIG_FILE,
    ),
    "Log, metrics, errors": (
        CKI_LOGGING_LEVEL,
        CKI_LOGGING_FORMAT,
        CKI_METRICS_ENABLED,
        CKI_METRICS_PORT,
        SENTRY_DSN,
    ),
    "Work": (
        CKI_NOTIFIER_IN_FLIGHT,
        CKI_NOTIFIER_SHUTDOWN_SECONDS,
        CKI_NOTIFIER_RETRY_HOURS,
    ),
}
VARIABLES: Final = tuple(variable for group in GROUPS.values() for variable in group)


def holds(name: str) -> str:
    """Return what a variable, or the file with a secret, has to hold; nothing for an unknown one.

    The variables that hold GitLab's tokens are unknown here: the operator names them.
    """
    for variable in VARIABLES:
        if name == variable.name:
            return variable.holds
        if variable.is_secret and name == f"{variable.name}_FILE":
            return f"the path of a file with {variable.holds}"
    return ""
