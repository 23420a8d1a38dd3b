"""The actions on dead letters, on a real RabbitMQ, without a loss."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from cki_notifier.notification.command_words import taken_by
from tests.brokers.stage import Stage, eventually
from tests.dead_letters.letters import (
    BEGAN,
    about,
    bodies,
    dead_letter,
    declare,
    everything,
    invalid,
    listed,
    midway,
    on_terminal,
    only_rabbitmq,
    operator_config,
    run,
    start,
)
from tools.notifier import complete
from tools.stand_ins import documents

MANY = 300


def dead(stage: Stage) -> str:
    """Return the name of the dead-letter queue."""
    return f"{stage.queue}.dead-letter"


def many(count: int = MANY) -> list[bytes]:
    """Return different bodies."""
    return [about(f"redhat:{number}") for number in range(count)]


def test_the_list_shows_what_the_daemon_dead_lettered_and_why(stage: Stage) -> None:
    """A row for each: id, time, tries, reason, checkout and error. Then a summary."""
    checkout = documents.checkout("redhat:1", tree_name=5)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    stage.daemon()
    stage.publish(b"no json", about("redhat:1"))
    eventually(lambda: stage.waiting(dead(stage)) == 2)
    result = run(stage, "list")
    assert result.returncode == 0
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == [
        "ID",
        "FIRST",
        "SEEN",
        "(UTC)",
        "TRIES",
        "REASON",
        "CHECKOUT",
        "ERROR",
    ]
    form = r"[0-9a-f]{12}  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d      1  "
    (first, second) = sorted(rows, key=lambda row: "redhat" in row)
    assert re.match(rf"{form}malformed +- +the body is not JSON: ", first)
    assert re.match(rf"{form}invalid-document +redhat:1 +.*\$\.tree_name", second)
    assert (
        result.stderr == f"2 dead letters in {dead(stage)}: 1 malformed, 1 invalid-document\n"
        or (result.stderr == f"2 dead letters in {dead(stage)}: 1 invalid-document, 1 malformed\n")
    )
    assert run(stage, "list").stdout == result.stdout
    assert stage.waiting(dead(stage)) == 2


def test_looking_keeps_the_order_and_the_ids(stage: Stage) -> None:
    """Each look finds the same letters in the same order."""
    declare(stage)
    dead_letter(stage, many())
    first = listed(stage)
    assert [letter["checkout_id"] for letter in first] == [f"redhat:{it}" for it in range(MANY)]
    assert len({letter["id"] for letter in first}) == MANY
    assert listed(stage) == first
    assert bodies(stage, dead(stage)) == many()


def test_a_list_can_be_of_one_reason_and_short(stage: Stage) -> None:
    """The reason and the limit choose; the summary says how many there are."""
    declare(stage)
    dead_letter(stage, many(4))
    dead_letter(stage, [about("redhat:x"), about("redhat:y")], invalid())
    chosen = listed(stage, "--reason", "invalid-document")
    assert [letter["checkout_id"] for letter in chosen] == ["redhat:x", "redhat:y"]
    result = run(stage, "list", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == (
        f"6 dead letters in {dead(stage)}: 4 malformed, 2 invalid-document; 1 shown\n"
    )
    nothing = run(stage, "list", "--reason", "not-found")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert nothing.stderr == (
        f"6 dead letters in {dead(stage)}: 4 malformed, 2 invalid-document; 0 shown\n"
    )


def test_a_limit_takes_the_oldest_whatever_the_queues_order(stage: Stage) -> None:
    """Retry and discard take the letters that a list with the same limit shows."""
    declare(stage)
    ages = [5, 1, 8, 0, 3, 7, 2, 9, 6, 4]
    for age in ages:
        dead_letter(stage, [about(f"redhat:{age}")], began=BEGAN + timedelta(minutes=age))
    for _ in range(3):
        chosen = listed(stage, "--limit", "3")
        assert [letter["checkout_id"] for letter in chosen] == ["redhat:0", "redhat:1", "redhat:2"]
    assert [it["checkout_id"] for it in listed(stage)] == [f"redhat:{it}" for it in range(10)]
    shown = run(stage, "show", "--all", "--limit", "3", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in shown] == [letter["id"] for letter in chosen]
    result = run(stage, "retry", "--all", "--limit", "3", "--yes")
    assert result.stderr == f"3 of 10 dead letters put back into {stage.queue}\n"
    assert set(bodies(stage, stage.queue)) == {about(f"redhat:{age}") for age in range(3)}
    result = run(stage, "discard", "--reason", "malformed", "--limit", "3", "--yes")
    assert result.stderr == "3 of 7 dead letters discarded\n"
    assert [it["checkout_id"] for it in listed(stage)] == [f"redhat:{it}" for it in range(6, 10)]


def test_of_letters_that_are_alike_a_limit_takes_so_many(stage: Stage) -> None:
    """They have one id, but each of them counts."""
    declare(stage)
    for _ in range(4):
        dead_letter(stage, [about("redhat:1")])
    assert run(stage, "retry", "--all", "--limit", "3", "--yes").returncode == 0
    assert bodies(stage, stage.queue) == [about("redhat:1")] * 3
    assert stage.waiting(dead(stage)) == 1


def test_without_an_action_it_lists(stage: Stage) -> None:
    """As the status page's hint has it."""
    declare(stage)
    dead_letter(stage, many(2))
    assert (run(stage).stdout, run(stage).stderr) == (
        run(stage, "list").stdout,
        run(stage, "list").stderr,
    )


