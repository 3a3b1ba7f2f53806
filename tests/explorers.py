"""One of each explorer, with small models, and how a test asks a module or a page."""

import torch
from torch import nn

from hybridlib.flows import realnvp
from hybridlib.graphaf import GraphAF
from hybridlib.noise import seeded
from hybridlib.page import explorer, widgets
from hybridlib.transformer import Transformer

QUESTIONS = [
    {
        "question": "Is a <i>leak</i> good, if `p < 1`?",
        "options": [
            {"text": "Yes", "why": "It copies x<sub>1</sub>."},
            {"text": "No", "why": "It is not a density.", "correct": True},
        ],
    },
    {
        "question": "How many passes does sampling take?",
        "options": [{"text": "D", "why": "One each.", "correct": True}, {"text": "1", "why": "Too few."}],
    },
]
NODES = [
    {"id": "ae", "label": "AE", "x": 80, "y": 0, "text": "Squeezes.", "family": "ae"},
    {"id": "ar", "label": "AR", "x": 10, "y": 0, "text": "Predicts.", "family": "ar"},
    {
        "id": "made", "label": "MADE", "x": 45, "y": 50, "text": "Masks <b>both</b> & <script>.", "family": "hybrid",
        "href": "made.html", "chapter": "Chapter 5",
    },
    {"id": "maf", "label": "MAF", "x": 45, "y": 100, "text": "Flows.", "family": "flow"},
]  # fmt: skip
EDGES = [
    {"source": "ae", "target": "made", "text": "the network"},
    {"source": "ar", "target": "made", "text": "the chain rule"},
    {"source": "made", "target": "maf", "text": "Gaussian outputs"},
]
MOLECULES = ["CC(=O)Nc1ccccc1", "C[N+](=O)[O-]", "CC(C)(F)C#N", "C1CC2CC1CC2", "C"]


def rules(page, module, call, argument):
    """What the `rules` of an explorer's module give: `call` is a JavaScript function of (rules, argument)."""
    source = explorer.module_source(module)
    return page.evaluate(
        f"""async ([source, argument]) => {{
            const address = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
            const {{ rules }} = await import(address);
            return ({call})(rules, argument);
        }}""",
        [source, argument],
    )


def transformer(T=6, K=5, *, layers=2, end=None, seed=0):
    """A small one with weights so large that its distributions are far from uniform."""
    model = Transformer(T, K, width=12, layers=layers, heads=3, end=end)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def state(page):
    return page.evaluate("values.state")


def decoder(activation=nn.ReLU, *, pixels=784, hidden=64, scale=2, seed=0):
    with seeded(seed), torch.no_grad():
        layers = nn.Linear(2, hidden), activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, pixels)
        model = nn.Sequential(*layers)
        for parameter in model.parameters():
            parameter.mul_(scale)  # more black and white than at the start
    return model


def coupled(layers=4, *, seed=0):
    """An untrained flow of two variables that is far from the identity."""
    with seeded(seed), torch.no_grad():
        flow = realnvp(2, layers, (12, 12))
        for parameter in flow.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape))
    return flow


def generation(seed):
    """A trace of an untrained model that rejects what is impossible, and the graph it led to."""
    trace = []
    with seeded(0):
        model = GraphAF(4, 6, H=16, layers=2, reading="categorical")
    return trace, model.sample(1, check="reject", generator=torch.Generator().manual_seed(seed), trace=trace)


def talkative(reading="exact", *, masked=False):
    """An untrained model that seldom stops."""
    with seeded(0), torch.no_grad():
        model = GraphAF(4, 12, H=8, reading=reading, masked=masked)
        for vector in model.parameters():
            if vector.dim() == 1:
                vector += 0.1 * torch.randn(len(vector))  # some are zero or one at first
        model.atom_head[2].bias[[0, 4]] -= 1  # seldom stop and F
        model.bond_head[2].bias[[2, 3]] -= 0.5
    return model


def talkative_trace(seed, **options):
    trace = []
    talkative(**options).sample(1, generator=torch.Generator().manual_seed(seed), trace=trace)
    return trace


EXPLORERS = {
    "mask": lambda: widgets.mask_explorer(6, (9, 4), masks="inclusive", direct=True),
    "article": lambda: widgets.mask_explorer(8, (12,), masks="article", order="reversed"),
    "quiz": lambda: widgets.quiz(QUESTIONS),
    "map": lambda: widgets.model_map(NODES, EDGES),
    "likelihood": lambda: widgets.likelihood_explorer(),
    "letters": lambda: widgets.sampling_stepper(
        transformer(T=40, K=24), "⏎CNOFPSIBrlcnos()[]=#12+", start=range(1, 24)
    ),
    "pixels": lambda: widgets.sampling_stepper(
        transformer(T=64, K=2), ["black", "white"], shape=(8, 8), start=[0, 1] * 15
    ),
    "latent": lambda: widgets.latent_explorer(
        decoder(), points=torch.randn(300, 2, generator=torch.manual_seed(0)), labels=torch.arange(300) % 10
    ),
    "flow": lambda: widgets.flow_explorer(),
    "warp": lambda: widgets.warp_explorer(coupled(8), torch.randn(200, 2, generator=torch.manual_seed(0))),
    "dequantization": lambda: widgets.dequantization_explorer(width=0.5),
    "molecule": lambda: widgets.molecule_explorer(MOLECULES),
    "generation": lambda: widgets.generation_explorer([generation(seed)[0] for seed in range(3)]),
    "growing": lambda: widgets.generation_explorer([talkative_trace(seed) for seed in range(3)], model=talkative()),
}
