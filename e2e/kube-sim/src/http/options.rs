//! Query parameters and the options in the bodies of deletions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::call::FieldValidation;
use crate::status::{ApiStatus, Cause};

/// The parameters of a query.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query string.
    pub fn parse(query: &str) -> Self {
        let mut parameters = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            parameters.entry(key.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(parameters)
    }

    /// A parameter, empty when absent.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// A parameter that is there, perhaps empty.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A boolean parameter: `1`, `true`, or there without a value.
    pub fn flag(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key).parse().ok()
    }

    /// `dryRun`, which may only be `All`. `kind` is the name of the options' type.
    pub fn dry_run(&self, kind: &str) -> Result<bool, ApiStatus> {
        dry_run(kind, &self.find("dryRun").into_iter().collect::<Vec<_>>())
    }

    /// `fieldValidation`; servers before 1.25 know none.
    pub fn field_validation(&self, minor: u32, kind: &str) -> Result<FieldValidation, ApiStatus> {
        if minor < 25 {
            return Ok(FieldValidation::Ignore);
        }
        match self.get("fieldValidation") {
            "Strict" => Ok(FieldValidation::Strict),
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            other => {
                let text = format!("Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
                Err(ApiStatus::invalid_options(kind, Cause::new("FieldValueNotSupported", "fieldValidation", text)))
            }
        }
    }
}

fn dry_run(kind: &str, values: &[&str]) -> Result<bool, ApiStatus> {
    match values {
        [] | [""] => Ok(false),
        ["All"] => Ok(true),
        other => {
            let shown = other.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(",");
            let text = format!("Unsupported value: [{shown}]: supported values: \"All\"");
            Err(ApiStatus::invalid_options(kind, Cause::new("FieldValueNotSupported", "dryRun", text)))
        }
    }
}

/// Options of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Only when the object still has this uid.
    pub uid: Option<String>,
    /// Only when the object still has this resource version.
    pub resource_version: Option<String>,
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: Option<String>,
    /// Seconds that a pod is given.
    pub grace: Option<i64>,
    /// Nothing is stored.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// From query and body; the body wins.
    pub fn read(query: &Query, body: Option<&Value>) -> Result<Self, ApiStatus> {
        let mut options = Self {
            propagation: query.find("propagationPolicy").map(str::to_owned),
            grace: query.get("gracePeriodSeconds").parse().ok(),
            dry_run: query.dry_run("DeleteOptions")?,
            ..Self::default()
        };
        if query.flag("orphanDependents") {
            options.propagation = Some("Orphan".to_owned());
        }
        if let Some(body) = body {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            options.uid = text(&body["preconditions"]["uid"]);
            options.resource_version = text(&body["preconditions"]["resourceVersion"]);
            options.propagation = text(&body["propagationPolicy"]).or(options.propagation);
            options.grace = body["gracePeriodSeconds"].as_i64().or(options.grace);
            if let Some(values) = body["dryRun"].as_array() {
                options.dry_run |= dry_run("DeleteOptions", &values.iter().filter_map(Value::as_str).collect::<Vec<_>>())?;
            }
            if body["orphanDependents"] == true {
                options.propagation = Some("Orphan".to_owned());
            }
        }
        if let Some(policy) = options.propagation.as_deref().filter(|policy| !matches!(*policy, "Background" | "Foreground" | "Orphan")) {
            let text = format!("Unsupported value: \"{policy}\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
            return Err(ApiStatus::invalid_options("DeleteOptions", Cause::new("FieldValueNotSupported", "propagationPolicy", text)));
        }
        Ok(options)
    }
}
