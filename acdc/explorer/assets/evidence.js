// The tab of evidence: tables that were made in Python, as they are.
import { element } from "./data.js";
import { legible, missing, part, plainTable } from "./tokens.js";

/** A table of the data: title, columns, rows and note; without columns its rows are sentences. */
export function evidencePart({ title, columns, rows, note }) {
  const words = (cell) => (cell === null || cell === undefined ? "" : legible(String(cell) || " "));
  const body = columns.length
    ? plainTable(columns.map(words), rows.map((row) => row.map(words)))
    : element("div", {}, ...rows.map(([sentence]) => element("p", {}, words(sentence))));
  return part(legible(title), body, note ? element("p", { class: "quiet" }, legible(note)) : null);
}

export function evidenceTab(data, run) {
  const tables = (run.evidence ?? []).map(evidencePart);
  const unshown = run.missing?.length ? [part("What isn't shown", ...missing(...run.missing.map(legible)))] : [];
  const left = data.graph.left_out
    ? [part("Edges that aren't drawn", element("p", {}, `${data.graph.left_out.toLocaleString("en")} of the graph's `
      + `${data.graph.n_edges.toLocaleString("en")} edges, those of the smallest scores.`))]
    : [];
  return tables.length || unshown.length ? [...tables, ...unshown, ...left] : [...missing("Nothing is known of how it was found."), ...left];
}
