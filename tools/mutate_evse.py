"""Alters each guard and each number of the safety machine in turn, and looks whether the tests notice.

    python tools/mutate_evse.py [--files point,contactor] [--minutes 30] [--jobs 2] [--list]

For every module below: each `if`, conditional expression and `while` is taken as true and as false, each part of an
`and`/`or` is left out, each comparison is turned round (with --neighbours also `<` to `<=`), each `not` is dropped, and
each number that is bound to a capital name is made half as much again and half. A child process runs the tests with
that one module altered in memory; the sources are never touched. Prints the survivors; exit status 1 if any.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "chargepoint"
MODULES = (
    "evse.point", "evse.detect", "evse.contactor", "evse.lock", "evse.lease", "evse.pilot", "evse.proximity",
    "evse.offer", "evse.wakeup", "evse.watch", "evse.domestic", "evse.selftest", "evse.register", "iec61851.timing",
    "iec61851.pilot", "iec61851.proximity",
)  # fmt: skip
TESTS = (
    "tests/iec61851/test_iec61851_tables.py", "tests/evse/test_evse_parts.py", "tests/evse/test_evse_guards.py",
    "tests/evse/test_evse_charging.py",
    "tests/evse/test_evse_lease_lock.py", "tests/evse/test_evse_faults.py", "tests/evse/test_evse_properties.py",
)  # fmt: skip
"""Quickest first: most mutants do not get far."""
CHILD_LIMIT_S = 240
NEIGHBOUR = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One alteration."""

    module: str
    line: int
    what: str
    source: str


def mutants_of(module: str, neighbours: bool) -> Iterator[Mutant]:
    """All alterations of one module."""
    path = PACKAGE / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)]
    for index, node in enumerate(nodes):
        for what, alter in _alterations(node, neighbours):
            changed = copy.deepcopy(tree)
            target = [n for n in ast.walk(changed) if not isinstance(n, ast.expr_context)][index]
            alter(target)
            ast.fix_missing_locations(changed)
            yield Mutant(module, getattr(node, "lineno", 0), what, ast.unparse(changed))


def _alterations(node: ast.AST, neighbours: bool) -> Iterator[tuple[str, object]]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        text = ast.unparse(node.test)
        for value in (True, False):
            if not (isinstance(node, ast.While) and value):
                yield f"`{text}` taken as {value}", lambda n, v=value: setattr(n, "test", ast.Constant(v))
    if isinstance(node, ast.BoolOp):
        for number, part in enumerate(node.values):
            yield f"`{ast.unparse(part)}` left out of `{ast.unparse(node)}`", lambda n, k=number: n.values.pop(k)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        kind = type(node.ops[0])
        text = ast.unparse(node)
        if neighbours and kind in NEIGHBOUR:
            yield (
                f"`{text}` with {NEIGHBOUR[kind].__name__}",
                lambda n: n.ops.__setitem__(0, NEIGHBOUR[type(n.ops[0])]()),
            )
        if kind in OPPOSITE:
            yield f"`{text}` turned round", lambda n: n.ops.__setitem__(0, OPPOSITE[type(n.ops[0])]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"`{ast.unparse(node)}` without not", lambda n: setattr(n, "op", ast.Not()) or _wrap(n)
    named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float):
        old = node.value.value
        for new in (old * 1.5 + (1 if isinstance(old, int) else 0), old / 2):
            value = round(new) if isinstance(old, int) else new
            if value != old:
                yield f"{node.targets[0].id} = {value}", lambda n, v=value: setattr(n, "value", ast.Constant(v))


def _wrap(node: ast.UnaryOp) -> None:
    node.operand = ast.UnaryOp(ast.Not(), node.operand)


class _Altered(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module's altered source to the importer."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._name, "exec"), module.__dict__)


def survives(mutant: Mutant) -> bool:
    """Run the tests in a child with the mutant in place. A child that hangs has noticed."""
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.meta_path.insert(0, _Altered(f"chargepoint.{mutant.module}", mutant.source))
        import pytest

        for test in TESTS:
            if pytest.main(["-x", "-q", "-p", "no:cacheprovider", test]) != 0:
                os._exit(1)
        os._exit(0)
    limit = time.monotonic() + CHILD_LIMIT_S
    while time.monotonic() < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation check of the safety machine.")
    parser.add_argument("--files", default="", help="modules by their last name, with commas between them; default all")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--neighbours", action="store_true", help="also < against <=: mostly a difference of one pass")
    parser.add_argument("--list", action="store_true", help="only list the alterations")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.files.split(",")))
    modules = [m for m in MODULES if not wanted or m.split(".")[1] in wanted or m in wanted]
    mutants = [mutant for module in modules for mutant in mutants_of(module, arguments.neighbours)]
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.module}:{mutant.line} {mutant.what}")
        return 0
    sys.path.insert(0, str(ROOT / "src"))
    os.chdir(ROOT)
    import hypothesis  # noqa: F401  the children inherit the slow imports
    import msgspec  # noqa: F401
    import pytest  # noqa: F401
    import transitions  # noqa: F401

    sound = PACKAGE / "evse" / "contactor.py"
    if not survives(Mutant("evse.contactor", 0, "nothing", sound.read_text(encoding="utf-8"))):
        print("the tests fail without any alteration: nothing can be told", file=sys.stderr)
        return 2
    end = time.monotonic() + arguments.minutes * 60
    run = survivors = 0

    def judge(mutant: Mutant) -> tuple[Mutant, bool | None]:
        return mutant, survives(mutant) if time.monotonic() < end else None

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for mutant, alive in pool.map(judge, mutants):
            run += alive is not None
            if alive:
                survivors += 1
                print(f"SURVIVED {mutant.module}:{mutant.line} {mutant.what}", flush=True)
    print(f"{run} of {len(mutants)} mutants run, {survivors} survived", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
