//! `POST /ops/api/pictures`: an operator uploads a product's picture.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::post;
use http_body_util::{BodyExt as _, Limited};
use seckill_core::pages::picture::{FOLDER, Picture};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{ConsoleError, ConsoleState, Operator};
use crate::http::error::json_response;
use crate::pages::picture::{self, Crop, MAX_BYTES, PictureError};

/// `POST /ops/api/pictures`. Pictures are larger than axum accepts by default; the
/// handler has a limit of its own.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/pictures", post(upload))
        .layer(DefaultBodyLimit::disable())
}

/// Lets one picture at a time be decoded: each may take 160 MB.
#[derive(Debug, Clone)]
pub(super) struct DecodeLimit(Arc<Semaphore>);

impl Default for DecodeLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// A picture that was stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Uploaded {
    /// What a product's `picture` is set to.
    picture: String,
    /// Width of the widest rendition, in pixels.
    width: u32,
    /// Height of the widest rendition, in pixels.
    height: u32,
    /// Addresses of the renditions, from the narrowest.
    addresses: Vec<String>,
}

/// Stores the file in the request's body, whatever its Content-Type, or the part of it
/// that the query names.
#[utoipa::path(
    post,
    path = "/ops/api/pictures",
    tag = "products",
    params(
        ("x" = Option<u32>, Query, description = "Pixels left of the part to show"),
        ("y" = Option<u32>, Query, description = "Pixels above it"),
        ("width" = Option<u32>, Query, description = "Its width"),
        ("height" = Option<u32>, Query, description = "Its height"),
    ),
    request_body(content = String, content_type = "application/octet-stream",
        description = "The file of a PNG, JPEG or WebP picture."),
    responses(
        (status = 201, body = Uploaded, description = "The picture is stored; set a product's `picture` to its name."),
        (status = 413, description = "The file or the picture is too large; the message names the limit."),
        (status = 422, description = "The file is no picture that can be shown."),
    )
)]
pub(super) async fn upload(
    State(state): State<ConsoleState>,
    operator: Operator,
    crop: Result<Query<Crop>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ConsoleError> {
    let crop = match (uri.query().unwrap_or_default(), crop) {
        ("", _) => None,
        (_, Ok(Query(crop))) => Some(crop),
        (_, Err(_)) => {
            let right = "write ?x=0&y=0&width=600&height=600 in pixels, or leave it out";
            let message = format!("The part to show cannot be read; {right}.");
            return Err(ConsoleError::BadRequest(message));
        }
    };
    let bytes = match read(&headers, body).await {
        Ok(bytes) => bytes,
        Err(error) => return refuse(&error),
    };
    let Ok(_turn) = state.decode_limit.0.acquire().await else {
        return Err(ConsoleError::internal(
            &"the limit of pictures decoded at once is closed",
        ));
    };
    let origin = state.config.pages_dir();
    let stored = tokio::task::spawn_blocking(move || picture::store(&origin, &bytes, crop)).await;
    match stored {
        Ok(Ok(picture)) => {
            tracing::info!(operator = operator.name, %picture, "a picture was uploaded");
            let body = serde_json::to_string(&uploaded(&picture));
            let body = body.map_err(|error| ConsoleError::internal(&error))?;
            Ok(json_response(StatusCode::CREATED, body))
        }
        Ok(Err(error)) => refuse(&error),
        Err(error) => Err(ConsoleError::internal(&error)),
    }
}

/// Reads the body, up to the limit: the rest of a larger one is not read.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, PictureError> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length: Option<usize> = length.and_then(|it| it.to_str().ok()?.parse().ok());
    if let Some(length) = length.filter(|length| *length > MAX_BYTES) {
        return Err(PictureError::TooLarge(Some(length)));
    }
    match Limited::new(body, MAX_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(PictureError::TooLarge(None))
        }
        Err(error) => Err(PictureError::Disk(std::io::Error::other(error))),
    }
}

fn uploaded(picture: &Picture) -> Uploaded {
    Uploaded {
        picture: picture.to_string(),
        width: picture.width(),
        height: picture.height(),
        addresses: picture
            .renditions()
            .iter()
            .map(|it| format!("{FOLDER}{}", it.file))
            .collect(),
    }
}

/// A refusal with a sentence that says why, as the console's other refusals have.
fn refuse(error: &PictureError) -> Result<Response, ConsoleError> {
    let (status, code) = match error {
        PictureError::TooLarge(_) | PictureError::TooManyPixels { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too_large")
        }
        PictureError::Disk(error) => return Err(ConsoleError::internal(error)),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "no_picture"),
    };
    let mut message = error.to_string();
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    message.push('.');
    let body = serde_json::json!({ "code": code, "message": message });
    Ok(json_response(status, body.to_string()))
}
