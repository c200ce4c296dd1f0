"""The PyTorch controls of the models that predict in both domains. Read beside `cross_domain.py`, and `bench_models.py` for what
a control is."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench_blocks import (
    DOMAINS,
    Inputs,
    NextClicks,
    domain_scopes,
    encoded,
    encoded_means,
    linear,
    main_tower,
    net,
    prelu,
)
from bench_recurrence import gru_states, projected
from cross_domain import Conet, Dasl, Ddtcdr, Dtcdr, Minet
from models import Encoded, Tensors, orthogonality
from ops import scope

LARGEST_EXPONENT = 8
"""Of an interest's weight in MiNet."""


# MiNet


def minet(model: Minet, inputs: Inputs, w: Tensors) -> Encoded:
    found = encoded(inputs)
    target, user = inputs.target, inputs.context @ w["minet.user"]
    interests = {"user": user[:, None].expand_as(target)}
    for domain, own in domain_scopes(w, "minet").items():
        interests[domain] = item_interest(target, inputs.items[domain], user, own)
    # The first layers of all three gates as one product; what the user gives goes through it once per feed.
    parts = [scope(w, f"minet.interests.{i}") for i in range(3)]
    of_target, of_user, *of_others = torch.cat([part["hidden"] for part in parts], 1).chunk(4)
    seen = torch.cat([target, interests["live"], interests["product"]], -1)
    hidden = seen @ torch.cat([of_target, *of_others]) + (user @ of_user)[:, None]
    for part, h, (name, interest) in zip(parts, hidden.relu().chunk(3, -1), interests.items()):
        score = h @ part["score"] + part["bias"]
        weight = score.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
        found.fields[name] = weight * interest
    clicks = NextClicks.of(inputs)
    means = inputs.items["product"][:, :-1].mean(1)
    logits = net([clicks.shown, user, means], scope(w, "minet.clicks"))
    found.add("next_click", model.product_weight, clicks.term(logits))
    return found


def item_interest(target: Tensor, items: Tensor, user: Tensor, w: Tensors) -> Tensor:
    """The attention of one domain's items `[b, l, d]`, and their sum by it, `[b, c, d]`.

    V [k, q, p_u, m * q] is taken apart, so that only the last is of pairs. Of products m = k Ha Hb has rank 10, so a target makes
    a matrix of ten rows of the last part: (k Ha Hb * q) V_p = k Ha (Hb * q) V_p.
    """
    of_item, of_target, of_user, of_product = w["hidden"].chunk(4)
    once = target @ of_target + (user @ of_user)[:, None]  # [b, c, 64]
    if "transfer.down" in w:
        b, c, _ = target.shape
        nets = (target[:, :, None] * w["transfer.up"]) @ of_product  # [b, c, 10, 64]
        nets = nets.transpose(1, 2).flatten(2)  # [b, 10, c 64]
        hidden = (items @ w["transfer.down"] @ nets).view(b, -1, c, 64).transpose(1, 2)
    else:
        hidden = (target[:, :, None] * items[:, None]) @ of_product  # [b, c, l, 64]
    hidden = hidden + once[:, :, None]
    hidden += (items @ of_item)[:, None]
    return torch.softmax((hidden.relu_() @ w["score"]).squeeze(-1), -1) @ items


# DASL


def dasl(model: Dasl, inputs: Inputs, w: Tensors) -> Encoded:
    """A domain's recurrence runs for both users' vectors at once, as rows; the newest click's state is left out where it is asked for."""
    found = encoded(inputs)
    clicks_w = scope(w, "dasl.clicks")
    live_user, product_user = users = (inputs.context @ w["dasl.user"], inputs.context @ clicks_w["user"])
    states = {}
    for domain, own in domain_scopes(w, "dasl").items():
        gru = scope(own, "gru")
        shift = torch.cat(users) @ own["user"]  # [2 b, 3 d]
        steps = projected(inputs.items[domain], gru)
        x = steps.repeat(1, 2, 1) + shift
        states[domain] = gru_states(x, gru).chunk(2)
    found.fields["user"] = live_user
    asked = [states[domain][0] for domain in DOMAINS]
    found.fields |= dict(zip(DOMAINS, weighted_sums(asked, scope(w, "dasl.attention"))))

    clicks = NextClicks.of(inputs)
    asked = [states["product"][1][:, :-1], states["live"][1]]
    sums = weighted_sums(asked, scope(clicks_w, "attention"))
    logits = net([clicks.shown, product_user, *sums], scope(clicks_w, "net"))
    found.add("next_click", model.product_weight, clicks.term(logits))
    x = clicks_w["rotation.weight"]
    cosines = F.cosine_similarity(product_user @ x, live_user, -1)
    found.add("orthogonality", model.dual_weight, orthogonality(x))
    found.add("closeness", model.dual_weight, (1 - cosines).mean())
    return found


def weighted_sums(states: list[Tensor], w: Tensors) -> list[Tensor]:
    """Of each sequence `[b, d]`, by one softmax over all."""
    h = torch.cat(states, 1)
    scores = linear(h, scope(w, "hidden")).tanh() @ w["score"]
    weights = torch.softmax(scores, 1).transpose(1, 2)  # [b, 1, l + l]
    parts = weights.split([x.shape[1] for x in states], -1)
    return [(part @ x).squeeze(1) for part, x in zip(parts, states)]


