"""The house: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
OUTER = {"__main__", "cli", "cluster", "console", "demo", "endings", "notifying", "options", "receiver", "serving", "wiring"}
OUTSIDE = {"pymilvus", "mlflow", "pyarrow", "grpc", "sqlalchemy", "fastapi", "requests"}


def modules() -> dict[str, Path]:
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SCRIPTS.rglob("*.py")}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    """outer (command line, wiring, demo) → jobs → core ← adapters."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in OUTER or parts[1].endswith("_commands"):
        return "outer"
    return parts[1] if parts[1] in ("jobs", "adapters") else "core"


MAY_IMPORT = {"outer": {"outer", "jobs", "core", "adapters"}, "jobs": {"jobs", "core"}, "adapters": {"adapters", "core"}, "core": {"core"}}


@pytest.mark.parametrize("module", sorted(modules()))
def test_arrows_point_inward(module):
    """The core knows nobody, jobs know the core, adapters know the core; only the command line and its wiring see both sides."""
    known = modules()
    for imported in imports(known[module]):
        if imported in known and imported != "scripts":
            assert room(imported) in MAY_IMPORT[room(module)], f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(m for m in modules() if room(m) in ("core", "jobs")))
def test_only_adapters_import_the_outside(module):
    """Milvus, MLflow and file formats are named in adapters alone."""
    assert not {name.split(".")[0] for name in imports(modules()[module])} & OUTSIDE


def test_the_environment_is_read_in_one_place():
    """scripts/config.py."""
    def reads(path: Path) -> bool:
        names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)}
        return bool(names & {"os.environ", "os.getenv"})

    assert [module for module, path in modules().items() if reads(path)] == ["scripts.config"]


def test_modules_stay_small():
    """About 300 lines, or there are two things in one room."""
    assert {module: count for module, path in modules().items() if (count := len(path.read_text(encoding="utf-8").splitlines())) > 330} == {}
