// What the page shows, as objects: nodes, edges and who is joined to whom.

/** Make an element: tag, attributes, and children that are elements or text (text is never markup). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The same of SVG. */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The page's data, with nodes and edges as objects that know each other. */
export function readData(text) {
  const data = JSON.parse(text);
  const graph = data.graph;
  graph.node = new Map();
  for (const node of graph.nodes) {
    node.into = [];
    node.out = [];
    graph.node.set(node.name, node);
  }
  graph.edge = graph.edges.source.map((source, i) => {
    const letter = graph.edges.letter[i];
    const [from, to] = [graph.nodes[source], graph.nodes[graph.edges.reader[i]]];
    const slot = letter === "-" ? to.name : `${to.name}<${letter}>`;
    const edge = {
      i, from, to, letter, slot,
      name: `${from.name}->${slot}`,
      path: graph.edges.path[i],
      score: data.runs.map((_, run) => graph.edges.score[run][i]), // null: unknown
      kept: data.runs.map((_, run) => graph.edges.kept[run][i] === "1"),
    };
    from.out.push(edge);
    to.into.push(edge);
    return edge;
  });
  return data;
}
