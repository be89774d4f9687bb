//! Creates, configures and deletes Apache Doris clusters on Kubernetes.
