//! `POST /ops/api/pictures`: an operator uploads a picture of a product.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use seckill_core::pages::picture::{FOLDER, Picture};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{ConsoleError, ConsoleState, Operator};
use crate::http::error::json_response;
use crate::pages::picture::{self, MAX_BYTES, PictureError};

/// Pictures decoded at once: each may take 160 MB.
#[derive(Debug, Clone)]
pub(super) struct Darkroom(Arc<Semaphore>);

impl Default for Darkroom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// A picture that was taken.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Taken {
    /// What a product's `picture` is set to.
    picture: String,
    /// Width of the widest rendition, in pixels.
    width: u32,
    /// Height of the widest rendition, in pixels.
    height: u32,
    /// Addresses of the renditions, from the narrowest.
    addresses: Vec<String>,
}

/// Takes the file in the request's body, whatever it says of its type.
#[utoipa::path(
    post,
    path = "/ops/api/pictures",
    tag = "products",
    request_body(content = String, content_type = "application/octet-stream",
        description = "The file of a PNG, JPEG or WebP picture."),
    responses(
        (status = 201, body = Taken, description = "The picture was taken; set a product's `picture` to its name."),
        (status = 413, description = "The file or the picture is too large; the sentence says by what limit."),
        (status = 422, description = "This is no picture that can be shown."),
    )
)]
pub(super) async fn upload(
    State(state): State<ConsoleState>,
    operator: Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ConsoleError> {
    let bytes = match read(&headers, body).await {
        Ok(bytes) => bytes,
        Err(error) => return refuse(&error),
    };
    let Ok(_turn) = state.darkroom.0.acquire().await else {
        return Err(ConsoleError::internal(&"the darkroom is closed"));
    };
    let origin = state.config.pages_dir();
    let taken = tokio::task::spawn_blocking(move || picture::take(&origin, &bytes)).await;
    match taken {
        Ok(Ok(picture)) => {
            tracing::info!(operator = operator.name, %picture, "a picture was uploaded");
            let answer = serde_json::to_string(&told(&picture));
            let answer = answer.map_err(|error| ConsoleError::internal(&error))?;
            Ok(json_response(StatusCode::CREATED, answer))
        }
        Ok(Err(error)) => refuse(&error),
        Err(error) => Err(ConsoleError::internal(&error)),
    }
}

/// All of the body, unless it is too large: then not even the rest is read.
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

fn told(picture: &Picture) -> Taken {
    Taken {
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

/// The sentence that says why, as the console's other refusals do.
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
