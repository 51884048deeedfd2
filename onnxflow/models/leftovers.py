"""The tensors of a checkpoint that none of its networks reads: what they are, said once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_KNOWN: Final[Mapping[str, str]] = {
    r"model_ema\.": "the averaged copy of the denoiser (EMA) that training kept",
    r"first_stage_model\.(loss|discriminator)": "the autoencoder's training loss (LPIPS)",
    r"first_stage_model\.model_ema\.": "the averaged copy of the autoencoder that training kept",
    r"(alphas_cumprod|betas|sqrt_|log_one_minus|posterior_|logvar|model\.betas|scale_factor|denoiser\.)": (
        "the noise schedule, which is computed"
    ),
    r".*\.position_ids": "the text encoder's positions, which are counted",
    r".*(logit_scale|attn_mask)": "what the text encoder was trained with",
    r"(cond_stage_model|conditioner\.embedders\.\d)\.model\.": "parts of OpenCLIP that no denoiser looks at",
    r"conditioner\.embedders\.\d\.transformer\.": "parts of CLIP that no denoiser looks at",
    r"(v_pred|ztsnr)": "marks that say what the model predicts",
    r"(control_model|lora_|embedding|cond_stage_model\.mapper)": "additions for other programs",
}
_SHOWN: Final = 3


def leftovers(names: Iterable[str], used: set[str]) -> tuple[str, ...]:
    """One line for each kind of tensor that is not used, and one for those that are of no known kind."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in used:
            found.setdefault(_kind(name), []).append(name)
    unknown = found.pop("", [])
    lines = [f"not needed: {what} ({_count(same)})" for what, same in found.items()]
    if unknown:
        more = ", ..." if len(unknown) > _SHOWN else ""
        lines.append(f"of no known use, and left out: {', '.join(unknown[:_SHOWN])}{more} ({_count(unknown)})")
    return tuple(lines)


def _kind(name: str) -> str:
    return next((what for pattern, what in _KNOWN.items() if re.match(pattern, name)), "")


def _count(names: list[str]) -> str:
    return f"{len(names):,} tensor{'' if len(names) == 1 else 's'}"
