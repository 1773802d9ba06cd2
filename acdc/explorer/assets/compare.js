// The tab of runs: the facts of one, or two held against each other.
import { element } from "./data.js";
import { evidencePart } from "./evidence.js";
import { counted, figure } from "./numbers.js";
import { change } from "./state.js";
import { button, legible, part, plainTable } from "./tokens.js";

const sidesOfTwo = [["a", "only A"], ["both", "in both"], ["b", "only B"]];
const mostOfASide = 15; // edges before the others are folded away

export function runsTab(data, run, state) {
  const facts = part("Facts", factsTable(data.runs));
  if (data.runs.length < 2) {
    return [facts, element("p", { class: "quiet" }, "Two runs of one graph are held against each other by acdc view RUN RUN2.")];
  }
  const groups = groupsOfTwo(data);
  return [
    element("dl", { class: "named" }, ...data.runs.flatMap((one, i) => [
      element("dt", {}, element("span", { class: `side ${"ab"[i]}` }, "AB"[i])), element("dd", {}, legible(one.label)),
    ])),
    sideCounts(groups, state),
    facts,
    ...sidesOfTwo.map(([side, words]) => sideEdges(data, words, groups[side])),
    ...(data.comparison ?? []).map(evidencePart),
  ];
}

function groupsOfTwo(data) {
  const kept = (a, b) => data.graph.edge.filter((edge) => edge.kept[0] === a && edge.kept[1] === b);
  return { a: kept(true, false), both: kept(true, true), b: kept(false, true) };
}

/** How many of each, each a button that hides them in the graph or shows them again; and the two as a bar. */
function sideCounts(groups, state) {
  const hidden = new Set(state.sides.split(",").filter(Boolean));
  const all = sidesOfTwo.reduce((sum, [side]) => sum + groups[side].length, 0);
  const toggle = (side) => {
    const next = new Set(hidden);
    if (!next.delete(side)) next.add(side);
    change({ sides: [...next].join(",") });
  };
  const buttons = sidesOfTwo.map(([side, words]) => {
    const made = button(`side-${side}`, "", !hidden.has(side), () => toggle(side));
    made.className = `count side-${side}`;
    made.title = hidden.has(side) ? "show them in the graph" : "hide them in the graph";
    made.append(element("b", {}, groups[side].length.toLocaleString("en")), ` ${words}`);
    return made;
  });
  const parts = sidesOfTwo.map(([side]) => element("i", { class: `side-${side}`, style: `flex-grow: ${groups[side].length}` }));
  const jaccard = all ? `Jaccard ${figure(groups.both.length / all)}: the share of the edges of either that both keep.` : "Neither keeps an edge.";
  return element(
    "div",
    { class: "sides" },
    element("div", { class: "row", role: "group", "aria-label": "Edges shown in the graph" }, ...buttons),
    element("div", { class: "shares", "aria-hidden": "true" }, ...parts),
    element("p", { class: "quiet" }, jaccard),
  );
}

/** Facts by name, a column a run; what isn't alike stands out. */
function factsTable(runs) {
  const told = runs.map((run) => new Map(run.facts ?? [["edges", run.n_edges]]));
  const names = [...new Set(told.flatMap((facts) => [...facts.keys()]))];
  const words = (value) => (typeof value === "number" ? figure(value) : legible(String(value ?? "–")));
  const rows = names.map((name) => {
    const values = told.map((facts) => words(facts.get(name)));
    const alike = values.every((value) => value === values[0]);
    return [legible(String(name)), ...values.map((value) => (alike ? value : element("b", {}, value)))];
  });
  return plainTable(["", ...(runs.length > 1 ? ["A", "B"] : [legible(runs[0].label)])], rows);
}

function sideEdges(data, words, edges) {
  if (!edges.length) return null;
  const size = (edge) => Math.max(...edge.score.map((score) => Math.abs(score ?? 0)));
  const rows = [...edges]
    .sort((one, other) => size(other) - size(one))
    .map((edge) => [button(`pin-${edge.i}`, edge.name, null, () => change({ pin: edge.name })), ...edge.score.map((score) => figure(score))]);
  const columns = ["edge", "score A", "score B"];
  return part(
    `${counted(edges.length, "edge")} ${words}`,
    plainTable(columns, rows.slice(0, mostOfASide)),
    rows.length > mostOfASide
      ? element("details", {}, element("summary", {}, `${rows.length - mostOfASide} more`), plainTable(columns, rows.slice(mostOfASide)))
      : null,
  );
}
