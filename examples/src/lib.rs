//! Plans, builds, verifies and describes whole homelab clusters out of one `cluster.yaml`.
