# A whole turn of the real agent, with all its tools. The model answers inside the box, on loopback.
set -euo pipefail
cd /workspace
cat /run/hakoiri/proxy/*.pem >/dev/null # what clients trust
socket=/run/hakoiri/agent/agent.sock
ask() { curl --silent --show-error --noproxy '*' "$@"; }

/opt/hakoiri/bin/python - >/tmp/model.log 2>&1 <<'PY' &
import os
import sys

import hakoiri

sys.path.append("/workspace/model")  # what the image lacks
hakoiri.__path__.append("/workspace/model/hakoiri")
sys.argv = ["model", "--listen", "127.0.0.1:4000", "--script", "/workspace/model/agent.yaml"]
os.environ["HAKOIRI_REHEARSAL_API_KEY"] = os.environ["ANTHROPIC_API_KEY"]

import typer
from hakoiri.rehearsal.__main__ import run

typer.run(run)
PY
model=$!
for _ in $(seq 600); do
  ask --output /dev/null http://127.0.0.1:4000/ 2>/dev/null && break
  kill -0 "$model" || { cat /tmp/model.log; exit 1; }
  sleep 0.2
done
turn() {
  ask --no-buffer --fail --unix-socket "$socket" -H 'Content-Type: application/json' -d "$1" \
    http://agent/turns >events || { cat /tmp/model.log; exit 1; }
  grep -q '^event: result' events || { tail -c 2000 events; exit 1; }
}
turn '{"turn_id": "one", "text": "use every tool"}'
grep -q 'all tools were used' events
turn '{"turn_id": "two", "text": "hello"}'
test "$(cat note.txt)" = "two lines, changed"
test -d r/.git
# the way to the proxy, where nobody listens: an answer all the same
curl --silent --max-time 20 --output /dev/null --proxy http://127.0.0.1:3128 http://example.test || true
kill "$model"
echo "turn: all done"
