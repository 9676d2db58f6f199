"""Alters each guard and each number of the safety machine in turn, and looks whether the tests notice.

    python tools/mutate_evse.py [--files point,contactor] [--minutes 10 --skip N] [--jobs 2] [--list]

For every module below: each `if`, conditional expression and `while` is taken as true and as false, each part of an
`and`/`or` is left out, each comparison is turned round (with --neighbours also `<` to `<=`), each `not` is dropped,
each number of what is bound to a capital name is made half as much again and half, each line of the state machine's
table is left out, and each row of the fault table gets another effect, recovery, quiet time and count, and is no longer
latching. The sources are never touched.

The tests are collected once. For each alteration a child is forked in which the function's code is exchanged, and
those tests run that call it, quickest first, until one fails. What is altered outside functions, or in one that a
module calls while it is loaded, is loaded anew there. Survivors that cannot be noticed stand with their reason in
`mutants_accepted.toml`; exit status 1 when another one survives, or when one that stands there does not.
"""

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import itertools
import json
import os
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "chargepoint"
ACCEPTED = Path(__file__).with_name("mutants_accepted.toml")
MODULES = (
    "evse.point", "evse.pointconfig", "evse.detect", "evse.contactor", "evse.lock", "evse.lease", "evse.pilot",
    "evse.machine", "evse.proximity", "evse.offer", "evse.wakeup", "evse.watch", "evse.domestic", "evse.selftest",
    "evse.register", "evse.lateness", "iec61851.timing", "iec61851.pilot", "iec61851.proximity", "faults",
)  # fmt: skip
TESTS = (
    "tests/iec61851/test_fault_rows.py",
    "tests/evse/test_evse_parts.py", "tests/iec61851/test_iec61851_tables.py", "tests/evse/test_evse_detectors.py",
    "tests/evse/test_evse_point.py", "tests/evse/test_evse_guards.py",
    "tests/evse/test_evse_charging.py", "tests/evse/test_evse_lease_lock.py", "tests/evse/test_evse_faults.py",
    "tests/evse/test_evse_domestic.py", "tests/evse/test_evse_lock.py", "tests/evse/test_evse_selftest.py",
    "tests/evse/test_evse_walk.py::test_no_sequence_of_events_breaks_an_invariant",
    "tests/evse/test_evse_properties.py",
)  # fmt: skip
TABLE = "_table"
"""The function that makes the state machine's transitions, one call each: they are left out in turn."""
ROW = "_row"
"""The function that makes one row of the fault table."""
OTHER_WORD = {
    "_OPEN": "_STOP", "_STOP": "_REPORT", "_DERATE": "_REPORT", "_REPORT": "_STOP",
    "_SELF": "_UNPLUG", "_UNPLUG": "_SELF", "_TECHNICIAN": "_SELF",
}  # fmt: skip
"""What stands for an effect or a recovery in an altered row."""
CPU_LIMIT_S = 120
"""Of computing in one child: all tests take some 20. One that goes on longer does not end, which is noticed."""
WALL_LIMIT_S = 1800
"""The same for one that waits. Far off, so that a loaded machine is no reason."""
NEIGHBOUR = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One alteration."""

    module: str
    where: str
    """The outermost function, with its class; empty outside functions."""
    line: int
    what: str
    place: int
    """Which node of the module."""
    alteration: int
    """Which of the node's alterations."""
    neighbours: bool
    on_load: bool
    """It is at work when the module is loaded; exchanged later it would do nothing."""

    def source(self) -> str:
        """The whole module, altered."""
        tree = parsed(self.module)
        node = next(itertools.islice(_places(tree, ""), self.place, None))[0]
        list(_alterations(node, self.neighbours))[self.alteration][1](node)
        return ast.unparse(ast.fix_missing_locations(tree))

    @property
    def key(self) -> tuple[str, str, str]:
        return self.module, self.where, self.what

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.where or '-'}: {self.what}"


def mutants_of(module: str, neighbours: bool) -> Iterator[Mutant]:
    """All alterations of one module; equal ones of one function are numbered."""
    told: dict[tuple[str, str], int] = {}
    tree = parsed(module)
    on_load = {"", *_called_on_load(tree)}
    for place, (node, where) in enumerate(_places(tree, "")):
        for alteration, (what, _) in enumerate(_alterations(node, neighbours)):
            number = told[where, what] = told.get((where, what), 0) + 1
            name = what if number == 1 else f"{what} ({number})"
            line = getattr(node, "lineno", 0)
            yield Mutant(module, where, line, name, place, alteration, neighbours, where in on_load)


def parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


