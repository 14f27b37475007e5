// Puts the page together: what is shown of the state, and what the person asks for.

import { Card } from "./card.js";
import { byName, count, el, keep, money, rate, setAttribute, setText } from "./dom.js";
import { Models, Tenants } from "./tables.js";
import { SIGNS, signPicture } from "./timeline.js";

const AT_A_TIME = 24;
const MARKS_SHOWN = 50;
const INKS = 6;
const THEMES = ["system", "light", "dark"];
const STATUS = { live: "● live", lost: "◌ the connection is lost; trying again", hidden: "◌ paused" };
const AGAIN = 1000;

const find = (id) => document.getElementById(id);
const main = find("models");
const search = find("search");
const cards = new Map();
const table = new Models();
const tenants = new Tenants(find("tenants"));
const list = el("div", { class: "cards" });
const more = el("button", { type: "button", class: "show-more" });
const nothing = el("p", { class: "nothing" }, "No model is like that.");
const inks = new Map();

let state = null;
let marks = [];
let names = [];
let limit = AT_A_TIME;
let view = "cards";
let newest = 0;

// A host looks the same wherever it is: by its place among all hosts.
const ink = (host) => (inks.get(host) ?? 0) % INKS;

function learnInks() {
  const hosts = new Set(Object.values(state.models).flatMap((model) => Object.keys(model.hosts)));
  for (const host of [...hosts].sort(byName)) if (!inks.has(host)) inks.set(host, inks.size);
}

const onScreen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const card = cards.get(target.dataset.model);
      if (!card) continue;
      card.onScreen = isIntersecting;
      if (isIntersecting && state?.models[card.name]) card.update(state.models[card.name], marks);
    }
  },
  { rootMargin: "200px" },
);

function makeCard(name) {
  const card = new Card(name, ink);
  card.element.dataset.model = name;
  onScreen.observe(card.element);
  return card;
}

function wanted([name, model]) {
  const text = search.value.trim().toLowerCase();
  const matching = [name, ...Object.keys(model.hosts)].some((each) => each.toLowerCase().includes(text));
  return matching && (!find("trouble").checked || model.trouble);
}

// Which models are shown, in which order. The order of numbers is that of the moment it was asked for.
function choose() {
  if (!state) return;
  const order = find("order").value;
  const chosen = Object.entries(state.models).filter(wanted);
  chosen.sort((a, b) => (order === "name" ? 0 : (b[1][order] ?? -1) - (a[1][order] ?? -1)) || byName(a[0], b[0]));
  names = chosen.map(([name]) => name);
  limit = Math.max(AT_A_TIME, Math.min(limit, names.length));
  arrange();
}

const shown = () => names.slice(0, limit);

function arrange() {
  const rest = names.length - shown().length;
  setText(find("matches"), `${count(names.length)} of ${count(Object.keys(state.models).length)} models`);
  setText(more, `Show ${count(Math.min(AT_A_TIME, rest))} more (${count(rest)} left)`);
  more.hidden = rest === 0;
  nothing.hidden = names.length > 0;
  if (view === "cards") keep(list, cards, shown(), makeCard);
  else table.update(shown(), state.models);
  const models = view === "cards" ? list : table.element;
  if (models.parentNode !== main) main.replaceChildren(models, nothing, more);
}

function draw() {
  if (view === "table") table.update(shown(), state.models);
  else for (const card of cards.values()) if (card.onScreen) card.update(state.models[card.name], marks);
}

const range = (amounts) => [...new Set(amounts.map(money))].join(" to ");

function month({ tokens, nodes, unknown }) {
  const label = unknown ? `a month by the plan, without ${count(unknown)} unknown` : "a month by the plan";
  return [label, nodes[1] ? `${range(tokens)} and ${range(nodes)} for GPU nodes` : range(tokens)];
}

function totals() {
  const values = [
    ["models", count(Object.keys(state.models).length)],
    ["requests/s", rate(state.rps)],
    ["tokens/s", rate(state.tps)],
    ["server errors, last 30 s", count(state.serverErrors)],
    ["client errors, last 30 s", count(state.clientErrors)],
    ["hosts ejected", count(state.ejected)],
    [state.unpriced ? `cost/hour, without ${count(state.unpriced)} of unknown cost` : "cost/hour", money(state.cost)],
    ...(state.month ? [month(state.month)] : []),
  ];
  const place = find("totals");
  while (place.children.length > values.length) place.lastChild.remove();
  while (place.children.length < values.length) place.append(el("div", {}, el("dt"), el("dd")));
  values.forEach((texts, i) => texts.forEach((text, part) => setText(place.children[i].children[part], text)));
}

