"""Everything that deploys AgentMem: the image, Kubernetes manifests, dashboard and alerts."""
