// The same as a table, for those who read rather than look.

import { healthOf } from "./card.js";
import { el, say, set } from "./dom.js";
import { count, money, percent, rate, time } from "./words.js";

const COLUMNS = [
  ["Declared", (host) => (host.role === "share" ? percent(host.share) : host.role), () => ""],
  ["Observed", (host) => percent(host.observed), () => ""],
  ["Requests/s", (host) => rate(host.rps), (model) => rate(model.rps)],
  ["Tokens/s", (host) => rate(host.tps), (model) => rate(model.tps)],
  ["p50", (host) => time(host.p50), (model) => time(model.p50)],
  ["p99", (host) => time(host.p99), (model) => time(model.p99)],
  ["First byte", (host) => time(host.first), (model) => time(model.first)],
  ["Failed tries, lost", (host) => count(host.failures), (model) => `${count(model.lost)} lost`],
  ["Cost/hour", (host) => money(host.cost), (model) => money(model.cost)],
  ["Left out", (host) => `${count(host.ejections)}×`, () => ""],
  ["Health", healthOf, (model) => model.trouble ?? "✓ ok"],
];

export class Table {
  constructor() {
    this.bodies = new Map();
    this.table = el(
      "table",
      {},
      el("caption", {}, "Each model, and its hosts in the order in which requests reach them"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Model, host"), ...COLUMNS.map(([name]) => el("th", { scope: "col" }, name)))),
    );
    this.element = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the models" }, this.table);
  }

  update(names, models) {
    for (const [name, body] of this.bodies) {
      if (!names.includes(name)) {
        body.element.remove();
        this.bodies.delete(name);
      }
    }
    names.forEach((name, place) => {
      if (!this.bodies.has(name)) this.bodies.set(name, new Body(name));
      const body = this.bodies.get(name);
      const there = this.table.tBodies[place] ?? null;
      if (there !== body.element) this.table.insertBefore(body.element, there);
      body.update(models[name]);
    });
  }
}

class Body {
  constructor(name) {
    this.element = el("tbody");
    this.whole = new Row("whole", "rowgroup", name);
    this.element.append(this.whole.element);
    this.rows = new Map();
  }

  update(model) {
    this.whole.update(COLUMNS.map(([, , of]) => of(model)));
    const names = Object.keys(model.hosts).sort((a, b) => model.hosts[a].order - model.hosts[b].order);
    for (const [name, row] of this.rows) {
      if (!names.includes(name)) {
        row.element.remove();
        this.rows.delete(name);
      }
    }
    names.forEach((name, place) => {
      if (!this.rows.has(name)) this.rows.set(name, new Row("host", "row", name));
      const row = this.rows.get(name);
      const there = this.element.children[place + 1] ?? null;
      if (there !== row.element) this.element.insertBefore(row.element, there);
      row.update(COLUMNS.map(([, of]) => of(model.hosts[name])));
      set(row.element, "data-health", model.hosts[name].health);
    });
  }
}

class Row {
  constructor(kind, scope, name) {
    this.cells = COLUMNS.map(() => el("td"));
    this.element = el("tr", { class: kind }, el("th", { scope }, name), ...this.cells);
  }

  update(texts) {
    texts.forEach((text, i) => say(this.cells[i], text));
  }
}