def test_the_list_at_80_columns_has_the_error(stage: Stage) -> None:
    """Below each letter's line, so that what is wrong is to be seen."""
    declare(stage)
    dead_letter(stage, [about("redhat:2167003491")], invalid())
    code, seen = on_terminal(stage, "list", columns=80)
    assert code == 0
    lines = seen.splitlines()
    assert len(lines) == 5, "two of headings, two of the letter, the summary"
    assert lines[2].endswith("1  invalid-document   redhat:2167003491")
    assert lines[3] == "  datawarehouse: $.tree_name is no string"
    assert all(len(line) <= 80 for line in lines[:4])


def test_one_body_comes_out_byte_for_byte(stage: Stage) -> None:
    """Only the body, for a pipe, and only of a single letter."""
    declare(stage)
    whole = b'\xef\xbb\xbf{"id": "redhat:1"}\r\n\x00\xff\n'
    dead_letter(stage, [whole, about("redhat:2"), about("redhat:2")])
    first, second, _ = listed(stage)
    command = [sys.executable, "-m", "cki_notifier", "dead-letters", "show", "--body", first["id"]]
    environment = complete(only_rabbitmq(stage))
    result = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, whole, b"")
    several = run(stage, "show", "--body", "redhat:2")
    assert (several.returncode, several.stdout) == (1, "")
    assert several.stderr.startswith("cki-notifier: 2 dead letters match, and --body shows")
    oldest = run(stage, "show", "--body", "redhat:2", "--limit", "1")
    assert (oldest.returncode, oldest.stdout) == (0, about("redhat:2").decode())
    assert run(stage, "show", "--body", second["id"]).stdout == about("redhat:2").decode()
    nobody = run(stage, "show", "--body", "redhat:3")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "has the id or checkout id redhat:3" in nobody.stderr
    code, seen = on_terminal(stage, "show", "--body", first["id"])
    assert (code, "\x00" in seen, r"\xff" in seen) == (0, False, True)


def test_show_tells_all_and_nothing_reaches_the_terminal_raw(stage: Stage) -> None:
    """Body, headers and error may hold anything; it is shown, escaped."""
    declare(stage)
    evil = "\x1b]0;owned\x07\x9b31m\u202e"
    body = json.dumps({"id": "redhat:\x1b[2J", "status": evil}, ensure_ascii=False).encode()
    dead_letter(stage, [body.replace(b"\x1b", b"\\u001b").replace(b"\x07", b"\\u0007")])
    dead_letter(stage, [b"\xff\x1b[2Jbinary"], headers={f"evil{evil}": evil}, app_id=evil)
    for arguments in (
        ("list",),
        ("list", "--json"),
        ("show", "--all"),
        ("show", "--all", "--json"),
        ("retry", evil, "--yes"),
    ):
        code, seen = on_terminal(stage, *arguments)
        assert code == (1 if arguments[0] == "retry" else 0)
        assert not [it for it in seen if not it.isprintable() and it not in "\r\n"]
    shown = run(stage, "show", "redhat:\x1b[2J").stdout
    assert r'  "id": "redhat:\u001b[2J",' in shown, "the JSON body, indented"
    assert "reason       malformed: the body is not a valid notification\n" in shown
    assert f"exchange     {stage.exchange}\n" in shown
    assert "first seen   2026-11-20 10:15:00\n" in shown


