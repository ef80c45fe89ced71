"""The binary frames: records to bytes and back. Pure; `docs/protocol.md` is the specification."""