const sentence = (mark) => (mark.model ? `${mark.model}: ${mark.text}` : mark.text);

function updateMarks(first) {
  marks = Object.entries(state.marks).map(([number, mark]) => ({ ...mark, number: Number(number) }));
  marks.sort((a, b) => a.number - b.number);
  const fresh = marks.filter((mark) => mark.number > newest);
  if (!first && fresh.length) setText(find("announce"), fresh.map(sentence).join(". "));
  newest = marks.at(-1)?.number ?? 0;
  const items = marks.slice(-MARKS_SHOWN).reverse().map((mark) => {
    const at = new Date(mark.at);
    const time = el("time", { datetime: at.toISOString() }, at.toLocaleTimeString("en-GB"));
    return el("li", {}, signPicture(mark.kind), time, " ", sentence(mark));
  });
  find("marks").replaceChildren(...items);
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function update(next) {
  const before = state;
  state = next;
  learnInks();
  setText(find("stack"), state.stack ?? "");
  document.title = state.stack ? `${state.stack} – Corral` : "Corral";
  find("problem").hidden = !state.problem;
  setText(find("problem"), state.problem);
  totals();
  tenants.update(state.tenants ?? {});
  if (!same(before?.marks, state.marks)) updateMarks(!before);
  const others = !before || !same(Object.keys(before.models), Object.keys(state.models));
  if (others || find("trouble").checked) choose();
  if (others || view === "table") draw();
}

let source = null;
let waiting = 0;
const setStatus = (status) => setText(find("status"), STATUS[status]);

function close() {
  clearTimeout(waiting);
  source?.close();
}

function open() {
  close();
  source = new EventSource("/events");
  source.addEventListener("message", (event) => {
    setStatus("live");
    update(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    setStatus("lost");
    // A browser gives up by itself where it was answered, but not with events.
    if (source.readyState === EventSource.CLOSED) waiting = setTimeout(open, AGAIN);
  });
}

// While the page is hidden nothing is asked for.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    open();
    return;
  }
  close();
  setStatus("hidden");
});

function show(chosen) {
  view = chosen;
  setAttribute(main.parentNode, "data-view", view);
  for (const name of ["cards", "table"]) setAttribute(find(`view-${name}`), "aria-pressed", view === name);
  if (!state) return;
  arrange();
  draw();
}

function theme(chosen) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("corral-theme", chosen);
  } catch {
    // Storage is turned off: it holds until the page is closed.
  }
  setText(find("theme"), `Theme: ${chosen}`);
}

const themed = () => document.documentElement.dataset.theme ?? "system";
const nextTheme = () => theme(THEMES[(THEMES.indexOf(themed()) + 1) % THEMES.length]);

// Goes to one of the models that are shown.
function focus(place) {
  const all = [...main.querySelectorAll(".card, tbody")];
  const next = all[Math.max(0, Math.min(all.length - 1, place(all)))];
  if (!next) return;
  next.tabIndex = -1;
  next.focus();
}

const step = (by) => focus((all) => all.findIndex((each) => each.contains(document.activeElement)) + by);

const KEYS = {
  "/": () => search.focus(),
  j: () => step(1),
  k: () => step(-1),
  v: () => show(view === "cards" ? "table" : "cards"),
  t: nextTheme,
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    choose();
  }
  const typing = event.target.matches("input[type=search], select");
  const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (!act || typing || event.ctrlKey || event.metaKey || event.altKey || !find("keys").checked) return;
  event.preventDefault();
  act();
});

for (const name of ["cards", "table"]) find(`view-${name}`).addEventListener("click", () => show(name));
find("theme").addEventListener("click", nextTheme);
find("filter").addEventListener("submit", (event) => event.preventDefault());
find("filter").addEventListener("input", () => {
  limit = AT_A_TIME;
  choose();
  if (state) draw();
});
more.addEventListener("click", () => {
  const first = limit;
  limit += AT_A_TIME;
  arrange();
  draw();
  focus(() => first);
});

for (const [kind, { means }] of Object.entries(SIGNS)) {
  find("signs").append(el("dt", {}, signPicture(kind)), el("dd", {}, means));
}
theme(themed());
open();
// The timelines move with the time, also while nothing changes.
setInterval(() => {
  if (state && view === "cards" && !document.hidden) draw();
}, AGAIN);
