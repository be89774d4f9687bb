//! An in-memory Kubernetes API server with the built-in controllers that an operator leans on.
