"""Nodes that show what ComfyUI's engine can do, as classes of the older kind, for tests."""

from .blocking import BLOCKING
from .later import LATER
from .lists import LISTS
from .loops import LOOPS
from .made import MADE
from .stubs import STUBS
from .validation import VALIDATION

NODE_CLASS_MAPPINGS = {**STUBS, **VALIDATION, **LISTS, **LOOPS, **BLOCKING, **LATER, **MADE}
NODE_DISPLAY_NAME_MAPPINGS = {"TestLazyMixImages": "Mix two pictures"}
