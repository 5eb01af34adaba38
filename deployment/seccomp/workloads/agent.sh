#!/bin/bash
# The agent itself, from its start over a turn with all its tools to its end. The model answers on
# loopback at port 4000, by the script in agent.yaml.
set -euo pipefail
cd /workspace
export ANTHROPIC_BASE_URL=http://127.0.0.1:4000 ANTHROPIC_API_KEY=none
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 CLAUDE_CODE_MAX_RETRIES=3
socket=/run/hakoiri/agent/agent.sock
ask() { curl --silent --show-error --noproxy '*' --unix-socket "$socket" "$@"; }

/opt/hakoiri/bin/python -I -m hakoiri.workspace_agent &
agent=$!
for _ in $(seq 600); do
  ask --fail --output /dev/null http://agent/health 2>/dev/null && break
  sleep 0.1
done
turn() {
  ask --no-buffer --fail -H 'Content-Type: application/json' -d "$1" http://agent/turns >events
  grep -q '^event: result' events
}
turn '{"turn_id": "one", "text": "use every tool"}'
grep -q 'all tools were used' events
turn '{"turn_id": "two", "text": "hello"}'
test "$(cat note.txt)" = "two lines, changed"
# the way to the proxy, which is not there: an answer all the same
curl --silent --max-time 10 --output /dev/null --proxy http://127.0.0.1:3128 http://example.test || true
kill "$agent"
wait "$agent"
echo "agent: all done"
