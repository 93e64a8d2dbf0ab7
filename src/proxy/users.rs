//! Who may ask.

use super::settings::{Secret, Settings};
use subtle::ConstantTimeEq;

/// The user that a client is without a name.
pub const DEFAULT: &str = "default";

/// Users and their passwords.
#[derive(Debug)]
pub struct Users {
    known: Vec<(String, Secret)>,
    /// The default user has no password: whoever connects is let in.
    open: bool,
}

impl Users {
    /// Those of the settings.
    pub fn of(settings: &Settings) -> Users {
        let mut known = settings.users.clone();
        known.extend(settings.password.iter().map(|password| (DEFAULT.to_owned(), password.clone())));
        let open = known.is_empty();
        Users { known, open }
    }

    /// Who a client is before it has said anything; none if it must show a password first.
    pub fn stranger(&self) -> Option<String> {
        self.open.then(|| DEFAULT.to_owned())
    }

    /// Whether there is such a user.
    pub fn knows(&self, name: &str) -> bool {
        name == DEFAULT || self.known.iter().any(|(known, _)| known == name)
    }

    /// Whether the default user has a password.
    pub fn has_default_password(&self) -> bool {
        self.known.iter().any(|(name, _)| name == DEFAULT)
    }

    /// Whether this is the user's password. It takes as long for a wrong one as for a right one of its length.
    pub fn admit(&self, name: &str, password: &[u8]) -> bool {
        let mut admitted = self.open && name == DEFAULT;
        for (user, secret) in &self.known {
            let fits: bool = secret.0.as_slice().ct_eq(password).into();
            admitted |= fits && user == name;
        }
        admitted
    }
}
