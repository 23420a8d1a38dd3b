"""Starts a lab's tests for each kernel that CKI publishes: a consumer to copy.

It needs Python 3.11 and confluent-kafka. The command of --exec, or the function act(), starts the
tests. Each flag has an environment variable. Passwords come from KAFKA_SASL_PASSWORD and
KAFKA_SSL_KEY_PASSWORD or from files. Delivery is at least once: the consumer stores an offset
after the lab has accepted the work, and retries failures until they succeed.
"""

import argparse
import contextlib
import json
import logging
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

TOPIC = "kafka.tx.cki.ready-for-test"
TYPE = "org.cki-project.ready-for-test."
#: Settings of librdkafka: --group-id and KAFKA_GROUP_ID set group.id.
KAFKA = {
    "bootstrap-servers": "brokers as host:port, separated by commas",
    "group-id": "your consumer group, whose processes share the work",
    "security-protocol": "SASL_SSL, SSL, SASL_PLAINTEXT or PLAINTEXT",
    "sasl-mechanism": "SCRAM-SHA-512, PLAIN, ...",
    "sasl-username": "your user",
    "ssl-ca-location": "file with the brokers' CA, if the system doesn't trust it",
    "ssl-certificate-location": "file with your certificate",
    "ssl-key-location": "file with the certificate's key",
}
SECRETS = {"sasl-password": "your password", "ssl-key-password": "the key's password"}
MORE = {
    "topic": ("KAFKA_TOPIC", f"topic, by default {TOPIC}"),
    "config-file": (
        "KAFKA_CONFIG_FILE",
        "file with more librdkafka settings, name=value lines",
    ),
    "state": ("LAB_STATE", "file that remembers the handled events"),
    "stage": ("LAB_STAGE", "only pre (builds are ready) or post (CKI's tests are over)"),
    "subsystem": ("LAB_SUBSYSTEM", "only merge requests of these subsystems, such as net,mm"),
    "tree": ("LAB_TREE", "only kernels of these trees, such as c9s,c10s"),
    "architecture": ("LAB_ARCHITECTURE", "only builds for these, such as x86_64,aarch64"),
    "debug-kernels": ("LAB_DEBUG_KERNELS", "only (debug kernels only) or no (no debug kernels)"),
    "exec": ("LAB_EXEC", "command that gets each message as JSON on standard input"),
}
CHOICES = {"stage": ("pre", "post"), "debug-kernels": ("only", "no")}
#: How long an event is remembered: far longer than the 72 hours in which duplicates can come.
MEMORY_SECONDS = 30 * 24 * 3600
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # between two attempts
LONGEST_SILENCE = 10.0  # without a connection or an error

log = logging.getLogger("consumer")


def act(message: dict[str, Any], stage: str, event: str, command: str | None) -> None:
    """Hand the work over to the lab: edit this. If it raises an error, it is called again.

    After a crash, it may get the same event twice. The message has only the wanted builds.
    """
    if command:
        # The command needs no passwords.
        environment = {name: it for name, it in os.environ.items() if "PASSWORD" not in name}
        environment |= {"CKI_STAGE": stage, "CKI_EVENT": event}
        text = json.dumps(message).encode()
        subprocess.run(shlex.split(command), input=text, env=environment, check=True)  # noqa: S603  # the lab's own
        return
    for build in message["build_info"]:
        print(f"would start {stage}-test work for {build['build_id']}", flush=True)


