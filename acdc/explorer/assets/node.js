// The page of a node or an edge that is pinned; where none is, what the circuit's nodes are.
import { decisionOn } from "./chosen.js";
import { drawn, element } from "./data.js";
import { counted, figure, nodeWords, whole } from "./numbers.js";
import { looksByKind, looksFromAnswer, looksTable, patternView } from "./pattern.js";
import { change } from "./state.js";
import { bar, button, choice, legible, noModel, part, plainTable, promptText, tokenChip } from "./tokens.js";

const mostEdges = 8; // before the others are folded away
const mostNodes = 40;
const hardly = 0.05; // of its attention: what is less is folded away

export function nodeTab(data, run, state) {
  const node = data.graph.node.get(state.pin);
  if (node) return nodePage(data, run, state, node);
  const edge = state.pin && data.graph.edge.find((one) => one.name === state.pin);
  if (edge) return edgePage(data, edge);
  const unknown = state.pin ? [element("p", { class: "missing" }, `Nothing here is called ${legible(state.pin)}.`)] : [];
  return [...unknown, ...circuitsNodes(data, run)];
}

/** Where nothing is pinned: the nodes, those first whose edges score the most. */
function circuitsNodes(data, run) {
  const i = data.runs.indexOf(run);
  const weight = (edges) => edges.filter((edge) => edge.kept[i]).reduce((sum, edge) => sum + Math.abs(edge.score[i] ?? 0), 0);
  const found = data.graph.nodes
    .map((node) => ({ node, out: weight(node.out), n: [node.into, node.out].map((edges) => keptOf(edges, i).length) }))
    .filter(({ n }) => n[0] + n[1])
    .sort((one, other) => other.out - one.out);
  const seen = run.nodes ?? {};
  const told = Object.values(seen).some((one) => one.direct);
  const labelled = Object.values(seen).some((one) => one.label);
  const rows = found.slice(0, mostNodes).map(({ node, out, n }) => [
    button(`go-${node.name}`, node.name, null, () => change({ pin: node.name })),
    ...(labelled ? [legible(seen[node.name]?.label ?? " ")] : []),
    figure(out),
    ...(told ? [figure(directMean(seen[node.name]?.direct)?.difference, true)] : []),
    ...n.map(String),
  ]);
  const columns = ["node", ...(labelled ? ["label"] : []), "score", ...(told ? ["direct"] : []), "in", "out"];
  const notes = ["score: the sum of |score| over its edges out", "in, out: its edges"];
  if (told) notes.push("direct: its direct logit attribution, the mean over prompts");
  const more = found.length > mostNodes ? [element("p", { class: "quiet" }, `and ${found.length - mostNodes} more`)] : [];
  return [
    element("p", {}, "Click a node or an edge of the graph, or one of these."),
    plainTable(columns, rows),
    ...more,
    element("p", { class: "quiet" }, `${notes.join("; ")}.`),
  ];
}

function keptOf(edges, i) {
  return edges.filter((edge) => edge.kept[i]);
}

function nodePage(data, run, state, node) {
  const seen = run.nodes?.[node.name];
  const label = seen?.label ? element("span", { class: "badge label" }, legible(seen.label)) : "";
  const counts = data.runs.map((one, i) => {
    const whose = data.runs.length > 1 ? `${"AB"[i]}: ` : "";
    return `${whose}${counted(keptOf(node.into, i).length, "edge")} in, ${keptOf(node.out, i).length} out`;
  });
  const looks = seen?.patterns && run.prompts ? looksByKind(run.prompts, seen.patterns) : [];
  return [
    element("h2", {}, node.name, " ", label),
    element("p", { class: "quiet" }, `${nodeWords(node)}; in the circuit ${counts.join("; ")}`),
    ...inShort(data, run, node, looks),
    ...whatItDoes(run, state, seen, node, looks),
    edgeList(data, "Edges in", node.into, (edge) => edge.from),
    edgeList(data, "Edges out", node.out, (edge) => edge.to),
  ];
}

