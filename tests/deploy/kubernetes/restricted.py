"""The rules of the Pod Security level "restricted" and of OpenShift's restricted-v2.

From https://kubernetes.io/docs/concepts/security/pod-security-standards/. OpenShift also sets the
user and the group of the files, and refuses a pod that sets them.
"""

from typing import Any

#: The allowed kinds of volumes.
VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_PROFILES = ("RuntimeDefault", "Localhost")
_CHOSEN_BY_OPENSHIFT = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")


def faults(pod: dict[str, Any]) -> list[str]:
    """Return the rules that a pod's spec breaks."""
    context = pod.get("securityContext", {})
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    return [
        *(f"{name} is set" for name in _HOST if pod.get(name)),
        *(
            f"the volume {volume['name']} is none of the kinds allowed"
            for volume in pod.get("volumes", [])
            if not volume.keys() - {"name"} <= VOLUMES
        ),
        *(f"the pod sets {name}" for name in _CHOSEN_BY_OPENSHIFT if name in context),
        *(fault for container in containers for fault in _of_container(container, context)),
    ]


def _of_container(container: dict[str, Any], pod: dict[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    both = pod | own
    capabilities = own.get("capabilities", {})
    rules = {
        "may gain privileges": own.get("allowPrivilegeEscalation") is not False,
        "is privileged": own.get("privileged"),
        "keeps capabilities": "ALL" not in capabilities.get("drop", []),
        "gets capabilities": set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"},
        "may run as root": both.get("runAsNonRoot") is not True,
        "has no seccomp profile": both.get("seccompProfile", {}).get("type") not in _PROFILES,
        "sees all of /proc": own.get("procMount", "Default") != "Default",
        "takes a port of the host": any("hostPort" in port for port in container.get("ports", [])),
        "sets its user or group": any(name in own for name in _CHOSEN_BY_OPENSHIFT),
    }
    return [f"{container['name']} {text}" for text, broken in rules.items() if broken]
