//! The typed side of a Kubernetes API server as pure functions over JSON: schemas, defaults, validation, merge patches, server-side apply, CRD schemas and CEL.
