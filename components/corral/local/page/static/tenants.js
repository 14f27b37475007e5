// Who calls, and how much: a table, on the page only where the stack declares tenants.

import { el, keep, set } from "./dom.js";
import { headed, Row } from "./table.js";
import { byName, count, money, rate } from "./words.js";

const LIMITS = { requests: "requests a minute", tokens: "tokens a minute", concurrent: "requests at once" };

const COLUMNS = [
  ["Requests/s", (tenant) => rate(tenant.rps)],
  ["Tokens/s", (tenant) => rate(tenant.tps)],
  ["Cost/hour", (tenant) => money(tenant.cost)],
  ["Under way", (tenant) => (tenant.concurrent ? `${count(tenant.active)} of ${count(tenant.concurrent)}` : "no limit")],
  ["Server errors", (tenant) => count(tenant.serverErrors)],
  ["Client errors", (tenant) => count(tenant.clientErrors)],
  ["Refused for a limit", refused],
];

function refused(tenant) {
  const limits = Object.keys(LIMITS).filter((limit) => tenant.limited[limit]);
  return limits.length ? `⚠ ${limits.map((limit) => `${LIMITS[limit]}: ${count(tenant.limited[limit])}`).join(", ")}` : "none";
}

export class Tenants {
  // `section` is the part of the page that is theirs; its heading has the id `who`.
  constructor(section) {
    this.section = section;
    this.rows = new Map();
    this.body = el("tbody");
    const table = headed("Each tenant: rates of the last ten seconds, all else of the last 30", ["Tenant", ...COLUMNS.map(([name]) => name)]);
    table.append(this.body);
    section.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "who" }, table));
  }

  update(tenants) {
    const names = Object.keys(tenants).sort(byName);
    this.section.hidden = names.length === 0;
    keep(this.body, this.rows, names, (name) => new Row("tenant", "row", name, COLUMNS.length));
    for (const name of names) {
      const row = this.rows.get(name);
      row.update(COLUMNS.map(([, of]) => of(tenants[name])));
      set(row.element, "data-limited", Object.keys(tenants[name].limited).length > 0);
    }
  }
}
