//! The tunnel: what the plug-in and Desktop say to `QlikView` Server over HTTP. Its bytes are nobody's
//! affair here; they pass both ways as they come, for as long as they come.

use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use super::proxy::{
    Down, PassError, ProxyBody, down_through_tunnel, is_challenge, up_through_tunnel,
};
use super::web::{BoxError, WebServers};

/// Where the tunnel is, unless somebody moved it. CONFIRMED
const PATH: &str = "/scripts/QVSTunnel.dll";

/// Passes a request of a tunnel up and its answer down, to the first web server that is well. Bodies
/// stream both ways at once, without a limit of time.
///
/// # Errors
///
/// See [`PassError`].
pub async fn pass_tunnel<B>(
    servers: &WebServers,
    request: Request<B>,
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
    let mut up = Request::new(body.map_err(Into::into).boxed_unsync());
    *up.method_mut() = head.method;
    *up.uri_mut() = address;
    *up.headers_mut() = up_through_tunnel(&head.headers);
    let server = servers.first();
    let origin = server.origin();
    let response = servers.send_plain(server, up, None).await;
    let response = response.map_err(|error| PassError::Silent {
        server: origin.to_owned(),
        why: error.why,
    })?;
    let (head, body) = response.into_parts();
    if is_challenge(head.status, &head.headers) || head.status.is_redirection() {
        return Err(PassError::Answer {
            server: origin.to_owned(),
            why: "it asks the tunnel who it is, or sends it elsewhere".to_owned(),
        });
    }
    let mut down = Response::new(Down::plain(body).boxed_unsync());
    *down.status_mut() = head.status;
    *down.headers_mut() = down_through_tunnel(&head.headers);
    Ok(down)
}
