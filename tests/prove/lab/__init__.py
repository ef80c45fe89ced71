"""Networks made by a test: namespaces, bad links, a TURN server. Linux, as root; elsewhere a test is "not run"."""
