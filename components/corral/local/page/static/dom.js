// Elements. Text goes in as text nodes, never as markup: names come from files that others write.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
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
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function set(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}
