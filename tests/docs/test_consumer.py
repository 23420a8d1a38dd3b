"""The consumer that labs copy, and a real Kafka that wants TLS, a certificate and a password."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import pytest
import trustme
from confluent_kafka import Producer
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.publish import Publisher, Record
from cki_notifier.notification.models import Stage
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import PATIENCE, eventually
from tools import PROJECT
from tools.brokers.kafka import Kafka
from tools.documentation.examples import record
from tools.processes import Process

CONSUMER: Final = PROJECT / "docs" / "examples" / "consumer.py"
PRE_TEST: Final = record(Stage.PRE_TEST)
POST_TEST: Final = record(Stage.POST_TEST)
PASSWORDS: Final = {"lab": "hush-lab", "stranger": "hush-stranger"}
#: The time at the start of each line of the consumer.
TIME: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "


class Guarded(NamedTuple):
    """A Kafka with a listener that lets in who has a certificate and a password."""

    kafka: Kafka
    certificates: Path

    @property
    def login(self) -> dict[str, str]:
        """The variables of a lab that is let in."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.sasl_bootstrap,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": "lab",
            "KAFKA_SASL_PASSWORD": PASSWORDS["lab"],
            "KAFKA_SSL_CA_LOCATION": str(self.certificates / "ca.pem"),
            "KAFKA_SSL_CERTIFICATE_LOCATION": str(self.certificates / "lab.pem"),
            "KAFKA_SSL_KEY_LOCATION": str(self.certificates / "lab.key"),
        }


def keystore(issued: trustme.LeafCert) -> bytes:
    """Return a certificate with its key as Java takes it: in PKCS #8."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    kind = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return pem + issued.cert_chain_pems[0].bytes()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One for all tests; the tests' own way in is its listener without any of that."""
    folder = tmp_path_factory.mktemp("guarded")
    certificates = folder / "certificates"
    certificates.mkdir()
    ca, server, lab = (trustme.CA(), "127.0.0.1", "lab@lab.example.com")
    ca.cert_pem.write_to_path(certificates / "ca.pem")
    trustme.CA().cert_pem.write_to_path(certificates / "other-ca.pem")
    (certificates / "server.pem").write_bytes(keystore(ca.issue_cert(server)))
    issued = ca.issue_cert(lab)
    issued.cert_chain_pems[0].write_to_path(certificates / "lab.pem")
    issued.private_key_pem.write_to_path(certificates / "lab.key")
    prefix = "listener.name.sasl_plaintext."
    settings = {
        # The listener keeps its name: what it speaks is said here.
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "SASL_PLAINTEXT:SASL_SSL",
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": str(certificates / "server.pem"),
        f"{prefix}ssl.truststore.type": "PEM",
        f"{prefix}ssl.truststore.location": str(certificates / "ca.pem"),
        f"{prefix}ssl.client.auth": "required",
        "super.users": "User:ANONYMOUS;User:lab",
    }
    with Kafka(folder / "kafka", settings=settings, users=PASSWORDS) as broker:
        yield Guarded(broker, certificates)


def another(original: Record, **headers: str) -> Record:
    """Return a record of another event with the same value, and headers of its own."""
    return replace(original, headers=original.headers | {"ce_id": str(uuid4())} | headers)


def name(it: Record, offset: int) -> str:
    """Return how the consumer calls the event of a record."""
    stage = it.headers["ce_type"].rpartition(".")[2]
    event = it.headers["ce_id"]
    return f"{stage}-test of {it.key}, event {event}, partition 0 offset {offset}"


