//! The tunnel: what the plug-in and Desktop say to `QlikView` Server over HTTP. Its bytes are nobody's
//! affair here; they pass both ways as they come, for as long as they come and their address may.

use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::watch;

use super::proxy::{
    Down, PassError, ProxyBody, down_through_tunnel, is_challenge, up_through_tunnel,
};
use super::web::{BoxError, Lent, WebError, WebServers};

/// Where the tunnel is, unless somebody moved it. CONFIRMED
const PATH: &str = "/scripts/QVSTunnel.dll";

/// Passes a request of a tunnel up and its answer down, to the first web server that is well and takes a
/// connection. Bodies stream both ways at once, until `ended` turns true.
///
/// # Errors
///
/// See [`PassError`].
pub async fn pass_tunnel<B>(
    servers: &WebServers,
    request: Request<B>,
    ended: watch::Receiver<bool>,
) -> Result<Response<ProxyBody>, PassError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    if !matches!(head.method, Method::GET | Method::POST) {
        return Err(PassError::Method);
    }
    let address = head
        .uri
        .query()
        .map_or_else(|| PATH.to_owned(), |query| format!("{PATH}?{query}"));
    let address: Uri = address
        .parse()
        .map_err(|_| PassError::Unjudged("its query"))?;
    let up = Up {
        method: head.method,
        address,
        headers: up_through_tunnel(&head.headers),
        body: Lent::new(body.map_err(Into::into).boxed_unsync()),
    };
    let (origin, response) = up.send(servers).await?;
    let (head, body) = response.into_parts();
    if is_challenge(head.status, &head.headers) || head.status.is_redirection() {
        return Err(PassError::Answer {
            server: origin,
            why: "it asks the tunnel who it is, or sends it elsewhere".to_owned(),
        });
    }
    let mut down = Response::new(Down::until(body, ended).boxed_unsync());
    *down.status_mut() = head.status;
    *down.headers_mut() = down_through_tunnel(&head.headers);
    Ok(down)
}

/// A request of a tunnel.
struct Up {
    method: Method,
    address: Uri,
    headers: HeaderMap,
    body: Lent,
}

impl Up {
    /// The answer, and the server that gives it.
    async fn send(self, servers: &WebServers) -> Result<(String, Response<Incoming>), WebError> {
        let mut silent = None;
        for server in servers.in_order() {
            let mut request = Request::new(self.body.lend());
            *request.method_mut() = self.method.clone();
            *request.uri_mut() = self.address.clone();
            *request.headers_mut() = self.headers.clone();
            let origin = server.origin();
            let error = match servers.send_plain(&server, request, None).await {
                Ok(response) => return Ok((origin.to_owned(), response)),
                Err(error) => error,
            };
            let may_repeat = error.unsent;
            silent = Some(server.silent(error.why));
            if !may_repeat {
                break;
            }
        }
        Err(silent.unwrap_or_else(|| WebError::Silent {
            server: String::new(),
            why: "there is none".to_owned(),
        }))
    }
}
