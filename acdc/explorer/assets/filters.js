// What is hidden: layers, kinds of nodes, letters, weak edges, what is on no path through a node; of two runs, a side.
import { KINDS, layersOf } from "./chosen.js";
import { element } from "./data.js";
import { change, reset } from "./state.js";

const WORDS = { input: "input", heads: "heads", mlps: "MLPs", q: "q", k: "k", v: "v", "-": "into MLPs, logits" };
const SIDES = { a: "only A", b: "only B", both: "both" };

/** The filters' part of the page; gives a function that shows a state. */
export function makeFilters(data, place) {
  const kinds = Object.keys(KINDS).filter((word) => data.graph.nodes.some((node) => KINDS[word].includes(node.kind)));
  const letters = ["q", "k", "v", "-"].filter((letter) => data.graph.edge.some((edge) => edge.letter === letter));
  const last = data.graph.cfg.n_layers - 1;
  const layers = ["from", "to"].map((word) => element("input", { type: "number", min: 0, max: last, id: `layer-${word}`, "aria-label": `Layers ${word}` }));
  const top = element("input", { type: "number", id: "strongest", min: 1, placeholder: "all" });
  const through = element("input", { type: "text", id: "through", list: "node-names", placeholder: "any node", spellcheck: "false" });
  const names = data.graph.nodes.map((node) => element("option", { value: node.name }));
  const groups = [checks("kinds", kinds, WORDS), checks("letters", letters, WORDS)];
  if (data.runs.length > 1) groups.push(checks("sides", Object.keys(SIDES), SIDES));
  const all = element("button", { type: "button", id: "reset" }, "Begin again");
  const rows = [
    element("div", { class: "row" }, "layers ", layers[0], " to ", layers[1]),
    ...groups.map((group) => group.box),
    element("div", { class: "row" }, element("label", {}, "strongest ", top)),
    element("div", { class: "row" }, element("label", {}, "paths through ", through), element("datalist", { id: "node-names" }, ...names)),
    element("div", { class: "row" }, all),
  ];
  place.append(element("section", { id: "filters" }, element("h2", {}, "Filters"), ...rows));
  for (const input of layers) {
    input.addEventListener("input", () => {
      const [first, to] = layers.map((one) => one.value);
      change({ layers: first === "" && to === "" ? "" : `${first}-${to}` });
    });
  }
  top.addEventListener("input", () => change({ top: Number(top.value) >= 1 ? String(Math.floor(top.value)) : "" }));
  through.addEventListener("input", () => {
    const name = through.value.trim();
    const known = name === "" || data.graph.node.has(name);
    through.setAttribute("aria-invalid", !known);
    change({ through: known ? name : "" });
  });
  all.addEventListener("click", reset);
  return (state) => {
    const [first, to] = layersOf(state);
    const values = [first || "", to === Infinity ? "" : to];
    for (const [i, input] of layers.entries()) if (document.activeElement !== input) input.value = values[i];
    if (document.activeElement !== top) top.value = state.top;
    if (document.activeElement !== through) through.value = state.through;
    for (const group of groups) group.show(state);
  };
}

function checks(name, words, said) {
  const boxes = words.map((word) => element("input", { type: "checkbox", id: `${name}-${word === "-" ? "other" : word}` }));
  for (const box of boxes) {
    box.addEventListener("change", () => change({ [name]: words.filter((_, i) => !boxes[i].checked).join(",") }));
  }
  const labels = words.map((word, i) => element("label", { class: `chip ${name} key-${word === "-" ? "plain" : word}` }, boxes[i], said[word]));
  const show = (state) => {
    const hidden = state[name].split(",");
    for (const [i, word] of words.entries()) boxes[i].checked = !hidden.includes(word);
  };
  return { box: element("div", { class: "row", role: "group", "aria-label": name }, ...labels), show };
}
