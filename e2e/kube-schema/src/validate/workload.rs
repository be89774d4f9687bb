//! Workloads.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{claim, names, pod, policy};
use crate::Kind;
use crate::error::FieldError;
use crate::value::{at, list, text};

/// Labels of a template that its own selector does not match.
fn selector(object: &Value, errors: &mut Vec<FieldError>) {
    let Some(selector) = at(object, "spec.selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    let empty = json!({});
    let labels = at(object, "spec.template.metadata.labels").unwrap_or(&empty);
    let pairs = at(selector, "matchLabels").and_then(Value::as_object);
    if pairs.is_none_or(serde_json::Map::is_empty) && list(selector, "matchExpressions").is_empty() {
        errors.push(FieldError::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
        return;
    }
    let equal = pairs.into_iter().flatten().all(|(k, v)| labels.get(k) == Some(v));
    if !equal || !list(selector, "matchExpressions").iter().all(|e| expression_matches(e, labels)) {
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"));
    }
}

fn expression_matches(expression: &Value, labels: &Value) -> bool {
    let found = labels.get(text(expression, "key"));
    let listed = found.is_some_and(|v| list(expression, "values").contains(v));
    match text(expression, "operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

fn not_negative(object: &Value, keys: &[&str], errors: &mut Vec<FieldError>) {
    for key in keys {
        if let Some(number) = object.get("spec").and_then(|s| s.get(*key)).and_then(Value::as_i64).filter(|n| *n < 0) {
            errors.push(FieldError::invalid(format!("spec.{key}"), &json!(number), "must be greater than or equal to 0"));
        }
    }
}

fn always_restarts(object: &Value, errors: &mut Vec<FieldError>) {
    let found = text(object, "spec.template.spec.restartPolicy");
    if !matches!(found, "" | "Always") {
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", &json!(found), &["Always"]));
    }
}

pub(super) fn stateful_set(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let strategy = at(object, "spec.updateStrategy").unwrap_or(&Value::Null);
    if text(strategy, "type") == "OnDelete" && strategy.get("rollingUpdate").is_some() {
        let rolling = strategy.get("rollingUpdate").cloned().unwrap_or_default();
        let detail = "only allowed for updateStrategy 'RollingUpdate'";
        errors.push(FieldError::invalid("spec.updateStrategy.rollingUpdate", &rolling, detail));
    }
    if let Some(partition) = at(strategy, "rollingUpdate.partition").and_then(Value::as_i64).filter(|n| *n < 0) {
        let field = "spec.updateStrategy.rollingUpdate.partition";
        errors.push(FieldError::invalid(field, &json!(partition), "must be greater than or equal to 0"));
    }
    not_negative(object, &["replicas", "minReadySeconds", "revisionHistoryLimit"], &mut errors);
    selector(object, &mut errors);
    let claims: BTreeSet<&str> = list(object, "spec.volumeClaimTemplates").iter().map(crate::value::name).collect();
    errors.extend(pod::template_with_claims(object, "spec.template", &claims));
    always_restarts(object, &mut errors);
    for (index, template) in list(object, "spec.volumeClaimTemplates").iter().enumerate() {
        errors.extend(claim::claim(template, &format!("spec.volumeClaimTemplates[{index}].spec")));
        let name = crate::value::name(template);
        let field = format!("spec.volumeClaimTemplates[{index}].metadata.name");
        errors.extend(names::subdomain(name).iter().map(|p| FieldError::invalid(field.clone(), &json!(name), p)));
    }
    errors
}

pub(super) fn replicated(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    not_negative(object, &["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], &mut errors);
    selector(object, &mut errors);
    errors.extend(pod::template(object, "spec.template"));
    always_restarts(object, &mut errors);
    if kind.gvk.kind == "Deployment" {
        let rolling = at(object, "spec.strategy.rollingUpdate");
        if text(object, "spec.strategy.type") == "Recreate" && rolling.is_some() {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
        }
        for key in ["maxSurge", "maxUnavailable"] {
            let value = rolling.and_then(|r| r.get(key));
            errors.extend(value.and_then(|v| policy::count_or_percent(v, &format!("spec.strategy.rollingUpdate.{key}"))));
        }
    }
    errors
}

pub(super) fn job(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    not_negative(object, &["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"], &mut errors);
    job_template(object, "spec.template", &mut errors);
    errors
}

fn job_template(object: &Value, path: &str, errors: &mut Vec<FieldError>) {
    errors.extend(pod::template(object, path));
    if at(object, path).is_some_and(|t| matches!(text(t, "spec.restartPolicy"), "" | "Always")) {
        let field = format!("{path}.spec.restartPolicy");
        errors.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\""));
    }
}

pub(super) fn cron_job(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let schedule = text(object, "spec.schedule");
    if schedule.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    } else if let Some(problem) = schedule_problem(schedule) {
        errors.push(FieldError::invalid("spec.schedule", &json!(schedule), &problem));
    }
    job_template(object, "spec.jobTemplate.spec.template", &mut errors);
    errors
}

const MACROS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

fn schedule_problem(schedule: &str) -> Option<String> {
    if schedule.starts_with('@') {
        let known = MACROS.contains(&schedule) || schedule.starts_with("@every ");
        return (!known).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    fields.iter().zip(bounds).find_map(|(field, range)| field.split(',').find_map(|part| range_problem(part, range)))
}

const NAMES: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn range_problem(part: &str, (low, high): (u32, u32)) -> Option<String> {
    let (range, step) = part.split_once('/').unwrap_or((part, "1"));
    if step.parse::<u32>().is_err() {
        return Some(format!("failed to parse int from {step}: strconv.Atoi: parsing \"{step}\": invalid syntax"));
    }
    if matches!(range, "*" | "?") {
        return None;
    }
    range.split('-').find_map(|number| {
        if NAMES.contains(&number.to_lowercase().as_str()) {
            return None;
        }
        match number.parse::<u32>() {
            Err(_) => Some(format!("failed to parse int from {number}: strconv.Atoi: parsing \"{number}\": invalid syntax")),
            Ok(n) if n < low => Some(format!("beginning of range ({n}) below minimum ({low}): {part}")),
            Ok(n) if n > high => Some(format!("end of range ({n}) above maximum ({high}): {part}")),
            Ok(_) => None,
        }
    })
}
