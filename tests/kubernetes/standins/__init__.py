"""Stand-ins of what makes machines for pods: AWS Fargate, Cluster Autoscaler, and the kubelets of such machines.

They act on the real API server as the real ones do, by what they write: nodes, bindings, taints, events, status.
Machines are pretended (kwok keeps their nodes ready); workers are not: each runs as a process of this computer.
"""
