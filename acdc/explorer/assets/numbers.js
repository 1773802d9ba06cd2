// Numbers and names as text.

/** A number in three digits or so many, as short as it goes. */
export function short(value, digits = 3) {
  if (value === null || value === undefined) return "unknown";
  const size = Math.abs(value);
  if (size && (size < 0.001 || size >= 100000)) return value.toExponential(digits - 1).replaceAll("-", "\u2212");
  return String(Number(value.toPrecision(digits))).replaceAll("-", "\u2212");
}

/** A whole number with its thousands apart. */
export function whole(value) {
  return Math.round(value).toLocaleString("en");
}

/** "1 edge", "1,024 edges". */
export function counted(number, word) {
  return `${whole(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** What a node is, in words. */
export function nodeWords(node) {
  if (node.kind === "head") return `head ${node.head} of layer ${node.layer}`;
  if (node.kind === "mlp") return `MLP of layer ${node.layer}`;
  return { input: "the input", embed: "token embeddings", pos_embed: "position embeddings", logits: "the logits" }[node.kind];
}
