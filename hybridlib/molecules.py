"""Molecules as RDKit reads them: which strings are molecules at all, and which belong to the book's small set.

Weininger (1988), "SMILES, a chemical language and information system". Chapter 2 uses it to judge sampled strings.
"""

from rdkit import Chem, rdBase

ELEMENTS = "CNOF"
LARGEST = 12  # heavy atoms of a molecule of the book's small set


def canonical(smiles: str) -> str | None:
    """The one spelling that RDKit gives to a molecule, stereochemistry kept; None if the string is no valid molecule.

    Valid means: RDKit parses it and its check of valences and aromatic rings passes. The empty string is no molecule.
    """
    molecule = _parse(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule)


def small(smiles: str) -> str | None:
    """The canonical spelling without stereochemistry if the molecule belongs to the book's small set, else None.

    Members are single, uncharged molecules of 1 to 12 atoms of C, N, O and F beside hydrogen, without radicals and
    without named isotopes.
    """
    molecule = _parse(smiles)
    if molecule is None or "." in smiles or not 1 <= molecule.GetNumHeavyAtoms() <= LARGEST:
        return None
    for atom in molecule.GetAtoms():
        odd = atom.GetFormalCharge() or atom.GetNumRadicalElectrons() or atom.GetIsotope()
        if odd or atom.GetSymbol() not in (*ELEMENTS, "H"):
            return None
    return Chem.MolToSmiles(Chem.RemoveHs(molecule), isomericSmiles=False)


def _parse(smiles: str):
    with rdBase.BlockLogs():  # None says it all
        return Chem.MolFromSmiles(smiles) if smiles else None
