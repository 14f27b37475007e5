// Elements and texts. Text goes in as text nodes, never as markup: names come from files that others write.

const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A child of the parent for each name, in their order and behind `first` others; what has gone is taken away.
// `kept` maps the names to what `make` made of them, which has an `element`.
export function keep(parent, kept, names, make, first = 0) {
  const wanted = new Set(names);
  for (const [name, { element }] of kept) {
    if (!wanted.has(name)) {
      element.remove();
      kept.delete(name);
    }
  }
  names.forEach((name, place) => {
    if (!kept.has(name)) kept.set(name, make(name));
    const { element } = kept.get(name);
    const there = parent.children[first + place] ?? null;
    if (there !== element) parent.insertBefore(element, there);
  });
}

// Only what differs is written, so that a selection and a screen reader's place stay.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// Numbers as people read them. What is unknown is a dash, never a zero.
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const known = (format) => (value) => (value === undefined || value === null ? "–" : format(value));

export const count = known((value) => whole.format(value));
export const rate = known((value) => (value < 100 ? one : whole).format(value));
export const percent = known((value) => `${one.format(value)}%`);
export const time = known((milliseconds) =>
  milliseconds < 1000 ? `${(milliseconds < 10 ? one : whole).format(milliseconds)} ms` : `${one.format(milliseconds / 1000)} s`,
);

// Micro-dollars.
export function money(micro) {
  if (micro === undefined) return "unknown";
  const dollars = micro / 1e6;
  const digits = dollars === 0 || dollars >= 1 ? 2 : dollars >= 0.01 ? 3 : 5;
  return `$${dollars.toLocaleString("en", { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`;
}

export function ago(seconds) {
  if (seconds < 1) return "now";
  return seconds < 60 ? `${whole.format(seconds)} s ago` : `${Math.floor(seconds / 60)} min ${whole.format(seconds % 60)} s ago`;
}

export const byName = new Intl.Collator("en", { numeric: true }).compare;
export const inOrder = (hosts) => Object.keys(hosts).sort((a, b) => hosts[a].order - hosts[b].order);
