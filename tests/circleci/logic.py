"""Logic statements: the conditions of `when` and `unless`."""

from __future__ import annotations

import re
from typing import Any

from tests.circleci.values import ConfigFault


def holds(condition: Any) -> bool:
    """Whether a condition, its tags filled, is truthy. Falsy are false, null, 0, an empty string, and a statement without arguments."""
    if not isinstance(condition, dict):
        return bool(condition)
    if len(condition) != 1:
        raise ConfigFault(f"A logic statement has one operator, not {sorted(condition)}")
    ((operator, operand),) = condition.items()
    match operator:
        case "and":
            return bool(operand) and all(map(holds, operand))
        case "or":
            return any(map(holds, operand))
        case "not":
            return not holds(operand)
        case "equal":
            return bool(operand) and all(_same(operand[0], other) for other in operand)
        case "matches":
            return re.search(operand["pattern"], str(operand["value"])) is not None
    raise ConfigFault(f"Unknown logic operator {operator!r}")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def wanted(node: dict[str, Any]) -> bool:
    """Whether `when` and `unless` of this workflow let it run."""
    return holds(node.get("when", True)) and not holds(node.get("unless", False))