/** What it does and why it is in the circuit, a sentence each. */
function inShort(data, run, node, looks) {
  const i = data.runs.indexOf(run);
  const best = (edges) => keptOf(edges, i).filter((edge) => edge.score[i] !== null)
    .sort((one, other) => Math.abs(other.score[i]) - Math.abs(one.score[i]))[0];
  const [into, out] = [best(node.into), best(node.out)];
  const said = [];
  if (into) said.push(`reads most from ${into.from.name}${into.letter === "-" ? "" : ` (${into.letter})`}, score ${figure(into.score[i])}`);
  if (out) said.push(`is read most by ${out.slot}, score ${figure(out.score[i])}`);
  return [
    looks.length ? `Where an answer is asked for it looks most at: ${looks[0][0]} (${figure(looks[0][1])}).` : null,
    said.length ? `It ${said.join("; it ")}.` : null,
    out ? whyKept(run, out, i, data) : null,
  ].filter(Boolean).map((text) => element("p", {}, text));
}

/** Why its strongest edge out was kept: by what the search found when it tried to go without, or by its rank. */
function whyKept(run, edge, i, data) {
  const tried = decisionOn(run, edge);
  if (!tried?.kept) {
    const { by, place, of } = rankOf(data, i, edge);
    return `Its edge to ${edge.slot} has rank ${whole(place)} by ${by}, of the ${whole(of)} drawn.`;
  }
  const rise = tried.after - tried.before;
  const limit = run.threshold === null ? "" : `; the threshold is ${figure(run.threshold)}`;
  return `It is kept because without its edge to ${edge.slot} ${legible(run.metric ?? "the metric")} changes by ${figure(rise, true)}${limit}.`;
}

/** What running the model says of it. */
function whatItDoes(run, state, seen, node, looks) {
  if (node.kind === "logits") return [];
  if (!seen) {
    if (!run.prompts?.length) return noModel(run, "attention patterns, detectors and attributions");
    return [element("p", { class: "missing" }, "It was not looked at: no edge of it is in the circuit.")];
  }
  const detectors = Object.entries(seen.detectors ?? {});
  return [
    detectors.length ? part("Detectors", detectorBars(detectors)) : null,
    seen.direct ? part("Direct logit attribution", ...directPart(run, state, seen.direct)) : null,
    ...headParts(run, state, seen, looks),
  ];
}

function detectorBars(detectors) {
  const rows = detectors
    .sort(([, one], [, other]) => (other ?? -1) - (one ?? -1))
    .map(([name, score]) =>
      element("li", {}, element("span", { class: "name" }, legible(name).replaceAll("_", " ")), bar(score),
        element("span", { class: "number" }, figure(score))));
  return element("ul", { class: "bars" }, ...rows);
}