class Lab:
    """A topic of one partition, the consumer, and what it says."""

    def __init__(self, guarded: Guarded, folder: Path) -> None:
        self.kafka = guarded.kafka
        self.folder = folder
        self._script = Path(shutil.copy(CONSUMER, folder))
        self._runs = 0
        self.topic = f"topic.{uuid4().hex[:8]}"
        self.environment = {
            "PATH": os.defpath,
            **guarded.login,
            "KAFKA_GROUP_ID": f"lab.{self.topic}",
            "KAFKA_TOPIC": self.topic,
            "LAB_STATE": str(folder / "events.sqlite"),
        }
        self.kafka.create_topic(self.topic, partitions=1)

    def publish(self, *records: Record) -> None:
        """Publish records as the daemon does, each confirmed."""
        settings = {"bootstrap.servers": self.kafka.bootstrap}
        publisher = Publisher(KafkaConfig(topic=self.topic, settings=settings))
        for one in records:
            publisher.publish(one, Deadline(PATIENCE))
        publisher.close(PATIENCE)

    def publish_foreign(self) -> int:
        """Publish what is none of ours, as anybody could, and return how many records it is."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        ours = dict(PRE_TEST.headers)
        records: tuple[tuple[bytes | None, dict[str, str | bytes | None]], ...] = (
            (b"hello", {}),
            (None, {}),
            (None, {**ours, "ce_id": "tombstone"}),
            (b"{", {**ours, "ce_id": "half"}),
            (b"\xff", {**ours, "ce_id": "no text"}),
            (b"[]", {**ours, "ce_id": "a list"}),
            (b"{}", {**ours, "ce_id": "nothing in it"}),
            (b"[" * 100_000, {**ours, "ce_id": "deep"}),
            (PRE_TEST.value, {**ours, "ce_id": ""}),
            (PRE_TEST.value, {**ours, "ce_id": "\0"}),
            (PRE_TEST.value, {**ours, "ce_id": "1\nhandled: all"}),
            (PRE_TEST.value, {**ours, "ce_id": None}),
            (PRE_TEST.value, {**ours, "ce_type": b"\xff"}),
            (PRE_TEST.value, {**ours, "ce_type": "org.cki-project.ready-for-test.later"}),
        )
        for value, headers in records:
            producer.produce(self.topic, value, PRE_TEST.key, headers=list(headers.items()))
        assert producer.flush(PATIENCE) == 0
        return len(records)

    def consumer(self, *flags: str, **variables: str) -> "Consumer":
        """Return a consumer that is to be started, in the lab's environment with changes."""
        self._runs += 1
        return Consumer(
            [sys.executable, str(self._script), *flags],
            self.environment | variables,
            self.folder / f"run-{self._runs}.log",
        )

    def run(self, *flags: str, until: str, **variables: str) -> list[str]:
        """Run the consumer until it said this, stop it, and return what it did with records."""
        with self.consumer(*flags, **variables) as consumer:
            consumer.says(until)
            assert consumer.stop() == 0
        return consumer.did()


