//! Debian's `slapd` with TLS, in a folder of its own, on free ports.

#![cfg(test)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::pki::Authority;

/// Where Debian puts it; `tests/run` installs it.
const SLAPD: &str = "/usr/sbin/slapd";
const SLAPADD: &str = "/usr/sbin/slapadd";

/// The password of everybody in it.
pub(crate) const LDAP_PASSWORD: &str = "paper kite 22";

/// A running directory; it stops when this is dropped.
pub(crate) struct Slapd {
    pub(crate) ldap: u16,
    pub(crate) ldaps: u16,
    _folder: TempDir,
    child: Child,
}

impl Slapd {
    /// Starts one with the entries of [`ENTRIES`] and a certificate for 127.0.0.1.
    pub(crate) fn start(authority: &Authority) -> Self {
        let folder = TempDir::new().unwrap();
        let leaf = authority.leaf(&["127.0.0.1"]);
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("data")).unwrap();
        fs::write(path("server.pem"), leaf.certificate).unwrap();
        fs::write(path("server.key"), leaf.key).unwrap();
        fs::write(path("slapd.conf"), settings(folder.path(), &authority.file)).unwrap();
        fs::write(path("entries.ldif"), entries()).unwrap();
        let loaded = Command::new(SLAPADD)
            .arg("-f")
            .arg(path("slapd.conf"))
            .arg("-l")
            .arg(path("entries.ldif"))
            .output()
            .expect("slapd is installed by tests/run");
        assert!(loaded.status.success(), "{loaded:?}");
        let (ldap, ldaps) = (free_port(), free_port());
        let child = Command::new(SLAPD)
            .arg("-f")
            .arg(path("slapd.conf"))
            .arg("-h")
            .arg(format!("ldap://127.0.0.1:{ldap} ldaps://127.0.0.1:{ldaps}"))
            .args(["-d", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self {
            ldap,
            ldaps,
            _folder: folder,
            child,
        };
        running.wait_until_it_listens();
        running
    }

    fn wait_until_it_listens(&mut self) {
        while TcpStream::connect(("127.0.0.1", self.ldaps)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "slapd ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn settings(folder: &Path, authority: &Path) -> String {
    let (folder, authority) = (folder.display(), authority.display());
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         moduleload ppolicy\n\
         pidfile {folder}/slapd.pid\n\
         TLSCACertificateFile {authority}\n\
         TLSCertificateFile {folder}/server.pem\n\
         TLSCertificateKeyFile {folder}/server.key\n\
         database mdb\n\
         maxsize 67108864\n\
         suffix \"dc=example\"\n\
         rootdn \"cn=admin,dc=example\"\n\
         directory {folder}/data\n\
         overlay ppolicy\n\
         ppolicy_default \"cn=policy,dc=example\"\n\
         ppolicy_use_lockout\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"cn=svc,dc=example\" read by * none\n"
    )
}

/// Ann is in analysts, which lie in staff, which lies in everybody, which lies in analysts again.
/// Ben is in nothing. Two people are called twin. O'Neil has a name that filters dislike. The
/// password of old has expired, that of reset was set by an administrator and must be changed, and
/// locked is locked.
fn entries() -> String {
    let person = |uid: &str, dn: &str| {
        format!(
            "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid} of the directory\n\
             sn: x\nmail: {uid}@corp.example\nuserPassword: {LDAP_PASSWORD}\n\n"
        )
    };
    let group = |name: &str, member: &str| {
        format!(
            "dn: cn={name},ou=groups,dc=example\nobjectClass: groupOfNames\ncn: {name}\n\
             member: {member}\n\n"
        )
    };
    [
        "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n"
            .to_owned(),
        "dn: ou=people,dc=example\nobjectClass: organizationalUnit\nou: people\n\n".to_owned(),
        "dn: ou=groups,dc=example\nobjectClass: organizationalUnit\nou: groups\n\n".to_owned(),
        "dn: cn=svc,dc=example\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
         cn: svc\nuserPassword: service secret\n\n"
            .to_owned(),
        person("ann", "uid=ann,ou=people,dc=example"),
        person("ben", "uid=ben,ou=people,dc=example"),
        person("twin", "cn=one,ou=people,dc=example").replace("cn: twin", "cn: one\ncn: twin"),
        person("twin", "cn=two,ou=people,dc=example").replace("cn: twin", "cn: two\ncn: twin"),
        person("o(neil)*", "uid=o\\28neil\\29\\2A,ou=people,dc=example"),
        "dn: cn=policy,dc=example\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\n\
         cn: policy\npwdAttribute: userPassword\npwdMaxAge: 86400\npwdMustChange: TRUE\n\
         pwdLockout: TRUE\npwdMaxFailure: 0\n\n"
            .to_owned(),
        person("old", "uid=old,ou=people,dc=example")
            .replace("\n\n", "\npwdChangedTime: 20200101000000Z\n\n"),
        person("reset", "uid=reset,ou=people,dc=example")
            .replace("\n\n", "\npwdReset: TRUE\n\n"),
        person("locked", "uid=locked,ou=people,dc=example")
            .replace("\n\n", "\npwdAccountLockedTime: 000001010000Z\n\n"),
        group("analysts", "uid=ann,ou=people,dc=example")
            .replace("\n\n", "\nmember: cn=everybody,ou=groups,dc=example\n\n"),
        group("odd", "uid=o\\28neil\\29\\2A,ou=people,dc=example"),
        group("staff", "cn=analysts,ou=groups,dc=example"),
        group("everybody", "cn=staff,ou=groups,dc=example"),
    ]
    .concat()
}