def test_show_as_json_gives_bodies_back_byte_for_byte(stage: Stage) -> None:
    """An operator can save a letter before a discard."""
    declare(stage)
    dead_letter(stage, [about("redhat:ü"), b"\xff\x00"], message_id="m-1", headers={"a": [1, None]})
    shown = [json.loads(it) for it in run(stage, "show", "--all", "--json").stdout.splitlines()]
    assert [letter.get("body") for letter in shown] == [about("redhat:ü").decode(), None]
    assert shown[1]["body_base64"] == "/wA="
    assert shown[0]["properties"] == {"delivery_mode": 2, "message_id": "m-1"}
    assert shown[0]["headers"]["a"] == [1, None]
    assert shown[0]["headers"]["x-cki-first-seen"] == BEGAN.isoformat()


def test_a_letter_put_back_is_handled_by_the_daemon(stage: Stage) -> None:
    """After a fix and a retry, the daemon sends the checkout's message."""
    wrong = documents.checkout("redhat:1", tree_name=5)
    stage.services.warehouse.add(documents.everything(wrong, [documents.build(wrong)]))
    daemon = stage.daemon()
    stage.publish(about("redhat:1"), b"no json")
    eventually(lambda: stage.waiting(dead(stage)) == 2)
    right = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(right, [documents.build(right)]))
    result = run(stage, "retry", "redhat:1", "--yes")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == f"1 of 2 dead letters put back into {stage.queue}\n"
    assert stage.records(1)[0].key == "redhat:1"
    assert [letter["reason"] for letter in listed(stage)] == ["malformed"]
    stage.finish(daemon)


def test_what_is_put_back_is_the_original_begun_anew(stage: Stage) -> None:
    """Original body, properties and headers, no past tries, and no expiration."""
    declare(stage)
    dead_letter(
        stage,
        [b"\xff raw"],
        message_id="m-1",
        content_type="text/x",
        expiration="1",
        user_id="somebody",
        headers={"kept": "yes", "x-death": [{"reason": "expired"}], "CC": ["elsewhere"]},
    )
    (letter,) = listed(stage)
    assert run(stage, "retry", letter["id"], "--yes").returncode == 0
    (back,) = stage.take(stage.queue)
    assert back.body == b"\xff raw"
    assert (back.properties.message_id, back.properties.content_type) == ("m-1", "text/x")
    assert (back.properties.expiration, back.properties.user_id) == (None, None)
    assert back.properties.delivery_mode == 2
    assert {name: it for name, it in back.headers.items() if name != "x-delivery-count"} == {
        "kept": "yes",
        "x-cki-expiration": "1",
        "x-cki-tries-before": 1,
        "x-cki-user-id": "somebody",
        "x-cki-exchange": stage.exchange,
        "x-cki-routing-key": "datawarehouse.checkout.any",
    }
    assert stage.waiting(dead(stage)) == 0


def test_several_can_be_put_back_by_reason_and_the_others_stay_in_place(stage: Stage) -> None:
    """The chosen ones are in the main queue in their order, the others where they were."""
    declare(stage)
    letters = many(120)
    for body in letters:
        number = int(body.decode().rpartition(":")[2].strip('"}'))
        began = BEGAN + timedelta(seconds=number)
        dead_letter(stage, [body], *([invalid()] if number % 3 == 0 else []), began=began)
    result = run(stage, "retry", "--reason", "invalid-document", "--limit", "39", "--yes")
    assert result.stderr == f"39 of 120 dead letters put back into {stage.queue}\n"
    result = run(stage, "retry", "--reason", "invalid-document", "--yes")
    assert result.stderr == f"1 of 81 dead letters put back into {stage.queue}\n"
    assert bodies(stage, stage.queue) == letters[::3]
    assert bodies(stage, dead(stage)) == [it for it in letters if it not in letters[::3]]


