"""What ONNX Runtime and drivers say, and what the catalog makes of it."""

from __future__ import annotations

import re

import pytest
from said import SAID

from onnxflow.providers.catalog import PROVIDERS, provider_named, provider_names
from onnxflow.providers.provider import Provider

every = pytest.mark.parametrize("facts", PROVIDERS, ids=provider_names())


@pytest.mark.parametrize(("name", "message", "cause"), SAID)
def test_a_message_is_recognised(name: str, message: str, cause: str) -> None:
    first = next(symptom for symptom in provider_named(name).symptoms if re.search(symptom.pattern, message))
    assert cause in first.cause


@every
def test_every_symptom_was_seen_in_a_message(facts: Provider) -> None:
    messages = [message for name, message, _ in SAID if name == facts.name]
    unseen = [s.pattern for s in facts.symptoms if not any(re.search(s.pattern, message) for message in messages)]
    if facts.name == "tensorrt":  # it has CUDA's, whose messages stand there
        unseen = [p for p in unseen if p not in {s.pattern for s in provider_named("cuda").symptoms}]
    assert unseen == []


@every
def test_causes_and_cures_read_as_the_projects_errors_do(facts: Provider) -> None:
    for symptom in facts.symptoms:
        for text in (symptom.cause, symptom.cure):
            assert text and not text.endswith(".") and text.isprintable() and text == text.strip()


@every
def test_what_is_no_failure_is_not_recognised(facts: Provider) -> None:
    for harmless in ("", "Some nodes were not assigned to the preferred execution providers", "Loaded the model"):
        assert not any(re.search(symptom.pattern, harmless) for symptom in facts.symptoms)
