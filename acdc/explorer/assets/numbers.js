// Numbers and names as text.

/** A number in three digits, or so many, one less before an exponent; with a true minus; "–" where there is none. */
export function figure(value, signed = false, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const small = size !== 0 && (size < 0.001 || size >= 1e6);
  const text = String(small ? size.toExponential(Math.max(digits - 2, 0)).replace(/\.0e/, "e") : Number(size.toPrecision(digits)));
  return (value < 0 ? "−" : signed && value > 0 ? "+" : "") + text.replace("-", "−");
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
