"""The HTTP front end: JSON for programs, a page for people, by the same use cases as over gRPC."""
