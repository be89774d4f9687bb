{{/*
A custom resource definition for a server of this minor version: the definition without rules, and those rules put into it that the server
takes. Both are written by `cargo run --bin chart-files` from the types; a rule says from which minor version on it is for, and until which.
*/}}
{{- define "doris-operator.crd" -}}
{{- $minor := .minor -}}
{{- $crd := .definition | fromYaml -}}
{{- $schema := (index $crd.spec.versions 0).schema.openAPIV3Schema -}}
{{- range $node := .rules | fromYamlArray -}}
{{- $at := $schema -}}
{{- range $node.path -}}
{{- $at = get $at . -}}
{{- end -}}
{{- $rules := list -}}
{{- range $node.rules -}}
{{- if and (ge $minor (.since | int)) (or (not .until) (lt $minor (.until | int))) -}}
{{- $rules = append $rules (lt $minor 28 | ternary (omit .rule "fieldPath") .rule) -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $_ := set $at "x-kubernetes-validations" $rules -}}
{{- end -}}
{{- end -}}
{{- $annotations := $crd.metadata.annotations | default dict -}}
{{- if .keep -}}
{{- $annotations = merge (dict "helm.sh/resource-policy" "keep") $annotations -}}
{{- end -}}
{{- with $annotations -}}
{{- $_ := set $crd.metadata "annotations" . -}}
{{- end -}}
{{- $_ := set $crd.metadata "labels" (merge (.labels | fromYaml) ($crd.metadata.labels | default dict)) -}}
{{- $crd | toYaml -}}
{{- end -}}
