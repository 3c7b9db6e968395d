//! A websocket that says again what it is told.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the handshake's key is hashed with (RFC 6455).
const HANDSHAKE: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of one message.
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

pub(super) fn is_asked_for(request: &Request) -> bool {
    request.headers().contains_key("sec-websocket-key")
}

pub(super) fn answer(request: Request) -> Response {
    let key = request.headers()["sec-websocket-key"].to_str().unwrap();
    let accept = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{HANDSHAKE}").as_bytes(),
    );
    let accept = STANDARD.encode(accept);
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            // A client that goes away in the middle is not the server's affair.
            let _ = echo(TokioIo::new(upgraded)).await;
        }
    });
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

async fn echo(mut socket: TokioIo<hyper::upgrade::Upgraded>) -> std::io::Result<()> {
    loop {
        let first = socket.read_u8().await?;
        let second = socket.read_u8().await?;
        let length = match second & 0x7F {
            126 => u64::from(socket.read_u16().await?),
            127 => socket.read_u64().await?,
            short => u64::from(short),
        };
        // Clients mask what they send; whatever else this is, it is no client.
        if second & 0x80 == 0 || length > MESSAGE_BYTES_MAX {
            return Ok(());
        }
        let mut mask = [0; 4];
        socket.read_exact(&mut mask).await?;
        let mut message = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut message).await?;
        for (byte, mask) in message.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let kind = first & 0x0F;
        let first = if kind == PING { FIN | PONG } else { first };
        socket.write_all(&head(first, message.len())).await?;
        socket.write_all(&message).await?;
        socket.flush().await?;
        if kind == CLOSE {
            return socket.shutdown().await;
        }
    }
}

fn head(first: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => head.push(short),
        (_, Ok(middle)) => {
            head.push(126);
            head.extend(middle.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}
