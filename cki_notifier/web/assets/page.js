// Keeps the page up to date: asks for what is new, puts it on top, and shows of it what is wanted.
//
// Whatever comes from outside becomes text, never markup, and an address becomes a link only when
// it is one of http or https, or of a checkout's own page with us. All that is shown comes from outcomes.json.

const EVERY_MS = 5000;
const PATIENCE_MS = 15000;
const KEPT = 500;
const SHOWN = 50; // rows at once
const QUEUES = ["main", "delay", "dead-letter"];

const byId = (id) => document.getElementById(id);
const rows = byId("rows");
const search = byId("q");
const boxes = [...document.querySelectorAll("input[name=outcome]")];
const problems = byId("problems");

let started = ""; // of the process whose outcomes are shown
let outcomes = []; // the newest first, each with its row once it was shown, and what is searched
let before = 0; // only those with a lower number are shown; 0 for the newest
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
    const answer = await fetch(`outcomes.json?after=${newest()}`, { signal, cache: "no-store" });
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
  asOf = status.now;
  lastSent = status.last_sent;
  if (status.process.started !== started) {
    const isOther = newest() > 0; // it was asked for what is newer than another one's outcomes
    started = status.process.started;
    outcomes = [];
    if (isOther) {
      setTimeout(refresh, 0);
      return;
    }
  }
  showConnections(status.connections);
  showProblems(status.problems);
  verdict(status.verdict.state, status.verdict.says);
  setText("in-flight", `${count(status.in_flight)} of ${count(status.in_flight_limit)}`);
  for (const queue of QUEUES) setText(`waiting-${queue}`, count(status.waiting[queue]));
  byId("waiting-dead-letter").parentElement.dataset.alarm = status.waiting["dead-letter"] > 0;
  outcomes = [...status.outcomes.map((it) => ({ it, text: haystackOf(it) })), ...outcomes].slice(0, KEPT);
  filter();
}

function newest() {
  return outcomes[0]?.it.number ?? 0;
}

function showConnections(connections) {
  const list = byId("connections");
  const items = connections.map((it) => byId(`connection-${it.id}`) ?? connectionOf(it));
  arrange(list, items);
  connections.forEach((it, at) => {
    items[at].dataset.state = it.state;
    setTextIn(items[at], ".about", it.about);
    setTextIn(items[at], ".says", it.says);
  });
}

function showProblems(wrong) {
  const items = wrong.map((it) => byId(`problem-${it.id}`) ?? made("problem", `problem-${it.id}`));
  wrong.forEach((it, at) => {
    showSince(items[at].querySelector(".since"), it.since);
    setTextIn(items[at], ".problem-says", it.says);
    for (const part of ["answered", "means", "do"]) setTextIn(items[at], `.${part}`, it[part]);
    items[at].querySelector(".runbook").href = it.runbook;
  });
  arrange(problems, items); // what stays is left alone, so that it is read out once
  problems.hidden = !wrong.length;
}

function showSince(element, iso) {
  if (iso === (element.querySelector("time")?.dateTime ?? null)) return;
  const time = document.createElement("time");
  if (iso) showTime(time, iso, iso.slice(0, 10));
  element.replaceChildren(...(iso ? ["since ", time] : []));
}

function connectionOf(it) {
  const item = byId("connections").firstElementChild.cloneNode(true);
  item.id = `connection-${it.id}`;
  setTextIn(item, ".name", it.name);
  return item;
}

function verdict(state, text) {
  byId("verdict").dataset.state = state;
  setText("verdict", text);
  document.title = state === "problem" ? `(!) cki-notifier: ${text}` : "cki-notifier";
}

function reachable() {
  byId("unreachable").hidden = true;
  showRefreshed();
}

function unreachable(error) {
  const since = asOf ? `since ${clock(asOf)} UTC, and what it shows is as old` : "yet";
  setText("unreachable", `This page can't reach the process ${since} (${error.message}). It tries again every 5 s.`);
  byId("unreachable").hidden = false;
  verdict("problem", "not reachable");
}

// The rows.

