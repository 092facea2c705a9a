//! What can be done about an alert on the page: plain forms, which are answered by sending the reader back to it. The guard has seen
//! the request before: one that a page of another origin sends, or one without the token, does not come here.

use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use dixmgr_alerting::incident::Note;
use serde::Deserialize;

use super::super::{Page, View, escape};
use crate::api::{self, ApiError, Params};

/// What a form says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Said {
    by: String,
    #[serde(default)]
    comment: String,
    duration: String,
}

type Filled = Result<Form<Said>, FormRejection>;

/// `POST /alerts/{fingerprint}/ack`.
pub(in super::super) async fn acknowledge(
    State(page): State<Page>,
    Path(fingerprint): Path<String>,
    Params(view): Params<View>,
    form: Filled,
) -> Response {
    let done = async { api::acknowledge(&page.api, &fingerprint, read(form)?.note()).await };
    answer(&page, &view, done.await)
}

/// `POST /alerts/{fingerprint}/silence`.
pub(in super::super) async fn silence(
    State(page): State<Page>,
    Path(fingerprint): Path<String>,
    Params(view): Params<View>,
    form: Filled,
) -> Response {
    let done = async {
        let said = read(form)?;
        let duration = dixmgr_model::duration::parse(&said.duration)
            .map_err(|error| ApiError::invalid(format!("the silence's length: {error}")))?;
        api::silence(&page.api, &fingerprint, duration, said.note()).await
    };
    answer(&page, &view, done.await)
}

/// `POST /alerts/{fingerprint}/unsilence`.
pub(in super::super) async fn unsilence(
    State(page): State<Page>,
    Path(fingerprint): Path<String>,
    Params(view): Params<View>,
    form: Filled,
) -> Response {
    let done = async { api::silence(&page.api, &fingerprint, Duration::ZERO, read(form)?.note()).await };
    answer(&page, &view, done.await)
}

fn read(form: Filled) -> Result<Said, ApiError> {
    form.map(|Form(said)| said).map_err(|error| ApiError::invalid(error.body_text()))
}

impl Said {
    fn note(self) -> Note {
        Note { by: self.by, comment: self.comment }
    }
}

/// Back to where the reader was; or why nothing was done.
fn answer(page: &Page, view: &View, done: Result<(), ApiError>) -> Response {
    page.alerts.forget();
    match done {
        Ok(()) => Redirect::to(&format!("/?{}#alerts", view.query())).into_response(),
        Err(error) => problem(&error, view),
    }
}

fn problem(error: &ApiError, view: &View) -> Response {
    let (status, message): (StatusCode, &str) = (error.status(), error.message());
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Not done – dixmgr</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"stylesheet\" href=\"/status.css\">\
         </head><body><main class=\"wrap\"><h1>Not done</h1><p id=\"problem\">{}</p><p><a href=\"/?{}#alerts\">Back</a></p>\
         </main></body></html>",
        escape(message),
        escape(&view.query())
    );
    (status, super::super::safe_headers(), Html(page)).into_response()
}
