//! Passwords: from the terminal without echo, or from standard input; never from an argument.

use std::io::{self, BufRead};

use anyhow::{Context, bail};
use clap::Args;

use crate::auth::password::Password;

/// Bytes of a line that can be a password; a longer line is none.
const LINE_BYTES_MAX: u64 = 4096;

/// Where the password comes from.
#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// Read the password from the first line of standard input, not from the terminal
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    /// Reads the password.
    ///
    /// # Errors
    ///
    /// There is none, there is no terminal, or the two that were typed differ.
    pub(super) fn read(&self) -> anyhow::Result<Password> {
        if self.password_stdin {
            first_line(io::stdin().lock())
        } else {
            from_terminal()
        }
    }
}

fn first_line(input: impl BufRead) -> anyhow::Result<Password> {
    let mut line = String::new();
    input
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)
        .context("the password cannot be read from standard input")?;
    let end = line.strip_suffix('\n').unwrap_or(&line);
    let end = end.strip_suffix('\r').unwrap_or(end).len();
    line.truncate(end);
    if line.is_empty() {
        bail!("there is no password in the first line of standard input");
    }
    Ok(line.into())
}

fn from_terminal() -> anyhow::Result<Password> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt)
            .map(Password::from)
            .context("there is no terminal to ask for the password; use --password-stdin")
    };
    let password = ask("New password: ")?;
    let again = ask("New password again: ")?;
    if password.as_str() != again.as_str() {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<String, String> {
        let password = first_line(input).map_err(|error| error.to_string())?;
        Ok(password.as_str().to_owned())
    }

    #[test]
    fn the_first_line_is_the_password_without_its_end() {
        assert_eq!(read(b" a b \r\nrest"), Ok(" a b ".to_owned()));
        assert_eq!(read(b"no end"), Ok("no end".to_owned()));
        assert_eq!(read(b"ends in \r\r\n"), Ok("ends in \r".to_owned()));
    }

    #[test]
    fn nothing_and_what_is_no_text_is_no_password() {
        for input in [&b""[..], b"\n", b"\r\nnext", b"\xff\xfe\n"] {
            assert!(read(input).is_err(), "{input:?}");
        }
    }
}