def test_all_put_back_come_again_without_end_but_the_command_ends(stage: Stage) -> None:
    """Letters that arrive during a run wait for the next one."""
    daemon = stage.daemon()
    stage.publish(*[b"no json %d" % number for number in range(60)])
    eventually(lambda: stage.waiting(dead(stage)) == 60)
    result = run(stage, "retry", "--all", "--yes")
    assert (result.returncode, result.stderr) == (
        0,
        f"60 of 60 dead letters put back into {stage.queue}\n",
    )
    eventually(lambda: stage.waiting(dead(stage)) == 60)
    stage.finish(daemon)


def test_nothing_that_matches_is_said_and_is_exit_code_1(stage: Stage) -> None:
    """The output names unknown ids. With ``--all``, an empty queue is fine."""
    declare(stage)
    empty = run(stage, "retry", "--all", "--yes")
    assert (empty.returncode, empty.stderr) == (0, f"no dead letters in {dead(stage)}\n")
    dead_letter(stage, [about("redhat:1")])
    result = run(stage, "retry", "redhat:1", "redhat:2", "--yes")
    assert result.returncode == 1
    assert "no dead letter has the id or checkout id redhat:2\n" in result.stderr
    assert bodies(stage, stage.queue) == [about("redhat:1")], "what matches is done"
    dead_letter(stage, [b"x"])
    result = run(stage, "discard", "--yes", "--reason", "not-found")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "no dead letter has the reason not-found",
        f"1 dead letter in {dead(stage)}: 1 malformed; 0 discarded",
    ]


def test_only_what_was_chosen_is_discarded(stage: Stage) -> None:
    """Letters are told apart by their ids, also those about one checkout."""
    declare(stage)
    dead_letter(stage, [about("redhat:1"), about("redhat:1"), about("redhat:2")])
    first, second, _ = listed(stage)
    result = run(stage, "discard", first["id"], "--yes")
    assert (result.returncode, result.stderr) == (0, "1 of 3 dead letters discarded\n")
    assert listed(stage)[0]["id"] == second["id"]
    assert stage.waiting(dead(stage)) == 2
    assert run(stage, "discard", "--all", "--yes").returncode == 0
    assert stage.waiting(dead(stage)) == 0
    assert bodies(stage, stage.queue) == []


def told(stage: Stage) -> list[int]:
    """Take all out of the main queue; return how many letters were taken out, as it says there."""
    return [count for body in everything(stage, stage.queue) if (count := taken_by(body))]


def test_the_daemons_are_told_how_many_were_taken_out(stage: Stage) -> None:
    """One report for each run, after the copies; none if no letter left the queue."""
    declare(stage)
    dead_letter(stage, many(7))
    run(stage, "list")
    run(stage, "retry", "redhat:nobody", "--yes")
    assert everything(stage, stage.queue) == []
    run(stage, "retry", "--all", "--limit", "3", "--yes")
    *put_back, word = everything(stage, stage.queue)
    assert put_back == many(7)[:3]
    assert taken_by(word) == 3
    run(stage, "discard", "redhat:5", "--yes")
    assert told(stage) == [1]
    on_terminal(stage, "discard", "--all", answer="n")
    assert told(stage) == []
    on_terminal(stage, "discard", "--all", answer="y")
    assert told(stage) == [3]


def test_the_word_survives_a_restart_of_the_broker_and_every_release_ignores_it(
    stage: Stage,
) -> None:
    """It is persistent, and about another type of object."""
    declare(stage)
    dead_letter(stage, many(2))
    run(stage, "discard", "--all", "--yes")
    (word,) = stage.take(stage.queue)
    assert word.properties.delivery_mode == 2
    assert json.loads(word.body) == {
        "count": 2,
        "object_type": "cki-notifier",
        "status": "dead-letters-taken",
        "id": "cki-notifier",
    }


def test_daemons_that_can_not_be_told_are_a_warning(stage: Stage) -> None:
    """The discarded letters are gone, but no daemon counts them."""
    declare(stage)
    dead_letter(stage, many(2))
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    result = run(stage, "discard", "--all", "--yes")
    assert result.returncode == 0
    assert "no daemon counts the 2 dead letters taken out" in result.stderr
    assert f"there is no queue {stage.queue}" in result.stderr
    assert result.stderr.endswith("2 of 2 dead letters discarded\n")


