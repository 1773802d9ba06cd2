// Search: nodes and edges by a part of their names, or nodes by what they are labelled as.
import { element } from "./data.js";
import { labelOf } from "./graph.js";
import { goTo } from "./keys.js";
import { named } from "./light.js";
import { change } from "./state.js";
import { bring } from "./zoom.js";

const MOST_FOUND = 12;

/** The search box. */
export function makeSearch(data, place) {
  const input = element("input", {
    type: "search", id: "search", placeholder: "Find a node or an edge", autocomplete: "off", spellcheck: "false",
    role: "combobox", "aria-expanded": "false", "aria-controls": "found", "aria-autocomplete": "list", "aria-label": "Search",
  });
  const list = element("ul", { id: "found", role: "listbox", "aria-label": "What was found", hidden: true });
  place.append(element("div", { class: "search" }, input, list));
  let results = [];
  let at = 0;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const go = (one) => {
    close();
    change({ pin: one.name, follow: "" });
    if (one.from) bring(one.from, true);
    else goTo(data, one, true); // so that arrows go on from there, and Tab leads to its page
  };
  const point = (i) => {
    at = i;
    for (const [j, item] of [...list.children].entries()) item.setAttribute("aria-selected", j === at);
    if (results.length) input.setAttribute("aria-activedescendant", `found-${at}`);
  };
  input.addEventListener("input", () => {
    results = matching(data, input.value);
    list.replaceChildren(...results.map((one, i) => option(data, one, i, go)));
    if (input.value.trim() && !results.length) list.append(element("li", { class: "quiet" }, "Nothing drawn has that name."));
    list.hidden = !input.value.trim();
    input.setAttribute("aria-expanded", !list.hidden);
    point(0);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && results.length) go(results[at]);
    else if (event.key === "ArrowDown" && results.length) point((at + 1) % results.length);
    else if (event.key === "ArrowUp" && results.length) point((at + results.length - 1) % results.length);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  input.addEventListener("blur", close);
}

/** What a text finds: a node of that name first, then nodes, then edges, those that are seen before the others. */
function matching(data, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const same = named(data, text.trim());
  const label = (node) => data.runs.map((run) => run.nodes?.[node.name]?.label ?? "").join(" ");
  const nodes = data.graph.nodes.filter((node) => `${node.name} ${label(node)}`.toLowerCase().includes(wanted));
  const edges = data.graph.edge.filter((edge) => edge.name.includes(wanted));
  nodes.sort((one, other) => Boolean(other.seen) - Boolean(one.seen));
  edges.sort((one, other) => Boolean(other.bit) - Boolean(one.bit) || other.weight - one.weight);
  return [...new Set([...(same ? [same] : []), ...nodes, ...edges])].slice(0, MOST_FOUND);
}

function option(data, one, i, go) {
  const label = labelOf(data, one);
  const seen = one.from ? one.bit : one.seen;
  const item = element("li", { id: `found-${i}`, role: "option", class: seen ? "" : "quiet" }, one.name);
  if (label) item.append(element("small", {}, ` ${label}`));
  if (!seen) item.append(element("small", {}, " not seen now"));
  item.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the box would lose its focus, and so the list
    go(one);
  });
  return item;
}
