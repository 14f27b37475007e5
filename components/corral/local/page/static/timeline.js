// The last five minutes of one model: what its hosts answered, what was declared, and marks.

import { el, say, set, svg } from "./dom.js";
import { sign } from "./signs.js";
import { ago, percent } from "./words.js";

const MINUTES = 5;
const STEP = 2000;
const GAP = 3 * STEP;
const HEIGHT = 110;
const TOP = 16;
const SPAN = MINUTES * 60_000;

export class Timeline {
  // ink(host) is the number of the host's pattern.
  constructor(model, ink) {
    this.model = model;
    this.ink = ink;
    this.points = [];
    this.declared = [];
    this.offset = 0;
    this.cursor = null;
    this.width = 600;
    this.hosts = [];
    this.ground = svg("rect", { class: "ground", y: TOP, height: HEIGHT - TOP });
    this.areas = svg("g");
    this.lines = svg("g", { class: "declared" });
    this.signs = svg("g");
    this.needle = svg("line", { class: "needle", y1: TOP, y2: HEIGHT, visibility: "hidden" });
    this.picture = svg(
      "svg",
      {
        class: "timeline",
        role: "slider",
        tabindex: "0",
        "aria-label": `Timeline of ${model}, the last ${MINUTES} minutes`,
        "aria-valuemin": -SPAN / 1000,
        "aria-valuemax": 0,
        "aria-valuenow": 0,
      },
      this.ground,
      this.areas,
      this.lines,
      this.signs,
      this.needle,
    );
    this.readout = el("p", { class: "readout" });
    this.element = el(
      "div",
      { class: "history" },
      this.picture,
      el("p", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${MINUTES} min ago`), el("span", {}, "now")),
      this.readout,
    );
    this.picture.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.put(null));
    this.picture.addEventListener("blur", () => this.put(null));
  }

  now() {
    return Date.now() + this.offset;
  }

  // What came before this page was opened. The server's clock counts: a tunnel may lead to another machine.
  async load() {
    try {
      const answer = await fetch(`/history?model=${encodeURIComponent(this.model)}`);
      if (!answer.ok) return;
      const { now, points, declared } = await answer.json();
      this.offset = now - Date.now();
      this.points = points;
      this.declared = declared;
    } catch {
      // The stream says that the server is gone.
    }
  }

  // The state of the model as of now.
  add(model) {
    const now = this.now();
    const last = this.points.at(-1);
    if (!last || now - last[0] >= STEP - 200) {
      const answered = Object.entries(model.hosts).filter(([, host]) => host.rps > 0);
      if (answered.length) this.points.push([now, Object.fromEntries(answered.map(([name, host]) => [name, host.rps]))]);
    }
    while (this.points.length && this.points[0][0] < now - SPAN) this.points.shift();
    this.hosts = Object.entries(model.hosts).sort((a, b) => a[1].order - b[1].order).map(([name]) => name);
    const shares = Object.fromEntries(Object.entries(model.hosts).map(([name, host]) => [name, host.share]));
    const known = this.declared.at(-1);
    if (!known || JSON.stringify(sorted(known[1])) !== JSON.stringify(sorted(shares))) this.declared.push([now, shares]);
  }

  draw(marks) {
    const start = this.now() - SPAN;
    this.width = this.picture.clientWidth || this.width;
    set(this.picture, "viewBox", `0 0 ${this.width} ${HEIGHT}`);
    set(this.ground, "width", this.width);
    const x = (at) => Math.round(((Math.max(at, start) - start) / SPAN) * this.width * 10) / 10;
    this.areas.replaceChildren(...this.stretches().flatMap((stretch) => this.stack(stretch, x)));
    this.lines.replaceChildren(...this.boundaries(x, start));
    const seen = marks.filter((mark) => mark.at >= start && (!mark.model || mark.model === this.model) && (!mark.host || this.hosts.includes(mark.host)));
    this.signs.replaceChildren(
      ...seen.map((mark) =>
        svg(
          "g",
          { class: `mark ${mark.kind}`, transform: `translate(${x(mark.at)} 0)` },
          svg("title", {}, mark.text),
          svg("line", { y1: TOP, y2: HEIGHT }),
          svg("g", { transform: "translate(0 8)" }, sign(mark.kind)),
        ),
      ),
    );
    this.seen = seen;
    this.tell();
  }

  // Points in a row without a gap between them.
  stretches() {
    const found = [];
    let last = -Infinity;
    for (const point of this.points) {
      if (point[0] - last > GAP) found.push([]);
      found.at(-1).push(point);
      last = point[0];
    }
    return found;
  }

  stack(stretch, x) {
    const totals = stretch.map(([, hosts]) => Object.values(hosts).reduce((sum, rps) => sum + rps, 0));
    let below = stretch.map(() => 0);
    return this.hosts.flatMap((host) => {
      const above = stretch.map(([, hosts], i) => below[i] + (hosts[host] ?? 0) / totals[i]);
      const there = above.some((value, i) => value > below[i]);
      const up = stretch.map(([at], i) => `${x(at)} ${y(above[i])}`);
      const down = stretch.map(([at], i) => `${x(at)} ${y(below[i])}`).reverse();
      below = above;
      return there ? [svg("path", { class: "area", d: `M${up.join("L")}L${down.join("L")}Z`, fill: `url(#fill${this.ink(host)})` })] : [];
    });
  }

  // The declared shares' borders, as steps.
  boundaries(x, start) {
    const steps = this.declared.map(([at, shares], i) => [at, this.declared[i + 1]?.[0] ?? this.now(), shares]).filter(([, end]) => end > start);
    return this.hosts.slice(0, -1).flatMap((host, i) => {
      const path = steps.map(([from, to, shares]) => {
        const part = this.hosts.slice(0, i + 1).reduce((sum, name) => sum + (shares[name] ?? 0), 0) / 100;
        return part > 0 && part < 1 ? `M${x(from)} ${y(part)}H${x(to)}` : "";
      });
      const d = path.join("");
      return d ? [svg("path", { d, class: "under" }), svg("path", { d, class: "over" })] : [];
    });
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.points.length) return;
    event.preventDefault();
    const last = this.points.length - 1;
    const at = this.cursor === null ? last : this.index();
    this.put(this.points[Math.max(0, Math.min(last, this.cursor === null && Math.abs(step) === 1 ? last : at + step))][0]);
  }

