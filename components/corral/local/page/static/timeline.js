// The last five minutes of one model: what its hosts answered, what was declared, and marks.

import { ago, el, percent, setAttribute, setText, svg } from "./dom.js";

const MINUTES = 5;
const SPAN = MINUTES * 60_000;
const STEP = 2000;
const GAP = 3 * STEP;
const HEIGHT = 110;
const TOP = 16;
const NEXT = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15, Home: -Infinity, End: Infinity };

// A shape for each kind of mark, so that colour is never all there is.
export const SIGNS = {
  move: { shape: "M0-5 5 0 0 5-5 0Z", means: "a share was moved" },
  fault: { shape: "M-4-4 4 4M4-4-4 4", means: "a simulated host was made to fail" },
  recovered: { shape: "M-4 0-1 4 5-4", means: "it is well again" },
  ejected: { shape: "M-5-4H5L0 5Z", means: "a host is ejected: it fails" },
  returned: { shape: "M-5 4H5L0-5Z", means: "it gets requests again" },
  engine: { shape: "M-4-4H4V4H-4Z", means: "Envoy does not answer, or answers again" },
};
const sign = (kind) => svg("path", { d: SIGNS[kind].shape, class: `sign ${kind}` });
export const signPicture = (kind) => svg("svg", { class: "picture", viewBox: "-7 -7 14 14", "aria-hidden": "true" }, sign(kind));