def test_discarding_asks_first(stage: Stage) -> None:
    """On a terminal it shows the letters and asks; elsewhere it needs ``--yes``."""
    declare(stage)
    dead_letter(stage, many(25))
    result = run(stage, "discard", "--all")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--yes" in result.stderr
    code, seen = on_terminal(stage, "discard", "--all", answer="")
    assert code == 1
    assert "redhat:19\r\n" in seen
    assert "… and 5 more" in seen
    assert "nothing was discarded" in seen
    assert stage.waiting(dead(stage)) == 25
    code, seen = on_terminal(stage, "discard", "redhat:3", "redhat:4", "redhat:x", answer="y")
    assert code == 1, "one of them is not there"
    assert "Discard 2 dead letters for good? [y/N]" in seen
    assert "2 of 25 dead letters discarded" in seen
    assert bodies(stage, dead(stage)) == [it for it in many(25) if it not in many(25)[3:5]]


def test_putting_back_shows_what_and_asks_first(stage: Stage) -> None:
    """Without a terminal and ``--yes``, nothing moves."""
    declare(stage)
    dead_letter(stage, [about("redhat:1", number=it) for it in range(7)])
    result = run(stage, "retry", "redhat:1")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        "retry: standard input is not a terminal, so nobody can confirm: add --yes" in result.stderr
    )
    code, seen = on_terminal(stage, "retry", "redhat:1", answer="")
    assert code == 1
    assert f"Put 7 dead letters back into {stage.queue}? [y/N]" in seen
    assert seen.count(" redhat:1\r\n") == 7
    assert "nothing was put back" in seen
    assert everything(stage, stage.queue) == []
    code, seen = on_terminal(stage, "retry", "redhat:1", "--limit", "2", answer="y")
    assert code == 0
    assert f"2 of 7 dead letters put back into {stage.queue}" in seen
    assert bodies(stage, stage.queue) == [about("redhat:1", number=it) for it in range(2)]
    code, seen = on_terminal(stage, "retry", "redhat:2", answer="y")
    assert (code, "[y/N]" in seen) == (1, False), "there is nothing to ask about"


def test_a_letter_that_is_put_back_keeps_its_tries(stage: Stage) -> None:
    """Its attempts start again, and the list adds the earlier tries."""
    stage.daemon()
    stage.publish(b"no json")
    for tries in (1, 2, 3):
        eventually(lambda: stage.waiting(dead(stage)) == 1)
        (letter,) = listed(stage)
        assert letter["attempts"] == tries
        assert run(stage, "retry", letter["id"], "--yes").returncode == 0
    (last,) = stage.take(dead(stage))
    assert last.headers["x-cki-attempts"] == 1
    assert last.headers["x-cki-tries-before"] == 3


@pytest.mark.parametrize("after", [1, 60, 200])
def test_nothing_is_lost_when_it_is_killed_midway(stage: Stage, after: int) -> None:
    """Killed by SIGKILL, each letter is in one of the queues, at most one in both."""
    declare(stage)
    dead_letter(stage, many())
    process = start(stage, "retry", "--all", "--yes")
    with midway(stage, process, after):
        process.kill()
    process.communicate()
    assert process.returncode == -9, "it was midway"
    eventually(lambda: stage.waiting(dead(stage)) + stage.waiting(stage.queue) >= MANY)
    left = stage.waiting(dead(stage))
    assert 0 < left <= MANY
    assert left + stage.waiting(stage.queue) <= MANY + 1
    result = run(stage, "retry", "--all", "--yes")
    assert result.stderr == f"{left} of {left} dead letters put back into {stage.queue}\n"
    copies = Counter(bodies(stage, stage.queue))
    assert set(copies) == set(many())
    assert copies.total() <= MANY + 1


