{{/* Names, labels, and settings that several values decide together. */}}

{{- define "trunkline.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "trunkline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "trunkline.name" .) .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "trunkline.name" .) | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trunkline.selector" -}}
app.kubernetes.io/name: {{ include "trunkline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "trunkline.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "trunkline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: trunkline
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* "annotations:" with those of all objects and those of this one: (list $ annotations). */}}
{{- define "trunkline.annotations" -}}
{{- $all := merge (dict) (index . 1 | default dict) (index . 0).Values.commonAnnotations -}}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The names of Service and Ingress, as a list in YAML. */}}
{{- define "trunkline.hosts" -}}
{{- $name := include "trunkline.fullname" . -}}
- {{ $name }}
- {{ $name }}.{{ .Release.Namespace }}
- {{ $name }}.{{ .Release.Namespace }}.svc
- {{ $name }}.{{ .Release.Namespace }}.svc.cluster.local
{{- if .Values.ingress.enabled }}
{{- range prepend .Values.ingress.extraHosts (pick .Values.ingress "host") }}
- {{ .host }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels of the pods that the server creates (drivers/fleets/kubernetes/pods.py). */}}
{{- define "trunkline.workerSelector" -}}
app.kubernetes.io/managed-by: trunkline
app.kubernetes.io/component: worker
{{- end -}}

