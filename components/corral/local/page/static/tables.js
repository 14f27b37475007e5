// The models as a table, for those who read rather than look; and the tenants, where the stack declares any.

import { stateOf } from "./card.js";
import { byName, count, el, inOrder, keep, money, percent, rate, setAttribute, setText, time } from "./dom.js";

const nothing = () => "";

// Of a host, and of a whole model.
const OF_MODELS = [
  ["Declared", (host) => (host.role === "share" ? percent(host.share) : host.role), nothing],
  ["Observed", (host) => percent(host.observed), nothing],
  ["Requests/s", (each) => rate(each.rps)],
  ["Tokens/s", (each) => rate(each.tps)],
  ["p50", (each) => time(each.p50)],
  ["p99", (each) => time(each.p99)],
  ["First byte", (each) => time(each.firstByte)],
  ["Failed attempts", (host) => count(host.failedAttempts), nothing],
  ["Server errors", nothing, (model) => count(model.serverErrors)],
  ["Client errors", nothing, (model) => count(model.clientErrors)],
  ["Cost/hour", (each) => money(each.cost)],
  ["At the peak", (host) => (host.peak === undefined ? "" : percent(host.peak)), (model) => model.peak ?? ""],
  ["Ejected", (host) => `${count(host.ejections)}×`, nothing],
  ["State", stateOf, (model) => model.trouble ?? "✓ ok"],
];

const LIMITS = { requests: "requests a minute", tokens: "tokens a minute", concurrent: "requests at once", budget: "budget" };

const OF_TENANTS = [
  ["Requests/s", (tenant) => rate(tenant.rps)],
  ["Tokens/s", (tenant) => rate(tenant.tps)],
  ["Cost/hour", (tenant) => money(tenant.cost)],
  ["Under way", (tenant) => (tenant.concurrent ? `${count(tenant.active)} of ${count(tenant.concurrent)}` : "no limit")],
  ["Budget used", spent],
  ["Server errors", (tenant) => count(tenant.serverErrors)],
  ["Client errors", (tenant) => count(tenant.clientErrors)],
  ["Refused for a limit", refused],
];

function spent(tenant) {
  const windows = Object.entries(tenant.budgets ?? {});
  return windows.map(([window, { limit, used }]) => `${money(used)} of ${money(limit)} a ${window}`).join(", ") || "no budget";
}

function refused(tenant) {
  const limits = Object.keys(LIMITS).filter((limit) => tenant.limited[limit]);
  return limits.length ? `⚠ ${limits.map((limit) => `${LIMITS[limit]}: ${count(tenant.limited[limit])}`).join(", ")}` : "none";
}

// A table that scrolls, with heads and no body yet; `label` is the attribute that names it.
function scrolling(label, caption, first, columns) {
  const heads = [first, ...columns.map(([name]) => name)].map((name) => el("th", { scope: "col" }, name));
  const table = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)));
  return [el("div", { class: "scroll", tabindex: "0", role: "region", ...label }, table), table];
}

// A name and a cell for each of some columns.
class Row {
  constructor(kind, scope, name, columns) {
    this.columns = columns;
    this.cells = columns.map(() => el("td"));
    this.element = el("tr", { class: kind }, el("th", { scope }, name), ...this.cells);
  }

  update(each, whole = false) {
    this.columns.forEach(([, of, ofWhole], i) => setText(this.cells[i], (whole && ofWhole ? ofWhole : of)(each)));
  }
}

export class Models {
  constructor() {
    const caption = "Each model, and its hosts in the order in which requests reach them";
    [this.element, this.table] = scrolling({ "aria-label": "Table of the models" }, caption, "Model, host", OF_MODELS);
    this.bodies = new Map();
  }

  update(names, models) {
    keep(this.table, this.bodies, names, (name) => new Body(name), 2);
    for (const name of names) this.bodies.get(name).update(models[name]);
  }
}

class Body {
  constructor(name) {
    this.whole = new Row("whole", "rowgroup", name, OF_MODELS);
    this.element = el("tbody", {}, this.whole.element);
    this.rows = new Map();
  }

  update(model) {
    this.whole.update(model, true);
    keep(this.element, this.rows, inOrder(model.hosts), (name) => new Row("host", "row", name, OF_MODELS), 1);
    for (const [name, row] of this.rows) {
      row.update(model.hosts[name]);
      setAttribute(row.element, "data-state", model.hosts[name].state);
    }
  }
}

export class Tenants {
  // `section` is the part of the page that is theirs; its heading has the id `who`.
  constructor(section) {
    this.section = section;
    this.rows = new Map();
    this.body = el("tbody");
    const caption = "Each tenant: rates of the last ten seconds, all else of the last 30";
    const [element, table] = scrolling({ "aria-labelledby": "who" }, caption, "Tenant", OF_TENANTS);
    table.append(this.body);
    section.append(element);
  }

  update(tenants) {
    this.section.hidden = Object.keys(tenants).length === 0;
    keep(this.body, this.rows, Object.keys(tenants).sort(byName), (name) => new Row("tenant", "row", name, OF_TENANTS));
    for (const [name, row] of this.rows) {
      row.update(tenants[name]);
      setAttribute(row.element, "data-limited", Object.keys(tenants[name].limited).length > 0);
    }
  }
}
