"""How long the process may take to end, once nothing is in flight or the time for it is over.

Every wait on the way to the exit is here, in its order, so that whoever stops the process from
outside (Kubernetes, Compose, systemd) can be told for how long to wait before a kill.
"""

from typing import Final

#: For saying goodbye to RabbitMQ, in seconds; a broker that does not answer is left without one.
GOODBYE_SECONDS: Final = 2.0
#: For the records still under way to Kafka, in seconds.
RECORDS_SECONDS: Final = 1.0
#: For the threads that ask how much waits in the queues and whether messages are accepted, in
#: seconds for both; they may hang on a broker.
QUEUE_LENGTHS_SECONDS: Final = 2.0
#: For HTTP requests that are being answered, in seconds; then they are cut off.
REQUESTS_SECONDS: Final = 1.0
#: For what is on its way to Sentry, in seconds.
SENTRY_SECONDS: Final = 2.0

#: For the last lines on standard output and error, in seconds; nobody may read them.
LINES_SECONDS: Final = 2.0

#: All of it, one after the other, in seconds: comes on top of ``CKI_NOTIFIER_SHUTDOWN_SECONDS``.
CLOSING_SECONDS: Final = (
    GOODBYE_SECONDS
    + RECORDS_SECONDS
    + QUEUE_LENGTHS_SECONDS
    + REQUESTS_SECONDS
    + SENTRY_SECONDS
    + LINES_SECONDS
)
