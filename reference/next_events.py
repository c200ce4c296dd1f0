"""Which event comes next, as a further signal for any model's training: a sampled softmax over the bare vectors of histories."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fixed_inputs import ENTITIES
from models import Shapes, Tensors
from ops import per_feed

IDENTITIES = {domain: f"ids.{group}.{group}_id" for domain, group in ENTITIES.items()}
"""What says of which entity an event is."""


@dataclass(frozen=True)
class NextEvent:
    """The terms' weights; 0 leaves the terms out."""

    next_weight: float = 0.3
    watched_weight: float = 0.1
    negatives: int = 12  # drawn per batch and term, the same for all anchors


def terms(given: NextEvent, domains: tuple[str, ...]) -> dict[str, float]:
    """Names and weights of the terms, per domain."""
    weights = {"next": given.next_weight, "watched": given.watched_weight}
    return {f"{term}_{k}": weight for k in domains for term, weight in weights.items() if weight}


def shapes(given: NextEvent, domains: tuple[str, ...], width: int) -> Shapes:
    """The anchors' maps, A_K (`next`) and B_K (`watched`)."""
    names = (name.split("_") for name in terms(given, domains))
    return {f"next_events.{domain}.{term}": (width, width) for term, domain in names}


def losses(given: NextEvent, domains: tuple[str, ...], inputs: Tensors, parameters: Tensors) -> Tensors:
    """The terms by name, scalars. `inputs` has `drawn.<term>`, the drawn events, and `chosen`, watched impressions, one of a feed."""
    found = {}
    for name in terms(given, domains):
        term, domain = name.split("_")
        of_term = next_event if term == "next" else watched
        map_ = parameters[f"next_events.{domain}.{term}"]
        found[name] = of_term(inputs, domain, map_, inputs[f"drawn.{name}"])
    return found


def next_event(inputs: Tensors, domain: str, a: Tensor, drawn: Tensor) -> Tensor:
    """-log softmax of <mean(x_1..x_t) A, x_t+1> against the drawn events of the domain, mean over all pairs t, t+1."""
    ids, x = inputs[IDENTITIES[domain]], inputs[f"{domain}.bare"]
    lengths = inputs[f"{domain}.lengths"]
    pairs = []
    for events, own in zip(per_feed(x, lengths), per_feed(ids, lengths)):
        for t in range(1, len(events)):
            anchor = events[:t].mean(0) @ a
            pairs.append(sampled(anchor, events[t], own[t], x[drawn], ids[drawn]))
    return torch.stack(pairs).mean()


def watched(inputs: Tensors, domain: str, b: Tensor, drawn: Tensor) -> Tensor:
    """-log softmax of <mean(x) B, the watched candidate's bare vector> against drawn watches, mean over the feeds of `chosen` whose
    history in the domain is not empty."""
    ids, x = inputs[IDENTITIES["live"]], inputs["live.bare"]
    histories = per_feed(inputs[f"{domain}.bare"], inputs[f"{domain}.lengths"])
    ends = inputs["candidate_lengths"].cumsum(0)
    pairs = []
    for impression in inputs["chosen"].tolist():
        events = histories[int((ends <= impression).sum())]
        if len(events):
            positive = inputs["channel"][impression], inputs["ids.candidate.channel_id"][impression]
            pairs.append(sampled(events.mean(0) @ b, *positive, x[drawn], ids[drawn]))
    return torch.stack(pairs).mean()


def sampled(anchor: Tensor, positive: Tensor, identity: Tensor, drawn: Tensor, ids: Tensor) -> Tensor:
    """-log exp(<a, p>) / (exp(<a, p>) + sum over the drawn of other entities exp(<a, x>)), a scalar."""
    scores = torch.cat([(anchor @ positive)[None], drawn[ids != identity] @ anchor])
    return torch.logsumexp(scores, 0) - scores[0]
