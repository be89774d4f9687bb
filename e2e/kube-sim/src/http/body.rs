//! Bodies: of requests into values, of answers into bytes.

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::registry::Resource;
use crate::status::ApiStatus;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A JSON answer.
pub fn json(code: u16, body: impl Into<Bytes>) -> Response<Body> {
    with_type(code, "application/json", body.into())
}

/// A text answer.
pub fn text(code: u16, body: &'static str) -> Response<Body> {
    with_type(code, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

/// A refusal.
pub fn status(refusal: &ApiStatus) -> Response<Body> {
    let mut response = json(refusal.code, refusal.to_value().to_string());
    let retry_after = refusal.details.as_ref().map_or(0, |details| details.retry_after);
    if retry_after > 0 {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

fn with_type(code: u16, media: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Adds `Warning` headers.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}

/// The body of a POST or PUT.
pub fn read(resource: &Resource, content_type: &str, body: &[u8]) -> Result<Value, ApiStatus> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    match media {
        "" | "application/json" | "*/*" => parse_json(body).map_err(|problem| {
            let shown = String::from_utf8_lossy(body);
            ApiStatus::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {problem} ({shown})",
                resource.kind
            ))
        }),
        "application/yaml" | "text/yaml" => yaml(body),
        // Of custom resources the server knows no protobuf encoding.
        PROTOBUF if resource.custom.is_none() => protobuf(body),
        _ => {
            let text = "the body of the request was in an unknown format - accepted media types include: \
                        application/json, application/yaml, application/vnd.kubernetes.protobuf";
            Err(ApiStatus::new(415, "UnsupportedMediaType", text))
        }
    }
}

/// The body of a DELETE.
pub fn read_options(content_type: &str, body: &[u8]) -> Result<Value, ApiStatus> {
    if content_type.split(';').next().unwrap_or_default().trim() == PROTOBUF { protobuf(body) } else { json_or_yaml(body) }
}

fn protobuf(body: &[u8]) -> Result<Value, ApiStatus> {
    kube_schema::go::decode(body).map_err(|error| ApiStatus::bad_request(error.to_string()))
}

/// JSON, or YAML, as applies are sent.
pub fn json_or_yaml(body: &[u8]) -> Result<Value, ApiStatus> {
    serde_json::from_slice(body).or_else(|_| yaml(body))
}

fn yaml(body: &[u8]) -> Result<Value, ApiStatus> {
    let text = std::str::from_utf8(body).map_err(|error| ApiStatus::bad_request(format!("error decoding YAML: {error}")))?;
    serde_saphyr::from_str(text).map_err(|error| ApiStatus::bad_request(format!("error decoding YAML: {error}")))
}

/// JSON, with errors worded as Go words them.
pub fn parse_json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            return "unexpected end of JSON input".to_owned();
        }
        let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        let found = line.get(error.column().saturating_sub(1)).copied().unwrap_or_default();
        let text = error.to_string();
        let place = if text.contains("key must be a string") {
            "looking for beginning of object key string"
        } else if text.contains("`:`") {
            "after object key"
        } else if text.contains("or `}`") {
            "after object key:value pair"
        } else if text.contains("or `]`") {
            "after array element"
        } else if text.contains("trailing characters") {
            "after top-level value"
        } else {
            "looking for beginning of value"
        };
        format!("invalid character {} {place}", quoted(found))
    })
}

/// A byte as Go quotes it in JSON errors.
pub fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        0x20..=0x7e => format!("'{}'", char::from(byte)),
        other => format!("'\\x{other:02x}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_json_is_reported_as_go_does() {
        let problem = |text: &str| parse_json(text.as_bytes()).expect_err("bad JSON");
        assert_eq!(problem("{not json"), "invalid character 'n' looking for beginning of object key string");
        assert_eq!(problem("[1 2]"), "invalid character '2' after array element");
        assert_eq!(problem("{\"a\" 1}"), "invalid character '1' after object key");
        assert_eq!(problem("{\"a\": 1"), "unexpected end of JSON input");
        assert_eq!(problem("x"), "invalid character 'x' looking for beginning of value");
    }
}