{{/* (list $ image) */}}
{{- define "trunkline.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- $registry := $root.Values.global.imageRegistry | default $image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* The node selector of the images, and the one of the values: (list $ nodeSelector). */}}
{{- define "trunkline.nodeSelector" -}}
kubernetes.io/os: linux
{{- with (index . 0).Values.image.architecture }}
kubernetes.io/arch: {{ . }}
{{- end }}
{{- with omit (index . 1) "kubernetes.io/os" "kubernetes.io/arch" }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Environment for the certificate authorities and the proxy. */}}
{{- define "trunkline.environment" -}}
{{- if include "trunkline.caVolume" . }}
- name: SSL_CERT_FILE
  value: /etc/trunkline/ca/{{ .Values.caBundle.key }}
{{- end }}
{{- if or .Values.proxy.http .Values.proxy.https }}
{{- with .Values.proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
- name: NO_PROXY
  value: {{ join "," (compact (list "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" .Values.proxy.noProxy)) | quote }}
{{- end }}
{{- end -}}

{{- define "trunkline.caVolume" -}}
{{- if .Values.caBundle.configMap }}
- name: ca
  configMap: {name: {{ .Values.caBundle.configMap }}}
{{- else if .Values.caBundle.secret }}
- name: ca
  secret: {secretName: {{ .Values.caBundle.secret }}}
{{- end }}
{{- end -}}

{{- define "trunkline.caMount" -}}
{{- if include "trunkline.caVolume" . }}
- {name: ca, mountPath: /etc/trunkline/ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* Defaults of all worker pods: the server merges the values of pipelines over them. */}}
{{- define "trunkline.workerPod" -}}
{{- $workers := .Values.workers -}}
metadata:
  labels: {{ merge (dict) $workers.podLabels .Values.commonLabels | toJson }}
  annotations: {{ merge (dict) $workers.podAnnotations .Values.commonAnnotations | toJson }}
spec:
  {{- with include "trunkline.workerServiceAccount" . }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $workers.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  nodeSelector:
    {{- include "trunkline.nodeSelector" (list . $workers.nodeSelector) | nindent 4 }}
  {{- range $field := list "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "hostAliases" "dnsPolicy" "dnsConfig" }}
  {{- with index $workers $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  securityContext:
    {{- with $workers.podSecurityContext }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- range $field := list "runAsUser" "runAsGroup" "fsGroup" "runAsNonRoot" "seccompProfile" }}
    {{- if not (hasKey ($workers.podSecurityContext | default dict) $field) }}
    {{ $field }}: null
    {{- end }}
    {{- end }}
  {{- with printf "%s%s" (include "trunkline.caVolume" .) (ternary (printf "\n%s" (toYaml $workers.extraVolumes)) "" (gt (len $workers.extraVolumes) 0)) | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
  initContainers:
    - name: launcher
      imagePullPolicy: {{ $workers.image.pullPolicy | default .Values.image.pullPolicy }}
      {{- with $workers.sidecarResources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  containers:
    {{- range $name := list "user" "worker" }}
    - name: {{ $name }}
      {{- if eq $name "worker" }}
      imagePullPolicy: {{ $workers.image.pullPolicy | default $.Values.image.pullPolicy }}
      {{- end }}
      {{- with ternary $workers.resources $workers.sidecarResources (eq $name "user") }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with printf "%s%s" (include "trunkline.environment" $) (ternary (printf "\n%s" (toYaml $workers.extraEnv)) "" (gt (len $workers.extraEnv) 0)) | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with $workers.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with printf "%s%s" (include "trunkline.caMount" $) (ternary (printf "\n%s" (toYaml $workers.extraVolumeMounts)) "" (gt (len $workers.extraVolumeMounts) 0)) | trim }}
      volumeMounts:
        {{- . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end -}}

{{/* The policy: accounts, secrets and claims that pipelines may or may not name. */}}
{{- define "trunkline.workerPolicy" -}}
serviceAccounts: {{ .Values.workers.allowedServiceAccounts | toJson }}
secrets: {{ .Values.workers.allowedSecrets | toJson }}
deniedClaims: {{ (ternary (list (include "trunkline.claim" .)) list (eq (include "trunkline.workerNamespace" .) .Release.Namespace)) | toJson }}
{{- end -}}

{{- define "trunkline.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-data" (include "trunkline.fullname" .)) }}
{{- end -}}

{{- define "trunkline.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "trunkline.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "trunkline.workerServiceAccount" -}}
{{- if .Values.workers.serviceAccount.create -}}
{{- .Values.workers.serviceAccount.name | default (printf "%s-worker" (include "trunkline.fullname" .)) -}}
{{- else -}}
{{- .Values.workers.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "trunkline.workerNamespace" -}}
{{- .Values.workers.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "trunkline.address" -}}
{{ include "trunkline.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end -}}

{{/* URL of the database without its password; empty for SQLite or when it is in a secret. */}}
{{/* The secret with the server's certificate; empty without TLS. */}}
{{- define "trunkline.tlsSecret" -}}
{{- if .Values.tls.enabled -}}
{{ .Values.tls.secret | default (printf "%s-tls" (include "trunkline.fullname" .)) }}
{{- end -}}
{{- end -}}

{{/* The handler of a probe, for a path: gRPC's health protocol, which Kubernetes speaks without TLS alone. */}}
{{- define "trunkline.probe" -}}
{{- $context := index . 0 -}}
{{- if $context.Values.tls.enabled -}}
httpGet: {path: {{ index . 1 }}, port: 1650, scheme: HTTPS}
{{- else -}}
grpc: {port: 1650}
{{- end -}}
{{- end -}}

{{- define "trunkline.database" -}}
{{- $pg := .Values.global.postgresql -}}
{{- if .Values.database.url -}}
{{- .Values.database.url -}}
{{- else if and $pg.postgresqlHost (not .Values.database.urlSecret.name) -}}
postgresql://{{ $pg.postgresqlUsername }}@{{ $pg.postgresqlHost }}:{{ $pg.postgresqlPort }}/{{ $pg.postgresqlDatabase }}
{{- with $pg.ssl }}?sslmode={{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "trunkline.externalDatabase" -}}
{{- if or (include "trunkline.database" .) .Values.database.urlSecret.name }}yes{{ end -}}
{{- end -}}

{{/* URL of the object store; empty for a folder. */}}
{{- define "trunkline.store" -}}
{{- $storage := .Values.pachd.storage -}}
{{- $backend := $storage.backend | default .Values.deployTarget -}}
{{- if .Values.store.url -}}
{{- .Values.store.url -}}
{{- else if $storage.storageURL -}}
{{- $storage.storageURL -}}
{{- else if $storage.amazon.bucket -}}
s3://{{ $storage.amazon.bucket }}
{{- else if $storage.google.bucket -}}
gs://{{ $storage.google.bucket }}
{{- else if $storage.microsoft.container -}}
az://{{ $storage.microsoft.container }}
{{- else if has $backend (list "AMAZON" "GOOGLE" "MICROSOFT" "MINIO") -}}
{{- fail (printf "%s names no bucket: set store.url, such as s3://bucket/prefix, or pachd.storage.%s" $backend (dict "AMAZON" "amazon.bucket" "GOOGLE" "google.bucket" "MICROSOFT" "microsoft.container" "MINIO" "storageURL" | dig $backend "")) -}}
{{- end -}}
{{- end -}}

{{/* Whether a volume is needed. */}}
{{- define "trunkline.volume" -}}
{{- if not (and (include "trunkline.externalDatabase" .) (include "trunkline.store" .)) }}yes{{ end -}}
{{- end -}}

{{/* Combinations that no schema can refuse. */}}
{{- define "trunkline.check" -}}
{{- if or (regexMatch "^[a-z]+://[^/@]*:[^/@]*@" .Values.database.url) (regexMatch "[?&](password|sslpassword)=" .Values.database.url) -}}
{{- fail "database.url holds a password, which everybody who may see pods could read; leave it out (postgresql://user@host:5432/name) and name a secret that has it in database.passwordSecret.name, or one that has the whole URL in database.urlSecret.name" -}}
{{- end -}}
{{- range concat .Values.server.extraEnv .Values.workers.extraEnv -}}
{{- if and .value (regexMatch "(PASSWORD|PASSWD|SECRET|SECRET_KEY|SECRET_ACCESS_KEY|ACCOUNT_KEY|TOKEN|^TRUNKLINE_DATABASE)$" .name) -}}
{{- fail (printf "extraEnv has %s as a plain value, which everybody who may see pods could read; use valueFrom.secretKeyRef" .name) -}}
{{- end -}}
{{- end -}}
{{- range .Values.server.extraArgs -}}
{{- if regexMatch "^--(data|listen|insecure|tls|tls-cert|tls-key|tls-ca|database|store|fleet|advertise|worker-image|namespace|metrics)(=|$)" . -}}
{{- fail (printf "server.extraArgs has %q, which the chart sets from other values; see database, store, service, tls, metrics and workers" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.database.url .Values.database.urlSecret.name -}}
{{- fail "database.url and database.urlSecret.name both say where the database is; set one of them" -}}
{{- end -}}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret -}}
{{- fail "caBundle.configMap and caBundle.secret both name the certificates; set one of them" -}}
{{- end -}}
{{- if and (include "trunkline.volume" .) (not .Values.persistence.enabled) (include "trunkline.externalDatabase" .) -}}
{{- fail "bytes would be lost with the pod while their metadata stays: set store.url too, or persistence.enabled=true" -}}
{{- end -}}
{{- if and (gt (int .Values.server.replicas) 1) (include "trunkline.volume" .) -}}
{{- fail (printf "server.replicas %v needs an external database and store (database.url and store.url): the servers share no volume" .Values.server.replicas) -}}
{{- end -}}
{{- if and .Values.service.nodePort (ne .Values.service.type "NodePort") (ne .Values.service.type "LoadBalancer") -}}
{{- fail (printf "service.nodePort %v needs service.type NodePort or LoadBalancer, not %s" .Values.service.nodePort .Values.service.type) -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerName) -}}
{{- fail "tls.certManager.enabled needs tls.certManager.issuerName, the issuer of cert-manager that signs the certificate" -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.secret) (not .Values.tls.certManager.enabled) -}}
{{- fail "tls.enabled needs tls.secret, a secret of type kubernetes.io/tls, or tls.certManager.enabled=true" -}}
{{- end -}}
{{- if and (not .Values.tls.enabled) (or .Values.tls.secret .Values.tls.certManager.enabled) -}}
{{- fail "tls.secret and tls.certManager need tls.enabled=true" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.enabled=true" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host, the name under which clients reach the server" -}}
{{- end -}}
{{- if eq (include "trunkline.workerNamespace" .) .Release.Namespace -}}
{{- $server := include "trunkline.serviceAccount" . -}}
{{- if eq $server (include "trunkline.workerServiceAccount" . | default "default") -}}
{{- fail (printf "workers would have the service account %q, which is the server's and may create pods and read secrets: set workers.serviceAccount.create=true, or workers.serviceAccount.name to another one" $server) -}}
{{- end -}}
{{- if has $server .Values.workers.allowedServiceAccounts -}}
{{- fail (printf "workers.allowedServiceAccounts has %q, which is the server's and may create pods and read secrets: remove it" $server) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trunkline.pullSecrets" -}}
{{- $all := concat .Values.imagePullSecrets .Values.global.imagePullSecrets | uniq -}}
{{- if $all }}
imagePullSecrets:
{{- range $all }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
