{{/* Names, labels, and what several values together mean. */}}

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
{{- end -}}

{{/* What marks the pods that the server makes (drivers/fleets/kubernetes/pods.py). */}}
{{- define "trunkline.workerSelector" -}}
app.kubernetes.io/managed-by: trunkline
app.kubernetes.io/component: worker
{{- end -}}

{{- define "trunkline.image" -}}
{{- $tag := .image.tag | default .chart.AppVersion -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ $tag }}{{ end -}}
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
{{- if regexMatch "^[a-z]+://[^/@]*:[^/@]*@" .Values.database.url -}}
{{- fail "database.url holds a password, which everybody who may see pods could read; leave it out (postgresql://user@host:5432/name) and name a secret that has it in database.passwordSecret.name, or one that has the whole URL in database.urlSecret.name" -}}
{{- end -}}
{{- range .Values.server.extraArgs -}}
{{- if regexMatch "^--(data|listen|database|store|fleet|advertise|worker-image|namespace)(=|$)" . -}}
{{- fail (printf "server.extraArgs has %q, which the chart sets from other values; see database, store, service and workers" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.database.url .Values.database.urlSecret.name -}}
{{- fail "database.url and database.urlSecret.name both say where the database is; set one of them" -}}
{{- end -}}
{{- if and (include "trunkline.volume" .) (not .Values.persistence.enabled) (include "trunkline.externalDatabase" .) -}}
{{- fail "bytes would be lost with the pod while their metadata stays: set store.url too, or persistence.enabled=true" -}}
{{- end -}}
{{- if and .Values.service.nodePort (ne .Values.service.type "NodePort") (ne .Values.service.type "LoadBalancer") -}}
{{- fail (printf "service.nodePort %v needs service.type NodePort or LoadBalancer, not %s" .Values.service.nodePort .Values.service.type) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host, the name under which clients reach the server" -}}
{{- end -}}
{{- end -}}

{{/* Pod Security "restricted", for every container of ours. */}}
{{- define "trunkline.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "trunkline.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
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
