// Networks that run in the page: their weights, as widgets.py has packed them, and their layers, as in PyTorch.

import { sum } from "./chance.js";

// What widgets.py has packed: a vector of float32, or a matrix of integers with one float32 step a row -> its rows.
function unpack({ shape, bits, values, steps }) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  if (shape.length === 1) return new Float32Array(bytes(values));
  const integers = new (bits === 8 ? Int8Array : Int16Array)(bytes(values));
  const n = shape[shape.length - 1];
  return Array.from(new Float32Array(bytes(steps)), (step, row) =>
    Float32Array.from(integers.subarray(row * n, (row + 1) * n), (integer) => integer * step));
}

// x -> W x + b, as torch.nn.Linear: `rows` are the rows of W; without a bias it is W x.
function linear(rows, bias, x) {
  return Float64Array.from(rows, (row, i) => {
    let total = bias ? bias[i] : 0;
    for (let j = 0; j < row.length; j++) total += row[j] * x[j];
    return total;
  });
}

// x -> normalized x * weight + bias, as torch.nn.LayerNorm.
function layerNorm(weight, bias, x) {
  const mean = sum(x) / x.length;
  const scale = 1 / Math.sqrt(sum(x.map((v) => (v - mean) ** 2)) / x.length + 1e-5);
  return x.map((v, i) => (v - mean) * scale * weight[i] + bias[i]);
}

// Element by element.
export function plus(...vectors) {
  const total = Float64Array.from(vectors[0]);
  for (const vector of vectors.slice(1)) vector.forEach((v, i) => { total[i] += v; });
  return total;
}

// The layers of a module by their names in PyTorch: `tensors` by name, and what linear and norm layers make of x.
export function layersOf(weights) {
  const tensors = Object.fromEntries(Object.entries(weights).map(([name, packed]) => [name, unpack(packed)]));
  return {
    tensors,
    apply: (name, x) => linear(tensors[`${name}.weight`], tensors[`${name}.bias`], x),
    normalize: (name, x) => layerNorm(tensors[`${name}.weight`], tensors[`${name}.bias`], x),
  };
}
