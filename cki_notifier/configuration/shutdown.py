"""The time limits of the exit, after CKI_NOTIFIER_SHUTDOWN_SECONDS or once nothing is in flight.

They are listed in order. Their sum tells Kubernetes, Compose and systemd how long to wait before
they kill the process.
"""

from typing import Final

#: To close the connections to RabbitMQ, in seconds. The exit goes on without an answer.
GOODBYE_SECONDS: Final = 2.0
#: To deliver the remaining records to Kafka, in seconds.
RECORDS_SECONDS: Final = 1.0
#: To end the threads that watch the backlog and RabbitMQ's resource alarms, in seconds for both.
#: A broker that hangs may block them.
QUEUE_LENGTHS_SECONDS: Final = 2.0
#: To answer open HTTP requests, in seconds. The rest is cut off.
REQUESTS_SECONDS: Final = 1.0
#: To deliver events to Sentry, in seconds.
SENTRY_SECONDS: Final = 2.0

#: To write the last lines to standard output and error, in seconds: a pipe may have no reader.
LINES_SECONDS: Final = 2.0

#: The sum, in seconds. It comes on top of ``CKI_NOTIFIER_SHUTDOWN_SECONDS``.
CLOSING_SECONDS: Final = (
    GOODBYE_SECONDS
    + RECORDS_SECONDS
    + QUEUE_LENGTHS_SECONDS
    + REQUESTS_SECONDS
    + SENTRY_SECONDS
    + LINES_SECONDS
)