def test_nothing_is_lost_when_the_broker_ends_the_connection(stage: Stage) -> None:
    """It says so, with exit code 1; each letter is in one of the queues, at most one in both."""
    declare(stage)
    dead_letter(stage, many(1500))
    process = start(stage, "retry", "--all", "--yes")
    eventually(lambda: stage.waiting(stage.queue))
    stage.rabbitmq.ctl("close_all_connections", "maintenance")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1, errors
    assert errors.startswith("cki-notifier: rabbitmq: RabbitMQ closed the connection: CONNECTION_")
    eventually(lambda: stage.waiting(dead(stage)) + stage.waiting(stage.queue) > 1500)
    put_back = everything(stage, stage.queue)
    assert sum(map(taken_by, put_back)) in {len(put_back) - 1, len(put_back) - 2}
    copies = Counter(bodies(stage, dead(stage)) + [it for it in put_back if not taken_by(it)])
    assert set(copies) == set(many(1500))
    assert copies.total() <= 1501


@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_a_retry_during_an_alarm_says_so_at_once_and_moves_nothing(
    stage: Stage, resource: str
) -> None:
    """The letters stay in their order, and the main queue stays empty."""
    declare(stage)
    dead_letter(stage, many(40))
    with stage.rabbitmq.alarm(resource):
        started = time.monotonic()
        result = run(stage, "retry", "--all", "--yes")
        assert time.monotonic() - started < 15, "not after a minute"
        refusal = f"RabbitMQ accepts no messages: low on {resource}; nothing was moved"
        assert result.returncode == 1
        assert result.stderr.splitlines()[0] == f"cki-notifier: rabbitmq: {refusal}"
        eventually(lambda: stage.waiting(dead(stage)) == 40, seconds=5)
        assert len(listed(stage)) == 40, "looking needs no message to be accepted"
    assert run(stage, "retry", "--all", "--yes").stderr == (
        f"40 of 40 dead letters put back into {stage.queue}\n"
    )
    assert bodies(stage, stage.queue) == many(40), "once each"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_end_in_order(stage: Stage, number: signal.Signals) -> None:
    """It finishes the current letter, gives the others back, and says so."""
    declare(stage)
    dead_letter(stage, many())
    process = start(stage, "retry", "--all", "--yes")
    with midway(stage, process, 20):
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    put_back, gone = everything(stage, stage.queue), bodies(stage, dead(stage))
    done = len(put_back) - 1
    assert taken_by(put_back.pop()) == done
    assert errors == (
        f"ended by a signal; {done} dead letters put back, the others stay in the queue\n"
    )
    assert put_back + gone == many()


def test_a_bar_shows_how_far_it_is_on_a_terminal_only(stage: Stage) -> None:
    """A long run shows its progress, and removes the bar at the end."""
    declare(stage)
    dead_letter(stage, many(1500))
    assert run(stage, "list", "--limit", "1499").stderr.count("\n") == 1
    code, seen = on_terminal(stage, "retry", "--all", "--yes")
    assert code == 0
    bars = re.findall(r" (\d+) % of 1,500, [\d,]+ put back", seen)
    assert bars
    assert all(before <= after for before, after in pairwise(map(int, bars)))
    assert f"\x1b[2K1,500 of 1,500 dead letters put back into {stage.queue}\r\n" in seen


def test_a_queue_that_is_missing_is_explained(stage: Stage) -> None:
    """No dead letter ever: fine. No main queue either: probably another name was meant."""
    wrong = run(stage, "list")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert f"neither {stage.queue} nor {dead(stage)} exists: check RABBITMQ_QUEUE" in wrong.stderr
    with stage.channel() as channel:
        channel.queue_declare(stage.queue)
    new = run(stage, "list")
    assert (new.returncode, new.stdout) == (0, "")
    assert new.stderr.startswith(f"no dead letters: the queue {dead(stage)} does not exist yet")
    assert run(stage, "retry", "--all", "--yes").returncode == 0
    assert run(stage, "retry", "redhat:1", "--yes").returncode == 1


def test_without_a_main_queue_nothing_is_put_back_or_lost(stage: Stage) -> None:
    """A letter that reaches no queue stays where it is."""
    declare(stage)
    dead_letter(stage, many(3))
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    result = run(stage, "retry", "--all", "--yes")
    assert result.returncode == 1
    assert f"there is no queue {stage.queue}\n" in result.stderr
    assert "0 dead letters put back, the others stay in the queue" in result.stderr
    assert bodies(stage, dead(stage)) == many(3)


