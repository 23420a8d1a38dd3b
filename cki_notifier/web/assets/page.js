// Keeps the page up to date: loads it again, and changes the parts that differ.
//
// Escaped text stays text: the new page is parsed as a document of its own, in which no script runs.

const EVERY_MS = 5000;
const PATIENCE_MS = 15000;
// The parts that change with time, search or filters.
const PARTS = [".who", "#verdict", "#as-of", "#problems", ".connections", ".work", "#shown", "fieldset", "#rows", "#none", ".turn"];

const byId = (id) => document.getElementById(id);
const search = byId("q");
const boxes = [...document.querySelectorAll("input[name=outcome]")];

let asking = null; // ends the request that is not answered yet
let paused = false;

async function refresh() {
  asking?.abort();
  const own = (asking = new AbortController());
  try {
    const signal = AbortSignal.any([own.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const answer = await fetch(`./${location.search}`, { signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`the process answered ${answer.status}`);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch (error) {
    if (!own.signal.aborted) showUnreachable(error);
  }
  if (asking === own) asking = null;
}

function show(fresh) {
  addOwnTimes(fresh);
  document.title = fresh.title;
  for (const part of PARTS) become(document.querySelector(part), fresh.querySelector(part));
  byId("unreachable").hidden = true;
}

function showUnreachable(error) {
  const since = byId("as-of").textContent.replace("as of ", "");
  byId("unreachable").textContent = `The process has not answered since ${since} (${error.message}). This page is that old; it retries every 5 s.`;
  byId("unreachable").hidden = false;
  byId("verdict").dataset.state = "problem";
  byId("verdict").textContent = "not reachable";
  document.title = "(!) cki-notifier: not reachable";
}

// Makes a part of the page like a fresh one. Nodes that stay are not moved, so that they keep the focus.
// Equal nodes are not touched, so that a screen reader does not read them twice.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType === Node.TEXT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const there = new Map([...old.childNodes].map((it, at) => [nameOf(it, at), it]));
  const wanted = [...fresh.childNodes].map((it, at) => [there.get(nameOf(it, at)) ?? it, it]);
  const kept = new Set(wanted.map(([it]) => it));
  for (const child of [...old.childNodes]) if (!kept.has(child)) child.remove();
  wanted.forEach(([child, it], at) => {
    if (child !== it) become(child, it);
    if (old.childNodes[at] !== child) old.insertBefore(child, old.childNodes[at] ?? null);
  });
}

// Names a node among its siblings: by its own name, else by its place.
function nameOf(node, at) {
  return node.id || node.dataset?.number || `${at} ${node.nodeName}`;
}

// Adds the reader's own time to UTC.
function addOwnTimes(page) {
  for (const time of page.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    if (date.getTimezoneOffset()) time.append(` (${date.toLocaleTimeString("en-GB")} here)`);
  }
}

function address() {
  const query = new URLSearchParams(boxes.filter((it) => it.checked).map((it) => ["outcome", it.value]));
  if (search.value.trim()) query.set("q", search.value.trim());
  return query.size ? `?${query}` : location.pathname;
}

function want() {
  history.replaceState(null, "", address());
  refresh();
}

function recall() {
  const query = new URLSearchParams(location.search);
  search.value = query.get("q") ?? "";
  for (const box of boxes) box.checked = query.getAll("outcome").includes(box.value);
}

function tick() {
  if (!paused && !document.hidden && !asking) refresh();
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", paused);
  byId("paused").hidden = !paused;
  tick();
});
search.addEventListener("input", want);
for (const box of boxes) box.addEventListener("change", want);
document.querySelector(".turn").addEventListener("click", async (event) => {
  if (!event.target.href) return;
  event.preventDefault();
  history.pushState(null, "", event.target.href);
  await refresh();
  byId("outcomes").focus();
});
document.addEventListener("visibilitychange", tick);
addEventListener("popstate", () => {
  recall();
  refresh();
});

recall();
addOwnTimes(document);
byId("controls").hidden = byId("refresh").hidden = false;
setInterval(tick, EVERY_MS);
