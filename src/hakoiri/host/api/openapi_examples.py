"""What requests and answers look like, for the OpenAPI page: one example for each document."""

from typing import Any, Final

_CONVERSATION_ID: Final = "c-0123456789abcdef0123456789abcdef"
_WORKSPACE_ID: Final = "w-0123456789abcdef0123456789abcdef"
_POINT_ID: Final = "rp-0123456789abcdef0123456789abcdef"
_OLDER_ID: Final = "rp-fedcba9876543210fedcba9876543210"
_MADE_AT: Final = "2026-11-27T12:00:00Z"

_CONVERSATION: Final[dict[str, Any]] = {
    "id": _CONVERSATION_ID,
    "kind": "agent",
    "workspace_id": _WORKSPACE_ID,
    "policy": "default",
    "options": {},
    "runtime": None,
    "created_at": _MADE_AT,
    "turn": 1,
    "running": False,
    "last_event": 9,
}
_WORKSPACE: Final[dict[str, Any]] = {
    "id": _WORKSPACE_ID,
    "conversation_id": None,
    "policy": "default",
    "created_at": _MADE_AT,
    "state": "live",
    "in_use": False,
    "generation": 1,
    "recovery_point": _POINT_ID,
}
_LOOK: Final[dict[str, Any]] = {
    "state": "done",
    "refused": 240,
    "open": [],
    "reason": "",
    "took_s": 0.9,
    "processor_s": 0.7,
}
_POINT: Final[dict[str, Any]] = {
    "id": _POINT_ID,
    "created_at": _MADE_AT,
    "reason": "turn-end",
    "turn": 1,
    "event_number": 9,
    "generation": 1,
    "files": 2,
    "file_bytes": 2048,
    "kept": False,
    "newest": True,
    "parent": _OLDER_ID,
}
_POLICY: Final[dict[str, Any]] = {
    "rules": [{"host": "files.example.com", "ports": [443], "methods": ["GET"]}],
    "model": {"provider": "bedrock", "credential": "bedrock", "region": "eu-west-1"},
}
_POOL: Final[dict[str, Any]] = {
    "runtimes": {"runc": {"min": 1, "target": 2, "max": 4}},
    "max_age_s": 3600,
    "refills_at_once": 1,
    "preconnect": True,
}
_POOL_NOW: Final[dict[str, Any]] = {
    "state": "full",
    "reason": "",
    "ready": 2,
    "starting": 0,
    "retiring": 0,
    "target": 2,
}
_KEY: Final[dict[str, Any]] = {
    "id": "0123456789abcdef",
    "name": "the web shop",
    "created_at": _MADE_AT,
    "revoked_at": None,
}
_DISK: Final[dict[str, Any]] = {
    "used_bytes": 1048576,
    "quota_bytes": 4294967296,
    "used_inodes": 12,
    "quota_inodes": 160000,
}
_AMOUNT: Final = {"objects": 12, "size_bytes": 1048576}