/** Means over prompts; the wrong answers' is null where there are none. */
function directMean(direct) {
  if (!direct?.length) return null;
  const mean = (i) => {
    const known = direct.map((both) => both[i]).filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const [right, wrong] = [mean(0), mean(1)];
  return { right, wrong, difference: right === null ? null : right - (wrong ?? 0) };
}

/** The means in words, and a bar a prompt. */
function directPart(run, state, direct) {
  const { right, wrong, difference } = directMean(direct);
  const said = wrong === null
    ? `It adds ${figure(right, true)} to the right answer's logit above the mean of all outputs; the mean over ${counted(direct.length, "prompt")}.`
    : `It adds ${figure(difference, true)} to the difference of right and wrong answer: ${figure(right, true)} to the right one's `
      + `logit, ${figure(wrong, true)} to the wrong one's; means over ${counted(direct.length, "prompt")}.`;
  return [element("p", {}, said), element("div", { class: "scrolled" }, directBars(run, state, direct))];
}

function directBars(run, state, direct) {
  const values = direct.map(([right, wrong]) => (right === null ? 0 : right - (wrong ?? 0)));
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const step = Math.max(4, Math.min(18, Math.floor(360 / values.length)));
  const tall = 70;
  const y = (value) => 2 + ((tall - 4) * (most - value)) / (most - least || 1);
  const svg = drawn("svg", {
    class: "direct", width: step * values.length, height: tall, role: "img",
    "aria-label": `A bar a prompt, from ${figure(Math.min(...values))} to ${figure(Math.max(...values))}`,
  });
  values.forEach((value, i) => {
    const height = Math.max(Math.abs(y(value) - y(0)), 0.5);
    const made = drawn("rect", {
      x: i * step + 1, y: Math.min(y(value), y(0)), width: step - 2, height, class: value < 0 ? "less" : "more",
    });
    const hit = drawn("rect", { x: i * step, y: 0, width: step, height: tall, class: String(i) === state.prompt ? "hit now" : "hit" },
      drawn("title", {}, `${figure(value, true)} on ${run.prompts?.[i] ? promptText(run.prompts[i]) : `prompt ${i}`}`));
    hit.addEventListener("click", () => change({ prompt: String(i) }));
    svg.append(hit, made);
  });
  svg.append(drawn("line", { class: "axis", x1: 0, x2: step * values.length, y1: y(0), y2: y(0) }));
  return svg;
}

/** Attention and writing of a head, on the chosen prompt or, where that wasn't kept, on the first that was. */
function headParts(run, state, seen, looks) {
  const known = [...new Set([...Object.keys(seen.patterns ?? {}), ...Object.keys(seen.writes ?? {})])]
    .map(Number).filter((i) => run.prompts?.[i]).sort((one, other) => one - other);
  if (!known.length) return [];
  const i = known.find((at) => String(at) === state.prompt) ?? known[0];
  const prompt = run.prompts[i];
  const options = known.map((at) => [String(at), `${at}: ${shortPrompt(run.prompts[at])}`]);
  const pattern = seen.patterns?.[i];
  const writes = seen.writes?.[i];
  const n = Object.keys(seen.patterns ?? {}).length;
  return [
    looks.length ? part("Where it looks when an answer is asked for", looksTable(looks), element("p", { class: "quiet" }, `means over ${counted(n, "prompt")}`)) : null,
    part(
      "Attention",
      choice("prompt-of-node", "on", options, String(i), (chosen) => change({ prompt: chosen })),
      pattern ? patternView(prompt, pattern, state) : element("p", { class: "missing" }, "Its pattern on this prompt isn't in the page."),
    ),
    writes ? part("What its OV circuit writes, by source token", writesTables(prompt, writes, pattern && looksFromAnswer(prompt, pattern))) : null,
  ];
}

function shortPrompt(prompt) {
  const text = promptText(prompt);
  return text.length > 42 ? `${text.slice(0, 41)}…` : text;
}

/** What is written for each token, those first that are looked at; the rest folded away. */
function writesTables(prompt, writes, looks) {
  const answer = prompt.answers.at(-1);
  const kind = (token) => (answer?.right.includes(token) ? "right" : answer?.wrong.includes(token) ? "wrong" : "");
  const byTurns = (flat) => flat.flatMap((token, i) => (i % 2 ? [] : [[token, flat[i + 1]]]));
  const end = (flat) => (flat.length ? element("span", { class: "written" }, ...byTurns(flat).map(([token, value]) =>
    element("span", {}, tokenChip(token, kind(token)), element("small", {}, figure(value, true))))) : "–");
  const row = ([ends, at]) => [
    tokenChip(prompt.tokens[at]?.clean ?? ""),
    ...(looks ? [figure(looks[at] ?? 0)] : []),
    ...ends.map(end),
  ];
  const columns = ["from", ...(looks ? ["looked at"] : []), "raises the logits of", "lowers the logits of"];
  const all = writes.map((ends, at) => [ends, at]);
  const [seen, others] = [true, false].map((much) => all.filter(([, at]) => (looks?.[at] ?? 1) >= hardly === much));
  if (looks) seen.sort(([, one], [, other]) => looks[other] - looks[one]);
  return element("div", { class: "writes" },
    seen.length ? plainTable(columns, seen.map(row)) : null,
    others.length
      ? element("details", {}, element("summary", {}, `${counted(others.length, "token")} that it hardly looks at there`),
          plainTable(columns, others.map(row)))
      : null,
  );
}

/** Edges by score, those of the circuit first; the rest folded away. */
function edgeList(data, heading, edges, end) {
  if (!edges.length) return null;
  const several = data.runs.length > 1;
  const size = (edge) => Math.max(...edge.score.map((score) => Math.abs(score ?? 0)));
  const any = (edge) => edge.kept.includes(true);
  const sorted = [...edges].sort((one, other) => any(other) - any(one) || size(other) - size(one));
  const most = size(sorted.reduce((best, edge) => (size(edge) > size(best) ? edge : best))) || 1;
  const rows = sorted.map((edge) => [
    button(`go-${heading}-${edge.i}`, end(edge).name, null, () => change({ pin: end(edge).name })),
    element("span", { class: `letter ${edge.letter === "-" ? "" : edge.letter}` }, edge.letter === "-" ? "" : edge.letter),
    ...data.runs.flatMap((_, i) => [figure(edge.score[i]), edge.kept[i] ? "●" : "○"]),
    bar(size(edge) / most),
    button(`edge-${edge.i}-${heading}`, "edge", null, () => change({ pin: edge.name })),
  ]);
  const columns = ["node", "", ...data.runs.flatMap((_, i) => [several ? `score ${"AB"[i]}` : "score", "in"]), "", ""];
  const kept = sorted.filter(any).length;
  const first = Math.max(Math.min(kept, 2 * mostEdges), Math.min(sorted.length, kept ? 0 : mostEdges));
  return part(
    `${heading} (${kept} in the circuit)`,
    first ? plainTable(columns, rows.slice(0, first)) : null,
    rows.length > first
      ? element("details", {}, element("summary", {}, counted(rows.length - first, "more edge")), plainTable(columns, rows.slice(first)))
      : null,
  );
}

function edgePage(data, edge) {
  const go = (node) => button(`go-${node.name}`, node.name, null, () => change({ pin: node.name }));
  const reads = edge.letter === "-" ? "" : ` as ${{ q: "query", k: "key", v: "value" }[edge.letter]}`;
  const rows = data.runs.flatMap((run, i) => edgeRows(data, run, i, edge));
  return [
    element("h2", {}, edge.name),
    element("p", { class: "quiet" }, `${nodeWords(edge.to)} reads ${nodeWords(edge.from)}${reads}`),
    element("p", { class: "row" }, go(edge.from), "→", go(edge.to)),
    plainTable(["", ...data.runs.map((run, i) => (data.runs.length > 1 ? "AB"[i] : ""))], joinRows(rows, data.runs.length)),
    ...filmSteps(data, edge),
  ];
}

/** What a run knows of an edge: `[name, value]`. */
function edgeRows(data, run, i, edge) {
  const { by, place, of } = rankOf(data, i, edge);
  return [
    [i, "in the circuit", edge.kept[i] ? "yes" : "no"],
    [i, "score", edge.score[i] === null ? "unknown" : figure(edge.score[i])],
    [i, `rank by ${by}`, edge.score[i] === null ? "–" : `${place} of ${of} drawn`],
  ];
}

/** The place of an edge among those of a run that are drawn. */
function rankOf(data, i, edge) {
  const known = data.graph.edge.filter((other) => other.score[i] !== null);
  const signed = data.graph.by[i] === "value";
  const key = (one) => (signed ? one.score[i] : Math.abs(one.score[i]));
  const larger = known.filter((other) => key(other) > key(edge)).length;
  return { by: signed ? "score" : "|score|", place: larger + 1, of: known.length };
}

function joinRows(rows, n) {
  const joined = new Map();
  for (const [i, name, value] of rows) {
    if (!joined.has(name)) joined.set(name, [name, ...Array(n).fill("")]);
    joined.get(name)[i + 1] = value;
  }
  return [...joined.values()];
}

/** When a run of decisions tried it, and what came of it. */
function filmSteps(data, edge) {
  const several = data.runs.length > 1;
  return data.runs.flatMap((run, i) => {
    const { film } = run;
    const steps = film ? film.edge.flatMap((tried, step) => (tried === edge.i ? [step] : [])) : [];
    const decisions = (frames) => frames.reduce((sum, count) => sum + count, 0);
    return steps.map((step) => {
      const [before, after] = [film.before[step], film.after[step]];
      const kept = film.kept[step] === "1";
      const said = `Decision ${decisions(film.count.slice(0, step + 1))} of ${decisions(film.count)}: without it ${legible(run.metric ?? "the metric")} goes from `
        + `${figure(before)} to ${figure(after)} (${figure(after - before, true)}), so that it is ${kept ? "kept" : "left out"}.`;
      return part(several ? `Decision of ${"AB"[i]}` : "Decision", element("p", {}, said),
        data.runs.findIndex((one) => one.film) === i // the one that is shown as a film
          ? button(`film-${step}`, "see it in the film", null, () => change({ film: String(step + 1), shown: "" }))
          : null);
    });
  });
}