class Consumer(Process):
    """A running consumer."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        super().__init__("consumer", command, log=log, ready=log.exists, environment=environment)

    def lines(self) -> list[str]:
        """Return what it said, without times."""
        return [re.sub(f"^{TIME}", "", line) for line in self.log.read_text().splitlines()]

    def says(self, part: str, times: int = 1) -> None:
        """Wait until it said something so often."""
        eventually(
            lambda: sum(part in line for line in self.lines()) >= times,
            seconds=2 * PATIENCE,
            what=f"{part}, but: {self.log}",
        )

    def did(self) -> list[str]:
        """Return what it said of records, and what its action printed."""
        about = ("reading ", "assigned partitions", "no --state", "ended", "Kafka is ")
        said = [line.removeprefix("INFO ").removeprefix("WARNING ") for line in self.lines()]
        return [line for line in said if not line.startswith(about)]


@pytest.fixture
def lab(guarded: Guarded, tmp_path: Path) -> Lab:
    """A lab that has not read anything yet."""
    return Lab(guarded, tmp_path)


def started(stage: str, *builds: str) -> list[str]:
    """Return the lines for builds that the consumer prints without a command."""
    return [f"would start {stage}-test work for redhat:2167003491-{it}" for it in builds]


ALL: Final = ("aarch64-kernel", "x86_64-kernel", "x86_64-kernel-debug")


def test_it_says_what_it_reads_and_handles_both_stages_once(lab: Lab) -> None:
    """In the order in which they were published; over TLS, with a certificate and a password."""
    lab.publish(PRE_TEST, PRE_TEST, POST_TEST, PRE_TEST)

    with lab.consumer() as consumer:
        consumer.says("duplicate", 2)
        assert consumer.stop() == 0

    assert consumer.lines()[:2] == [
        f"INFO reading {lab.topic} at {lab.kafka.sasl_bootstrap} as group lab.{lab.topic}",
        "INFO assigned partitions: 0",
    ]
    assert consumer.lines()[-1] == "INFO ended"
    assert consumer.did() == [
        *started("pre", *ALL),
        f"handled: {name(PRE_TEST, 0)}",
        f"duplicate: {name(PRE_TEST, 1)}",
        *started("post", *ALL),
        f"handled: {name(POST_TEST, 2)}",
        f"duplicate: {name(PRE_TEST, 3)}",
    ]


def test_it_knows_after_a_restart_what_it_did(lab: Lab) -> None:
    """It goes on behind what it committed, and a repeat of what it did before stays one."""
    lab.publish(PRE_TEST)
    lab.run(until="handled")
    other = another(PRE_TEST)
    lab.publish(PRE_TEST, other)

    assert lab.run(until="handled") == [
        f"duplicate: {name(PRE_TEST, 1)}",
        *started("pre", *ALL),
        f"handled: {name(other, 2)}",
    ]


def test_without_a_file_it_says_that_it_forgets(lab: Lab) -> None:
    """It runs all the same, and drops the repeats that it can."""
    lab.publish(PRE_TEST, PRE_TEST)

    with lab.consumer(LAB_STATE="") as consumer:
        consumer.says("duplicate")

    assert any("no --state file: this process forgets" in line for line in consumer.lines())


def test_it_skips_what_is_none_of_ours(lab: Lab) -> None:
    """Foreign records, tombstones and kinds of events that it doesn't know don't stop it."""
    count = lab.publish_foreign()
    lab.publish(PRE_TEST)

    skipped = lab.run(until="handled")[:count]

    assert [line.split(": ")[1] for line in skipped] == [
        f"partition 0 offset {number}" for number in range(count)
    ]
    assert all(line.startswith("skipped, unknown event") for line in skipped)


@pytest.mark.parametrize(
    ("flags", "builds"),
    [
        (["--stage", "post"], []),
        (["--stage", "pre", "--tree", "c10s,c9s"], ALL),
        (["--tree", "rhel-9.6"], []),
        (["--subsystem", "mm, net"], ALL),
        (["--subsystem", "mm"], []),
        (["--architecture", "s390x"], []),
        (["--architecture", "x86_64", "--debug-kernels", "no"], ALL[1:2]),
        (["--debug-kernels", "only"], ALL[2:]),
    ],
)
def test_a_lab_gets_what_it_wants(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], builds: Sequence[str]
) -> None:
    """By stage, tree, subsystem, architecture and kind of kernel; the rest is passed over."""
    consumer = runpy.run_path(str(CONSUMER))
    needed = ["--bootstrap-servers", "127.0.0.1:1", "--group-id", "lab"]
    monkeypatch.setattr("sys.argv", ["consumer.py", *needed, *flags])
    told, _ = consumer["configure"]()
    message = json.loads(PRE_TEST.value)

    assert consumer["is_wanted"](message, "pre", told) == bool(builds)

    left = [build["build_id"] for build in message["build_info"]]
    assert not builds or left == [f"redhat:2167003491-{build}" for build in builds]


def test_a_command_gets_the_message_and_the_event(lab: Lab) -> None:
    """As JSON on standard input, with only the wanted builds, and in two variables."""
    lab.publish(PRE_TEST)
    script = lab.folder / "start tests"
    script.write_text('#!/bin/sh\ncat >"$1"\necho "$CKI_STAGE $CKI_EVENT"\nenv >"$1.env"\n')
    script.chmod(0o700)
    got = lab.folder / "message.json"

    said = lab.run(f"--exec='{script}' {got}", "--architecture=aarch64", until="handled")

    assert said[0] == f"pre {PRE_TEST.headers['ce_id']}"
    assert "hush" not in Path(f"{got}.env").read_text()
    message = json.loads(PRE_TEST.value)
    assert json.loads(got.read_text()) == message | {"build_info": message["build_info"][:1]}


def test_what_fails_is_tried_again_in_its_turn(lab: Lab) -> None:
    """Nothing is skipped, and the next record waits."""
    lab.publish(PRE_TEST, another(POST_TEST))
    there = lab.folder / "there"

    with lab.consumer(f"--exec=/bin/ls {there}", LAB_STATE="") as consumer:
        consumer.says("failed", 2)
        assert not any("post-test" in line for line in consumer.lines())
        there.touch()
        consumer.says("handled", 2)

    failures = [line for line in consumer.did() if line.startswith("failed")]
    event = name(PRE_TEST, 0)
    assert failures[:2] == [
        f"failed, retrying in {pause} s: {event}: Command '['/bin/ls', '{there}']' returned "
        "non-zero exit status 2."
        for pause in (1, 2)
    ]


def test_what_is_not_done_at_the_end_comes_again(lab: Lab) -> None:
    """After SIGTERM, which ends the tries, and after SIGKILL in the middle of the work."""
    lab.publish(PRE_TEST)
    failing = lab.run("--exec=/bin/false", until="failed")
    assert failing[-1] == f"not committed: {name(PRE_TEST, 0)}"
    mark = lab.folder / "mark"
    hanging = f"/bin/sh -c 'touch {mark}; exec sleep 60'"
    # A killed consumer does not leave its group, so the group waits for its session timeout.
    with lab.consumer(f"--exec={hanging}", f"--config-file={short_session(lab)}") as consumer:
        eventually(mark.exists)
        consumer.kill()

    assert lab.run(until="handled")[-1] == f"handled: {name(PRE_TEST, 0)}"


def short_session(lab: Lab) -> Path:
    """Return a file that has a dead member leave its group after seconds, and is read as it is."""
    file = lab.folder / "client.properties"
    file.write_text("# Kafka's least\nsession.timeout.ms = 6000\n\nheartbeat.interval.ms=500\n")
    return file


def quiet(*consumers: Consumer, lines: int) -> None:
    """Make sure that they print no more than these lines within five seconds."""
    time.sleep(5)
    for consumer in consumers:
        assert len(consumer.lines()) == lines, consumer.tail()


def test_one_line_says_why_it_is_not_let_in(lab: Lab, guarded: Guarded) -> None:
    """However often it tries: the start, and the cause; SIGTERM ends it all the same."""
    foreign = str(guarded.certificates / "other-ca.pem")
    with (
        lab.consumer(KAFKA_SASL_PASSWORD="hush-wrong") as password,
        lab.consumer(KAFKA_SSL_CA_LOCATION=foreign) as ca,
        lab.consumer(KAFKA_SSL_CERTIFICATE_LOCATION="", KAFKA_SSL_KEY_LOCATION="") as certificate,
        lab.consumer(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1") as address,
    ):
        causes = {
            password: "Invalid username or password",
            ca: "certificate verify failed",
            certificate: "SSL",
            address: "Connection refused",
        }
        for consumer, cause in causes.items():
            consumer.says("Kafka is unavailable")
            assert cause in consumer.lines()[-1]
        quiet(*causes, lines=2)
        for consumer in causes:
            assert consumer.stop() == 0
            assert "hush" not in consumer.log.read_text()


def test_one_line_says_that_the_topic_is_closed_to_it(lab: Lab) -> None:
    """A user without rights is let in, and told what is missing."""
    login = {"KAFKA_SASL_USERNAME": "stranger", "KAFKA_SASL_PASSWORD": PASSWORDS["stranger"]}
    with lab.consumer(**login) as consumer:
        consumer.says("Kafka reports an error")
        time.sleep(3)
    said = [line for line in consumer.lines() if "Kafka reports an error" in line]
    assert 1 <= len(said) <= 2
    assert "authorization failed" in said[0]


def test_an_outage_is_two_lines(lab: Lab) -> None:
    """Kafka goes away and comes back: what came meanwhile is handled."""
    with lab.consumer() as consumer:
        consumer.says("assigned partitions")
        lab.kafka.stop()
        consumer.says("Kafka is unavailable")
        quiet(consumer, lines=3)
        lab.kafka.start()
        lab.publish(PRE_TEST)
        consumer.says("handled")
        assert consumer.stop() == 0
    said = [line.split(":")[0] for line in consumer.lines() if "Kafka" in line]
    assert said[0] == "WARNING Kafka is unavailable"
    assert re.fullmatch(r"WARNING Kafka is available again after \d+ s", said[1])
    assert len(said) == 2


def wrong(**environment: str) -> str:
    """Run the consumer with a wrong environment, and return the line that it says."""
    done = subprocess.run(
        [sys.executable, CONSUMER],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_what_is_missing_or_wrong_is_one_line(tmp_path: Path) -> None:
    """It names the flag and the variable; nothing is tried."""
    servers = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    both = servers | {"KAFKA_GROUP_ID": "lab"}
    properties = tmp_path / "client.properties"
    properties.write_text("no.such.setting=1\n")
    assert wrong() == "consumer: --bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS is missing"
    assert wrong(**servers) == "consumer: --group-id or KAFKA_GROUP_ID is missing"
    assert "--stage or LAB_STAGE must be pre or post, not x" in wrong(**both, LAB_STAGE="x")
    assert "KAFKA_SECURITY_PROTOCOL" in wrong(**both, KAFKA_SASL_USERNAME="lab")
    assert "No such file" in wrong(**both, KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "missing"))
    assert "no.such.setting" in wrong(**both, KAFKA_CONFIG_FILE=str(properties))
    assert "unable to open database file" in wrong(**both, LAB_STATE=str(tmp_path / "no" / "file"))


def test_its_help_tells_each_variable() -> None:
    """Beside the flag; a password has none, as everybody sees the flags of a process."""
    told = subprocess.run(
        [sys.executable, CONSUMER, "--help"], capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"\b(?:KAFKA|LAB)_[A-Z_]+\b", told))
    assert {"KAFKA_GROUP_ID", "LAB_STATE", "LAB_EXEC", "KAFKA_SASL_PASSWORD"} <= named
    assert named == set(re.findall(r"(?:KAFKA|LAB)_[A-Z_]+\b", told))
    assert "--sasl-password " not in told


def test_the_page_names_what_there_is() -> None:
    """The flags and variables of the page are the consumer's, and so are the lines it explains."""
    page = (PROJECT / "docs" / "read-the-topic.md").read_text()
    script = CONSUMER.read_text()
    told = subprocess.run(
        [sys.executable, CONSUMER, "--help"], capture_output=True, text=True, check=True
    ).stdout
    flags = set(re.findall(r"(?<=[ `])--[a-z-]+\b", page)) - {"--keep"}
    assert flags >= {"--help", "--exec", "--state"}
    assert [flag for flag in flags if flag not in told] == []
    variables = set(re.findall(r"\b(?:KAFKA|LAB)_[A-Z_]+\b", page))
    assert [name for name in variables if name not in told] == []
    for line in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE):
        assert line.removesuffix("…").strip() in script
