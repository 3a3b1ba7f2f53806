"""The fully visible network against the model that it is a part of."""

import torch
from shaken import shaken

from hybridlib import audit
from hybridlib.fvsbn import FVSBN
from hybridlib.made import MADE


def test_fvsbn_is_made_without_hidden_layers():
    fvsbn, made = shaken(FVSBN(5)), MADE(5, ()).double()
    with torch.no_grad():
        made.net.direct.weight.copy_(made.net.direct._cut(fvsbn.weight))
        made.net.direct.bias.copy_(fvsbn.bias)
    x = audit.states(5).double()
    torch.testing.assert_close(made.log_prob(x), fvsbn.log_prob(x))