EXAMPLES: Final[dict[str, Any]] = {
    "NewConversation": {"kind": "agent", "policy": "default"},
    "ConversationDocument": _CONVERSATION,
    "ConversationList": {"conversations": [_CONVERSATION], "next": None},
    "NewMessage": {"text": "Write a haiku into haiku.txt"},
    "TurnAccepted": {"turn": 1, "event": 1},
    "NewWorkspace": {"policy": "default"},
    "WorkspaceDocument": _WORKSPACE,
    "WorkspaceList": {"workspaces": [_WORKSPACE], "next": None},
    "NewCommand": {"argv": ["ls", "-l"], "timeout_s": 60},
    "CommandResult": {
        "exit_code": 0,
        "signal": None,
        "timed_out": False,
        "output_cut": False,
        "stdout": "haiku.txt\n",
        "stderr": "",
    },
    "FileList": {"files": [{"path": "haiku.txt", "kind": "file", "size_bytes": 58}]},
    "FileChange": {"recovery_point": _POINT_ID},
    "ImportedArchive": {
        "recovery_point": _POINT_ID,
        "files": 3,
        "file_bytes": 4096,
        "left_out": 1,
        "left_out_names": ["link: a symlink"],
    },
    "NewImport": {"git": {"url": "https://git.example.com/acme/site.git", "ref": "v2"}},
    "ImportedRepository": {
        "recovery_point": _POINT_ID,
        "path": "site",
        "commit": "0123456789abcdef0123456789abcdef01234567",
    },
    "RecoveryPointDocument": _POINT,
    "RecoveryPointList": {"recovery_points": [_POINT], "next": None},
    "PointKeeping": {"kept": True},
    "Restore": {"expected_newest": _POINT_ID},
    "RestoreDocument": {"recovery_point": _POINT, "undo": _OLDER_ID, "left_out": []},
    "DiffDocument": {
        "added": 1,
        "removed": 0,
        "changed": 0,
        "memory_changed": True,
        "changes": [
            {
                "path": "haiku.txt",
                "change": "added",
                "before": None,
                "after": {"kind": "file", "mode": "0644", "size_bytes": 58, "sha256": "ab" * 32},
            }
        ],
        "next": None,
    },
    "NewFork": {"recovery_point": _POINT_ID},
    "ForkDocument": {
        "workspace_id": "w-11111111111111111111111111111111",
        "conversation_id": None,
        "policy": "default",
        "created_at": _MADE_AT,
        "recovery_point": _POINT_ID,
        "from_workspace_id": _WORKSPACE_ID,
        "from_recovery_point": _POINT_ID,
        "from_event_number": 9,
    },
    "UsageDocument": {
        "state": "live",
        "cpu_seconds": 1.5,
        "cpu_cores": 0.1,
        "memory_bytes": 134217728,
        "memory_limit_bytes": 2147483648,
        "pids": 12,
        "pids_limit": 512,
        "oom_kills": 0,
        "workspace": _DISK,
        "home": _DISK,
    },
    "Policy": _POLICY,
    "PolicyList": {"policies": {"default": _POLICY}},
    "PoolConfiguration": _POOL,
    "PoolReport": {"source": "stored", "configuration": _POOL, "runtimes": {"runc": _POOL_NOW}},
    "AuditPage": {
        "events": [{"time": 1795780800000, "metadata": {"event_code": "conversation_created"}}],
        "next": None,
    },
    "NewKey": {"name": "the web shop"},
    "CreatedKey": {**_KEY, "key": "hk_0123456789abcdef_SECRET"},
    "KeyList": {"keys": [_KEY]},
    "CollectionRequest": {"dry_run": True},
    "ToldCollection": {
        "is_dry": True,
        "started": _MADE_AT,
        "ended": _MADE_AT,
        "tenants": 1,
        "recovery_points": 4,
        "expired_points": 0,
        **dict.fromkeys(
            ("live", "young", "waiting", "archived", "left", "deleted", "foreign"), _AMOUNT
        ),
        "wasted_bytes": 0,
        "abandoned": 0,
        "missing": 0,
        "brought_back": 0,
        "failures": [],
    },
    "Health": {"status": "ok"},
    "Ready": {
        "ready": True,
        "reasons": [],
        "parts": {"proxy": {"up": True, "reasons": [], "mend": ""}},
        "degraded": [
            {
                "what": "memory",
                "reason": "the host is short of memory: no warm container is started",
                "mend": "see what else runs on the host, or lower HAKOIRI_CONTAINER__LIMIT",
            }
        ],
        "probe": _LOOK | {"runtimes": {"runc": _LOOK}},
        "apparmor": {"state": "confined", "profile": "workspace-container", "reason": ""},
        "pool": {"runc": _POOL_NOW},
    },
}
"""JSON documents, by the name of their schema."""

EVENT_STREAM: Final = (
    "id: 9\nevent: result\n"
    f'data: {{"id": 9, "type": "result", "time": "{_MADE_AT}", '
    f'"conversation_id": "{_CONVERSATION_ID}", "turn": 1, "data": {{"text": "Done."}}}}\n\n'
)
"""The end of a turn, as server-sent events."""
