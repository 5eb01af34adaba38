"""Each in an interpreter of its own: what is imported once stays imported."""

import subprocess
import sys


def said_by(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


IMPORT = """
import sys
from hakoiri.workspace_agent.sdk_import import LeftOut, import_agent
module = import_agent("hakoiri.workspace_agent.sdk_client")
"""


def test_the_sdk_is_imported_without_mcp_and_its_types() -> None:
    assert said_by(f"{IMPORT}\nprint('mcp_types' in sys.modules, module.SdkAgent)") == (
        "False <class 'hakoiri.workspace_agent.sdk_client.SdkAgent'>\n"
    )


def test_afterwards_the_real_mcp_can_be_imported() -> None:
    program = """
import mcp.types
finders = [type(finder).__name__ for finder in sys.meta_path]
print(mcp.types.Tool.model_fields["name"].is_required(), "_LeftOutFinder" in finders)
"""
    assert said_by(IMPORT + program) == "True False\n"


def test_mcp_that_is_imported_already_stays() -> None:
    program = """
import claude_agent_sdk
print(issubclass(claude_agent_sdk.ToolAnnotations, LeftOut), "mcp_types" in sys.modules)
"""
    assert said_by(f"import mcp\n{IMPORT}{program}") == "False True\n"


def test_using_what_was_left_out_fails_with_a_reason() -> None:
    program = """
import claude_agent_sdk
try:
    claude_agent_sdk.ToolAnnotations()
except TypeError as error:
    print(error)
"""
    assert "mcp is left out of the agent's process" in said_by(IMPORT + program)


def test_what_another_thread_imports_meanwhile_is_no_fault() -> None:
    """The agent ended with code 1 when it loaded its interface at that moment."""
    program = """
import sys
from types import ModuleType
from hakoiri.workspace_agent import sdk_import
is_left_out = sdk_import._is_left_out
def beside_an_import(name):
    sys.modules.setdefault("another_" + name, ModuleType("another_" + name))
    return is_left_out(name)
with sdk_import._placeholders():
    import mcp.types
    sdk_import._is_left_out = beside_an_import
print("mcp" in sys.modules, "another_sys" in sys.modules)
"""
    assert said_by(program) == "False True\n"


def test_who_looks_for_a_module_meanwhile_passes_no_finder_over() -> None:
    """The agent ended with code 1, "No module named 'starlette._exception_handler'"."""
    program = """
import sys
from hakoiri.workspace_agent import sdk_import
before = list(sys.meta_path)
with sdk_import._placeholders():
    of_another_thread = iter(sys.meta_path)
    next(of_another_thread), next(of_another_thread)
asked = list(of_another_thread)
print(asked == before[1:], sys.meta_path == before)
"""
    assert said_by(program) == "True True\n"
