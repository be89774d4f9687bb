//! Nodes, kubelets and volumes as an ordinary Kubernetes API client, running simulated Doris processes.
