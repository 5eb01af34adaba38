import json
from pathlib import Path

from tests.chaos.aftermath import said_in, transcripts

LINES = [
    json.dumps({"type": "queue-operation", "content": "first"}),
    json.dumps({"type": "user", "message": {"role": "user", "content": "first"}}),
    json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": "no"}]}}),
    json.dumps({"type": "user", "message": {"content": [{"type": "text", "text": "second"}]}}),
    json.dumps({"type": "user", "message": {"content": [{"type": "tool_result", "content": "n"}]}}),
    '{"type": "user", "mess',
]


def test_what_the_user_said_is_read_from_a_transcript_that_may_be_cut() -> None:
    assert list(said_in(LINES)) == ["first", "second"]


def test_each_transcript_of_a_home_is_a_history_of_its_own(tmp_path: Path) -> None:
    project = tmp_path / ".claude/projects/-workspace"
    project.mkdir(parents=True)
    for name in ("a", "b"):
        (project / f"{name}.jsonl").write_text("\n".join(LINES))
    assert list(transcripts(tmp_path)) == [["first", "second"]] * 2
