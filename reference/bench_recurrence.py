"""GRU and AUGRU of the PyTorch controls, with the backward pass written out.

`torch.nn.GRU` computes another recurrence: it multiplies the reset gate to the product with the state, DIEN and its models to
the state before the product. Composed of autograd's own operations, a step would keep and add up more than it needs; here the
gradient of each matrix is one product per step, in place. `torch.compile` leaves them as they are: it would unroll every step.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models import Tensors

CHUNK_ROWS = 512
"""Sequences that step together, so that the states of a step stay in a core's cache."""


class Recurrence(torch.autograd.Function):
    """h_t = (1 - a_t u) h + a_t u c from h = 0; r, u = sigmoid(x + h W), c = tanh(x + (r h) W_c).

    `x` `[l, b, 3 d]` is what the events give, with the biases. Without `attention` it is a GRU and gives the states of all steps
    `[l, b, d]`; with `attention` `[l, b, c]` it gives the last ones `[b c, d]`.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, gates: Tensor, candidate: Tensor, attention: Tensor | None
    ) -> Tensor:
        l, b, w = x.shape
        d = w // 3
        c = 1 if attention is None else attention.shape[2]
        states = x.new_empty(l + 1, b * c, d)
        states[0].zero_()
        opened = x.new_empty(l, b * c, 2 * d)
        candidates = x.new_empty(l, b * c, d)
        reset_state = x.new_empty(b * c, d)
        for t in range(l):
            h, g, n = states[t], opened[t], candidates[t]
            torch.mm(h, gates, out=g)
            g.view(b, c, 2 * d).add_(x[t, :, None, : 2 * d])
            g.sigmoid_()
            torch.mul(g[:, :d], h, out=reset_state)
            torch.mm(reset_state, candidate, out=n)
            n.view(b, c, d).add_(x[t, :, None, 2 * d :])
            n.tanh_()
            update = g[:, d:]
            if attention is not None:
                update = update * attention[t].reshape(b * c, 1)
            torch.lerp(h, n, update, out=states[t + 1])
        ctx.save_for_backward(states, opened, candidates, gates, candidate, attention)
        return states[1:] if attention is None else states[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        states, opened, candidates, gates, candidate, attention = ctx.saved_tensors
        l, rows, d = candidates.shape
        b, c = (rows, 1) if attention is None else attention.shape[1:]
        of_x = states.new_empty(l, b, 3 * d)
        of_gates, of_candidate = torch.zeros_like(gates), torch.zeros_like(candidate)
        of_attention = None if attention is None else torch.empty_like(attention)
        gates_back, candidate_back = gates.T.contiguous(), candidate.T.contiguous()
        of_opened = states.new_empty(rows, 2 * d)
        of_state = torch.zeros_like(states[0]) if attention is None else upstream.clone()
        of_reset_state, buffer = torch.empty_like(of_state), torch.empty_like(of_state)
        for t in range(l - 1, -1, -1):
            h, g, n = states[t], opened[t], candidates[t]
            reset, update = g[:, :d], g[:, d:]
            if attention is None:
                of_state += upstream[t]

            # h' = h + a u (n - h)
            of_update = of_opened[:, d:]
            torch.sub(n, h, out=buffer)
            torch.mul(buffer, of_state, out=of_update)
            weight = update
            if attention is not None:
                share = attention[t].reshape(rows, 1)
                torch.mul(update, share, out=buffer)
                weight = buffer
                of_attention[t] = (of_update * update).sum(1).view(b, c)
                of_update *= share
            of_n = of_state * weight
            of_state -= of_n

            # n = tanh(x + (r h) W_c)
            of_n = torch.ops.aten.tanh_backward(of_n, n)
            torch.mm(of_n, candidate_back, out=of_reset_state)
            torch.mul(of_reset_state, h, out=of_opened[:, :d])
            of_state.addcmul_(of_reset_state, reset)
            torch.mul(reset, h, out=buffer)
            of_candidate.addmm_(buffer.T, of_n)

            # r, u = sigmoid(x + h W)
            of_g = torch.ops.aten.sigmoid_backward(of_opened, g)
            of_state.addmm_(of_g, gates_back)
            of_gates.addmm_(h.T, of_g)
            if c == 1:
                of_x[t, :, : 2 * d], of_x[t, :, 2 * d :] = of_g, of_n
            else:
                torch.sum(of_g.view(b, c, 2 * d), 1, out=of_x[t, :, : 2 * d])
                torch.sum(of_n.view(b, c, d), 1, out=of_x[t, :, 2 * d :])
        return of_x, of_gates, of_candidate, of_attention


def projected(events: Tensor, w: Tensors, shift: Tensor | None = None) -> Tensor:
    """What events `[b, l, d]` give to r, u and c, step by step `[l, b, 3 d]`; `shift` `[b, 3 d]` is added to each event's."""
    biases = torch.cat([w["reset_bias"], w["update_bias"], w["candidate_bias"]])
    steps = events.transpose(0, 1)
    if shift is None:
        return torch.addmm(biases, steps.reshape(-1, steps.shape[2]), w["input"]).view(*steps.shape[:2], -1)
    return steps @ w["input"] + (shift + biases)


@torch.compiler.disable
def gru_states(x: Tensor, w: Tensors) -> Tensor:
    """The states after every event, `[b, l, d]`, of `projected`'s `[l, b, 3 d]`."""
    return Recurrence.apply(x, w["gates"], w["candidate"], None).transpose(0, 1)


@torch.compiler.disable
def augru_last(x: Tensor, w: Tensors, attention: Tensor) -> Tensor:
    """The last state of every impression, `[b, c, d]`, weighed by `attention` `[b, c, l]`."""
    b, c, _ = attention.shape
    feeds = max(1, CHUNK_ROWS // c)
    steps = attention.permute(2, 0, 1).contiguous()
    chunks = zip(x.split(feeds, 1), steps.split(feeds, 1))
    last = [Recurrence.apply(x, w["gates"], w["candidate"], a) for x, a in chunks]
    return torch.cat(last).view(b, c, -1)
