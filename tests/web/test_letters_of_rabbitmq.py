"""The page of dead letters with what is read of a real RabbitMQ."""

import re
from functools import partial

from cki_notifier.dead_letters.reading import read_letters
from tests.brokers.stage import Stage, eventually
from tests.dead_letters.letters import about, dead_letter, declare, operator_config
from tests.factories.website import Scene
from tests.web.asking import page


def test_letters_are_shown_and_stay_where_they_are(stage: Stage) -> None:
    """Each with the id that the command line knows it by."""
    declare(stage)
    dead_letter(stage, [about("redhat:1", text="é<b>"), about("redhat:2")])
    scene = Scene(letters=partial(read_letters, operator_config(stage).rabbitmq, 1_000, 8.0))
    text = page(scene, "/dead-letters")
    assert "2 dead letters at " in text
    assert "&lt;b&gt;" in text
    ids = re.findall(r"<code>cki-notifier dead-letters show (\w+)</code>", text)
    listed = stage.command("dead-letters", "list").stdout
    assert len(ids) == 2
    assert all(name in listed for name in ids)
    eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter") == 2)
