# A whole turn of the real agent, with all its tools: agent.sh, beside the model that it speaks to.
set -euo pipefail
/opt/hakoiri/bin/python - >/tmp/model.log 2>&1 <<'PY' &
import os
import sys

import hakoiri

sys.path.append("/model")  # what the image lacks
hakoiri.__path__.append("/model/hakoiri")
sys.argv = ["model", "--listen", "127.0.0.1:4000", "--script", "/model/agent.yaml"]
os.environ["HAKOIRI_REHEARSAL_API_KEY"] = "none"

import typer
from hakoiri.rehearsal.__main__ import run

typer.run(run)
PY
model=$!
for _ in $(seq 600); do
  curl --silent --noproxy '*' --output /dev/null http://127.0.0.1:4000/ && break
  kill -0 "$model" || { cat /tmp/model.log; exit 1; }
  sleep 0.2
done
bash /workloads/agent.sh || { tail -c 2000 /workspace/events /tmp/model.log; exit 1; }
kill "$model"
