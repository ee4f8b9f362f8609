//! Who may ask for what: a bearer token for each request, where the server has a tokens file.
//!
//! | request | takes |
//! | --- | --- |
//! | `GET` and `HEAD` of a cluster and what is below it | `list` |
//! | `DELETE /v1/clusters/TOKEN` | `admin` |
//! | anything else at a cluster | `register` |
//! | `/v1/clusters` | `admin`, at every cluster |
//! | `/healthz`, `/v1/healthz` | nothing |
//! | any other path | a token |
//!
//! It is decided before anything is looked up, so that a refusal does not tell whether there is such a cluster. The
//! token is in the header `Authorization` only: URLs are logged by others.

use super::refusal::Refusal;
use crate::model::Digest;
use crate::model::permission::{Right, Rules, Subject};
use crate::policy::permission::{Denial, judge};
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use rand::TryRng;
use rand::rngs::SysRng;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// Longer than any token of ours; a hash of megabytes is work.
const BEARER_MAX: usize = 512;

/// A bearer token: 256 bits straight from the system's generator. What is in front tells people, and programs that look
/// for secrets in the wrong places, what it is.
pub fn new_bearer() -> io::Result<String> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().fold("swarm_".to_owned(), |token, byte| format!("{token}{byte:02x}")))
}

/// The rules in force; None lets everybody in. They may change at any time.
#[derive(Clone, Debug)]
pub struct Guard(Arc<watch::Sender<Option<Rules>>>);

impl Guard {
    pub fn new(rules: Option<Rules>) -> Self {
        Self(Arc::new(watch::Sender::new(rules)))
    }

    /// From now on, also for requests under way that read.
    pub fn replace(&self, rules: Option<Rules>) {
        self.0.send_replace(rules);
    }
}

/// What a request shows and wants. It is looked at only where there are rules.
struct Pass {
    method: Method,
    uri: Uri,
    /// None if there is none, or more than one.
    authorization: Option<HeaderValue>,
}

pub async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if is_free(request.uri().path()) {
        return next.run(request).await;
    }
    let pass = Pass::of(&request);
    let mut rules = guard.0.subscribe();
    if let Err(refusal) = pass.check(rules.borrow_and_update().as_ref()) {
        return refusal.into_response();
    }
    let response = next.run(request).await;
    // an answer may come late, and its body later still
    let checked = pass.check(rules.borrow_and_update().as_ref());
    match checked {
        Err(refusal) if is_read(&pass.method) => refusal.into_response(),
        _ => while_allowed(response, pass, rules),
    }
}

impl Pass {
    fn of(request: &Request) -> Self {
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        let authorization = values.next().filter(|_| values.next().is_none()).cloned();
        Self { method: request.method().clone(), uri: request.uri().clone(), authorization }
    }

    fn check(&self, rules: Option<&Rules>) -> Result<(), Refusal> {
        let Some(rules) = rules else { return Ok(()) };
        let bearer = self.authorization.as_ref().and_then(bearer).ok_or(Refusal::NoBearer)?;
        let wanted = wanted(&self.method, self.uri.path());
        let wanted = wanted.as_ref().map(|(right, subject)| (*right, subject));
        judge(rules, bearer, wanted).map_err(|denial| match (denial, wanted) {
            (Denial::Lacking(name), Some((right, subject))) => {
                Refusal::Forbidden { name: name.to_owned(), right: right.name(), place: place(subject) }
            }
            _ => Refusal::UnknownBearer,
        })
    }
}

/// A body whose end is not known yet, such as a stream of changes, ends when the right to it does.
fn while_allowed(response: Response, pass: Pass, mut rules: watch::Receiver<Option<Rules>>) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let lost = async move {
        // an error: the server ends
        while rules.changed().await.is_ok() {
            if pass.check(rules.borrow_and_update().as_ref()).is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(lost))))
}

