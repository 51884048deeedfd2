"""What is wrong with a workflow, as the JSON ComfyUI's server answers with (contract B3)."""

from __future__ import annotations

from typing import Any

from onnxflow.errors import Problem, WorkflowError


def error_response(error: WorkflowError) -> dict[str, Any]:
    """``{"error": {...}, "node_errors": {id: {...}}}`` for an error of reading or checking.

    ComfyUI has room for one problem that stops everything; ``problems`` (ours) lists all of them, with what to do next.
    """
    node_errors: dict[str, Any] = {}
    general = [p for p in error.problems if p.node is None or p.code == "invalid_prompt"]
    for problem in error.problems:
        if problem.node is None or problem.code == "invalid_prompt":
            continue
        entry = node_errors.setdefault(
            problem.node.id,
            {"errors": [], "dependent_outputs": list(problem.outputs), "class_type": problem.node.class_type},
        )
        entry["errors"].append(_entry(problem))
    if general:
        head = {**_entry(general[0]), "extra_info": {}}
    else:
        head = {"type": error.code, "message": error.message, "details": "", "extra_info": {}}
    problems = [
        {**_entry(problem), "node": problem.node.id if problem.node else None, "hint": problem.hint}
        for problem in error.problems
    ]
    return {"error": head, "node_errors": node_errors, "problems": problems, "where": error.where, "hint": error.hint}


def _entry(problem: Problem) -> dict[str, Any]:
    return {
        "type": problem.code,
        "message": problem.message,
        "details": problem.details,
        "extra_info": problem.extra,
    }
