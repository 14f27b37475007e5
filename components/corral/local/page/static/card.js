// One model as a card: its numbers, a bar for each host, its timeline.

import { count, el, inOrder, keep, money, percent, rate, setAttribute, setText, time } from "./dom.js";
import { Timeline } from "./timeline.js";

const NUMBERS = {
  "requests/s": (model) => rate(model.rps),
  "tokens/s": (model) => rate(model.tps),
  p50: (model) => time(model.p50),
  p99: (model) => time(model.p99),
  "first byte": (model) => time(model.firstByte),
  "server errors": (model) => count(model.serverErrors),
  "client errors": (model) => count(model.clientErrors),
  "cost/hour": (model) => money(model.cost),
  peak: (model) => model.peak ?? "not declared",
};

export class Card {
  // ink(host) is the number of the host's pattern.
  constructor(name, ink) {
    this.name = name;
    this.ink = ink;
    this.onScreen = false;
    this.rows = new Map();
    this.values = Object.fromEntries(Object.keys(NUMBERS).map((label) => [label, el("dd")]));
    this.trouble = el("p", { class: "trouble" });
    this.bars = el("ul", { class: "hosts" });
    this.timeline = new Timeline(name, ink);
    const id = `model-${Card.number++}`;
    const numbers = Object.entries(this.values).map(([label, value]) => el("div", {}, el("dt", {}, label), value));
    this.element = el(
      "article",
      { class: "card", tabindex: "-1", "aria-labelledby": id },
      el("h2", { id }, name),
      this.trouble,
      el("dl", { class: "numbers" }, ...numbers),
      this.bars,
      this.timeline.element,
    );
  }

  async update(model, marks) {
    this.trouble.hidden = !model.trouble;
    setText(this.trouble, model.trouble ? `⚠ ${model.trouble}` : "");
    for (const [label, of] of Object.entries(NUMBERS)) setText(this.values[label], of(model));
    setAttribute(this.values["server errors"], "class", model.serverErrors ? "bad" : null);
    const hosts = inOrder(model.hosts);
    keep(this.bars, this.rows, hosts, (name) => new Bar(name, this.ink(name)));
    for (const name of hosts) this.rows.get(name).update(model.hosts[name]);
    await this.timeline.load();
    this.timeline.draw(hosts, marks);
  }
}
Card.number = 0;

class Bar {
  constructor(name, ink) {
    this.fill = el("div", { class: "fill" });
    this.notch = el("div", { class: "notch" });
    const meter = { role: "meter", "aria-label": `Share of ${name}`, "aria-valuemin": 0, "aria-valuemax": 100 };
    this.meter = el("div", { class: "bar", ...meter }, this.fill, this.notch);
    this.shares = el("span", { class: "shares" });
    this.state = el("span", { class: "state" });
    this.more = el("span", { class: "more" });
    const title = el("span", { class: "name" }, el("span", { class: "key", "aria-hidden": "true" }), name);
    this.element = el("li", { class: `ink${ink}` }, title, this.state, this.shares, this.meter, this.more);
  }

  update(host) {
    const declared = host.role === "share" ? `declared ${percent(host.share)}` : host.role;
    const drift = host.drift > 0 ? ` ▲ ${rate(host.drift)} points too much` : host.drift < 0 ? ` ▼ ${rate(-host.drift)} points too little` : "";
    setText(this.shares, `${percent(host.observed)}, ${declared}${drift}`);
    setAttribute(this.shares, "class", drift ? "shares bad" : "shares");
    this.fill.style.width = `${host.observed ?? 0}%`;
    this.notch.style.left = `${host.share}%`;
    this.notch.hidden = host.role !== "share";
    setAttribute(this.meter, "aria-valuenow", host.observed ?? 0);
    setAttribute(this.meter, "aria-valuetext", `${percent(host.observed)} observed, ${declared}`);
    setText(this.state, stateOf(host));
    setAttribute(this.state, "class", `state ${host.fault ? "fault" : host.state}`);
    setText(this.more, details(host).join(" · "));
  }
}

export function stateOf(host) {
  if (host.state === "ejected") return "▼ ejected";
  if (host.fault) return `✕ ${host.fault}`;
  return { failing: "⚠ failing", drained: "○ drained", ok: "✓ ok" }[host.state];
}

function details(host) {
  const idle = !host.rps && !host.failedAttempts && host.p50 === undefined;
  const numbers = [
    `${rate(host.rps)} requests/s`,
    `${rate(host.tps)} tokens/s`,
    `p50 ${time(host.p50)}`,
    `p99 ${time(host.p99)}`,
    `first byte ${time(host.firstByte)}`,
    `${count(host.failedAttempts)} failed attempts`,
    `${money(host.cost)}/hour`,
  ];
  return [
    ...(idle ? [] : numbers),
    ...(host.peak === undefined ? [] : [`${percent(host.peak)} of its limit at the peak`]),
    ...(host.ejections ? [`ejected ${count(host.ejections)}×`] : []),
    ...(host.simulated ? [`simulated: ${host.simulated}`] : []),
  ];
}
