"""The status page in a real browser: what an operator sees and does."""

import re

from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from tests.brokers.stage import eventually
from tests.factories.website import Scene, answering, served
from tests.web.browser.chromium import Chromium
from tests.web.browser.view import View

MERGE_REQUEST = "https://gitlab.com/group/sub/kernel/-/merge_requests/7"
TAB, SPACE, ENTER = "\ue004", " ", "\ue007"


def settle_one_of_each(scene: Scene) -> None:
    """Add one outcome of each kind."""
    scene.settle("redhat:1", "sent", "pre-test", merge_request=MERGE_REQUEST)
    scene.settle("redhat:2", "ignored", "superseded", merge_request=MERGE_REQUEST + "1")
    scene.settle("redhat:3", "delayed", "unavailable", error="jira: answered 503", seconds=12.4)
    scene.settle("redhat:4", "dead-lettered", "malformed", error="not JSON")


def without_ages(view: View) -> str:
    """Return the markup of all rows, without what changes from one second to the next."""
    markup = str(view.find("#rows").get_attribute("innerHTML"))
    return re.sub(r"\d+ (s|min) ago", "", markup)


def test_an_outcome_is_told_in_full(scene: Scene, view: View) -> None:
    """A row has the time, both links, the status, the outcome, the reason in words, how long."""
    scene.settle("redhat:1/2", "ignored", "superseded", merge_request=MERGE_REQUEST, seconds=0.5)
    view.open()
    text = view.text("#rows tr")
    for part in ("build_setups_finished", "ignored", "0.50 s"):
        assert part in text
    assert re.match(r"\d\d-\d\d \d\d:\d\d:\d\d UTC \d+ (s|min) ago", text)
    assert view.text(".reason") == "the checkout's merge request has a newer pipeline superseded"
    checkout, merge_request = view.find(".checkout a"), view.find(".merge-request a")
    assert checkout.text == "redhat:1/2"
    own = f"http://127.0.0.1:{view.port}/checkout?id=redhat%3A1%2F2"
    assert checkout.get_attribute("href") == own
    assert merge_request.text == "kernel!7"
    assert merge_request.get_attribute("href") == MERGE_REQUEST


def test_without_scripts_the_same_is_shown(scene: Scene, view: View) -> None:
    """The server and the script make the same page, but for the ages."""
    settle_one_of_each(scene)
    scene.settle("redhat:5", error='<b title="a">&amp;</b>', outcome="delayed", reason="bug")
    view.open()
    by_script = without_ages(view)
    view.open_without_scripts()
    assert view.text("#shown") == "5 of 5 shown"
    assert "Without JavaScript" in view.text("noscript")
    assert without_ages(view) == by_script


def test_without_scripts_it_searches_and_filters_by_its_address(scene: Scene, view: View) -> None:
    """The links of the page filter, and ?q= searches."""
    settle_one_of_each(scene)
    view.open_without_scripts("?q=kernel!7")
    assert view.text("#shown") == "2 of 4 shown"
    view.find("noscript a[href='?outcome=ignored']").click()
    assert view.text("#shown") == "1 of 4 shown"
    assert view.text(".checkout") == "redhat:2"


#: Searches, and the checkouts they find.
SEARCHES = {
    "redhat:3": ["redhat:3"],
    "REDHAT": ["redhat:4", "redhat:3", "redhat:2", "redhat:1"],
    "https://datawarehouse.example/kcidb/checkouts/redhat%3A2": ["redhat:2"],
    " kernel!7 ": ["redhat:2", "redhat:1"],
    "kernel!71": ["redhat:2"],
    MERGE_REQUEST: ["redhat:2", "redhat:1"],
    "group/sub redhat:1": ["redhat:1"],
    "100%": [],
}


def test_a_checkout_or_merge_request_is_found(scene: Scene, view: View) -> None:
    """By the id, the short name, an address as it is copied, or several words."""
    settle_one_of_each(scene)
    view.open()
    for text, found in SEARCHES.items():
        view.search(text)
        view.shows(*found)
        assert view.text("#shown") == f"{len(found)} of 4 shown"
        assert view.text("#none") == ("" if found else "No outcome matches.")


