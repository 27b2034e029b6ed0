"""The chart under test, and the tools that judge it where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/trunkline"

#: Values that people install with, by what they want.
INSTALLATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "throw-away": {"persistence": {"enabled": False}},
    "with TLS": {"tls": {"enabled": True, "secret": "certificate"}},
    "node port": {"service": {"type": "NodePort", "nodePort": 30650}, "allowOpenPort": True},
    "eks": {
        "database": {
            "url": "postgresql://trunkline@db.example.org:5432/trunkline?sslmode=require",
            "passwordSecret": {"name": "trunkline-database"},
        },
        "store": {"url": "s3://trunkline-example/main", "region": "eu-central-1"},
        "serviceAccount": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/trunkline"}
        },
        "networkPolicy": {"restrictWorkers": True},
    },
    "minio": {
        "store": {
            "url": "s3://trunkline/main",
            "endpoint": "http://minio.minio.svc:9000",
            "credentialsSecret": "minio",
        },
        "networkPolicy": {"restrictWorkers": True, "objectStore": {"cidrs": ["10.0.0.0/8"], "ports": [9000]}},
    },
    "workers elsewhere": {
        "workers": {
            "namespace": "work",
            "imagePullSecrets": ["registry"],
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/work"}},
        },
        "networkPolicy": {"restrictWorkers": True, "extraEgress": [{"ports": [{"port": 443}]}]},
    },
    "url in a secret": {
        "database": {"urlSecret": {"name": "database"}},
        "store": {"url": "gs://bucket"},
    },
    "accounts of others": {
        "serviceAccount": {"create": False, "name": "given"},
        "workers": {"serviceAccount": {"create": False, "name": "others"}},
        "rbac": {"create": False},
    },
    "openshift": {
        "server": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
        "workers": {"podSecurityContext": None},
    },
    "standby": {
        "server": {"replicas": 2},
        "database": {"urlSecret": {"name": "database"}},
        "store": {"url": "s3://bucket"},
        "podDisruptionBudget": {"enabled": True},
    },
    "behind a proxy": {
        "image": {"registry": "registry.example.org", "architecture": ""},
        "caBundle": {"configMap": "authorities"},
        "proxy": {"https": "http://proxy:3128", "noProxy": "intranet.example.org"},
        "commonLabels": {"team": "data"},
        "commonAnnotations": {"owner": "data"},
    },
    "workers of their own kind": {
        "workers": {
            "image": {"pullPolicy": "Always"},
            "allowedServiceAccounts": ["reader"],
            "allowedSecrets": ["authorities"],
            "podLabels": {"team": "data"},
            "podAnnotations": {"sidecar.istio.io/inject": "false"},
            "nodeSelector": {"pool": "batch"},
            "tolerations": [{"key": "batch", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "priorityClassName": "low",
            "runtimeClassName": "gvisor",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["store"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.0.0.2"]},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            "sidecarResources": {"limits": {"memory": "512Mi"}},
            "extraEnv": [{"name": "MODE", "value": "batch"}],
            "extraEnvFrom": [{"configMapRef": {"name": "settings"}}],
            "extraVolumes": [{"name": "cache", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        },
    },
    "few rights": {"rbac": {"nodes": False, "secrets": False}},
    "all of it": {
        "fullnameOverride": "pachd",
        "imagePullSecrets": ["registry"],
        "image": {"repository": "registry.example.org/trunkline/server", "digest": "sha256:" + "0" * 64},
        "ingress": {
            "enabled": True,
            "host": "trunkline.example.org",
            "className": "nginx",
            "tlsSecret": "tls",
            "extraHosts": [{"host": "data.example.org", "tlsSecret": "data"}, {"host": "plain.example.org"}],
            "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "GRPC"},
        },
        "allowOpenPort": True,
        "extraObjects": [
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "{{ .Release.Name }}-limits"}}
        ],
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "persistence": {
            "accessModes": ["ReadWriteOncePod"],
            "storageClass": "gp3",
            "size": "100Gi",
            "keep": False,
            "annotations": {"team": "data"},
        },
        "service": {
            "type": "LoadBalancer",
            "annotations": {"a": "b"},
            "labels": {"a": "b"},
            "loadBalancerClass": "example.org/lb",
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
        "server": {
            "log": "DEBUG",
            "limits": {"connections": 500, "message": "32Mi", "handshake": 2.5},
            "trustedProxies": ["10.0.0.0/8"],
            "extraArgs": ["--capacity-memory=1Ti"],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "extraVolumes": [{"name": "certificates", "configMap": {"name": "certificates"}}],
            "extraVolumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
            "podAnnotations": {"a": "b"},
            "podLabels": {"team": "data"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "important",
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "trunkline"}},
                }
            ],
            "runtimeClassName": "gvisor",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["store"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.0.0.2"]},
            "extraEnvFrom": [{"configMapRef": {"name": "settings"}}],
            "initContainers": [
                {
                    "name": "wait",
                    "image": "busybox:1",
                    "command": ["true"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "startupProbe": {"failureThreshold": 900},
            "livenessProbe": {"periodSeconds": 60},
        },
    },
    "as for pachyderm": {
        "deployTarget": "AMAZON",
        "pachd": {
            "storage": {"backend": "AMAZON", "amazon": {"bucket": "b", "region": "us-east-1"}},
            "resources": {"requests": {"cpu": 1, "memory": "2Gi"}},
        },
        "global": {
            "imagePullSecrets": ["registry"],
            "postgresql": {
                "postgresqlHost": "db.example.org",
                "postgresqlExistingSecretName": "pg",
                "ssl": "require",
            },
        },
    },
}


def tool(name: str) -> str:
    """Return the path of a program of Kubernetes' people, or skip the test."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    program = shutil.which(name, path=os.pathsep.join([assets, os.environ.get("PATH", "")]))
    if program is None:
        pytest.skip(f"there is no {name} in KUBEBUILDER_ASSETS or PATH")
    return program


def helm(*arguments: str | Path, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; the values are those of a file."""
    options = ["--values", "-"] if values is not None else []
    return subprocess.run(
        [tool("helm"), *map(str, arguments), *options],
        input=yaml.safe_dump(values) if values is not None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the manifests that these values give, for the release "line" in the namespace "data"."""
    done = helm("template", "line", CHART, "--namespace", "data", values=values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def only(manifests: list[dict[str, Any]], kind: str, ending: str = "") -> dict[str, Any]:
    """Return the one manifest of a kind whose name ends so."""
    (manifest,) = (
        each for each in manifests if each["kind"] == kind and each["metadata"]["name"].endswith(ending)
    )
    return manifest
