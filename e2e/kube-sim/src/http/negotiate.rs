//! How an answer is wanted: plain, as a table, or its metadata alone.

use crate::status::ApiStatus;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The object itself.
    #[default]
    Plain,
    /// A `meta.k8s.io/v1` Table.
    Table,
    /// `PartialObjectMetadata`, one or a list.
    Metadata,
    /// Aggregated discovery.
    AggregatedDiscovery,
}

/// The first acceptable form of an Accept header.
pub fn form(accept: &str) -> Result<Form, ApiStatus> {
    if accept.trim().is_empty() {
        return Ok(Form::Plain);
    }
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(media, "application/json" | "*/*" | "application/*" | "text/plain" | "text/html") {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let parameter = |key: &str| parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match parameter("as") {
            None => return Ok(Form::Plain),
            Some("Table") if parameter("g") == Some("meta.k8s.io") && parameter("v") == Some("v1") => return Ok(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if parameter("g") == Some("meta.k8s.io") => {
                return Ok(Form::Metadata);
            }
            Some("APIGroupDiscoveryList") if parameter("v") == Some("v2") => return Ok(Form::AggregatedDiscovery),
            Some(_) => {}
        }
    }
    let text = "only the following media types are accepted: application/json";
    Err(ApiStatus::new(406, "NotAcceptable", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_taken() {
        for (accept, wanted) in [
            ("", Form::Plain),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form::Table),
            ("application/vnd.kubernetes.protobuf,application/json", Form::Plain),
            ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", Form::Plain),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", Form::AggregatedDiscovery),
        ] {
            assert_eq!(form(accept), Ok(wanted), "{accept}");
        }
        assert_eq!(form("application/vnd.kubernetes.protobuf").map_err(|status| status.code), Err(406));
    }
}
