// The signs of the timeline: a shape for each kind of mark, so that colour is never all there is.

import { svg } from "./dom.js";

export const SIGNS = {
  move: { shape: "M0-5 5 0 0 5-5 0Z", means: "a share was moved" },
  fault: { shape: "M-4-4 4 4M4-4-4 4", means: "a simulated host was made to fail" },
  recovered: { shape: "M-4 0-1 4 5-4", means: "it is well again" },
  ejected: { shape: "M-5-4H5L0 5Z", means: "a host is ejected: it fails" },
  returned: { shape: "M-5 4H5L0-5Z", means: "it gets requests again" },
  engine: { shape: "M-4-4H4V4H-4Z", means: "Envoy does not answer, or answers again" },
};

export function sign(kind) {
  const known = Object.hasOwn(SIGNS, kind) ? kind : "engine";
  return svg("path", { d: SIGNS[known].shape, class: `sign ${known}` });
}

export function signPicture(kind) {
  return svg("svg", { class: "picture", viewBox: "-7 -7 14 14", "aria-hidden": "true" }, sign(kind));
}