  point(event) {
    const box = this.picture.getBoundingClientRect();
    this.put(this.now() - SPAN + ((event.clientX - box.left) / box.width) * SPAN);
  }

  put(at) {
    this.cursor = at;
    this.tell();
  }

  // The point nearest to the cursor.
  index() {
    let best = 0;
    this.points.forEach(([at], i) => {
      if (Math.abs(at - this.cursor) < Math.abs(this.points[best][0] - this.cursor)) best = i;
    });
    return best;
  }

  tell() {
    const point = this.points[this.cursor === null ? this.points.length - 1 : this.index()];
    set(this.needle, "visibility", this.cursor === null || !point ? "hidden" : "visible");
    if (!point) {
      set(this.picture, "aria-valuetext", "nothing was asked for yet");
      say(this.readout, "");
      return;
    }
    const [at, hosts] = point;
    const x = Math.max(0, ((at - this.now() + SPAN) / SPAN) * this.width);
    set(this.needle, "x1", x);
    set(this.needle, "x2", x);
    const total = Object.values(hosts).reduce((sum, rps) => sum + rps, 0);
    const parts = this.hosts.filter((host) => hosts[host]).map((host) => `${host} ${percent((100 * hosts[host]) / total)}`);
    const near = (this.seen ?? []).filter((mark) => Math.abs(mark.at - at) < GAP).map((mark) => mark.text);
    const text = `${ago((this.now() - at) / 1000)}: ${[...parts, ...near].join(", ")}`;
    set(this.picture, "aria-valuenow", Math.round((at - this.now()) / 1000));
    set(this.picture, "aria-valuetext", text);
    say(this.readout, this.cursor === null ? "" : text);
  }
}

const sorted = (shares) => Object.entries(shares).sort((a, b) => (a[0] < b[0] ? -1 : 1));
const y = (part) => Math.round((HEIGHT - part * (HEIGHT - TOP)) * 10) / 10;
