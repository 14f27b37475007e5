// Puts the page together: what is shown of the state, and what the person asks for.

import { Card } from "./card.js";
import { el, say, set } from "./dom.js";
import { SIGNS, signPicture } from "./signs.js";
import { follow } from "./stream.js";
import { Table } from "./table.js";
import { Tenants } from "./tenants.js";
import { byName, clock, count, money, rate } from "./words.js";

const AT_A_TIME = 24;
const MARKS_SHOWN = 50;
const INKS = 6;
const THEMES = ["system", "light", "dark"];
const STATUS = { live: "● live", lost: "◌ the connection is lost; trying again", hidden: "◌ paused" };

const find = (id) => document.getElementById(id);
const main = find("models");
const search = find("search");
const cards = new Map();
const table = new Table();
const tenants = new Tenants(find("tenants"));
const list = el("div", { class: "cards" });
const more = el("button", { type: "button", class: "show-more" });
const nothing = el("p", { class: "nothing" });
const inks = new Map();

let state = null;
let marks = [];
let names = [];
let limit = AT_A_TIME;
let view = "cards";
let newest = 0;

// A host looks the same wherever it is: by its place among all hosts.
function ink(host) {
  return (inks.get(host) ?? 0) % INKS;
}

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

function wanted([name, model]) {
  const text = search.value.trim().toLowerCase();
  const there = !text || name.toLowerCase().includes(text) || Object.keys(model.hosts).some((host) => host.toLowerCase().includes(text));
  return there && (!find("trouble").checked || model.trouble);
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

function shown() {
  return names.slice(0, limit);
}

function arrange() {
  const here = shown();
  const rest = names.length - here.length;
  say(find("found"), `${count(names.length)} of ${count(Object.keys(state.models).length)} models`);
  say(more, `Show ${count(Math.min(AT_A_TIME, rest))} more (${count(rest)} left)`);
  more.hidden = rest === 0;
  say(nothing, "No model is like that.");
  nothing.hidden = names.length > 0;
  if (view === "table") {
    main.replaceChildren(table.element, nothing, more);
    table.update(here, state.models);
    return;
  }
  for (const [name, card] of cards) {
    if (!here.includes(name)) {
      onScreen.unobserve(card.element);
      card.element.remove();
      cards.delete(name);
    }
  }
  here.forEach((name, place) => {
    if (!cards.has(name)) {
      const card = new Card(name, ink);
      card.element.dataset.model = name;
      cards.set(name, card);
      onScreen.observe(card.element);
    }
    const card = cards.get(name).element;
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  if (list.parentNode !== main) main.replaceChildren(list, nothing, more);
}

function draw(all) {
  if (view === "table") table.update(shown(), state.models);
  else for (const card of cards.values()) if (card.onScreen || all) card.update(state.models[card.name], marks);
}

function totals() {
  const models = Object.keys(state.models).length;
  const values = [
    ["models", count(models)],
    ["requests/s", rate(state.rps)],
    ["tokens/s", rate(state.tps)],
    ["server errors, last 30 s", count(state.serverErrors)],
    ["client errors, last 30 s", count(state.clientErrors)],
    ["hosts ejected", count(state.ejected)],
    [state.unpriced ? `cost/hour, without ${count(state.unpriced)} of unknown cost` : "cost/hour", money(state.cost)],
  ];
  const place = find("totals");
  while (place.children.length < values.length) place.append(el("div", {}, el("dt"), el("dd")));
  values.forEach(([label, value], i) => {
    say(place.children[i].children[0], label);
    say(place.children[i].children[1], value);
  });
}

function happened(first) {
  const known = Object.entries(state.marks ?? {}).map(([number, mark]) => ({ ...mark, number: Number(number) }));
  marks = known.sort((a, b) => a.number - b.number);
  const fresh = marks.filter((mark) => mark.number > newest);
  if (!first && fresh.length) say(find("announce"), fresh.map(sentence).join(". "));
  newest = marks.at(-1)?.number ?? 0;
  find("marks").replaceChildren(
    ...marks.slice(-MARKS_SHOWN).reverse().map((mark) =>
      el("li", {}, signPicture(mark.kind), el("time", { datetime: new Date(mark.at).toISOString() }, clock(mark.at)), " ", sentence(mark)),
    ),
  );
}

const sentence = (mark) => (mark.model ? `${mark.model}: ${mark.text}` : mark.text);

function seen(now, changes) {
  state = now;
  learnInks();
  say(find("stack"), state.stack ?? "");
  document.title = state.stack ? `${state.stack} – Corral` : "Corral";
  find("problem").hidden = !state.problem;
  say(find("problem"), state.problem ?? "");
  totals();
  if (!changes || changes.tenants !== undefined) tenants.update(state.tenants ?? {});
  if (!changes || changes.marks) happened(!changes);
  if (!changes) {
    for (const card of cards.values()) card.forget();
    choose();
    draw(false);
    return;
  }
  const models = Object.entries(changes.models ?? {});
  const others = models.some(([name, model]) => model === null || !names.includes(name));
  if (find("trouble").checked || others) choose();
  else if (view === "table") draw(false);
}

function show(chosen) {
  view = chosen;
  set(main.parentNode, "data-view", view);
  set(find("view-cards"), "aria-pressed", view === "cards");
  set(find("view-table"), "aria-pressed", view === "table");
  if (state) {
    arrange();
    draw(false);
  }
}

function theme(chosen) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("corral-theme", chosen);
  } catch {
    // Storage is turned off: it holds until the page is closed.
  }
  say(find("theme"), `Theme: ${chosen}`);
}

const themed = () => document.documentElement.dataset.theme ?? "system";
const nextTheme = () => theme(THEMES[(THEMES.indexOf(themed()) + 1) % THEMES.length]);

function step(by) {
  const all = [...main.querySelectorAll(".card, tbody")];
  const at = all.findIndex((each) => each.contains(document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (!next) return;
  if (!next.hasAttribute("tabindex")) next.tabIndex = -1;
  next.focus();
}

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

find("view-cards").addEventListener("click", () => show("cards"));
find("view-table").addEventListener("click", () => show("table"));
find("theme").addEventListener("click", nextTheme);
find("filter").addEventListener("submit", (event) => event.preventDefault());
find("filter").addEventListener("input", () => {
  limit = AT_A_TIME;
  choose();
  if (state) draw(false);
});
more.addEventListener("click", () => {
  const first = limit;
  limit += AT_A_TIME;
  arrange();
  draw(false);
  const next = main.querySelectorAll(".card, tbody")[first];
  if (next) {
    next.tabIndex = -1;
    next.focus();
  }
});

for (const [kind, { means }] of Object.entries(SIGNS)) {
  find("signs").append(el("dt", {}, signPicture(kind)), el("dd", {}, means));
}
theme(themed());
follow(seen, (what) => say(find("status"), STATUS[what]));
// The timelines move with the time, also while nothing changes.
setInterval(() => {
  if (state && view === "cards" && !document.hidden) draw(false);
}, 1000);