export class Timeline {
  constructor(model, ink) {
    this.model = model;
    this.ink = ink;
    this.points = [];
    this.declared = [];
    this.hosts = [];
    this.marks = [];
    this.loaded = 0;
    this.offset = 0;
    this.cursor = null;
    this.width = 600;
    this.ground = svg("rect", { class: "ground", y: TOP, height: HEIGHT - TOP });
    this.areas = el("div", { class: "areas" });
    this.frame = svg("foreignObject", { height: HEIGHT }, this.areas);
    this.lines = svg("g", { class: "declared" });
    this.signs = svg("g");
    this.needle = svg("line", { class: "needle", y1: TOP, y2: HEIGHT, visibility: "hidden" });
    const values = { "aria-valuemin": -SPAN / 1000, "aria-valuemax": 0, "aria-valuenow": 0 };
    const named = { role: "slider", tabindex: "0", "aria-label": `Timeline of ${model}, the last ${MINUTES} minutes` };
    const parts = [this.ground, this.frame, this.lines, this.signs, this.needle];
    this.picture = svg("svg", { class: "timeline", ...named, ...values }, ...parts);
    this.readout = el("p", { class: "readout" });
    const axis = el("p", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${MINUTES} min ago`), el("span", {}, "now"));
    this.element = el("div", { class: "history" }, this.picture, axis, this.readout);
    this.picture.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    for (const left of ["pointerleave", "blur"]) this.picture.addEventListener(left, () => this.put(null));
  }

  // The server's clock counts: a tunnel may lead to another machine.
  now() {
    return Date.now() + this.offset;
  }

  async load() {
    if (Date.now() - this.loaded < STEP) return;
    this.loaded = Date.now();
    try {
      const answer = await fetch(`/history?model=${encodeURIComponent(this.model)}`);
      if (answer.status !== 200) return;
      const { now, points, declared } = await answer.json();
      this.offset = now - Date.now();
      this.points = points;
      this.declared = declared;
    } catch {
      // The stream says that the server is gone.
    }
  }

  draw(hosts, marks) {
    this.hosts = hosts;
    this.start = this.now() - SPAN;
    this.width = this.picture.clientWidth || this.width;
    setAttribute(this.picture, "viewBox", `0 0 ${this.width} ${HEIGHT}`);
    for (const each of [this.ground, this.frame]) setAttribute(each, "width", this.width);
    this.areas.replaceChildren(...this.stretches().flatMap((stretch) => this.stack(stretch)));
    this.lines.replaceChildren(...this.borders());
    this.marks = marks.filter(
      (mark) => mark.at >= this.start && (!mark.model || mark.model === this.model) && (!mark.host || hosts.includes(mark.host)),
    );
    this.signs.replaceChildren(...this.marks.map((mark) => this.mark(mark)));
    this.describe();
  }

  x(at) {
    return Math.round(((Math.max(at, this.start) - this.start) / SPAN) * this.width * 10) / 10;
  }

  mark({ at, kind, text }) {
    const shape = svg("g", { transform: "translate(0 8)" }, sign(kind));
    const line = svg("line", { y1: TOP, y2: HEIGHT });
    return svg("g", { class: `mark ${kind}`, transform: `translate(${this.x(at)} 0)` }, svg("title", {}, text), line, shape);
  }

  // Points in a row without a gap between them.
  stretches() {
    const stretches = [];
    let last = -Infinity;
    for (const point of this.points.filter(([at]) => at >= this.start)) {
      if (point[0] - last > GAP) stretches.push([]);
      stretches.at(-1).push(point);
      last = point[0];
    }
    return stretches;
  }

  stack(stretch) {
    const totals = stretch.map(([, hosts]) => sum(Object.values(hosts)));
    let below = stretch.map(() => 0);
    return this.hosts.flatMap((host) => {
      const above = stretch.map(([, hosts], i) => below[i] + (hosts[host] ?? 0) / totals[i]);
      if (above.every((value, i) => value === below[i])) return [];
      const border = (heights) => stretch.map(([at], i) => `${this.x(at)} ${y(heights[i])}`);
      const area = el("div", { class: `area ink${this.ink(host)}` });
      area.style.clipPath = `path("M${[...border(above), ...border(below).reverse()].join("L")}Z")`;
      below = above;
      return [area];
    });
  }

  // Between the declared shares, as steps.
  borders() {
    const ends = [...this.declared.slice(1).map(([at]) => at), this.now()];
    return this.hosts.slice(0, -1).flatMap((_, i) => {
      const steps = this.declared.map(([from, shares], step) => {
        const part = sum(this.hosts.slice(0, i + 1).map((name) => shares[name] ?? 0)) / 100;
        return part > 0 && part < 1 && ends[step] > this.start ? `M${this.x(from)} ${y(part)}H${this.x(ends[step])}` : "";
      });
      const d = steps.join("");
      return d ? ["under", "over"].map((kind) => svg("path", { d, class: kind })) : [];
    });
  }

  key(event) {
    const step = NEXT[event.key];
    if (step === undefined || !this.points.length) return;
    event.preventDefault();
    const last = this.points.length - 1;
    const at = this.cursor === null ? (Math.abs(step) === 1 ? last - step : last) : this.index();
    this.put(this.points[Math.max(0, Math.min(last, at + step))][0]);
  }

  point(event) {
    const box = this.picture.getBoundingClientRect();
    this.put(this.now() - SPAN + ((event.clientX - box.left) / box.width) * SPAN);
  }

  put(at) {
    this.cursor = at;
    this.describe();
  }

  // The point nearest to the cursor.
  index() {
    const away = this.points.map(([at]) => Math.abs(at - this.cursor));
    return away.indexOf(Math.min(...away));
  }

  describe() {
    const point = this.points[this.cursor === null ? this.points.length - 1 : this.index()];
    setAttribute(this.needle, "visibility", this.cursor === null || !point ? "hidden" : "visible");
    if (!point) {
      setAttribute(this.picture, "aria-valuetext", "nothing was asked for yet");
      setText(this.readout, "");
      return;
    }
    const [at, hosts] = point;
    for (const end of ["x1", "x2"]) setAttribute(this.needle, end, this.x(at));
    const total = sum(Object.values(hosts));
    const parts = this.hosts.filter((host) => hosts[host]).map((host) => `${host} ${percent((100 * hosts[host]) / total)}`);
    const near = this.marks.filter((mark) => Math.abs(mark.at - at) < GAP).map((mark) => mark.text);
    const text = `${ago((this.now() - at) / 1000)}: ${[...parts, ...near].join(", ")}`;
    setAttribute(this.picture, "aria-valuenow", Math.round((at - this.now()) / 1000));
    setAttribute(this.picture, "aria-valuetext", text);
    setText(this.readout, this.cursor === null ? "" : text);
  }
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const y = (part) => Math.round((HEIGHT - part * (HEIGHT - TOP)) * 10) / 10;
