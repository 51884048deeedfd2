"""Attention as one node of the graph: com.microsoft.MultiHeadAttention, which ONNX Runtime computes in one kernel.

Without it every attention becomes a dozen nodes that the runtime has to recognise again.
"""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor


class FusedAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d)) v over `heads` heads (Vaswani et al. 2017, eq. 1); q [b, s, h], k and v [b, t, h]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool) -> Tensor:
        """The same in torch."""
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
        mixed: Tensor = F.scaled_dot_product_attention(*split, is_causal=causal)
        return mixed.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, heads: int, causal: bool) -> Any:
        """The node; its type has a rank but no sizes, so that nothing after it is frozen."""
        node = g.op(
            "com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads, unidirectional_i=int(causal)
        )
        return node.setType(query.type().with_sizes([None, None, None]))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Multi-head attention of [b, s, h] over [b, t, h], exported as one node."""
    mixed: Tensor = FusedAttention.apply(query, key, value, heads, causal)  # type: ignore[no-untyped-call]
    return mixed


class FusedProcessor:
    """What a diffusers attention layer calls instead of its own arithmetic; the layer's weights stay where they are."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attention over tokens [b, s, c], or over the pixels of a picture [b, c, h, w] as in an autoencoder."""
        if attention_mask is not None:
            raise ValueError("attention masks are not part of a Stable Diffusion component")
        tokens = hidden_states.flatten(2).transpose(1, 2) if hidden_states.ndim == 4 else hidden_states
        if attn.group_norm is not None:
            tokens = attn.group_norm(tokens.transpose(1, 2)).transpose(1, 2)
        context = tokens if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(tokens), attn.to_k(context), attn.to_v(context)
        if attn.upcast_attention:  # the network says that its scores overflow in half precision
            mixed = attend(query.float(), key.float(), value.float(), attn.heads).to(tokens.dtype)
        else:
            mixed = attend(query, key, value, attn.heads)
        mixed = attn.to_out[0](mixed)
        if hidden_states.ndim == 4:
            mixed = mixed.transpose(1, 2).reshape(hidden_states.shape)
        if attn.residual_connection:
            mixed = mixed + hidden_states
        return mixed / attn.rescale_output_factor
