"""The trusted server: HTTP API, orchestrator, file sync. Holds no model or API credential."""
