// The same as a table, for those who read rather than look.

import { stateOf } from "./card.js";
import { el, keep, say, set } from "./dom.js";
import { count, money, percent, rate, time } from "./words.js";

const COLUMNS = [
  ["Declared", (host) => (host.role === "share" ? percent(host.share) : host.role), () => ""],
  ["Observed", (host) => percent(host.observed), () => ""],
  ["Requests/s", (host) => rate(host.rps), (model) => rate(model.rps)],
  ["Tokens/s", (host) => rate(host.tps), (model) => rate(model.tps)],
  ["p50", (host) => time(host.p50), (model) => time(model.p50)],
  ["p99", (host) => time(host.p99), (model) => time(model.p99)],
  ["First byte", (host) => time(host.firstByte), (model) => time(model.firstByte)],
  ["Failed attempts", (host) => count(host.failedAttempts), () => ""],
  ["Server errors", () => "", (model) => count(model.serverErrors)],
  ["Client errors", () => "", (model) => count(model.clientErrors)],
  ["Cost/hour", (host) => money(host.cost), (model) => money(model.cost)],
  ["Ejected", (host) => `${count(host.ejections)}×`, () => ""],
  ["State", stateOf, (model) => model.trouble ?? "✓ ok"],
];

export class Table {
  constructor() {
    this.bodies = new Map();
    this.table = headed("Each model, and its hosts in the order in which requests reach them", ["Model, host", ...COLUMNS.map(([name]) => name)]);
    this.headed = this.table.children.length;
    this.element = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the models" }, this.table);
  }

  update(names, models) {
    keep(this.table, this.bodies, names, (name) => new Body(name), this.headed);
    for (const name of names) this.bodies.get(name).update(models[name]);
  }
}

class Body {
  constructor(name) {
    this.element = el("tbody");
    this.whole = new Row("whole", "rowgroup", name, COLUMNS.length);
    this.element.append(this.whole.element);
    this.rows = new Map();
  }

  update(model) {
    this.whole.update(COLUMNS.map(([, , of]) => of(model)));
    const names = Object.keys(model.hosts).sort((a, b) => model.hosts[a].order - model.hosts[b].order);
    keep(this.element, this.rows, names, (name) => new Row("host", "row", name, COLUMNS.length), 1);
    for (const name of names) {
      const row = this.rows.get(name);
      row.update(COLUMNS.map(([, of]) => of(model.hosts[name])));
      set(row.element, "data-state", model.hosts[name].state);
    }
  }
}

export function headed(caption, columns) {
  const heads = columns.map((name) => el("th", { scope: "col" }, name));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)));
}

// A name and so many cells.
export class Row {
  constructor(kind, scope, name, cells) {
    this.cells = Array.from({ length: cells }, () => el("td"));
    this.element = el("tr", { class: kind }, el("th", { scope }, name), ...this.cells);
  }

  update(texts) {
    texts.forEach((text, i) => say(this.cells[i], text));
  }
}
