//! A peer of the gateway as a proxy: Debian's nginx, which ends TLS, passes on to the same web server,
//! keeps connections to it, scrubs headers and replaces the address of the inside in pages.
//!
//! It checks no session, keeps no cookies and judges no paths.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use accesspoint::clock::Clock;
use accesspoint::http::tls::{CertificateSource, ServerTls};

use crate::site::{Server, free_address};

const PROGRAM: &str = "/usr/sbin/nginx";

/// Whether it is installed.
pub(crate) fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// One that passes everything on to a web server.
pub(crate) fn start(folder: &Path, web_server: &str) -> Server {
    let source = CertificateSource::SelfSigned {
        data_dir: folder.to_owned(),
        names: vec!["127.0.0.1".to_owned()],
    };
    ServerTls::open(source, Clock::system().now()).expect("a certificate");
    let address = free_address();
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(folder, address, web_server)).expect("a configuration");
    let nginx = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(folder).arg("-c").arg(&file);
        command.args(more).stderr(Stdio::null());
        command
    };
    Server::peer(nginx(&[]), nginx(&["-s", "stop"]), address)
}

fn configuration(folder: &Path, address: SocketAddr, web_server: &str) -> String {
    let folder = folder.display();
    let host = web_server.trim_start_matches("http://");
    format!(
        r#"daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server_tokens off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream estate {{ server {host}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {address} ssl;
    ssl_certificate {folder}/tls-certificate.pem;
    ssl_certificate_key {folder}/tls-private-key.pem;
    proxy_http_version 1.1;
    proxy_set_header Host {host};
    proxy_set_header Connection "";
    proxy_set_header Accept-Encoding identity;
    proxy_set_header Authorization "";
    proxy_set_header X-User "";
    proxy_hide_header Set-Cookie;
    proxy_hide_header X-Powered-By;
    proxy_hide_header X-Inside-Node;
    proxy_hide_header Content-Location;
    add_header Strict-Transport-Security max-age=31536000;
    add_header X-Content-Type-Options nosniff;
    add_header X-Frame-Options SAMEORIGIN;
    add_header Referrer-Policy no-referrer;
    sub_filter {web_server} https://{address};
    sub_filter_once off;
    sub_filter_types text/xml application/x-javascript text/javascript;
    location / {{ proxy_pass http://estate; }}
    location /scripts/ {{
      proxy_pass http://estate;
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"#
    )
}
