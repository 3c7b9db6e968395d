//! Websockets: an upgrade on both sides, and bytes between them until either ends.

use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::heads::{Up, down_for_websocket};
use super::{ANSWER_TIMEOUT, PassError, Passing, ProxyBody, UpstreamPath, when};
use crate::qlikview::web::{Server, whole};

impl Passing {
    pub(super) async fn pass_websocket(
        &self,
        path: &UpstreamPath,
        address: Uri,
        up: &Up,
        client: OnUpgrade,
    ) -> Result<Response<ProxyBody>, PassError> {
        let make = |server: &Server| {
            let mut request = Request::new(whole(""));
            *request.method_mut() = Method::GET;
            *request.uri_mut() = address.clone();
            *request.headers_mut() = up.for_server(server.origin());
            request
        };
        let sending = self
            .servers
            .send_for(&self.session, false, Some(ANSWER_TIMEOUT), make);
        let (seat, mut response) = sending.await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.come_down(&seat, path, response).await;
        }
        let server = hyper::upgrade::on(&mut response);
        let ended = when(self.ended.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = ended => {}
                () = copy(client, server) => {}
            }
        });
        let mut down = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *down.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *down.headers_mut() = down_for_websocket(response.headers());
        Ok(down)
    }
}

/// Copies both ways until both sides have ended, or one has broken.
async fn copy(client: OnUpgrade, server: OnUpgrade) {
    let (Ok(client), Ok(server)) = tokio::join!(client, server) else {
        return;
    };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
        tracing::debug!(%error, "a websocket broke");
    }
}