def test_outcomes_are_filtered_and_the_address_remembers(scene: Scene, view: View) -> None:
    """Filters add up, go together with the search, and come back with the address."""
    settle_one_of_each(scene)
    view.open()
    view.shows("redhat:4", "redhat:3", "redhat:2", "redhat:1")
    for outcome in ("delayed", "dead-lettered"):
        view.find(f"input[value={outcome}]").click()
    view.shows("redhat:4", "redhat:3")
    view.search("redhat:3")
    view.shows("redhat:3")
    counts = [it.text for it in view.driver.find_elements("css selector", ".count")]
    assert counts == ["0", "0", "1", "0"], "of what the search finds"
    address = view.driver.current_url.partition("?")[2]
    assert address == "outcome=delayed&outcome=dead-lettered&q=redhat%3A3"
    view.open(f"?{address}")
    view.shows("redhat:3")
    view.find("input[value=delayed]").click()
    view.shows()
    assert view.text("#none") == "No outcome matches."


def test_it_refreshes_itself_and_disturbs_nobody(scene: Scene, view: View) -> None:
    """New outcomes appear on top; search, focus and scroll position stay."""
    for number in range(60):
        scene.settle(f"redhat:{number}")
    view.open()
    view.search("redhat")
    view.run("document.querySelector('[data-number=\"30\"] a').focus()")
    place = "return document.querySelector('[data-number=\"30\"]').getBoundingClientRect().top"
    before = view.run(place)
    scene.settle("redhat:new", "dead-lettered", "malformed")
    scene.settle("another")
    scene.waiting["dead-letter"] = 1
    eventually(lambda: view.checkouts()[0] == "redhat:new", what="the new one on top")
    assert len(view.checkouts()) == 50, "the other new one does not match"
    assert view.text("#shown") == "1 to 50 of 61 shown"
    assert view.focused() == "redhat:29"
    assert abs(view.run(place) - before) < 2, "nothing moves below the eyes"
    assert view.find("#q").get_attribute("value") == "redhat"
    assert view.text("#waiting-dead-letter") == "1"
    assert "cki-notifier dead-letters" in view.text(".hint")


def test_it_can_be_paused(scene: Scene, view: View) -> None:
    """A paused page does not change; after the pause it shows all new outcomes."""
    view.open()
    view.find("#pause").click()
    assert view.find("#pause").get_attribute("aria-pressed") == "true"
    assert view.text("#refreshed").startswith("paused, as of ")
    asked = "return performance.getEntriesByType('resource').length"
    before = view.run(asked)
    scene.settle()
    view.refresh_now()
    view.run("return new Promise((resolve) => setTimeout(resolve, 5500))")
    assert (view.run(asked), view.checkouts()) == (before, [])
    view.find("#pause").click()
    view.shows("redhat:1")


def test_no_more_than_500_are_kept_and_50_shown(scene: Scene, view: View) -> None:
    """The page of a busy process does not grow."""
    for number in range(500):
        scene.settle(f"redhat:{number}")
    view.open()
    assert view.text("#shown") == "1 to 50 of 500 shown"
    for number in range(500, 510):
        scene.settle(f"redhat:{number}")
    view.refresh_now()
    eventually(lambda: view.checkouts()[0] == "redhat:509")
    assert view.text("#shown") == "1 to 50 of 500 shown"
    assert (len(view.checkouts()), view.checkouts()[-1]) == (50, "redhat:460")


def test_what_is_wrong_is_said(scene: Scene, view: View) -> None:
    """A dependency that is away shows in a banner, in the list and in the title, and goes again."""
    view.open()
    assert view.text("#verdict") == "working"
    assert view.text("#problems") == ""
    scene.liveness.missing = "rabbitmq: can't connect to one:5672"
    view.refresh_now()
    eventually(lambda: view.text("#verdict") == "1 problem")
    says, answered, means = view.text("#problems").split("\n")
    assert says == "This process does not consume the main queue"
    assert answered == "can't connect to one:5672"
    assert means.startswith("Notifications wait in the queue. Run cki-notifier doctor")
    assert means.endswith(" Runbook")
    runbook = view.find("#problems .runbook").get_attribute("href")
    assert str(runbook).endswith("/docs/runbook.md#ckinotifiernotready")
    assert "not consuming" in view.text("#connection-rabbitmq")
    assert view.driver.title == "(!) cki-notifier: 1 problem"
    scene.liveness.missing = ""
    view.refresh_now()
    eventually(lambda: view.text("#verdict") == "working")
    assert (view.text("#problems"), view.driver.title) == ("", "cki-notifier")


