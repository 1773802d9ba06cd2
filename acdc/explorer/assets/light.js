// What is lit: a node under the pointer with its edges, what is pinned, whole paths; and what is said of it.
import { decisionOn, pathsThrough } from "./chosen.js";
import { element } from "./data.js";
import { counted, figure, nodeWords } from "./numbers.js";
import { change, now } from "./state.js";
import { inWindow, wasDragged } from "./zoom.js";

const NEAR = 5; // pixels from a line that still count as on it
const FOLLOWED = { "": "input", input: "logits", logits: "both", both: "input" };
let over = null; // a node or an edge under the pointer, or focused
let lit = new Set();
const tip = element("div", { id: "tip", role: "tooltip", hidden: true });

/** Let pointer and focus light nodes and edges. */
export function startLight(data, svg) {
  document.body.append(tip);
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons) return say(data, svg, null);
    return say(data, svg, under(data, event), [event.clientX, event.clientY]);
  });
  svg.addEventListener("pointerleave", () => say(data, svg, null));
  svg.addEventListener("focusin", (event) => {
    const node = nodeAt(data, event.target);
    if (node && event.target.matches(":focus-visible")) say(data, svg, node, inWindow(node.x + 30, node.y));
  });
  svg.addEventListener("focusout", () => say(data, svg, null));
  let before = null; // the state before the first click of two
  svg.addEventListener("click", (event) => {
    if (wasDragged() || event.detail > 1) return;
    before = now();
    const found = under(data, event);
    change({ pin: found && found.name !== now().pin ? found.name : "", follow: "" });
  });
  svg.addEventListener("dblclick", (event) => {
    const node = nodeAt(data, event.target);
    if (node) follow(node, before);
  });
}

/** Light the paths from the input to a node; asked again, on to the logits, then both. */
export function follow(node, state = now()) {
  change({ pin: node.name, follow: FOLLOWED[state.pin === node.name ? state.follow : ""] });
}

/** The node or edge of a name, or `null`. */
export function named(data, name) {
  data.edgeNamed ??= new Map(data.graph.edge.map((edge) => [edge.name, edge]));
  return data.graph.node.get(name) ?? data.edgeNamed.get(name) ?? null;
}

/** Light what is under the pointer, or else what is pinned. */
export function light(data, svg, state, bits) {
  const pinned = named(data, state.pin);
  const about = over ?? pinned;
  const next = new Set();
  if (about?.into) {
    const isFollowed = about === pinned && state.follow !== "";
    const around = [...about.into, ...about.out].filter((edge) => bits[edge.i]);
    for (const edge of isFollowed ? pathsThrough(data, about, bits, state.follow) : around) next.add(edge);
    next.add(about);
  } else if (about && bits[about.i]) next.add(about);
  for (const one of [...next]) if (one.from) next.add(one.from).add(one.to);
  for (const one of lit) if (!next.has(one)) one.drawing.classList.remove("lit");
  for (const one of next) if (!lit.has(one)) one.drawing.classList.add("lit");
  lit = next;
  svg.classList.toggle("dimmed", next.size > 0);
  for (const one of svg.querySelectorAll(".pinned")) if (one !== pinned?.drawing) setPinned(one, false);
  if (pinned) setPinned(pinned.drawing, true);
}

function setPinned(drawing, isPinned) {
  drawing.classList.toggle("pinned", isPinned);
  if (drawing.dataset.node) drawing.setAttribute("aria-pressed", isPinned);
}

/** Say nothing of what is under the pointer. */
export function hush(data, svg) {
  say(data, svg, null);
}

function say(data, svg, found, at) {
  if (found !== over) {
    over = found;
    light(data, svg, now(), data.bits);
    tip.hidden = !found;
    if (found) tip.replaceChildren(...(found.into ? aboutNode(data, found) : aboutEdge(data, found)));
  }
  if (!found) return;
  const [x, y] = at;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${x + 16 + width > window.innerWidth ? Math.max(4, x - width - 12) : x + 16}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, window.innerHeight - height - 8))}px`;
}

function under(data, event) {
  const hit = hitAt(data, event.target);
  if (hit) return hit;
  for (const angle of [0, 1, 2, 3, 4, 5, 6, 7]) { // thin lines are hard to meet
    const [x, y] = [Math.cos((angle * Math.PI) / 4), Math.sin((angle * Math.PI) / 4)];
    const found = hitAt(data, document.elementFromPoint(event.clientX + NEAR * x, event.clientY + NEAR * y));
    if (found?.from) return found;
  }
  return null;
}

function hitAt(data, target) {
  const edge = target?.dataset?.edge;
  return edge === undefined ? nodeAt(data, target) : data.graph.edge[edge];
}

function nodeAt(data, target) {
  const name = target?.closest?.("[data-node]")?.dataset.node;
  return name === undefined ? null : data.graph.node.get(name);
}

function aboutNode(data, node) {
  const seen = (edges) => edges.filter((edge) => edge.bit);
  const lines = [element("b", {}, node.name), element("span", {}, nodeWords(node))];
  for (const [r, run] of data.runs.entries()) {
    const known = run.nodes?.[node.name];
    if (known?.label) lines.push(line(data, r, known.label));
  }
  lines.push(element("span", {}, `${counted(seen(node.into).length, "edge")} in, ${seen(node.out).length} out`));
  for (const [r] of data.runs.entries()) {
    const sum = (edges) => figure(edges.reduce((total, edge) => total + Math.abs(edge.score[r] ?? 0), 0));
    const scores = `sum of |score|: ${sum(seen(node.into))} in, ${sum(seen(node.out))} out`;
    if (node.seen) lines.push(line(data, r, scores));
    const direct = data.runs[r].nodes?.[node.name]?.direct?.map(([right, wrong]) => right - (wrong ?? 0));
    if (direct?.length) {
      const mean = direct.reduce((total, value) => total + value, 0) / direct.length;
      lines.push(line(data, r, `directly on the logits: ${figure(mean)}`));
    }
  }
  return lines;
}

function aboutEdge(data, edge) {
  const lines = [element("b", {}, edge.name)];
  for (const [r, run] of data.runs.entries()) {
    lines.push(line(data, r, `score ${edge.score[r] === null ? "unknown" : figure(edge.score[r])}, ${edge.kept[r] ? "kept" : "not kept"}`));
    const tried = decisionOn(run, edge);
    if (tried) lines.push(line(data, r, `without it: ${run.metric ?? "metric"} ${figure(tried.before)} \u2192 ${figure(tried.after)}`));
  }
  return lines;
}

function line(data, r, text) {
  return element("span", {}, data.runs.length > 1 ? `${"AB"[r]}: ${text}` : text);
}
