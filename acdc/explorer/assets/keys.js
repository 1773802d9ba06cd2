// The keyboard: from node to node with the arrows, and a key for what is done often; "?" says which.
import { element } from "./data.js";
import { follow, hush } from "./light.js";
import { change, now } from "./state.js";
import { bring, fit, zoomBy } from "./zoom.js";

const KEYS = [
  ["Tab", "to the graph, and out of it"],
  ["\u2191 \u2193", "along the strongest edge, up or down"],
  ["\u2190 \u2192", "to the next node of the row"],
  ["Enter", "pin the node, or let it go"],
  ["p", "its paths: from the input, to the logits, both"],
  ["Escape", "let go of what is pinned"],
  ["/", "search; Enter goes to what was found"],
  ["+ \u2212 f", "zoom in, out, fit"],
  ["[ ]", "fewer edges, more"],
  ["Space", "play or stop the film"],
  ["t", "light or dark"],
  ["?", "this list"],
];

/** Let keys do what they do; gives a function that keeps one node reachable by Tab. */
export function startKeys(data, svg, actions) {
  const help = makeHelp();
  document.body.append(help);
  svg.addEventListener("keydown", (event) => {
    const node = data.graph.node.get(event.target.dataset?.node);
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbour(data, node, event.key);
    if (next) goTo(data, next);
    else if (event.key === "Enter" || event.key === " ") change({ pin: now().pin === node.name ? "" : node.name, follow: "" });
    else if (event.key === "p") follow(node);
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (typing && event.key !== "Escape") return;
    const onButton = event.target.closest?.("button, a, summary, [type=checkbox]");
    const what = {
      "/": () => document.getElementById("search").focus(),
      "+": () => zoomBy(1.25),
      "=": () => zoomBy(1.25),
      "-": () => zoomBy(0.8),
      f: fit,
      t: actions.theme,
      "?": () => help.showModal(),
      "[": () => actions.resize(-1),
      "]": () => actions.resize(1),
      " ": onButton ? null : () => document.getElementById("play")?.click(),
      Escape: () => {
        hush(data, svg);
        change({ pin: "", follow: "" });
      },
    }[event.key];
    if (!what) return;
    event.preventDefault();
    what();
  });
  return () => {
    const reachable = svg.querySelector('[tabindex="0"]');
    if (reachable && !reachable.classList.contains("ghost")) return;
    reachable?.setAttribute("tabindex", -1);
    data.graph.nodes.find((node) => node.seen)?.drawing.setAttribute("tabindex", 0);
  };
}

/** Show the list of keys. */
export function showHelp() {
  document.getElementById("help").showModal();
}

/** Give a node the focus, and bring it to where it can be seen. */
export function goTo(data, node, closely = false) {
  for (const one of data.graph.nodes) one.drawing.setAttribute("tabindex", one === node ? 0 : -1);
  bring(node, closely);
  node.drawing.focus({ preventScroll: true });
}

function neighbour(data, node, key) {
  const strongest = (edges) => edges.filter((edge) => edge.bit).sort((one, other) => other.weight - one.weight)[0];
  if (key === "ArrowUp") return strongest(node.out)?.to;
  if (key === "ArrowDown") return strongest(node.into)?.from;
  const layer = (one) => (one.layer === null ? one.kind === "logits" : one.layer);
  const row = data.graph.nodes.filter((one) => one.seen && layer(one) === layer(node)).sort((one, other) => one.x - other.x);
  const at = row.indexOf(node);
  if (key === "ArrowLeft") return row[at - 1];
  if (key === "ArrowRight") return row[at + 1];
  return null;
}

function makeHelp() {
  const rows = KEYS.map(([key, what]) => element("tr", {}, element("th", { scope: "row" }, ...key.split(" ").map((one) => element("kbd", {}, one))), element("td", {}, what)));
  const close = element("button", { type: "button" }, "Close");
  const mouse = element("p", { class: "quiet" }, "With a mouse: hover to light, click to pin, double click for paths, drag to move, turn the wheel to zoom.");
  const help = element("dialog", { id: "help", "aria-label": "Keys" }, element("h2", {}, "Keys"), element("table", {}, ...rows), mouse, close);
  close.addEventListener("click", () => help.close());
  return help;
}
