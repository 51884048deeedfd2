"""acl."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

ACL: Final = Provider(name="acl", ep="ACLExecutionProvider", title="acl", wheels=(), precisions=("fp16", "fp32"))
