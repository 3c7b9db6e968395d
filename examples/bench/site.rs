//! A site to measure, prepared through the library, and the children that serve.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use accesspoint::app::App;
use accesspoint::app::administer::AddUser;
use accesspoint::app::sign_in::{Begins, Client, SignedIn};
use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::domain::administer::Force;
use accesspoint::fresh::Fresh;
use accesspoint::store::{Actor, WorkstationSeen};

/// People who open, each with a session of their own.
pub(crate) const PEOPLE: usize = 128;
/// How many sessions each may have, so that none that is measured ends for a newer one.
const SESSIONS_OF_ONE: usize = 1_000;
/// Documents on the page.
pub(crate) const DOCUMENTS: usize = 50;
/// The password of everybody.
pub(crate) const PASSWORD: &str = "a password of the benchmark";

/// What the gateway logs by default, but for the words of its start and end.
const GATEWAY_LOGS: &str = "info,accesspoint=warn,hyper=error";

/// A prepared site.
pub(crate) struct Site {
    /// The file of its configuration.
    pub(crate) config: PathBuf,
    /// Where its gateway listens.
    pub(crate) address: SocketAddr,
    /// The secrets and CSRF tokens of sessions, one a person.
    pub(crate) sessions: Vec<(String, String)>,
    /// The id of a document.
    pub(crate) document: String,
}

/// A server process; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Ends it together with processes of its own, where it has any.
    stop: Option<Command>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program again as one of the limits, and reads where it listens.
    pub(crate) fn limit(kind: &str, folder: &Path, size: usize) -> Self {
        Self::telling(kind, folder, size).0
    }

    /// The same, with what else the child tells after its address.
    pub(crate) fn telling(kind: &str, folder: &Path, size: usize) -> (Self, Vec<String>) {
        let mut child = program()
            .args(["child-limit", kind])
            .arg(folder)
            .arg(size.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its address");
        let mut words = line.split_whitespace().map(str::to_owned);
        let address = words.next().expect("the address of a child");
        let server = Self {
            child,
            stop: None,
            address: address.parse().expect("the address of a child"),
        };
        (server, words.collect())
    }

    /// Starts this program again as `accesspoint serve`, and waits until it accepts connections.
    pub(crate) fn gateway(site: &Site) -> Self {
        let child = program()
            .args(["serve", "--config"])
            .arg(&site.config)
            .env("ACCESSPOINT_LOG", GATEWAY_LOGS)
            .spawn()
            .expect("a child");
        Self::listening(child, None, site.address)
    }

    /// Starts a program of others, and waits until it accepts connections; `stop` ends it.
    pub(crate) fn peer(mut start: Command, stop: Command, address: SocketAddr) -> Self {
        let child = start.spawn().expect("a peer");
        Self::listening(child, Some(stop), address)
    }

    fn listening(mut child: Child, stop: Option<Command>, address: SocketAddr) -> Self {
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().expect("the state of the child");
            assert!(ended.is_none(), "a server ended before it listened");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            child,
            stop,
            address,
        }
    }

    /// Resident memory in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the state of the child");
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: f64 = kib.and_then(|kib| kib.parse().ok()).expect("its memory");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.stop {
            Some(stop) => drop(stop.status()),
            None => drop(self.child.kill()),
        }
        drop(self.child.wait());
    }
}

fn program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl Site {
    /// Makes a site in a new folder; `more` is added to its configuration.
    pub(crate) async fn new(folder: &Path, more: &str) -> Self {
        for number in 0..DOCUMENTS {
            let category = ["Sales", "Finance", "Operations"][number % 3];
            let path = folder.join(format!(
                "documents/{category}/Quarterly Report {number}.qvw"
            ));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, vec![0; 1000 + number]).expect("a document");
        }
        let config = folder.join("accesspoint.toml");
        let address = free_address();
        let text = format!(
            "[listen]\nhttps = \"{address}\"\n[session]\nmax_per_user = {SESSIONS_OF_ONE}\n{more}"
        );
        fs::write(&config, text).expect("a configuration");
        let app = open(&config);
        // In front of an estate the licence is its server's.
        if app.estate().is_none() {
            let lef = "PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;4000000;;\n";
            app.load_license(lef, Force::No, Actor::command_line())
                .await
                .expect("a licence");
        }
        add_people(&app, "person", PEOPLE).await;
        let mut sessions = Vec::new();
        for number in 0..PEOPLE {
            sessions.push(session(&app, number).await);
        }
        let document = app.library().snapshot().documents()[0]
            .id
            .as_str()
            .to_owned();
        app.close();
        Self {
            config,
            address,
            sessions,
            document,
        }
    }

    /// Adds so many more people, whose names begin with `prefix`.
    pub(crate) async fn more_people(&self, prefix: &str, count: usize) {
        let app = open(&self.config);
        add_people(&app, prefix, count).await;
        app.close();
    }

    /// The same, and disables them.
    pub(crate) async fn more_disabled(&self, prefix: &str, count: usize) {
        let app = open(&self.config);
        add_people(&app, prefix, count).await;
        for number in 0..count {
            let name = format!("{prefix}-{number}");
            let disabled = app.set_user_active(&name, false, Actor::command_line());
            disabled.await.expect("somebody");
        }
        app.close();
    }

    /// Begins so many more sessions, and answers their secrets.
    pub(crate) async fn more_sessions(&self, count: usize) -> Vec<String> {
        let app = open(&self.config);
        let mut begun = Vec::with_capacity(count);
        for from in (0..count).step_by(256) {
            let wave = (from..count.min(from + 256)).map(|number| {
                let app = app.clone();
                tokio::spawn(async move { session(&app, number % PEOPLE).await.0 })
            });
            for session in wave.collect::<Vec<_>>() {
                begun.push(session.await.expect("a session"));
            }
        }
        app.close();
        begun
    }
}

fn open(config: &Path) -> App {
    let config = Config::load(Some(config), std::iter::empty()).expect("a configuration");
    App::open(config, &Clock::system(), &Fresh::system()).expect("a site")
}

async fn add_people(app: &App, prefix: &str, count: usize) {
    for number in 0..count {
        let add = AddUser {
            name: format!("{prefix}-{number}"),
            display_name: None,
            roles: Vec::new(),
            groups: Vec::new(),
            password: PASSWORD.to_owned().into(),
        };
        app.add_user(add, Actor::command_line())
            .await
            .expect("a user");
    }
}

/// A session without a password hashed for it: its secret and CSRF token.
async fn session(app: &App, number: usize) -> (String, String) {
    let name = format!("person-{number}");
    let seen = WorkstationSeen {
        secret_hash: name.clone(),
        name: format!("PC-{number}"),
    };
    let signed_in = SignedIn {
        person: app.user(&name).expect("a person"),
        workstation: app
            .ledger()
            .see_workstation(seen)
            .await
            .expect("a workstation"),
        workstation_cookie: None,
        source: "local".to_owned(),
        provider: None,
        ticket: None,
        typed_name: None,
    };
    let client = Client {
        address: [127, 0, 0, 1].into(),
        agent: "bench".to_owned(),
        workstation_cookie: None,
        workstation_header: None,
    };
    let secret = app.fresh().id();
    app.begin_session(&signed_in, &secret, &client, Begins::default())
        .await
        .expect("a session");
    let token = app.csrf().token(&secret);
    (secret, token)
}