def configure() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the flags and variables, and the settings of librdkafka."""
    parser = argparse.ArgumentParser("consumer", "consumer [flags]", description=__doc__)
    files = {f"{name}-file": f"file with {text}" for name, text in SECRETS.items()}
    flags = {flag: (_variable(flag), text) for flag, text in (KAFKA | files).items()} | MORE
    for flag, (variable, text) in flags.items():
        value = os.environ.get(variable) or None
        parser.add_argument(f"--{flag}", dest=flag, default=value, metavar=variable, help=text)
    told = vars(parser.parse_args())
    for flag, values in CHOICES.items():
        if told[flag] not in (None, *values):
            fail(f"--{flag} or {flags[flag][0]} must be {' or '.join(values)}, not {told[flag]}")
    try:
        config = _kafka(told)
    except (OSError, ValueError) as error:
        fail(str(error))
    for flag in ("bootstrap-servers", "group-id"):
        if not config.get(flag.replace("-", ".")):
            fail(f"--{flag} or {_variable(flag)} is missing")
    protocol = str(config.get("security.protocol")).upper()
    for name in config:
        if (layer := name.partition(".")[0].upper()) in ("SASL", "SSL") and layer not in protocol:
            fail(f"{name} needs {layer} in --security-protocol or KAFKA_SECURITY_PROTOCOL")
    return told, config


def _kafka(told: dict[str, Any]) -> dict[str, Any]:
    """Return librdkafka's settings. Flags and variables override the file."""
    config = {"auto.offset.reset": "earliest"}  # a new group begins with the oldest record
    if told["config-file"]:
        for line in Path(told["config-file"]).read_text("utf-8").splitlines():
            name, _, value = line.partition("=")
            if name.strip() and not name.lstrip().startswith("#"):
                config[name.strip()] = value.strip()
    config |= {flag.replace("-", "."): told[flag] for flag in KAFKA if told[flag]}
    for name in SECRETS:
        if secret := os.environ.get(_variable(name)):
            config[name.replace("-", ".")] = secret
        elif file := told[f"{name}-file"]:
            config[name.replace("-", ".")] = Path(file).read_text("utf-8").rstrip("\r\n")
    return config


def _variable(flag: str) -> str:
    return f"KAFKA_{flag.upper().replace('-', '_')}"


def fail(text: str) -> NoReturn:
    """Print the error in one line and exit."""
    print("consumer:", text, file=sys.stderr)
    sys.exit(2)


def is_wanted(message: dict[str, Any], stage: str, told: dict[str, Any]) -> bool:
    """Tell whether the lab wants a message, and remove unwanted builds from it."""

    def fits(chosen: str | None, *values: str) -> bool:
        return not chosen or any(it.strip() in values for it in chosen.split(","))

    message["build_info"] = [
        build
        for build in message["build_info"]
        if fits(told["architecture"], build["architecture"])
        and fits(told["debug-kernels"], "only" if build["debug_kernel"] else "no")
    ]
    chosen = fits(told["stage"], stage) and fits(told["tree"], message["tree_name"])
    return bool(
        chosen
        and fits(told["subsystem"], *message["merge_request"]["subsystems"])
        and message["build_info"]
    )


class Handled:
    """The handled events. With a file, they survive a restart."""

    def __init__(self, path: str | None) -> None:
        self._file = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS handled (id TEXT PRIMARY KEY, at REAL)")

    def __contains__(self, event: str) -> bool:
        found = self._file.execute("SELECT 1 FROM handled WHERE id = ?", (event,))
        return found.fetchone() is not None

    def add(self, event: str) -> None:
        """Remember an event, and forget old ones."""
        now = time.time()
        self._file.execute("INSERT OR IGNORE INTO handled VALUES (?, ?)", (event, now))
        self._file.execute("DELETE FROM handled WHERE at < ?", (now - MEMORY_SECONDS,))


