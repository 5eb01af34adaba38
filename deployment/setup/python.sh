# shellcheck shell=bash
# Which Python the virtual environment is made from.

# The system's own comes first: the credential proxy runs as a user of its own, and an interpreter
# inside somebody's private home directory cannot be executed by another user.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

has_venv_module() {
  local python
  python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null
}
