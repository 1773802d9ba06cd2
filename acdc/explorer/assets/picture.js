// What is seen as a file: SVG with all styles in it, or PNG.
import { drawn } from "./data.js";

const PAINT = { fill: "rgb(0, 0, 0)", stroke: "none", "stroke-width": "1px", opacity: "1", "stroke-opacity": "1", "stroke-dasharray": "none", "stroke-linecap": "butt", "vector-effect": "none", "paint-order": "normal" };
const TEXT = { "font-size": "", "font-weight": "400", "text-anchor": "start", transform: "none", "stroke-linejoin": "miter" }; // each with what it is if nobody says
const SHARP = 2; // pixels of a PNG for one of the screen

/** The graph as it is seen, as SVG text that needs no style sheet. */
function svgText(svg) {
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  const copy = svg.cloneNode(true);
  const [from, to] = [[...svg.querySelectorAll("*")], [...copy.querySelectorAll("*")]];
  const dropped = [];
  copy.setAttribute("font-family", getComputedStyle(svg.querySelector("text") ?? svg).fontFamily);
  for (const [i, one] of from.entries()) {
    const style = getComputedStyle(one);
    if (style.display === "none") dropped.push(to[i]);
    else {
      for (const [name, usual] of Object.entries(stylesOf(one))) {
        const value = style.getPropertyValue(name);
        if (value !== usual) to[i].setAttribute(name, value);
      }
    }
    for (const { name } of [...to[i].attributes]) {
      if (["class", "style", "tabindex", "role"].includes(name) || /^(data|aria)-/.test(name)) to[i].removeAttribute(name);
    }
  }
  for (const one of dropped) one.remove();
  const paper = getComputedStyle(document.body).backgroundColor;
  copy.prepend(drawn("rect", { width, height, fill: paper }));
  for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` })) {
    copy.setAttribute(name, value);
  }
  for (const name of ["id", "class", "style", "role", "tabindex", "aria-label"]) copy.removeAttribute(name);
  return new XMLSerializer().serializeToString(copy);
}

function stylesOf(one) {
  if (one.tagName === "g") return { opacity: "1" };
  return one.tagName === "text" ? { ...PAINT, ...TEXT } : PAINT;
}

/** Save it as an SVG file. */
export function saveSvg(svg, title) {
  save(new Blob([svgText(svg)], { type: "image/svg+xml" }), `${fileName(title)}.svg`);
}

/** Save it as a PNG file. */
export async function savePng(svg, title) {
  const address = URL.createObjectURL(new Blob([svgText(svg)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [svg.clientWidth * SHARP, svg.clientHeight * SHARP];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(address);
  canvas.toBlob((blob) => save(blob, `${fileName(title)}.png`), "image/png");
}

function fileName(title) {
  return title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|-+$/g, "").slice(0, 60) || "circuit";
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
