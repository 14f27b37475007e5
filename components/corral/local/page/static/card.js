// One model as a card: its numbers, a bar for each host, its timeline.

import { el, keep, say, set } from "./dom.js";
import { Timeline } from "./timeline.js";
import { count, money, percent, rate, time } from "./words.js";

const NUMBERS = [
  ["requests/s", (model) => rate(model.rps)],
  ["tokens/s", (model) => rate(model.tps)],
  ["p50", (model) => time(model.p50)],
  ["p99", (model) => time(model.p99)],
  ["first byte", (model) => time(model.firstByte)],
  ["server errors", (model) => count(model.serverErrors)],
  ["client errors", (model) => count(model.clientErrors)],
  ["cost/hour", (model) => money(model.cost)],
];

export class Card {
  constructor(name, ink) {
    this.name = name;
    this.ink = ink;
    this.loaded = false;
    this.onScreen = false;
    this.rows = new Map();
    this.values = new Map();
    const title = el("h2", {}, name);
    title.id = `model-${Card.number++}`;
    this.trouble = el("p", { class: "trouble" });
    this.numbers = el("dl", { class: "numbers" });
    for (const [label] of NUMBERS) {
      const value = el("dd");
      this.values.set(label, value);
      this.numbers.append(el("div", {}, el("dt", {}, label), value));
    }
    this.bars = el("ul", { class: "hosts" });
    this.timeline = new Timeline(name, ink);
    this.element = el(
      "article",
      { class: "card", tabindex: "-1", "aria-labelledby": title.id },
      title,
      this.trouble,
      this.numbers,
      this.bars,
      this.timeline.element,
    );
  }

  async update(model, marks) {
    this.trouble.hidden = !model.trouble;
    say(this.trouble, model.trouble ? `⚠ ${model.trouble}` : "");
    for (const [label, of] of NUMBERS) say(this.values.get(label), of(model));
    set(this.values.get("server errors"), "class", model.serverErrors ? "bad" : null);
    this.updateHosts(model);
    if (!this.loaded) {
      this.loaded = true;
      await this.timeline.load();
    }
    this.timeline.add(model);
    this.timeline.draw(marks);
  }

  // What came while nobody was told: it is asked for again.
  forget() {
    this.loaded = false;
  }

  updateHosts(model) {
    const names = Object.keys(model.hosts).sort((a, b) => model.hosts[a].order - model.hosts[b].order);
    keep(this.bars, this.rows, names, (name) => new Bar(name, this.ink(name)));
    for (const name of names) this.rows.get(name).update(model.hosts[name]);
  }
}
Card.number = 0;

class Bar {
  constructor(name, ink) {
    this.name = name;
    this.fill = el("div", { class: "fill" });
    this.notch = el("div", { class: "notch" });
    this.meter = el(
      "div",
      { class: "bar", role: "meter", "aria-label": `Share of ${name}`, "aria-valuemin": 0, "aria-valuemax": 100 },
      this.fill,
      this.notch,
    );
    this.shares = el("span", { class: "shares" });
    this.state = el("span", { class: "state" });
    this.more = el("span", { class: "more" });
    this.element = el(
      "li",
      { class: `ink${ink}` },
      el("span", { class: "name" }, el("span", { class: "key", "aria-hidden": "true" }), name),
      this.state,
      this.shares,
      this.meter,
      this.more,
    );
  }

  update(host) {
    const declared = host.role === "share" ? `declared ${percent(host.share)}` : host.role === "fallback" ? "fallback" : "drained";
    const drift = host.drift === undefined ? "" : host.drift > 0 ? ` ▲ ${percent(host.drift)} too much` : ` ▼ ${percent(-host.drift)} too little`;
    say(this.shares, `${percent(host.observed)}, ${declared}${drift}`);
    set(this.shares, "class", drift ? "shares bad" : "shares");
    this.fill.style.width = `${host.observed ?? 0}%`;
    this.notch.style.left = `${host.share}%`;
    this.notch.hidden = host.role !== "share";
    set(this.meter, "aria-valuenow", host.observed ?? 0);
    set(this.meter, "aria-valuetext", `${percent(host.observed)} observed, ${declared}`);
    say(this.state, stateOf(host));
    set(this.state, "class", `state ${host.fault ? "fault" : host.state}`);
    say(this.more, details(host));
  }
}

export function stateOf(host) {
  if (host.state === "ejected") return "▼ ejected";
  if (host.state === "failing") return host.fault ? `✕ ${host.fault}` : "⚠ failing";
  if (host.fault) return `✕ ${host.fault}`;
  return host.state === "drained" ? "○ drained" : "✓ ok";
}

function details(host) {
  const simulated = host.simulated ? [`simulated: ${host.simulated}`] : [];
  const ejections = host.ejections ? [`ejected ${count(host.ejections)}×`] : [];
  if (!host.rps && !host.failedAttempts && host.p50 === undefined) return [...ejections, ...simulated].join(" · ");
  return [
    `${rate(host.rps)} requests/s`,
    `${rate(host.tps)} tokens/s`,
    `p50 ${time(host.p50)}`,
    `p99 ${time(host.p99)}`,
    `first byte ${time(host.firstByte)}`,
    `${count(host.failedAttempts)} failed attempts`,
    `${money(host.cost)}/hour`,
    ...ejections,
    ...simulated,
  ].join(" · ");
}
