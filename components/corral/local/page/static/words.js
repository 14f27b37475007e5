// Numbers as people read them. What is unknown is a dash, never a zero.

export const UNKNOWN = "–";

const known = (value) => value !== undefined && value !== null;
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => (known(value) ? whole.format(value) : UNKNOWN);
export const rate = (value) => (known(value) ? (value < 100 ? one : whole).format(value) : UNKNOWN);
export const percent = (value) => (known(value) ? `${one.format(value)}%` : UNKNOWN);

export function time(milliseconds) {
  if (!known(milliseconds)) return UNKNOWN;
  return milliseconds < 1000 ? `${(milliseconds < 10 ? one : whole).format(milliseconds)} ms` : `${one.format(milliseconds / 1000)} s`;
}

// Micro-dollars.
export function money(micro) {
  if (!known(micro)) return "unknown";
  const dollars = micro / 1e6;
  const digits = dollars === 0 || dollars >= 1 ? 2 : dollars >= 0.01 ? 3 : 5;
  return `$${dollars.toLocaleString("en", { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`;
}

export const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

export function ago(seconds) {
  if (seconds < 1) return "now";
  return seconds < 60 ? `${whole.format(seconds)} s ago` : `${Math.floor(seconds / 60)} min ${whole.format(seconds % 60)} s ago`;
}

export const byName = new Intl.Collator("en", { numeric: true }).compare;
