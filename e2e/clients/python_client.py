"""The official Python client, tried on the server that KUBECONFIG names: it lists, watches and patches.

Prints a line a check and 'N passed, N failed' at the end; fails if a check did.
"""

import os
import sys
import threading

from kubernetes import client, config, watch

DEADLINE = 30


class Checks:
    """Counts what held and what did not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def equal(self, name, found, wanted):
        """One check: two values are equal."""
        if found == wanted:
            self.passed += 1
            print(f"ok   {name}")
        else:
            self.failed += 1
            print(f"FAIL {name}: wanted {wanted!r}, got {found!r}")


def config_map(name, **data):
    """A ConfigMap with a label to select it by."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"made-by": "python"}}, "data": data}


def lists(checks, core, namespace):
    """Objects are created, listed whole and in pages."""
    for name in ("a", "b", "c"):
        core.create_namespaced_config_map(namespace, config_map(name, key=name))
    found = core.list_namespaced_config_map(namespace, label_selector="made-by=python")
    checks.equal("a list by label", [item.metadata.name for item in found.items], ["a", "b", "c"])
    first = core.list_namespaced_config_map(namespace, label_selector="made-by=python", limit=2)
    rest = core.list_namespaced_config_map(namespace, label_selector="made-by=python", limit=2, _continue=first.metadata._continue)
    checks.equal("a list in pages", [len(first.items), [item.metadata.name for item in rest.items]], [2, ["c"]])
    one = core.list_namespaced_config_map(namespace, field_selector="metadata.name=b")
    checks.equal("a list by field", [item.data["key"] for item in one.items], ["b"])
    return found.metadata.resource_version


def watches(checks, core, namespace, version):
    """A watch from a known version tells each change once and in order."""

    def change():
        core.create_namespaced_config_map(namespace, config_map("d"))
        core.patch_namespaced_config_map("d", namespace, {"data": {"key": "new"}})
        core.delete_namespaced_config_map("d", namespace)

    seen = []
    stream = watch.Watch()
    changer = threading.Timer(0.3, change)
    changer.start()
    events = stream.stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector="made-by=python",
        resource_version=version,
        timeout_seconds=DEADLINE,
        _request_timeout=DEADLINE + 5,
    )
    for event in events:
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            stream.stop()
    changer.join()
    checks.equal("a watch", seen, [("ADDED", "d"), ("MODIFIED", "d"), ("DELETED", "d")])


def patches(checks, core, apps, namespace):
    """Merge and strategic patches, and a write with a stale version."""
    patched = core.patch_namespaced_config_map("a", namespace, {"data": {"key": None, "other": "1"}})
    checks.equal("a patch removes and adds", patched.data, {"other": "1"})
    container = {"name": "main", "image": "image-1"}
    template = {"metadata": {"labels": {"app": "py"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "py"}}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "py"}, "spec": spec})
    changed = {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}}
    merged = apps.patch_namespaced_deployment("py", namespace, changed).spec.template.spec.containers
    checks.equal("a strategic patch merges containers by name", [(c.image, c.env[0].name) for c in merged], [("image-1", "A")])
    scaled = apps.patch_namespaced_deployment_scale("py", namespace, {"spec": {"replicas": 1}})
    checks.equal("a scale is patched", scaled.spec.replicas, 1)
    stale = core.read_namespaced_config_map("b", namespace)
    core.patch_namespaced_config_map("b", namespace, {"data": {"key": "newer"}})
    try:
        core.replace_namespaced_config_map("b", namespace, stale)
        status = 200
    except client.ApiException as refusal:
        status = refusal.status
    checks.equal("a write with a stale version is refused", status, 409)


def main():
    """Runs all checks in a namespace of their own."""
    config.load_kube_config()
    core, apps, checks = client.CoreV1Api(), client.AppsV1Api(), Checks()
    namespace = f"python-{os.getpid()}"
    core.create_namespace({"metadata": {"name": namespace}})
    try:
        version = lists(checks, core, namespace)
        watches(checks, core, namespace, version)
        patches(checks, core, apps, namespace)
    finally:
        core.delete_namespace(namespace)
    print(f"python client: {checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