fn place(subject: &Subject) -> &'static str {
    match subject {
        Subject::Cluster(_) => "at this cluster",
        Subject::Server => "at every cluster",
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn is_free(path: &str) -> bool {
    matches!(path, "/healthz" | "/v1/healthz")
}

/// A token with percent signs in it is another text here than for the handler: at worst it is refused where it could
/// be allowed.
fn wanted(method: &Method, path: &str) -> Option<(Right, Subject)> {
    if path == "/v1/clusters" {
        return Some((Right::Admin, Subject::Server));
    }
    let rest = path.strip_prefix("/v1/clusters/")?;
    let (cluster, below) = rest.split_once('/').map_or((rest, None), |(cluster, below)| (cluster, Some(below)));
    let right = match (is_read(method), below) {
        (true, _) => Right::List,
        (false, None) if *method == Method::DELETE => Right::Admin,
        (false, _) => Right::Register,
    };
    Some((right, Subject::Cluster(Digest::of(cluster.as_bytes()))))
}

fn bearer(authorization: &HeaderValue) -> Option<Digest> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let legal = scheme.eq_ignore_ascii_case("bearer") && (1..=BEARER_MAX).contains(&token.len());
    legal.then(|| Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::{Clusters, Grant};
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use futures_util::stream::unfold;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use std::sync::Mutex;
    use tokio::sync::mpsc;

    #[test]
    fn each_request_takes_its_right() {
        let cluster = || Subject::Cluster(Digest::of(b"abc"));
        for (method, path, expected) in [
            ("GET", "/v1/clusters/abc", Some((Right::List, cluster()))),
            ("HEAD", "/v1/clusters/abc", Some((Right::List, cluster()))),
            ("GET", "/v1/clusters/abc/targets", Some((Right::List, cluster()))),
            ("POST", "/v1/clusters/abc", Some((Right::Register, cluster()))),
            ("DELETE", "/v1/clusters/abc/10.0.0.1:1", Some((Right::Register, cluster()))),
            ("PUT", "/v1/clusters/abc/10.0.0.1:1/drained", Some((Right::Register, cluster()))),
            ("OPTIONS", "/v1/clusters/abc", Some((Right::Register, cluster()))),
            ("DELETE", "/v1/clusters/abc", Some((Right::Admin, cluster()))),
            ("POST", "/v1/clusters", Some((Right::Admin, Subject::Server))),
            ("GET", "/v1/clusters", Some((Right::Admin, Subject::Server))),
            ("GET", "/v1/nothing", None),
        ] {
            assert_eq!(wanted(&method.parse().unwrap(), path), expected, "{method} {path}");
        }
    }

    fn rules() -> Rules {
        let clusters = Clusters::Some(vec![Digest::of(b"abc")]);
        let (name, digest) = ("reader".to_owned(), Digest::of(b"secret"));
        Rules(vec![Grant { name, digest, rights: vec![Right::List], clusters }])
    }

    async fn ask(guard: &Guard, router: Router, bearer: &str) -> Response {
        let router = router.layer(from_fn_with_state(guard.clone(), admit));
        let request = Request::get("/v1/clusters/abc").header("Authorization", format!("Bearer {bearer}"));
        let request = request.body(Body::empty()).expect("a request");
        TowerToHyperService::new(router).call(request).await.expect("it never fails")
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_right_to_it() {
        let (guard, (send, events)) = (Guard::new(Some(rules())), mpsc::channel(1));
        let next = async |mut events: mpsc::Receiver<_>| Some((Ok::<_, io::Error>(events.recv().await?), events));
        let events = Arc::new(Mutex::new(Some(events)));
        let router = Router::new()
            .fallback(async move || Body::from_stream(unfold(events.lock().unwrap().take().unwrap(), next)));
        let mut body = ask(&guard, router, "secret").await.into_body().into_data_stream();
        send.send("one").await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "one");
        // other rules that still allow it
        let mut more = rules();
        more.0.push(Grant { name: "other".to_owned(), digest: Digest::of(b"other"), ..more.0[0].clone() });
        guard.replace(Some(more));
        send.send("two").await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "two");
        guard.replace(Some(Rules::default()));
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_is_not_given_to_one_who_lost_the_right() {
        let guard = Guard::new(None);
        let late = |rules: Option<Rules>| {
            let guard = guard.clone();
            Router::new().fallback(async move || {
                guard.replace(rules);
                "nodes"
            })
        };
        assert_eq!(ask(&guard, late(Some(rules())), "secret").await.status(), StatusCode::OK);
        assert_eq!(ask(&guard, late(Some(Rules::default())), "secret").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ask(&guard, late(None), "secret").await.status(), StatusCode::UNAUTHORIZED, "nothing is asked");
    }

    #[test]
    fn a_bearer_token_is_in_one_header_of_its_kind() {
        let read = |values: &[&str]| {
            let request =
                values.iter().fold(Request::builder(), |request, value| request.header("Authorization", *value));
            Pass::of(&request.body(Body::empty()).unwrap()).authorization.as_ref().and_then(bearer)
        };
        for value in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(read(&[value]), Some(Digest::of(b"abc")), "{value}");
        }
        let long = format!("Bearer {}", "a".repeat(BEARER_MAX + 1));
        for values in
            [&[][..], &["Basic abc"], &["Bearer"], &["Bearer "], &["abc"], &["Bearer a", "Bearer a"], &[&long]]
        {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
