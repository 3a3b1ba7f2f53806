// Reads a molecule written as SMILES, as hybridlib.molecules.from_smiles(order="given") does; a test compares the two.
// Marks of stereochemistry are dropped, aromatic rings get alternating bonds, hydrogens take what a valence leaves free.

import { list } from "./kit.js";
import { sum } from "./chance.js";
import { bondMatrix } from "./molecule.js";

export class SmilesError extends Error {} // its message is the end of a sentence that begins with the text

function refuse(reason) {
  throw new SmilesError(reason);
}

const WRITTEN = { "-": 1, "/": 1, "\\": 1, "=": 2, "#": 3, ":": 1 }; // an aromatic bond is single until `kekulize`
const FEWER = { S: [2, 4], P: [3] }; // with these, too, no electron of the atom is left alone
const TOKEN = /\[[^\]]*\]?|Cl|Br|%\d\d|[A-Z](?:(?![cnops])[a-z])?|./gsu;
const BRACKET = /^\[([A-Z][a-z]?|[cnops])(?:@@?(?:[A-Z]{2}\d+)?)?(H\d?)?([+-]\d|\++|-+)?(?::\d+)?\]$/;

// The atom that a token names, or null: its type, is it aromatic, its hydrogens (null: left to the reader).
function atomOf(token, names) {
  const bracket = token.startsWith("[");
  const [, symbol, hydrogens = "H0", charge = ""] = bracket ? BRACKET.exec(token) ?? [] : /^([A-Z][a-z]?|[cnops])$/.exec(token) ?? [];
  if (!symbol) return null;
  const size = /\d/.test(charge) ? Number(charge[1]) : charge.length;
  const name = symbol[0].toUpperCase() + symbol.slice(1) + (size === 1 ? charge[0].replace("-", "−") : size ? charge : "");
  const code = names.indexOf(name);
  if (code < 1) return null;
  return { code, name, token, aromatic: symbol[0] !== name[0], hydrogens: bracket ? Number(hydrogens[1] ?? 1) : null };
}

