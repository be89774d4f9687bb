//! Accounts and passwords.

use sha1::{Digest as _, Sha1};

use crate::error::Error;
use crate::literal::quoted;
use crate::rows::AccountGrants;
use crate::session::Session;
use crate::transport::{Login, Password};

/// A right on everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalRight {
    /// Changes of the topology.
    Node,
    /// Settings, repositories, accounts.
    Admin,
}

impl Session {
    /// Creates an account that never expires, unless it exists; an existing one keeps its password.
    pub async fn create_account(&mut self, login: &Login) -> Result<(), Error> {
        let (user, password) = (quoted(&login.user), quoted(login.password.reveal()));
        let statement = format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password} PASSWORD_EXPIRE NEVER");
        self.run_secret(&statement, &login.password).await
    }

    /// Sets the password of any account; for `root` newer servers refuse this from others than root.
    pub async fn alter_account(&mut self, login: &Login) -> Result<(), Error> {
        let statement = format!("ALTER USER {} IDENTIFIED BY {}", quoted(&login.user), quoted(login.password.reveal()));
        self.run_secret(&statement, &login.password).await
    }

    /// Sets the password of the account that this session is logged in with.
    pub async fn set_own_password(&mut self, password: &Password) -> Result<(), Error> {
        self.run_secret(&format!("SET PASSWORD = PASSWORD({})", quoted(password.reveal())), password).await
    }

    /// The same by the password's hash: no list of running statements and no log of Doris shows the password, and no
    /// policy for passwords is applied.
    pub async fn set_own_password_by_hash(&mut self, password: &Password) -> Result<(), Error> {
        self.run_secret(&format!("SET PASSWORD = {}", quoted(&initial_root_password(password))), password).await
    }

    /// Sets the password of another account.
    pub async fn set_password(&mut self, login: &Login) -> Result<(), Error> {
        let statement = format!("SET PASSWORD FOR {} = PASSWORD({})", quoted(&login.user), quoted(login.password.reveal()));
        self.run_secret(&statement, &login.password).await
    }

    /// Grants a right on everything; granting it twice changes nothing.
    pub async fn grant(&mut self, right: GlobalRight, user: &str) -> Result<(), Error> {
        let right = match right {
            GlobalRight::Node => "NODE_PRIV",
            GlobalRight::Admin => "ADMIN_PRIV",
        };
        self.run(&format!("GRANT {right} ON *.*.* TO {}", quoted(user))).await.map(drop)
    }

    /// The rights of an account, one entry for each host pattern it has.
    pub async fn grants_of(&mut self, user: &str) -> Result<Vec<AccountGrants>, Error> {
        let statement = format!("SHOW GRANTS FOR {}", quoted(user));
        AccountGrants::read(&self.table("SHOW GRANTS", &statement).await?)
    }
}

/// The form of a password that `initial_root_password` in `fe.conf` and `SET PASSWORD` take: `*` and the hexadecimal
/// SHA1 of the SHA1. In `fe.conf` Doris ignores every other form and leaves root without a password.
pub fn initial_root_password(password: &Password) -> String {
    let hash = Sha1::digest(Sha1::digest(password.reveal().as_bytes()));
    let mut text = String::with_capacity(41);
    text.push('*');
    for byte in hash {
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
    text
}

const LOWER: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &[u8] = b"23456789";
// No quote, backslash or number sign: each means something in SQL or in a configuration file.
const SPECIAL: &[u8] = b"!%+,-./:=?@_~";
const LENGTH: usize = 24;

/// A password that the strong validation policy accepts: 24 characters of four classes.
/// `random` gives evenly distributed numbers.
pub fn generate_password(mut random: impl FnMut() -> u64) -> Password {
    let classes = [LOWER, UPPER, DIGITS, SPECIAL];
    let mut below = |limit: usize| {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(random() % limit).unwrap_or(0)
    };
    let mut characters: Vec<u8> = Vec::with_capacity(LENGTH);
    for position in 0..LENGTH {
        let class = classes.get(position).copied().unwrap_or_else(|| classes[below(classes.len())]);
        characters.push(class[below(class.len())]);
    }
    for last in (1..characters.len()).rev() {
        characters.swap(last, below(last + 1));
    }
    // Doris takes a hash for the password if it begins with `*`, which is in no class.
    Password::new(characters.into_iter().map(char::from).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{generate_password, initial_root_password};
    use crate::transport::Password;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn the_hash_is_that_of_the_mysql_native_password() {
        assert_eq!(initial_root_password(&Password::new("password")), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
        assert_eq!(initial_root_password(&Password::new("")), "*BE1BDEC0AA74B4DCB079943E70528096CCA985F8");
    }

    proptest! {
        #[test]
        fn a_generated_password_satisfies_the_strong_policy(seed in any::<u64>()) {
            let mut state = seed;
            let password = generate_password(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 20
            });
            let text = password.reveal();
            prop_assert!(text.len() >= 16);
            prop_assert!(text.chars().any(|c| c.is_ascii_lowercase()));
            prop_assert!(text.chars().any(|c| c.is_ascii_uppercase()));
            prop_assert!(text.chars().any(|c| c.is_ascii_digit()));
            prop_assert!(text.chars().any(|c| c.is_ascii_punctuation()));
            prop_assert!(!text.contains(['\'', '"', '`', '\\', '#', '*']));
        }
    }
}