function rowOf(it) {
  const row = made("row", "");
  row.dataset.number = it.number;
  row.dataset.outcome = it.outcome;
  const time = row.querySelector("time");
  time.title = it.time;
  showTime(time, it.time, it.time.slice(5, 10));
  setLink(row.querySelector(".checkout a"), it.checkout_id || "without an id", it.checkout_page);
  setLink(row.querySelector(".merge-request a"), it.merge_request, it.merge_request_url);
  setTextIn(row, ".outcome", it.outcome);
  row.querySelector(".outcome").dataset.outcome = it.outcome;
  setTextIn(row, ".sentence", it.sentence);
  setTextIn(row, "code", it.reason);
  setTextIn(row, ".note", it.note);
  for (const [selector, text] of [[".status span", it.status], [".error", it.error]]) {
    setTextIn(row, selector, text);
    row.querySelector(selector).title = text;
  }
  setTextIn(row, ".took", `${it.seconds.toFixed(it.seconds < 10 ? 2 : 0)} s`);
  return row;
}

function haystackOf(it) {
  const texts = [it.checkout_id, it.merge_request, it.status, it.reason, it.error, it.event_id, it.letter, it.by];
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
  const found = outcomes.filter((each) => words.every((word) => each.text.includes(word)));
  for (const box of boxes) {
    setTextIn(box.parentElement, ".count", count(found.filter((each) => each.it.outcome === box.value).length));
  }
  showPart(wanted.size ? found.filter((each) => wanted.has(each.it.outcome)) : found);
}

function showPart(found) {
  const start = before ? Math.max(0, found.findIndex((each) => each.it.number < before)) : 0;
  const part = found.slice(start, start + SHOWN);
  const end = start + part.length;
  arrange(rows, part.map((each) => (each.row ??= rowOf(each.it))));
  showAges();
  const range = `${count(start + 1)} to ${count(end)} of ${count(found.length)} shown`;
  const isAll = part.length === found.length;
  setText("shown", isAll ? `${count(found.length)} of ${count(outcomes.length)} shown` : range);
  setText("none", outcomes.length ? "None of them matches." : "Nothing was settled yet.");
  byId("none").hidden = part.length > 0;
  turnTo("newer", start ? (found[start - SHOWN - 1]?.it.number ?? 0) : null);
  turnTo("older", end < found.length ? part.at(-1).it.number : null);
}

function turnTo(id, number) {
  const link = byId(id);
  link.hidden = number === null;
  link.href = addressOf(number);
  link.onclick = (event) => {
    event.preventDefault();
    before = number;
    history.pushState(null, "", link.href);
    filter();
    byId("outcomes").focus();
  };
}

function addressOf(number) {
  const query = new URLSearchParams(boxes.filter((it) => it.checked).map((it) => ["outcome", it.value]));
  if (search.value.trim()) query.set("q", search.value.trim());
  if (number) query.set("before", number);
  const text = query.toString();
  return text ? `?${text}` : location.pathname;
}

function recall() {
  const query = new URLSearchParams(location.search);
  search.value = query.get("q") ?? "";
  before = Number(query.get("before")) || 0;
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
  link.textContent = link.title = text;
  if (/^(https?:\/\/|checkout\?id=)/i.test(address)) link.href = address;
}

function made(template, id) {
  const element = byId(template).content.firstElementChild.cloneNode(true);
  if (id) element.id = id;
  return element;
}

function arrange(parent, wanted) { // what stays is not moved, so that it keeps the focus
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  wanted.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

function showTime(time, iso, day) {
  const date = new Date(iso);
  const isElsewhere = date.getTimezoneOffset() !== 0;
  const here = isElsewhere ? ` (${date.toLocaleTimeString("en-GB")} here)` : "";
  time.dateTime = iso;
  put(time, `${day} ${clock(iso)} UTC${here}`);
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
  setText("refreshed", `${paused ? "paused, " : ""}as of ${clock(asOf)} UTC`);
}

function tick() {
  showAges();
  if (!paused && !document.hidden) refresh();
}

function wantOthers() {
  before = 0;
  history.replaceState(null, "", addressOf(0));
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
addEventListener("popstate", () => {
  recall();
  filter();
});

recall();
rows.replaceChildren();
for (const time of document.querySelectorAll("header time, #problems time")) {
  showTime(time, time.dateTime, time.dateTime.slice(0, 10));
}
byId("controls").hidden = byId("refresh").hidden = false;
setInterval(tick, EVERY_MS);
refresh();
