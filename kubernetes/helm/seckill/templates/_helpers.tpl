{{/* The release's own names, so that two releases fit into one namespace. */}}
{{- define "seckill.name" -}}
{{- printf "%s-%s" .release .part | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "seckill.secret" -}}
{{- .Values.secrets.existing | default (printf "%s-secrets" .Release.Name) -}}
{{- end -}}

{{- define "seckill.claim" -}}
{{- .Values.pages.existingClaim | default (printf "%s-pages" .Release.Name) -}}
{{- end -}}

{{- define "seckill.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* Labels of a pod: (dict "root" $ "part" "purchase"). */}}
{{- define "seckill.labels" -}}
app.kubernetes.io/name: seckill
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "seckill.common" -}}
{{ include "seckill.labels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* What every pod promises: no root, no privilege, no token, pods of a kind apart. */}}
{{- define "seckill.pod" -}}
enableServiceLinks: false
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  seccompProfile: { type: RuntimeDefault }
terminationGracePeriodSeconds: {{ .grace }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .root.Values.spread "hard") }}
    labelSelector:
      matchLabels: {{ include "seckill.labels" . | nindent 8 }}
affinity:
  podAntiAffinity:
    {{- if eq .root.Values.spread "hard" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{ include "seckill.labels" . | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{ include "seckill.labels" . | nindent 14 }}
    {{- end }}
{{- end -}}

{{- define "seckill.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* A budget, and a scaler if it is on: (dict "root" $ "part" "purchase" "values" .Values.purchase). */}}
{{- define "seckill.beside" -}}
{{- $name := include "seckill.name" (dict "release" .root.Release.Name "part" .part) -}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{ include "seckill.common" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{ include "seckill.labels" . | nindent 6 }}
{{- if .values.autoscaling.enabled }}
{{- if gt (int .values.autoscaling.min) (int .values.autoscaling.max) }}
{{- fail (printf "%s.autoscaling: min is %v and max %v; min may not be above max" .part .values.autoscaling.min .values.autoscaling.max) }}
{{- end }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  labels: {{ include "seckill.common" . | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: {{ .kind | default "Deployment" }}, name: {{ $name }} }
  minReplicas: {{ .values.autoscaling.min }}
  maxReplicas: {{ .values.autoscaling.max }}
  metrics:
    - type: Resource
      resource: { name: cpu, target: { type: Utilization, averageUtilization: {{ .values.autoscaling.cpu }} } }
  behavior:
    # At once up, and not down between two rounds.
    scaleUp: { stabilizationWindowSeconds: 0 }
    scaleDown: { stabilizationWindowSeconds: 1800 }
{{- end }}
{{- end -}}

{{/* A role of the back end: (dict "root" $ "part" "purchase" "roles" "purchase" "port" 7001). */}}
{{- define "seckill.role" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .part -}}
{{- $name := include "seckill.name" (dict "release" $root.Release.Name "part" .part) -}}
{{/* What the purchase role accepts while Redis is away is in its journal and nowhere else:
each pod has a volume of its own, and whoever takes its number next goes on with it. */}}
{{- $hasJournal := eq .part "purchase" -}}
{{- $kind := ternary "StatefulSet" "Deployment" $hasJournal -}}
{{- if and $hasJournal (gt (len $name) 52) -}}
{{- fail (printf "the release's name %s is longer than 43 characters, and its StatefulSet's pods could not be named; choose a shorter one" $root.Release.Name) -}}
{{- end -}}
apiVersion: apps/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  labels: {{ include "seckill.common" . | nindent 4 }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  selector:
    matchLabels: {{ include "seckill.labels" . | nindent 6 }}
  {{- if $hasJournal }}
  serviceName: {{ $root.Release.Name }}-purchase-each
  # None waits for another: one whose Redis is away starts all the same.
  podManagementPolicy: Parallel
  updateStrategy: { type: RollingUpdate }
  # A pod that was scaled away may have left a journal, which its number replays once it
  # is back.
  persistentVolumeClaimRetentionPolicy: { whenScaled: Retain, whenDeleted: Retain }
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{ include "seckill.labels" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.journal.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: { requests: { storage: {{ $values.journal.size }} } }
  {{- else }}
  strategy:
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  {{- end }}
  template:
    metadata:
      labels: {{ include "seckill.common" . | nindent 8 }}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: {{ .port | quote }}
        # New settings or secrets of this chart restart the pods, one after the other.
        seckill/settings: {{ include (print $root.Template.BasePath "/settings.yaml") $root | sha256sum }}
    spec:
      {{- include "seckill.pod" (merge (dict "user" 10001 "grace" 15) .) | nindent 6 }}
      containers:
        - name: seckill
          image: {{ include "seckill.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve, --roles, {{ .roles | quote }}]
          ports:
            - { name: http, containerPort: {{ .port }} }
          env:
            - { name: TOKIO_WORKER_THREADS, value: {{ $values.threads | quote }} }
          # Redis and the database may take their time at the first start.
          startupProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: { path: /readyz, port: http }
            periodSeconds: 2
            failureThreshold: 2
          # That the process responds, not that Redis does: a restart cures no Redis.
          livenessProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          lifecycle:
            # Its address leaves the service before it stops accepting.
            preStop: { exec: { command: [sleep, "3"] } }
          resources: {{ toYaml $values.resources | nindent 12 }}
          securityContext: {{ include "seckill.hardened" . | nindent 12 }}
          volumeMounts:
            - { name: settings, mountPath: /etc/seckill, readOnly: true }
            - { name: secrets, mountPath: /run/secrets/seckill, readOnly: true }
            - { name: data, mountPath: /var/lib/seckill }
            - { name: tmp, mountPath: /tmp }
      volumes:
        - name: settings
          configMap: { name: {{ $root.Release.Name }}-settings }
        - name: secrets
          secret:
            secretName: {{ include "seckill.secret" $root }}
            defaultMode: 0440
        {{- if eq .part "ops" }}
        - name: data
          persistentVolumeClaim: { claimName: {{ include "seckill.claim" $root }} }
        {{- else if not $hasJournal }}
        - name: data
          emptyDir: {}
        {{- end }}
        - name: tmp
          emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{ include "seckill.beside" (dict "root" $root "part" .part "values" $values "kind" $kind) }}
{{- end -}}