// Text -> atoms in the order of the text, and bonds {i, j, order, aromatic}.
function parse(text, names) {
  const [atoms, bonds, branches, rings] = [[], [], [], new Map()];
  let [from, symbol, opened] = [-1, null, false]; // the atom before, the bond written after it, is a branch just open?
  const join = (i, j, written) => {
    const both = atoms[i].aromatic && atoms[j].aromatic;
    if (written === ":" && !both) refuse("the bond “:” is for aromatic atoms, which are lower-case letters");
    bonds.push({ i, j, order: WRITTEN[written ?? "-"], aromatic: both && (written ?? ":") === ":" });
  };
  for (const [token] of text.matchAll(TOKEN)) {
    const needsAtom = (what) => (from < 0 || opened) && refuse(`${what} “${token}” has no atom before it`);
    if (token in WRITTEN) {
      if (from < 0) refuse(`the bond “${token}” has no atom before it`);
      if (symbol) refuse(`two bonds, “${symbol}” and “${token}”, follow each other`);
      symbol = token;
    } else if (/^%?\d/.test(token)) {
      needsAtom("ring number");
      const ring = Number(token.replace("%", ""));
      const start = rings.get(ring);
      if (start) {
        if (start.symbol && symbol && WRITTEN[start.symbol] !== WRITTEN[symbol]) refuse(`ring ${ring} opens with “${start.symbol}” and closes with “${symbol}”`);
        if (start.atom === from) refuse(`ring ${ring} opens and closes at the same atom`);
        const bonded = bonds.some(({ i, j }) => (i === start.atom && j === from) || (j === start.atom && i === from));
        if (bonded) refuse(`ring ${ring} joins atoms ${start.atom + 1} and ${from + 1}, which are bonded already`);
        join(start.atom, from, symbol ?? start.symbol);
        rings.delete(ring);
      } else rings.set(ring, { atom: from, symbol });
      symbol = null;
    } else if (token === "(") {
      needsAtom("the branch");
      if (symbol) refuse(`the bond “${symbol}” leads to no atom`);
      branches.push(from);
      opened = true;
    } else if (token === ")") {
      if (!branches.length) refuse("“)” closes a branch that was not opened");
      if (symbol) refuse(`the bond “${symbol}” leads to no atom`);
      if (opened) refuse("a branch is empty");
      from = branches.pop();
    } else if (token === ".") {
      refuse("“.” parts it in two: a graph holds one molecule");
    } else {
      if (token.startsWith("[") && !token.endsWith("]")) refuse("a bracket is not closed");
      if (token === "H" || token === "[H]") refuse("hydrogens are not atoms of the graph: leave them out");
      const atom = atomOf(token, names);
      if (!atom) refuse(/^\[|^[A-Za-z]/.test(token) ? `unknown atom “${token}”; the book has ${list(names.slice(1))}` : `“${token}” is no sign of SMILES`);
      atoms.push(atom);
      if (from >= 0) join(from, atoms.length - 1, symbol);
      [from, symbol, opened] = [atoms.length - 1, null, false];
    }
  }
  if (!atoms.length) refuse("there is no atom");
  if (symbol) refuse(`the bond “${symbol}” leads to no atom`);
  if (branches.length) refuse("a branch is not closed: “)” is missing");
  for (const ring of rings.keys()) refuse(`ring ${ring} is not closed`);
  return { atoms, bonds };
}

// Is the bond part of a ring: can one go from one end to the other without it?
function inRing(bond, bonds) {
  const reached = new Set([bond.i]);
  for (const atom of reached) { // grows while it is read
    for (const other of bonds) {
      if (other === bond) continue;
      if (other.i === atom) reached.add(other.j);
      if (other.j === atom) reached.add(other.i);
    }
  }
  return reached.has(bond.j);
}

// Pairs in which every atom has exactly one of its partners, or null: the atom with the fewest partners chooses first.
function pairing(partners) {
  if (!partners.size) return [];
  const [atom, choices] = [...partners].reduce((best, next) => (next[1].length < best[1].length ? next : best));
  for (const other of choices) {
    const free = (k) => k !== atom && k !== other;
    const rest = new Map([...partners].filter(([k]) => free(k)).map(([k, near]) => [k, near.filter(free)]));
    const pairs = pairing(rest);
    if (pairs) return [[atom, other], ...pairs];
  }
  return null;
}

// Makes a double bond at every atom of `needy`, along aromatic bonds of rings.
function kekulize(bonds, needy) {
  const open = bonds.filter((bond) => bond.aromatic && needy.includes(bond.i) && needy.includes(bond.j) && inRing(bond, bonds));
  const near = (k) => open.flatMap(({ i, j }) => (i === k ? [j] : j === k ? [i] : []));
  const pairs = pairing(new Map(needy.map((k) => [k, near(k)])));
  if (!pairs) refuse("its aromatic (lower-case) atoms cannot get alternating double bonds; a nitrogen with a hydrogen is [nH]");
  for (const pair of pairs) open.find(({ i, j }) => pair.includes(i) && pair.includes(j)).order = 2;
}

// Text -> codes, names, free valences and matrix of bond orders, or SmilesError. `names` and `valence` go by code.
export function readSmiles(text, { names, valence, most }) {
  const { atoms, bonds } = parse(text, names);
  if (atoms.length > most) refuse(`it has ${atoms.length} atoms, and at most ${most} can be shown`);
  const needy = atoms.flatMap(({ code, name, token, aromatic, hydrogens }, k) => {
    const own = bonds.filter(({ i, j }) => i === k || j === k);
    if (aromatic && !own.some((bond) => inRing(bond, bonds))) refuse(`the aromatic (lower-case) atom ${k + 1}, ${token}, is in no ring`);
    const written = sum(own.map(({ order }) => order));
    const doubled = own.some((bond) => bond.order > 1);
    const implied = aromatic && name === "C" ? Math.max(0, (doubled ? 4 : 3) - written) : 0; // others say it: [nH]
    const total = written + (hydrogens ?? implied);
    if (total > valence[code]) {
      const charged = valence[names.indexOf(`${name}+`)];
      refuse(`atom ${k + 1}, ${token}, has ${total} bonds, more than the ${valence[code]} of ${name}${charged > valence[code] ? `; [${name}+] has ${charged}` : ""}`);
    }
    const full = [...(FEWER[name] ?? []), valence[code]].find((v) => v >= total);
    if (aromatic && full === total + 1) return [k];
    if (hydrogens !== null && full !== total) refuse(`atom ${k + 1}, ${token}, has ${total} of ${full} bonds: its hydrogens belong in the bracket`);
    return [];
  });
  kekulize(bonds, needy);
  const matrix = bondMatrix(atoms.length, bonds.map(({ i, j, order }) => [i, j, order]));
  return {
    smiles: text, names: atoms.map(({ name }) => name), codes: atoms.map(({ code }) => code), bonds: matrix,
    free: matrix.map((row, k) => valence[atoms[k].code] - sum(row)),
  };
}

