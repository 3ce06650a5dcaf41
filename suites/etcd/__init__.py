"""The etcd suite: real servers, nothing of ours but the harness."""