def _called_on_load(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if not isinstance(statement, Function | ast.ClassDef):
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield node.func.id


def _places(node: ast.AST, where: str, inside: bool = False) -> Iterator[tuple[ast.AST, str]]:
    """Every node, and the outermost function it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr_context):
            continue
        name, within = where, inside
        if not inside and isinstance(child, ast.ClassDef | Function):
            name = f"{where}.{child.name}" if where else child.name
            within = isinstance(child, Function)
        yield child, name if within else ""
        yield from _places(child, name, within)


def _alterations(node: ast.AST, neighbours: bool) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        text = ast.unparse(node.test)
        if text == "TYPE_CHECKING":
            return
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
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and target.id.isupper():
            yield from _other_numbers(target.id, node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == ROW:
        yield from _other_row(node)
    if isinstance(node, ast.FunctionDef) and node.name == TABLE:
        calls = [n for n in ast.walk(node) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
        for number, call in enumerate(calls):
            yield f"`{ast.unparse(call)}` left out", lambda n, k=number: _silence(n, k)


def _other_numbers(name: str, value: ast.expr) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Each number of what is bound to a name, made half as much again and half."""
    for place, number in enumerate(_numbers(value)):
        old: Any = number.value
        for new in (old * 1.5 + (1 if isinstance(old, int) else 0), old / 2):
            other = round(new) if isinstance(old, int) else new
            if other == old:
                continue
            told = f"{name} = {other}" if number is value else f"{name}: {old} as {other} at {place}"
            yield told, lambda n, k=place, v=other: setattr(_numbers(n.value)[k], "value", v)


def _other_row(call: ast.Call) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """One row of the fault table with one word or number altered."""
    name = ast.unparse(call.args[0])
    for place, word in enumerate(call.args):
        if isinstance(word, ast.Name) and word.id in OTHER_WORD:
            other = OTHER_WORD[word.id]
            yield f"{name}: {word.id} as {other}", lambda n, k=place, v=other: setattr(n.args[k], "id", v)
    for place, given in enumerate(call.keywords):
        if isinstance(given.value, ast.Constant) and given.arg in ("after_s", "count", "latching"):
            old = given.value.value
            for new in (False,) if old is True else (old * 1.5 + 1, old / 2) if old else (1.0,):
                told = f"{name}: {given.arg} {old} as {new}"
                yield told, lambda n, k=place, v=new: setattr(n.keywords[k].value, "value", v)


def _numbers(value: ast.expr) -> list[Any]:
    return [n for n in ast.walk(value) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]


def _silence(table: ast.FunctionDef, number: int) -> None:
    calls = [n for n in ast.walk(table) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    calls[number].value = ast.Constant(None)


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


class Outcome:
    """Children under way, and what became of them."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._children: dict[int, tuple[Mutant, float]] = {}
        self.survivors: list[Mutant] = []
        self.run = 0

    def fork(self, mutant: Mutant, test: Callable[[], bool]) -> None:
        """Run `test` in a child; True from it means that nothing was noticed."""
        while len(self._children) >= self._jobs:
            self._reap()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setsid()
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
            noticed = 1
            try:
                noticed = 0 if test() else 1
            finally:
                os._exit(noticed)
        self._children[child] = (mutant, time.monotonic() + WALL_LIMIT_S)

    def finish(self) -> None:
        while self._children:
            self._reap()

    def _reap(self) -> None:
        """Wait for at least one child. One that hangs has noticed."""
        while True:
            for child, (mutant, limit) in list(self._children.items()):
                done, status = os.waitpid(child, os.WNOHANG)
                late = time.monotonic() > limit
                if late and not done:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                if done or late:
                    del self._children[child]
                    self._judge(mutant, os.waitstatus_to_exitcode(status) if done else -signal.SIGKILL)
                    return
            time.sleep(0.002)

    def _judge(self, mutant: Mutant, code: int) -> None:
        self.run += 1
        if code == 0:
            self.survivors.append(mutant)
        if code <= 0:
            print(f"{self.run}: {'does not end' if code else 'survives'}: {mutant}", file=sys.stderr, flush=True)


def loaded_anew(mutant: Mutant) -> bool:
    """All tests with the altered module, in a process that has not loaded any of them yet."""
    sys.meta_path.insert(0, _Altered(f"chargepoint.{mutant.module}", mutant.source()))
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", *TESTS]) == 0


class Warm:
    """A pytest plugin: when all tests are collected, it takes the loop and judges the alterations within functions."""

    def __init__(self, mutants: Iterable[Mutant], outcome: Outcome, end: float) -> None:
        self._mutants = mutants
        self._outcome = outcome
        self._end = end
        self.sound = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        calls = self._baseline(session)
        self.sound = calls is not None
        if calls is None:
            return True
        for mutant in self._mutants:
            if time.monotonic() > self._end:
                break
            items = [session.items[number] for number in calls.get((mutant.module, mutant.where), ())]
            self._outcome.fork(mutant, lambda m=mutant, i=items, s=session: exchange(m) and passes(s, i))
        self._outcome.finish()
        return True

    def _baseline(self, session: pytest.Session) -> dict[tuple[str, str], list[int]] | None:
        """Which tests call which function, quickest first; measured in a child. None when a test fails.

        The walks, which a profile would slow down by far, are taken to call everything.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            calls: dict[str, list[tuple[float, int]]] = {}
            good = True
            for number, item in enumerate(session.items):
                called: set[CodeType] = set()
                begun = time.process_time()
                if "evse_walk" not in item.nodeid:
                    sys.setprofile(lambda frame, event, _, called=called: called.add(frame.f_code))
                good = passes(session, [item]) and good
                sys.setprofile(None)
                spent = time.process_time() - begun
                for code in called:
                    if code.co_filename.startswith(str(PACKAGE)):
                        name = f"{code.co_filename} {code.co_qualname.partition('.<locals>')[0]}"
                        calls.setdefault(name, []).append((spent, number))
            with os.fdopen(writing, "w") as file:
                json.dump(calls if good else None, file)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            told = json.load(file)
        os.waitpid(child, 0)
        if told is None:
            return None
        walks = [number for number, item in enumerate(session.items) if "evse_walk" in item.nodeid]
        found: dict[tuple[str, str], list[int]] = {}
        for name, tests in told.items():
            path, _, where = name.partition(" ")
            module = ".".join(Path(path).relative_to(PACKAGE).with_suffix("").parts)
            found[module, where] = [number for _, number in sorted(tests)] + walks
        return found


def passes(session: pytest.Session, items: list[pytest.Item]) -> bool:
    """Run these tests until one fails."""
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return False
    return True


def exchange(mutant: Mutant) -> bool:
    """Give the function of the mutant its altered code, in this process. True, always: it is done."""
    module = importlib.import_module(f"chargepoint.{mutant.module}")
    thing: Any = module
    for name in mutant.where.split("."):
        thing = vars(thing)[name]
    thing = getattr(thing, "fget", None) or getattr(thing, "__func__", None) or thing
    code = compile(mutant.source(), module.__file__ or "", "exec")
    for name in mutant.where.split("."):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    assert isinstance(thing, FunctionType), f"{mutant.where} is no function"
    thing.__code__ = code
    return True


def accepted() -> dict[tuple[str, str, str], str]:
    """Alterations that no test can notice, with the reason."""
    rows = tomllib.loads(ACCEPTED.read_text(encoding="utf-8")).get("accepted", []) if ACCEPTED.exists() else []
    return {(row["module"], row["where"], row["what"]): row["reason"] for row in rows}


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation check of the safety machine.")
    parser.add_argument("--files", default="", help="modules by their last name, with commas between them; default all")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin none after so long")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many alterations: where the last run ended")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--neighbours", action="store_true", help="also < against <=: mostly a difference of one pass")
    parser.add_argument("--list", action="store_true", help="only list the alterations")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.files.split(",")))
    modules = [m for m in MODULES if not wanted or m.rpartition(".")[2] in wanted or m in wanted]
    every = [mutant for module in modules for mutant in mutants_of(module, arguments.neighbours)]
    every.sort(key=lambda m: not m.on_load)
    mutants = every[arguments.skip :]
    if arguments.list:
        print("\n".join(map(str, every)))
        return 0
    end = time.monotonic() + arguments.minutes * 60
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    # That a property fails is enough here; the search for its shortest story would take a minute each time.
    settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), deadline=None)
    settings.load_profile("mutants")
    outcome = Outcome(arguments.jobs)
    for mutant in mutants:
        if mutant.on_load and time.monotonic() < end:
            outcome.fork(mutant, lambda m=mutant: loaded_anew(m))
    outcome.finish()
    warm = Warm([m for m in mutants if not m.on_load], outcome, end)
    pytest.main(["-q", "-p", "no:cacheprovider", *TESTS], plugins=[warm])
    if not warm.sound:
        print("the tests fail without any alteration: nothing can be told", file=sys.stderr)
        return 2
    return tell(every, mutants, outcome)


def tell(every: list[Mutant], mutants: list[Mutant], outcome: Outcome) -> int:
    """Print what survived against what may. Answers the exit status."""
    reasons = accepted()
    new = [m for m in outcome.survivors if m.key not in reasons]
    for mutant in new:
        print(f"SURVIVED {mutant}")
    stale = []
    if outcome.run == len(every):
        alive = {m.key for m in outcome.survivors}
        modules = {m.module for m in every}
        stale = [key for key in reasons if key[0] in modules and key not in alive]
    for key in stale:
        print(f"NO LONGER SURVIVES, take it off {ACCEPTED.name}: {' '.join(key)}")
    known = len(outcome.survivors) - len(new)
    print(
        f"{outcome.run} of {len(every)} alterations run"
        + (f" (from the {len(every) - len(mutants) + 1}th)" if len(mutants) < len(every) else "")
        + f": {outcome.run - len(outcome.survivors)} noticed, {known} accepted, {len(new)} not noticed"
    )
    return 1 if new or stale else 0


if __name__ == "__main__":
    sys.exit(main())
