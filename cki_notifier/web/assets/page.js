// Keeps the page up to date: asks for what is new, puts it on top, and shows of it what is wanted.
//
// Whatever comes from outside becomes text, never markup, and an address becomes a link only when
// it is one of http or https. All that is shown comes from outcomes.json.

const EVERY_MS = 5000;
const PATIENCE_MS = 15000;
const KEPT = 500;
const QUEUES = ["main", "delay", "dead-letter"];

const byId = (id) => document.getElementById(id);
const rows = byId("rows");
const search = byId("q");
const boxes = [...document.querySelectorAll("input[name=outcome]")];
const haystacks = new WeakMap();

let started = ""; // of the process whose outcomes are shown
let newest = 0; // the highest number among them
let ahead = 0; // how far the process' clock is ahead of ours, in milliseconds
let asOf = ""; // when the process answered last
let lastSent = null;
let paused = false;
let asking = false;

// What the process says.

async function refresh() {
  if (asking) return;
  asking = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(`outcomes.json?after=${newest}`, { signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`the process answered ${answer.status}`);
    show(await answer.json());
    reachable();
  } catch (error) {
    unreachable(error);
  } finally {
    asking = false;
  }
}

function show(status) {
  ahead = Date.parse(status.now) - Date.now();
  asOf = clock(status.now);
  lastSent = status.last_sent;
  if (status.process.started !== started) {
    const isOther = newest > 0; // it was asked for what is newer than another one's outcomes
    started = status.process.started;
    newest = 0;
    rows.replaceChildren();
    if (isOther) {
      setTimeout(refresh, 0);
      return;
    }
  }
  showConnections(status.connections);
  setText("in-flight", count(status.in_flight));
  for (const queue of QUEUES) setText(`waiting-${queue}`, count(status.waiting[queue]));
  byId("waiting-dead-letter").parentElement.dataset.alarm = status.waiting["dead-letter"] > 0;
  rows.prepend(...status.outcomes.map(rowOf));
  while (rows.children.length > KEPT) rows.lastElementChild.remove();
  newest = status.outcomes[0]?.number ?? newest;
  showAges();
  filter();
}

function showConnections(connections) {
  const wrong = connections.filter((it) => it.problem);
  const list = byId("connections");
  const items = connections.map((it) => byId(`connection-${it.id}`) ?? connectionOf(it));
  if (items.some((item, at) => item !== list.children[at]) || list.children.length > items.length) {
    list.replaceChildren(...items); // another host, or another order
  }
  connections.forEach((it, at) => {
    items[at].dataset.state = it.state;
    setTextIn(items[at], ".about", it.about);
    setTextIn(items[at], ".says", it.says);
  });
  const problems = byId("problems");
  const texts = wrong.map((it) => it.problem);
  if (texts.join("\n") !== [...problems.children].map((it) => it.textContent).join("\n")) {
    problems.replaceChildren(...texts.map(itemOf)); // only then, so that it is read out once
  }
  problems.hidden = !texts.length;
  verdict(texts.length ? "problem" : "fine", verdictOf(texts.length));
}

function connectionOf(it) {
  const item = byId("connections").firstElementChild.cloneNode(true);
  item.id = `connection-${it.id}`;
  setTextIn(item, ".name", it.name);
  return item;
}

function verdictOf(problems) {
  if (!problems) return "working";
  return problems === 1 ? "1 problem" : `${problems} problems`;
}

function verdict(state, text) {
  byId("verdict").dataset.state = state;
  setText("verdict", text);
  document.title = state === "fine" ? "cki-notifier" : `(!) cki-notifier: ${text}`;
}

function reachable() {
  byId("unreachable").hidden = true;
  showRefreshed();
}

function unreachable(error) {
  const since = asOf ? `since ${asOf} UTC, and what it shows is as old` : "yet";
  setText("unreachable", `This page can't reach the process ${since} (${error.message}). It tries again every 5 s.`);
  byId("unreachable").hidden = false;
  verdict("problem", "not reachable");
}

// The rows.

