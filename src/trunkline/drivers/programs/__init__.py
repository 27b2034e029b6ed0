"""Programs that clients send (jq filters, jsonnet templates), each in a process of its own with limits."""
