//! A folder of its own for each test, and the program run in it.

// The lints of tests hold for helpers too, which have no `#[test]` of their own.
#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A new folder; gone with everything in it when this is dropped.
pub(crate) struct Site {
    path: PathBuf,
}

/// What a run of the program gave.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// A folder with an empty folder of documents.
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("accesspoint-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("documents")).unwrap();
        Self { path }
    }

    /// [`Site::new`] with a LEF of so many named CALs.
    pub(crate) fn with_cals(cals: u32) -> Self {
        let site = Self::new();
        let lef = format!("NUMBER_OF_NAMED_CALS;{cals};;\n");
        assert_eq!(site.run_with(&["license", "load", "-"], &lef).code, 0);
        site
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).unwrap();
    }

    /// Runs the program in the folder, with nothing on standard input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs the program in the folder, with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.start(arguments);
        // A program that does not read its input may have ended already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        Ran::from(child.wait_with_output().unwrap())
    }

    /// Runs the program, which must succeed, and reads what it prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.json()
    }

    /// Starts the program in the folder and does not wait for it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_accesspoint"))
            .args(arguments)
            .current_dir(&self.path)
            .env_clear()
            .env("TMPDIR", &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A gateway that runs until it is stopped, or this is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    /// Waits for the first line of standard output.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = BufReader::new(self.0.stdout.as_mut().unwrap());
        read_line_of(stdout, &mut line, |_| true);
        line
    }

    /// Waits for a log line with these words in it.
    pub(crate) fn log_line(&mut self, words: &str) -> String {
        let mut line = String::new();
        let stderr = BufReader::new(self.0.stderr.as_mut().unwrap());
        read_line_of(stderr, &mut line, |line| line.contains(words));
        line
    }

    /// Asks it to end, and waits for its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).unwrap();
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn read_line_of(mut from: impl BufRead, line: &mut String, wanted: impl Fn(&str) -> bool) {
    loop {
        line.clear();
        let read = from.read_line(line).unwrap();
        assert_ne!(read, 0, "it ended before it printed the line");
        if wanted(line) {
            return;
        }
    }
}

/// Asks for a page over TLS, trusting the certificate in the file alone.
pub(crate) fn get(url: &str, path: &str, host: &str, certificate: &Path) -> String {
    let address = url.strip_prefix("https://").unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = std::net::TcpStream::connect(address).unwrap();
    let mut stream = StreamOwned::new(tls, socket);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