function rowOf(it) {
  const row = byId("row").content.firstElementChild.cloneNode(true);
  row.dataset.number = it.number;
  row.dataset.outcome = it.outcome;
  const time = row.querySelector("time");
  time.dateTime = time.title = it.time;
  time.textContent = `${it.time.slice(5, 10)} ${clock(it.time)}`;
  setLink(row.querySelector(".checkout a"), it.checkout_id, it.checkout_url);
  setLink(row.querySelector(".merge-request a"), it.merge_request, it.merge_request_url);
  setTextIn(row, ".status", it.status);
  setTextIn(row, ".outcome", it.outcome);
  row.querySelector(".outcome").dataset.outcome = it.outcome;
  setTextIn(row, ".sentence", it.sentence);
  setTextIn(row, "code", it.reason);
  setTextIn(row, ".error", it.error);
  setTextIn(row, ".took", `${it.seconds.toFixed(it.seconds < 10 ? 2 : 0)} s`);
  haystacks.set(row, haystackOf(it));
  return row;
}

function haystackOf(it) {
  const texts = [it.checkout_id, it.merge_request, it.status, it.reason, it.error];
  const addresses = [it.checkout_url, it.merge_request_url].map(decoded);
  return [...texts, ...addresses].join("\n").toLowerCase();
}

function showAges() {
  const now = Date.now() + ahead;
  for (const row of rows.children) {
    setTextIn(row, ".age", age(now - Date.parse(row.querySelector("time").dateTime)));
  }
  setText("last-sent", lastSent ? age(now - Date.parse(lastSent)) : "none yet");
}

// What is wanted of them.

function filter() {
  const words = decoded(search.value).toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Set(boxes.filter((it) => it.checked).map((it) => it.value));
  const found = new Map(boxes.map((it) => [it.value, 0]));
  let shown = 0;
  for (const row of rows.children) {
    const outcome = row.dataset.outcome;
    const isFound = words.every((word) => haystacks.get(row).includes(word));
    if (isFound) found.set(outcome, found.get(outcome) + 1);
    row.hidden = !isFound || (wanted.size > 0 && !wanted.has(outcome));
    shown += !row.hidden;
  }
  for (const box of boxes) setTextIn(box.parentElement, ".count", count(found.get(box.value)));
  setText("shown", `${count(shown)} of ${count(rows.children.length)} shown`);
  setText("none", rows.children.length ? "None of them matches." : "Nothing was settled yet.");
  byId("none").hidden = shown > 0;
}

function remember() {
  const query = new URLSearchParams(boxes.filter((it) => it.checked).map((it) => ["outcome", it.value]));
  if (search.value.trim()) query.set("q", search.value.trim());
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

function recall() {
  const query = new URLSearchParams(location.search);
  search.value = query.get("q") ?? "";
  for (const box of boxes) box.checked = query.getAll("outcome").includes(box.value);
}

// Small things.

function setText(id, text) {
  put(byId(id), text);
}

function setTextIn(element, selector, text) {
  put(element.querySelector(selector), text);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text; // so that nothing is read out twice
}

function setLink(link, text, address) {
  link.textContent = text;
  if (/^https?:\/\//i.test(address)) link.href = address;
}

function itemOf(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

function count(number) {
  return number === undefined ? "unknown" : number.toLocaleString("en-US");
}

function clock(time) {
  return time.slice(11, 19);
}

function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showRefreshed() {
  setText("refreshed", `${paused ? "paused, " : ""}as of ${asOf} UTC`);
}

function tick() {
  showAges();
  if (!paused && !document.hidden) refresh();
}

function wantOthers() {
  remember();
  filter();
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", paused);
  showRefreshed();
  if (!paused) refresh();
});
search.addEventListener("input", wantOthers);
for (const box of boxes) box.addEventListener("change", wantOthers);
document.addEventListener("visibilitychange", tick);

recall();
rows.replaceChildren();
byId("controls").hidden = byId("refresh").hidden = false;
setInterval(tick, EVERY_MS);
refresh();
