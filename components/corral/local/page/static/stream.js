// The state as the server tells it: a snapshot, then merge patches (RFC 7396).

const AGAIN = 1000;

// Objects without a prototype: a name like __proto__ is a name and nothing else.
export function apply(state, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete state[name];
    else if (typeof value === "object") {
      const old = state[name];
      state[name] = apply(typeof old === "object" ? old : Object.create(null), value);
    } else state[name] = value;
  }
  return state;
}

// Calls seen(state, changes) with changes null for a snapshot, and told("live" | "lost" | "hidden").
// While the page is hidden nothing is asked for.
export function follow(seen, told) {
  let state = null;
  let source = null;
  let waiting = 0;

  function open() {
    clearTimeout(waiting);
    source?.close();
    source = new EventSource("/events");
    source.addEventListener("snapshot", (event) => {
      state = apply(Object.create(null), JSON.parse(event.data));
      told("live");
      seen(state, null);
    });
    source.addEventListener("change", (event) => {
      const changes = JSON.parse(event.data);
      apply(state, changes);
      seen(state, changes);
    });
    source.addEventListener("error", () => {
      told("lost");
      // A browser gives up by itself where it was answered, but not with events.
      if (source.readyState === EventSource.CLOSED) waiting = setTimeout(open, AGAIN);
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) open();
    else {
      clearTimeout(waiting);
      source?.close();
      told("hidden");
    }
  });
  open();
}
