// Which edges are seen: those of the circuit, of a film's moment or of the largest scores, less what the filters hide.

/** Kinds of nodes, by the word with which a filter hides them. */
export const KINDS = { input: ["input", "embed", "pos_embed"], heads: ["head"], mlps: ["mlp"] };

/** Rank every run's edges, and say how strong each is beside the strongest, 0 to 1. */
export function rankEdges(data) {
  const { edge, by } = data.graph;
  for (const [r, run] of data.runs.entries()) {
    const key = (one) => (by?.[r] === "value" ? one.score[r] : Math.abs(one.score[r]));
    const known = edge.filter((one) => one.score[r] !== null);
    run.order = known.sort((one, other) => key(other) - key(one) || one.i - other.i); // ties by number
    run.largest = Math.max(0, ...known.map((one) => Math.abs(one.score[r])));
  }
  const shares = (one) => data.runs.map((run, r) => (run.largest ? Math.abs(one.score[r]) / run.largest : 0));
  for (const one of edge) one.weight = Math.max(...shares(one));
}

/** What is seen: for every edge a bit for each run that has it, 0 where it isn't seen. */
export function chosenEdges(data, state) {
  const bits = new Uint8Array(data.graph.edge.length);
  data.runs.forEach((run, r) => {
    for (const edge of edgesOf(data, state, r)) bits[edge.i] |= 1 << r;
  });
  const hidden = hiddenBy(state);
  for (const edge of data.graph.edge) if (bits[edge.i] && hidden(edge, bits[edge.i])) bits[edge.i] = 0;
  if (data.graph.node.has(state.through)) {
    const on = pathsThrough(data, data.graph.node.get(state.through), bits, "both");
    for (const edge of data.graph.edge) if (!on.has(edge)) bits[edge.i] = 0;
  }
  const most = Number.parseInt(state.top, 10);
  if (most >= 1) {
    const left = data.graph.edge.filter((edge) => bits[edge.i]);
    left.sort((one, other) => other.weight - one.weight || one.i - other.i);
    for (const edge of left.slice(most)) bits[edge.i] = 0;
  }
  return bits;
}

/** The edges of a run before any filter. */
export function edgesOf(data, state, r) {
  const run = data.runs[r];
  const [frame, size] = [frameOf(data, state), sizeOf(data, state)];
  if (frame !== null && run.film) {
    const { gone } = run.film;
    return data.graph.edge.filter((edge) => gone[edge.i] === null || gone[edge.i] > frame);
  }
  if (size === null) return data.graph.edge.filter((edge) => edge.kept[r]);
  return onPath(data, run.order.slice(0, size));
}

/** How many edges are asked for; `null`: the circuit as it was found. */
export function sizeOf(data, state) {
  const size = /^\d+$/.test(state.shown) ? Number(state.shown) : 0;
  return size < 1 ? null : Math.min(size, mostOf(data));
}

/** Frames of the film that are over; `null`: no film is shown. */
export function frameOf(data, state) {
  const film = data.runs.find((run) => run.film)?.film;
  return film && /^\d+$/.test(state.film) ? Math.min(Number(state.film), film.edge.length) : null;
}

/** What the search found when it last tried to go without an edge; `null` where it didn't. */
export function decisionOn(run, edge) {
  const frame = run.film ? run.film.edge.lastIndexOf(edge.i) : -1;
  if (frame < 0) return null;
  return { before: run.film.before[frame], after: run.film.after[frame], kept: run.film.kept[frame] === "1" };
}

/** How many edges can be asked for, so that all of them are drawn. */
export function mostOf(data) {
  return Math.max(1, Math.min(...data.graph.ranked));
}

/** Those of some edges that lie on a path from the input to the logits within them. */
function onPath(data, edges) {
  const among = new Set(edges);
  const fromInput = new Set(data.graph.nodes.filter((node) => KINDS.input.includes(node.kind)));
  const toLogits = new Set(data.graph.nodes.filter((node) => node.kind === "logits"));
  for (const node of data.graph.nodes) { // these come in topological order
    if (fromInput.has(node)) for (const edge of node.out) if (among.has(edge)) fromInput.add(edge.to);
  }
  for (const node of [...data.graph.nodes].reverse()) {
    if (toLogits.has(node)) for (const edge of node.into) if (among.has(edge)) toLogits.add(edge.from);
  }
  return edges.filter((edge) => fromInput.has(edge.from) && toLogits.has(edge.to));
}

/** The seen edges on paths through a node: those from the "input" to it, from it to the "logits", or "both". */
export function pathsThrough(data, node, bits, which) {
  const found = new Set();
  const follow = (name, end) => {
    const queue = [node];
    for (const at of queue) { // grows while it is gone through
      for (const edge of at[name]) {
        if (!bits[edge.i] || found.has(edge)) continue;
        found.add(edge);
        queue.push(edge[end]);
      }
    }
  };
  if (which !== "logits") follow("into", "from");
  if (which !== "input") follow("out", "to");
  return found;
}

function hiddenBy(state) {
  const words = (text) => text.split(",").filter(Boolean);
  const kinds = new Set(words(state.kinds).flatMap((word) => KINDS[word] ?? []));
  const letters = new Set(words(state.letters));
  const sides = new Set(words(state.sides).map((word) => ({ a: 1, b: 2, both: 3 })[word]));
  const [first, last] = layersOf(state);
  const away = (node) => kinds.has(node.kind) || (node.layer !== null && (node.layer < first || node.layer > last));
  return (edge, bits) => letters.has(edge.letter) || away(edge.from) || away(edge.to) || sides.has(bits);
}

/** The first and the last layer that may be seen. */
export function layersOf(state) {
  const [, first, last] = /^(\d*)-(\d*)$/.exec(state.layers) ?? ["", "", ""];
  return [first === "" ? 0 : Number(first), last === "" ? Infinity : Number(last)];
}