def test_a_main_queue_that_takes_no_more_is_explained(stage: Stage) -> None:
    """A letter that the main queue refuses stays a dead letter."""
    declare(stage)
    dead_letter(stage, many(60))
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(stage.queue, arguments=arguments)
    result = run(stage, "retry", "--all", "--yes")
    assert result.returncode == 1
    assert f"the queue {stage.queue} takes no more messages" in result.stderr
    assert bodies(stage, dead(stage)) == many(60)[1:]
    assert bodies(stage, stage.queue) == many(60)[:1]


def test_a_broker_that_is_away_is_exit_code_1(stage: Stage) -> None:
    """One line says what can't be reached."""
    result = stage.command(
        *("dead-letters", "retry", "--all", "--yes"),
        environment={"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1"},
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("cki-notifier: rabbitmq: can't connect to 127.0.0.1:1: ")
    assert "Traceback" not in result.stderr


def test_a_reader_that_hangs_up_ends_it_quietly(stage: Stage) -> None:
    """As in ``… list | head -1``."""
    declare(stage)
    dead_letter(stage, [about("redhat:1", filler="x" * 1_000_000)])
    process = start(stage, "show", "--all")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("id ")
    process.stdout.close()
    process.wait(timeout=30)
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == ""


def test_our_queue_keeps_what_is_looked_at_often(stage: Stage) -> None:
    """Its deliveries have no limit. For another queue, the command warns."""
    declare(stage)
    dead_letter(stage, many(1))
    look_often(stage)
    assert run(stage, "list").stderr == f"1 dead letter in {dead(stage)}: 1 malformed\n"
    with stage.channel() as channel:
        channel.queue_delete(dead(stage))
        channel.queue_declare(dead(stage), durable=True, arguments={"x-queue-type": "quorum"})
    dead_letter(stage, many(1))
    look_often(stage)
    assert run(stage, "list").stderr.startswith(f"warning: letters in {dead(stage)} were delivered")


def refuse(channel: BlockingChannel, queue: str) -> None:
    """Take a message and give it back at once."""
    method, _, _ = channel.basic_get(queue)
    assert method is not None
    channel.basic_nack(method.delivery_tag or 0, requeue=True)


def look_often(stage: Stage) -> None:
    """Look at the dead letters as often as RabbitMQ 4 would allow, less a few."""
    with stage.channel() as channel:
        for _ in range(16):
            refuse(channel, dead(stage))
            eventually(lambda: stage.waiting(dead(stage)) == 1)


def test_what_the_broker_dead_lettered_itself_is_shown_too(stage: Stage) -> None:
    """Such a letter has RabbitMQ's reason, time and exchange, and can be retried."""
    declare(stage)
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
        limited = {
            "x-queue-type": "quorum",
            "x-delivery-limit": 1,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead(stage),
        }
        channel.queue_declare(stage.queue, durable=True, arguments=limited)
        channel.queue_bind(stage.queue, stage.exchange, "#")
    stage.publish(about("redhat:1"), properties=pika.BasicProperties(message_id="m-1"))
    with stage.channel() as channel:
        for _ in range(2):
            eventually(lambda: stage.waiting(stage.queue) == 1)
            refuse(channel, stage.queue)
    eventually(lambda: stage.waiting(dead(stage)) == 1)
    (letter,) = listed(stage)
    assert letter["reason"] == "delivery_limit"
    assert letter["first_seen"].startswith("20")
    assert letter["exchange"] == stage.exchange
    assert letter["attempts"] == 0
    assert listed(stage, "--reason", "delivery_limit") == [letter]
    assert run(stage, "retry", "--reason", "delivery_limit", "--yes").returncode == 0
    (back,) = stage.take(stage.queue)
    assert back.properties.message_id == "m-1"
    assert "x-death" not in back.headers


def test_the_configuration_of_the_services_is_not_needed(stage: Stage) -> None:
    """The operator's machine knows RabbitMQ and nothing else."""
    config = operator_config(stage)
    assert config.rabbitmq.queue == stage.queue
    assert (config.logging_level, config.logging_format) == ("WARNING", "text")
