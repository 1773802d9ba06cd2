// The graph with all that belongs to it: what is in the header, the controls at its side, and what happens on a change.
import { chosenEdges, edgesOf, mostOf, rankEdges, sizeOf } from "./chosen.js";
import { element } from "./data.js";
import { makeFilm } from "./film.js";
import { makeFilters } from "./filters.js";
import { makeGraph, showEdges } from "./graph.js";
import { showHelp, startKeys } from "./keys.js";
import { light, startLight } from "./light.js";
import { counted, whole } from "./numbers.js";
import { savePng, saveSvg } from "./picture.js";
import { makeSearch } from "./search.js";
import { makeSlider } from "./slider.js";
import { change, listen, now } from "./state.js";
import { fit, startZoom, view, zoomBy } from "./zoom.js";

const CHOICE = ["shown", "film", "layers", "kinds", "letters", "top", "through", "sides"]; // what edges are seen by

/** Make the graph and its controls. `data.bits` says from then on which edges are seen. */
export function startExplorer(data) {
  rankEdges(data);
  const [top, controls, place] = ["top", "controls", "graph"].map((id) => document.getElementById(id));
  const svg = makeGraph(data, place);
  const status = element("p", { id: "status", role: "status" });
  data.bits = new Uint8Array(data.graph.edge.length);
  makeHeader(data, svg, status, top);
  const parts = [makeSlider(data, controls), makeFilm(data, svg, controls), makeFilters(data, controls)];
  controls.append(legend(data));
  startZoom(data, svg);
  startLight(data, svg);
  const keepReachable = startKeys(data, svg, { theme: otherTheme, resize: (by) => resize(data, by) });
  listen((state, changed) => {
    if (changed.has("view")) view(state);
    const isChosen = CHOICE.some((name) => changed.has(name));
    if (isChosen) {
      data.bits = chosenEdges(data, state);
      const n = showEdges(data, svg, data.bits);
      data.sizes = data.runs.map((_, r) => edgesOf(data, state, r).length);
      const drawn = data.graph.left_out ? `; ${whole(data.graph.left_out)} weaker ones aren't drawn` : "";
      status.textContent = `${whole(n)} of ${counted(data.graph.n_edges, "edge")} seen${drawn}`;
      keepReachable();
      for (const show of parts) show(state, data.sizes);
    }
    if (isChosen || changed.has("pin") || changed.has("follow")) light(data, svg, state, data.bits);
  });
}

function makeHeader(data, svg, status, top) {
  top.append(element("h1", { title: data.title }, data.title), status, element("span", { class: "space" }));
  makeSearch(data, top);
  const zoom = [headerButton("zoom-out", "\u2212", "Zoom out", () => zoomBy(0.8)), headerButton("zoom-in", "+", "Zoom in", () => zoomBy(1.25)), headerButton("fit", "Fit", "Show all", fit)];
  top.append(
    element("span", { class: "together", role: "group", "aria-label": "Zoom" }, ...zoom),
    headerButton("save-svg", "SVG", "Save what is seen as SVG", () => saveSvg(svg, data.title)),
    headerButton("save-png", "PNG", "Save what is seen as PNG", () => savePng(svg, data.title)),
    headerButton("theme", "\u25d0", "Light or dark", otherTheme),
    headerButton("keys", "?", "Keys", showHelp),
  );
}

function headerButton(id, text, label, what) {
  const made = element("button", { type: "button", id, title: label, "aria-label": label }, text);
  made.addEventListener("click", what);
  return made;
}

function otherTheme() {
  const isDark = now().theme ? now().theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  change({ theme: isDark ? "light" : "dark" });
}

function resize(data, by) {
  const size = sizeOf(data, now()) ?? Math.max(...data.sizes, 1);
  const next = by < 0 ? Math.min(size - 1, Math.round(size / 1.1)) : Math.max(size + 1, Math.round(size * 1.1));
  change({ shown: String(Math.max(1, Math.min(mostOf(data), next))), film: "" });
}

function legend(data) {
  const item = (name, words) => element("span", { class: `key key-${name}` }, words);
  const sides = data.runs.length > 1 ? ["a", "b", "both"].map((side) => item(side, { a: "only A", b: "only B", both: "both" }[side])) : [];
  const letters = ["q", "k", "v"].map((letter) => item(letter, `into ${letter}`));
  const keys = sides.length ? sides : [...letters, item("plain", "into an MLP, the logits")];
  const runs = sides.length ? data.runs.map((run, r) => element("p", { class: "quiet" }, `${"AB"[r]}: ${run.label}`)) : [];
  const words = element("p", { class: "quiet" }, "Lines run upwards; their width goes by the root of |score|. Rows are layers, columns heads, MLPs stand at the right.");
  return element("section", { id: "legend" }, element("h2", {}, "Legend"), element("div", { class: "row" }, ...keys), ...runs, words);
}
