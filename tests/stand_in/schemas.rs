//! The vendor's own schemas of the management service, where they are on this machine.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Holds envelopes against the schemas; does nothing where they are not here.
pub(super) fn validate(envelopes: &[String]) {
    let Some(folder) = folder() else {
        return;
    };
    let files = TempDir::new().unwrap();
    let mut command = Command::new(python());
    command.arg(folder.join("validate.py"));
    for (number, envelope) in envelopes.iter().enumerate() {
        let file = files.path().join(format!("{number}.xml"));
        std::fs::write(&file, envelope).unwrap();
        command.arg(file);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.matches("valid").count() > 10, "{said}");
}

/// The folder of the vendor's schemas, if it is on this machine.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/qms-wsdl");
    let named = std::env::var_os("ACCESSPOINT_QMS_WSDL").map(PathBuf::from);
    named
        .or(Some(beside))
        .filter(|folder| folder.join("validate.py").exists())
}

/// Python with what the tests need, which `tests/run` installs.
pub(crate) fn python() -> PathBuf {
    let named = std::env::var_os("ACCESSPOINT_TEST_PYTHON").map(PathBuf::from);
    // Only tests are told where they are built.
    let built = option_env!("CARGO_TARGET_TMPDIR")
        .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp"));
    let python =
        named.unwrap_or_else(|| PathBuf::from(built).join("../test-tools/python-2/bin/python"));
    assert!(
        python.exists(),
        "{} is missing; tests/run installs it",
        python.display()
    );
    python
}
