"""The gateway over HTTP: JSON for programs, a page for people. The same use cases as over gRPC."""
