// Sums, random numbers and distributions, for explorers that compute with chance.

// Of numbers, typed or not.
export const sum = (values) => values.reduce((a, b) => a + b, 0);

// A small generator that any language can repeat: seed -> function that returns numbers in [0, 1).
export function generator(seed) {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// One number from the standard normal distribution, from two uniform ones.
export const gaussian = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

// A copy in random order.
export function shuffled(items, random) {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

export function logSoftmax(values) {
  const top = Math.max(...values);
  const log = top + Math.log(sum(values.map((v) => Math.exp(v - top))));
  return Array.from(values, (v) => v - log);
}

export const softmax = (values) => logSoftmax(values).map(Math.exp);

export const LOG_ROOT = 0.5 * Math.log(2 * Math.PI);

// Log-density of the standard normal distribution.
export const logNormal = (z) => -0.5 * z * z - LOG_ROOT;

// Distribution function of the standard normal: a series near zero, a continued fraction in the tails.
export function normalCdf(x) {
  const a = Math.abs(x);
  if (a > 38) return x > 0 ? 1 : 0;
  const phi = Math.exp(logNormal(a));
  let tail;
  if (a < 4) {
    let [term, total] = [a, a];
    for (let n = 3; term > 1e-17 * total; n += 2) total += term *= (a * a) / n;
    tail = 0.5 - phi * total;
  } else {
    let fraction = a;
    for (let n = 60; n > 0; n--) fraction = a + n / fraction;
    tail = phi / fraction;
  }
  return x > 0 ? 1 - tail : tail;
}
