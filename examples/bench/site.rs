//! A site to measure, prepared through the library, and the children that serve.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use accesspoint::app::App;
use accesspoint::app::administer::AddUser;
use accesspoint::app::sign_in::{Client, SignedIn};
use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::domain::administer::Force;
use accesspoint::fresh::Fresh;
use accesspoint::serve::{self, Listeners};
use accesspoint::store::{Actor, WorkstationSeen};

use crate::limits::address_of;

/// People who open, each with a session of their own.
pub const PEOPLE: usize = 64;
/// Documents on the page.
pub const DOCUMENTS: usize = 50;
/// The password of everybody.
pub const PASSWORD: &str = "a password of the benchmark";

/// A prepared site.
pub struct Site {
    pub config: PathBuf,
    /// The secrets and CSRF tokens of sessions, one a person.
    pub sessions: Vec<(String, String)>,
    /// The id of a document.
    pub document: String,
}

/// A server process; it ends when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts this program again as a server, and reads where it listens.
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its address");
        Self {
            address: address_of(&line),
            child,
        }
    }

    /// Resident memory in MiB.
    pub fn memory_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the state of the child");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0.0);
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Site {
    /// Makes a site in a new folder.
    pub async fn new(folder: &Path) -> Self {
        for number in 0..DOCUMENTS {
            let category = ["Sales", "Finance", "Operations"][number % 3];
            let path = folder.join(format!(
                "documents/{category}/Quarterly Report {number}.qvw"
            ));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, vec![0; 1000 + number]).expect("a document");
        }
        let config = folder.join("accesspoint.toml");
        fs::write(&config, "[listen]\nhttps = \"127.0.0.1:0\"\n").expect("a configuration");
        let app = open(&config);
        let lef = "PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;4000000;;\n";
        app.load_license(lef, Force::No, Actor::command_line())
            .await
            .expect("a licence");
        for number in 0..PEOPLE {
            let add = AddUser {
                name: format!("person-{number}"),
                display_name: None,
                roles: Vec::new(),
                groups: Vec::new(),
                password: PASSWORD.to_owned().into(),
            };
            app.add_user(add, Actor::command_line())
                .await
                .expect("a user");
        }
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
            sessions,
            document,
        }
    }

    /// Begins so many more sessions, and answers their secrets.
    pub async fn more_sessions(&self, count: usize) -> Vec<String> {
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
    };
    let client = Client {
        address: [127, 0, 0, 1].into(),
        agent: "bench".to_owned(),
        workstation_cookie: None,
        workstation_header: None,
    };
    let secret = app.fresh().id();
    app.begin_session(&signed_in, &secret, &client)
        .await
        .expect("a session");
    let token = app.csrf().token(&secret);
    (secret, token)
}

/// The child that is the gateway itself: as `accesspoint serve` is.
pub fn serve_gateway(config: &Path) {
    let mut config = Config::load(Some(config), std::iter::empty()).expect("a configuration");
    let runtime = serve::runtime().expect("a runtime");
    runtime.block_on(async {
        let listeners = Listeners::bind(&mut config).await.expect("a port");
        let address = config.listen.https;
        let app = App::open(config, &Clock::system(), &Fresh::system()).expect("a site");
        serve::run(app, listeners, || println!("{address}"))
            .await
            .expect("a gateway");
    });
}