def test_dead_letters_are_not_called_well(scene: Scene, view: View) -> None:
    """No green verdict stands beside them; with the command and a link to what they are."""
    scene.waiting["dead-letter"] = 66
    view.open()
    assert view.text("#verdict") == "1 problem"
    assert view.text("#problems").startswith("66 dead letters")
    assert view.driver.title == "(!) cki-notifier: 1 problem"
    link = view.find("[data-alarm=true] dt a")
    assert str(link.get_attribute("href")).endswith("/dead-letters")


def test_a_problem_that_stays_is_not_read_out_again(scene: Scene, view: View) -> None:
    """Its element stays while others come and go, and while its own numbers change."""
    scene.waiting["dead-letter"] = 6
    view.open()
    view.run("window.same = document.querySelector('#problem-dead-letters')")
    scene.waiting["dead-letter"] = 7
    scene.liveness.missing = "rabbitmq: it is down"
    view.refresh_now()
    eventually(lambda: view.text("#verdict") == "2 problems")
    assert view.text("#problems > :nth-child(2)").startswith("7 dead letters")
    scene.liveness.missing = ""
    view.refresh_now()
    eventually(lambda: view.text("#verdict") == "1 problem")
    assert view.run("return window.same === document.querySelector('#problems').firstElementChild")


def test_a_gitlab_that_was_not_known_before_appears(view: View) -> None:
    """Hosts come with the documents that name them; one that is down comes first, and is named."""
    with answering(datawarehouse=True):
        view.open()
        assert "no request yet" in view.text("#connection-gitlab")
        metrics.connected.works("gitlab", "up.example")
        metrics.connected.fails("gitlab", Trouble("answered 503"), "down.example:8443")
        view.refresh_now()
        eventually(lambda: view.text("#verdict") == "1 problem")
        assert "GitLab at down.example:8443 answers 503 since" in view.text("#problems")
        names = [it.text for it in view.driver.find_elements("css selector", "#connections .about")]
        assert names[-3:] == ["down.example:8443", "up.example", ""]
        assert not view.driver.find_elements("id", "connection-gitlab")
        metrics.connected.works("gitlab", "down.example:8443")
        view.refresh_now()
        eventually(lambda: view.text("#verdict") == "working")


def test_a_process_that_is_away_is_told_from_one_that_is_back(
    chromium: Chromium, scene: Scene
) -> None:
    """A banner says that the page is old; of the next process it shows only its own outcomes."""
    scene.settle("redhat:1")
    scene.settle("redhat:2")
    with served(scene) as port:
        view = View(chromium, port)
        view.open()
        view.shows("redhat:2", "redhat:1")
    view.refresh_now()
    eventually(lambda: "has not answered since" in view.text("#unreachable"))
    assert view.text("#verdict") == "not reachable"
    assert view.checkouts() == ["redhat:2", "redhat:1"], "what was there can still be read"
    another = Scene()
    another.settle("redhat:3")
    with served(another, port):
        view.refresh_now()
        view.shows("redhat:3")
        eventually(lambda: not view.text("#unreachable"))
        assert view.text("#verdict") == "working"
        chromium.driver.get("about:blank")
    chromium.complaints()  # of a server that was not there


def test_it_is_handled_by_the_keyboard_alone(scene: Scene, view: View) -> None:
    """The tab key reaches everything in the page's order, with a visible focus."""
    settle_one_of_each(scene)
    view.open()
    order = []
    for _ in range(14):
        view.type(TAB)
        order.append(view.focused())
        outline = view.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", f"{order[-1]} shows that it has the focus"
    outcomes = ["sent", "ignored", "delayed", "dead-lettered"]
    pages, work = ["Waiting", "Dead letters"], ["being processed", "delayed", "dead letters"]
    above = ["Skip to the outcomes", *pages, "pause", *work, "q", *outcomes]
    assert order == [*above, "redhat:4", "redhat:3"]
    view.run("document.querySelector('#q').focus()")
    view.type("redhat", TAB, TAB, SPACE)
    view.shows("redhat:2")
    view.run("document.querySelector('.skip').focus()")
    view.type(ENTER)
    eventually(lambda: view.focused() == "outcomes", what="the skip link skips")
