//! The client's side of NTLM: three messages that sign a connection in.

use sspi::{
    AuthIdentity, AuthIdentityBuffers, BufferType, ClientRequestFlags, CredentialUse,
    DataRepresentation, Ntlm, SecurityBuffer, Sspi, SspiImpl, Username,
};

use crate::config::ManagementAccount;

/// One exchange of messages, for one connection.
pub(super) struct Exchange {
    ntlm: Ntlm,
    credentials: Option<AuthIdentityBuffers>,
    target: String,
}

/// An account or a message cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NtlmError {
    /// The name is of no form that Windows knows.
    #[error("management_user is of no form that Windows knows")]
    User,
    /// The server's message makes no sense.
    #[error("the NTLM message of the server cannot be used: {0}")]
    Message(String),
}

impl From<sspi::Error> for NtlmError {
    fn from(error: sspi::Error) -> Self {
        Self::Message(error.description)
    }
}

impl Exchange {
    /// Begins one with the server of this name. `bindings` ties it to the TLS connection, for
    /// servers with *Extended Protection*.
    pub(super) fn new(
        account: &ManagementAccount,
        host: &str,
        bindings: Option<&[u8]>,
    ) -> Result<Self, NtlmError> {
        let mut ntlm = Ntlm::new();
        if let Some(bindings) = bindings {
            ntlm.set_channel_bindings(bindings);
        }
        let identity = AuthIdentity {
            username: Username::parse(&account.user).map_err(|_| NtlmError::User)?,
            password: account.password.expose().to_owned().into(),
        };
        let acquired = ntlm
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&identity)
            .execute(&mut ntlm)?;
        Ok(Self {
            ntlm,
            credentials: acquired.credentials_handle,
            target: format!("HTTP/{host}"),
        })
    }

    /// The next message: the first without an input, the last in answer to the server's challenge.
    pub(super) fn next(&mut self, challenge: Option<Vec<u8>>) -> Result<Vec<u8>, NtlmError> {
        let mut input = [SecurityBuffer::new(
            challenge.unwrap_or_default(),
            BufferType::Token,
        )];
        let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let mut builder = self
            .ntlm
            .initialize_security_context()
            .with_credentials_handle(&mut self.credentials)
            .with_context_requirements(ClientRequestFlags::ALLOCATE_MEMORY)
            .with_target_data_representation(DataRepresentation::Native)
            .with_target_name(&self.target)
            .with_input(&mut input)
            .with_output(&mut output);
        self.ntlm
            .initialize_security_context_impl(&mut builder)?
            .resolve_to_result()?;
        Ok(output.pop().map(|token| token.buffer).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn exchange(user: &str) -> Result<Exchange, NtlmError> {
        let account = ManagementAccount {
            user: user.to_owned(),
            password: Secret::new("secret".to_owned()),
        };
        Exchange::new(&account, "qms.internal", None)
    }

    #[test]
    fn the_first_message_is_ntlms_own() {
        for user in ["DOMAIN\\svc", "svc@domain.example", "svc"] {
            let first = exchange(user).unwrap().next(None).unwrap();
            assert_eq!(&first[..8], b"NTLMSSP\0", "{user}");
            assert_eq!(first[8], 1);
        }
    }

    #[test]
    fn a_challenge_that_makes_no_sense_is_an_error() {
        for challenge in [&b""[..], b"x", b"NTLMSSP\0\x02\0\0\0", &[0xFF; 64]] {
            let mut exchange = exchange("D\\svc").unwrap();
            exchange.next(None).unwrap();
            assert!(exchange.next(Some(challenge.to_vec())).is_err());
        }
    }
}