class Outage:
    """Logs the start and the end of each outage of Kafka, with its cause."""

    def __init__(self) -> None:
        self._cause, self._since, self._away = "", time.monotonic(), False

    def on_error(self, error: KafkaError) -> None:
        """Note why a broker is unavailable. librdkafka keeps retrying."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # the library's name
            self._cause = error.str()

    def on_statistics(self, text: str) -> None:
        """Check, each second, whether a broker accepts the connection."""
        now = time.monotonic()
        if any(broker["state"] == "UP" for broker in json.loads(text)["brokers"].values()):
            if self._away:
                log.warning("Kafka is available again after %.0f s", now - self._since)
            self._cause, self._since, self._away = "", now, False
        elif not self._away and (self._cause or now - self._since > LONGEST_SILENCE):
            log.warning("Kafka is unavailable: %s", self._cause or "no answer")
            self._away = True


class Reader:
    """Reads records and handles one after the other."""

    def __init__(self, told: dict[str, Any], config: dict[str, Any]) -> None:
        self._told, self._handled, self._pool = told, Handled(told["state"]), ThreadPoolExecutor(1)
        self._ending, self._complaint, self._assigned = threading.Event(), "", [-1]
        self._early: deque[Message[Any, Any]] = deque()
        outage = Outage()
        own = {
            "enable.auto.commit": True,  # the stored offsets, each second and at the end
            "auto.commit.interval.ms": 1000,
            "enable.auto.offset.store": False,
            "statistics.interval.ms": 1000,
            "log_level": 0,  # Outage logs it
            "error_cb": outage.on_error,
            "stats_cb": outage.on_statistics,
        }
        self._consumer = Consumer(config | own)
        self._consumer.subscribe([told["topic"] or TOPIC], on_assign=self._on_assign)

    def run(self) -> None:
        """Read until SIGTERM or Ctrl-C. A second one does not wait for the current work."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        try:
            while not self._ending.is_set():
                record = self._early.popleft() if self._early else self._poll(1.0)
                if record is not None and self._handle(record):
                    with contextlib.suppress(KafkaException):  # another process has its partition
                        self._consumer.store_offsets(record)
        finally:
            self._consumer.close()  # commits, and leaves the group
        log.info("ended")

    def _end(self, number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._ending.set()

    def _on_assign(self, _: object, partitions: list[TopicPartition]) -> None:
        numbers = sorted(it.partition for it in partitions)
        if numbers != self._assigned:
            log.info("assigned partitions: %s", ", ".join(map(str, numbers)) or "none")
        self._assigned = numbers

    def _poll(self, seconds: float) -> "Message[Any, Any] | None":
        """Return the next record. Log an error of the topic or the group once."""
        record = self._consumer.poll(seconds)
        if record is None or (error := record.error()) is None:
            return record
        if error.fatal():
            raise KafkaException(error)
        if error.str() != self._complaint:
            log.warning("Kafka reports an error: %s", error.str())
        self._complaint = error.str()
        return None

    def _handle(self, record: "Message[Any, Any]") -> bool:
        """Handle an event once. Return False if Kafka has to deliver it again."""
        self._complaint = ""
        place = f"partition {record.partition()} offset {record.offset()}"
        try:
            headers: dict[str, Any] = dict(record.headers() or ())
            event, kind = headers["ce_id"].decode(), headers["ce_type"].decode()
            stage = {f"{TYPE}pre": "pre", f"{TYPE}post": "post"}[kind]
            message = json.loads(record.value() or b"")
            wanted = is_wanted(message, stage, self._told)
            name = f"{stage}-test of {message['checkout_id']}, event {event}, {place}"
            if not (event and name.isprintable()):
                raise ValueError(name)  # noqa: TRY301  # like an unreadable one
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            log.warning("skipped, unknown event: %s: %r", place, error)
            return True
        if event in self._handled:
            log.info("duplicate: %s", name)
        elif not wanted:
            log.info("filtered out: %s", name)
        elif not self._act(record, name, (message, stage, event, self._told["exec"])):
            log.warning("not committed: %s", name)
            return False
        else:
            self._handled.add(event)
            log.info("handled: %s", name)
        return True

    def _act(
        self, record: "Message[Any, Any]", name: str, work: tuple[Any, str, str, str | None]
    ) -> bool:
        """Retry until the lab accepts the work. Meanwhile, stay in the group and read no more."""
        pause = FIRST_PAUSE
        while not self._ending.is_set() and self._is_ours(record):
            future = self._pool.submit(act, *work)
            while not wait([future], timeout=1.0).done:
                self._stay(0)
            error = future.exception()
            if error is None:
                self._consumer.resume(self._consumer.assignment())
                return True
            log.warning("failed, retrying in %g s: %s: %s", pause, name, error)
            until = time.monotonic() + pause
            while not self._ending.is_set() and (left := until - time.monotonic()) > 0:
                self._stay(min(left, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
        self._consumer.resume(self._consumer.assignment())
        return False

    def _is_ours(self, record: "Message[Any, Any]") -> bool:
        return record.partition() in {it.partition for it in self._consumer.assignment()}

    def _stay(self, seconds: float) -> None:
        self._consumer.pause(self._consumer.assignment())
        if (record := self._poll(seconds)) is not None:
            self._early.append(record)


def main() -> int:
    """Return the exit code: 0 after SIGTERM or Ctrl-C, 1 after a fatal error, 2 for wrong usage."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    told, config = configure()
    try:
        reader = Reader(told, config)
    except (KafkaException, sqlite3.Error) as error:
        fail(f"wrong settings: {error}")
    servers, group = config["bootstrap.servers"], config["group.id"]
    log.info("reading %s at %s as group %s", told["topic"] or TOPIC, servers, group)
    if not told["state"]:
        log.warning("no --state file: this process forgets the handled events when it ends")
    try:
        reader.run()
    except KafkaException as error:
        log.error("Kafka reports a fatal error: %s", error)  # noqa: TRY400  # a traceback adds nothing
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