# CoNet+, DTCDR+, DDTCDR+


def conet(model: Conet, inputs: Inputs, w: Tensors) -> Encoded:
    """Of either net only what its logit needs; what a feed's rows have in common goes through the first layers once."""
    found = encoded(inputs)
    w = scope(w, "conet")
    live_items, product_items = inputs.items["live"], inputs.items["product"]
    (live,) = encoded_means(live_items, scope(w, "live.block"), model.heads)
    l = product_items.shape[1]
    products = encoded_means(product_items, scope(w, "product.block"), model.heads, (l, l - 1))
    user, before = (
        linear(torch.cat([inputs.context, live, product], -1), scope(w, "user")) for product in products
    )
    newest = product_items[:, -1]
    of_live = crossed(user, inputs.target, newest, ("live", "product"), w)
    logits = linear(of_live, scope(w, "live_logit"))
    found.logit = logits.squeeze(-1)

    clicks = NextClicks.of(inputs)
    watched = live_items[:, -1]
    of_product = crossed(before, clicks.shown, watched, ("product", "live"), w)
    logits = linear(of_product, scope(w, "product_logit")).squeeze(-1)
    found.add("next_click", model.product_weight, clicks.term(logits))
    crosses = torch.cat([w[f"layers.{i}.cross"].flatten() for i in range(2)])
    found.add("sparsity", model.sparsity, crosses.abs().mean())
    return found


def crossed(
    user: Tensor, item: Tensor, other_item: Tensor, names: tuple[str, str], w: Tensors
) -> Tensor:
    """The last hidden layer of the net `names[0]`, whose item `[b, c, d]` is each row's; the other's `[b, d]` is the feed's."""
    d = user.shape[-1]
    own, other = (scope(w, f"layers.0.{name}") for name in names)
    cross = w["layers.0.cross"]
    # Both nets' first layers side by side: what the user, the row's item and the feed's item give to them.
    of_own, of_other = own["dense.weight"], other["dense.weight"]
    of_user = torch.cat([of_own[:d] + cross[:d], of_other[:d] + cross[:d]], 1)
    of_item = torch.cat([of_own[d:], cross[d:]], 1)
    of_other_item = torch.cat([cross[d:], of_other[d:]], 1)
    bias = torch.cat([own["dense.bias"], other["dense.bias"]])
    x = item @ of_item + (user @ of_user + other_item @ of_other_item + bias)[:, None]
    x = prelu(x, torch.cat([own["slope"], other["slope"]]))
    layer = scope(w, f"layers.1.{names[0]}")
    both = torch.cat([layer["dense.weight"], w["layers.1.cross"]])
    return prelu(x @ both + layer["dense.bias"], layer["slope"])


def dtcdr(model: Dtcdr, inputs: Inputs, w: Tensors) -> Encoded:
    found = encoded(inputs)
    w = scope(w, "dtcdr")
    l = inputs.items["product"].shape[1]
    (live,) = domain_users(inputs, "live", w, model.heads, (l,))
    found_users = domain_users(inputs, "product", w, model.heads, (l, l - 1))
    found.fields["user"], before = (torch.maximum(live, product) for product in found_users)
    clicks = NextClicks.of(inputs)
    logits = net([clicks.shown, before], scope(w, "clicks"))
    found.add("next_click", model.product_weight, clicks.term(logits))
    return found


def domain_users(
    inputs: Inputs, domain: str, w: Tensors, heads: int, lengths: tuple[int, ...]
) -> list[Tensor]:
    """u_K of the first events, as many as each of `lengths` says, `[b, d]` each."""
    own = scope(w, domain)
    contents = encoded_means(inputs.items[domain], scope(own, "encoder.block"), heads, lengths)
    return [linear(torch.cat([inputs.context, x], -1), scope(own, "user")) for x in contents]


def ddtcdr(model: Ddtcdr, inputs: Inputs, w: Tensors) -> Encoded:
    """With the own domain's history alone in either user's vector."""
    found, all_of = encoded(inputs), w
    w = scope(w, "ddtcdr")
    x, of_net, alpha = w["rotation.weight"], scope(w, "net"), model.alpha

    def user_of(domain: str, items: Tensor) -> Tensor:
        (mean,) = encoded_means(items, scope(w, f"{domain}.block"), model.heads)
        return linear(torch.cat([inputs.context, mean], -1), scope(w, f"{domain}_user"))

    user = found.fields["user"] = user_of("live", inputs.items["live"])
    found.alpha, found.other = alpha, net([user @ x, inputs.target @ w["to_product"]], of_net)
    clicks = NextClicks.of(inputs)
    user = user_of("product", inputs.items["product"][:, :-1])
    own = net([user, clicks.shown], of_net)
    other = main_tower([inputs.context, clicks.shown @ w["to_live"], user @ x.T], all_of)
    found.add("next_click", model.product_weight, clicks.term((1 - alpha) * own + alpha * other))
    found.add("orthogonality", model.orthogonality, orthogonality(x))
    return found
