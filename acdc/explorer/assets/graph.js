// The graph as SVG: stripes for layers, lines for edges, boxes for nodes. Made once; then only classes change.
import { drawn } from "./data.js";
import { counted, nodeWords } from "./numbers.js";

const WIDEST = 4; // the strongest edge's line; widths go by the root of the score, or all but a few look alike
const THINNEST = 0.8;
const CROWDED = 150; // from so many edges on, weak lines are paler
const BEYOND = 20000; // stripes reach over both sides
const PORTS = { q: -16, k: 0, v: 16 }; // where the lines into a head end, from its middle

/** Draw all of it; gives the SVG element. Every node and edge gets its element as `drawing`. */
export function makeGraph(data, place) {
  const { graph } = data;
  const world = drawn("g", { id: "world" }, stripesOf(graph));
  const lines = drawn("g", { class: "edges" });
  const anyScore = graph.edge.some((edge) => edge.weight > 0);
  for (const edge of [...graph.edge].sort((one, other) => one.weight - other.weight)) { // strong ones on top
    edge.width = anyScore ? Math.max(THINNEST, WIDEST * Math.sqrt(edge.weight)) : WIDEST / 3;
    const end = edge.letter === "-" ? "v-5" : ""; // up to the box; a head's port has an arrow of that height
    const shade = 0.3 + 0.7 * Math.min(1, edge.width / WIDEST);
    edge.drawing = drawn("path", {
      class: `edge ${edge.letter === "-" ? "plain" : edge.letter} hidden`,
      d: edge.path + end,
      style: `--width:${edge.width.toFixed(2)};--shade:${shade.toFixed(2)}`,
      "data-edge": edge.i,
    });
    lines.append(edge.drawing);
  }
  const boxes = drawn("g", { class: "nodes" });
  for (const node of graph.nodes) boxes.append(boxOf(node, graph.box, labelOf(data, node)));
  world.append(lines, boxes);
  const svg = drawn("svg", { id: "picture", role: "group", tabindex: -1 }, world, drawn("g", { id: "axis", "aria-hidden": "true" }));
  svg.setAttribute("aria-label", "Circuit: arrow keys go from node to node, Enter pins");
  if (data.runs.length > 1) svg.classList.add("two");
  place.append(svg);
  return svg;
}

/** Show the edges that have a bit, and the nodes that they touch. */
export function showEdges(data, svg, bits) {
  let n = 0;
  for (const node of data.graph.nodes) node.ports = new Set();
  for (const node of data.graph.nodes) node.seen = 0;
  for (const edge of data.graph.edge) {
    const bit = bits[edge.i];
    if (edge.bit !== bit) {
      edge.drawing.classList.toggle("hidden", !bit);
      if (svg.classList.contains("two")) {
        for (const [i, side] of ["a", "b", "both"].entries()) edge.drawing.classList.toggle(side, bit === i + 1);
      }
      edge.bit = bit;
    }
    if (!bit) continue;
    n += 1;
    edge.from.seen += 1;
    edge.to.seen += 1;
    edge.to.ports.add(edge.letter);
  }
  for (const node of data.graph.nodes) {
    node.drawing.classList.toggle("ghost", !node.seen);
    for (const [letter, port] of node.portDrawings) port.classList.toggle("unused", !node.ports.has(letter));
    const into = node.into.filter((edge) => edge.bit).length;
    const ends = `${counted(into, "edge")} in, ${node.seen - into} out`;
    const label = labelOf(data, node);
    const what = label ? `${nodeWords(node)}, ${label}` : nodeWords(node);
    node.drawing.setAttribute("aria-label", `${node.name}, ${what}: ${node.seen ? ends : "no edge seen"}`);
  }
  svg.classList.toggle("crowded", n > CROWDED);
  return n;
}

function stripesOf(graph) {
  const stripes = graph.rows.map((row, i) => {
    const shape = { x: -BEYOND, y: row.top, width: graph.size[0] + 2 * BEYOND, height: row.bottom - row.top };
    return drawn("rect", { class: `stripe ${i % 2 ? "odd" : "even"}`, ...shape });
  });
  return drawn("g", { class: "stripes" }, ...stripes);
}

/** What a node does, where a run says so. */
export function labelOf(data, node) {
  return data.runs.map((run) => run.nodes?.[node.name]?.label).find(Boolean) ?? null;
}

function boxOf(node, [width, height], label) {
  const isHead = node.kind === "head";
  const kind = { embed: "input", pos_embed: "input" }[node.kind] ?? node.kind;
  const box = drawn("rect", { class: "box", x: -width / 2, y: -height / 2, width, height, rx: 6 });
  const words = node.name.replace("pos_embed", "position");
  const size = words.length < 6 ? 15.5 : 13.5 - Math.max(0, words.length - 6); // as large as the box holds
  const name = drawn("text", { class: "name", y: isHead ? -2 : 5, style: `--size:${size}px` }, words);
  node.portDrawings = [];
  if (isHead) {
    for (const [letter, x] of Object.entries(PORTS)) {
      const arrow = drawn("path", { class: "arrow", d: `M${x - 3.5} ${height / 2 + 5}h7l-3.5 -5z` });
      const port = drawn("g", { class: `port ${letter}` }, arrow, drawn("text", { x, y: height / 2 - 4 }, letter));
      node.portDrawings.push([letter, port]);
    }
  }
  node.drawing = drawn(
    "g",
    { class: `node ${kind}`, transform: `translate(${node.x} ${node.y})`, tabindex: -1, role: "button", "data-node": node.name },
    box,
    name,
    ...node.portDrawings.map(([, port]) => port),
  );
  if (label) node.drawing.append(drawn("text", { class: "label", y: -height / 2 - 4 }, label));
  return node.drawing;
}
