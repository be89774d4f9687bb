//! Tokens, the service accounts' key and kubeconfigs of a throw-away control plane.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Error;

/// A bearer token; never printed by accident.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token itself, for a client that is not ours.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Self, Error> {
        // The key generator is the one source of good randomness at hand; a private key's text has far more than a token needs.
        let seed = rcgen::KeyPair::generate()?.serialize_der();
        Ok(Self(format!("{:x}", Sha256::digest(seed))))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Who speaks to the API server with a token of the token file.
pub(super) struct Tokens {
    pub admin: Token,
    pub controller_manager: Token,
    pub scheduler: Token,
}

impl Tokens {
    pub(super) fn random() -> Result<Self, Error> {
        Ok(Self { admin: Token::random()?, controller_manager: Token::random()?, scheduler: Token::random()? })
    }

    /// The file for `--token-auth-file`: token, user, uid, groups.
    pub(super) fn file(&self) -> String {
        [
            (&self.admin, "admin,admin,system:masters"),
            (&self.controller_manager, "system:kube-controller-manager,controller-manager"),
            (&self.scheduler, "system:kube-scheduler,scheduler"),
        ]
        .map(|(token, user)| format!("{},{user}\n", token.expose()))
        .concat()
    }
}

/// Writes the key that signs service account tokens, and the public half that checks them.
pub(super) fn write_signing_key(private: &Path, public: &Path) -> Result<(), Error> {
    let key = rcgen::KeyPair::generate()?;
    write_private(private, &key.serialize_pem())?;
    write_private(public, &key.public_key_pem())
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let mut file =
        std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).map_err(Error::io("create", path))?;
    file.write_all(content.as_bytes()).map_err(Error::io("write", path))
}

/// A kubeconfig with one context. The certificate is inside, so that the file can be copied anywhere.
pub(super) fn kubeconfig(server: &str, ca_pem: &str, user: &str, token: &Token) -> Result<String, Error> {
    let name = "doris-control-plane";
    let document: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(ca_pem)}}],
        "users": [{"name": user, "user": {"token": token.expose()}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    });
    Ok(serde_saphyr::to_string(&document)?)
}

#[cfg(test)]
mod tests {
    use super::{Tokens, kubeconfig, write_signing_key};

    #[test]
    fn a_kubeconfig_is_read_back_by_the_client_library() {
        let tokens = Tokens::random().expect("tokens");
        let text = kubeconfig("https://127.0.0.1:6443", "pem", "admin", &tokens.admin).expect("a kubeconfig");
        let read = kube::config::Kubeconfig::from_yaml(&text).expect("a kubeconfig that parses");
        assert_eq!(read.current_context.as_deref(), Some("doris-control-plane"));
        assert_eq!(read.clusters[0].cluster.as_ref().and_then(|cluster| cluster.server.as_deref()), Some("https://127.0.0.1:6443"));
    }

    #[test]
    fn tokens_differ_and_are_not_printed() {
        let tokens = Tokens::random().expect("tokens");
        assert_ne!(tokens.admin.expose(), tokens.scheduler.expose());
        assert!(!format!("{:?}", tokens.admin).contains(tokens.admin.expose()));
        assert!(tokens.file().contains(",admin,admin,system:masters\n"));
    }

    #[test]
    fn the_signing_key_is_readable_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (private, public) = (directory.path().join("key"), directory.path().join("pub"));
        write_signing_key(&private, &public).expect("keys");
        assert_eq!(std::fs::metadata(&private).expect("metadata").permissions().mode() & 0o077, 0);
        assert!(std::fs::read_to_string(&public).expect("a key").starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
