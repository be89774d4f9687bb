//! Users, roles and privileges.

use super::ast::{LockWish, Password, Show, Statement};
use super::system::journal;
use super::{Context, Outcome, Run};
use crate::answer::{Rows, SqlError};
use crate::catalog::{Identity, LockPolicy, Op, Priv, User, hash_password};
use crate::fe::decode_password;

/// Columns of SHOW GRANTS from 3.0 on.
const GRANTS: &[&str] = &[
    "UserIdentity",
    "Comment",
    "Password",
    "Roles",
    "GlobalPrivs",
    "CatalogPrivs",
    "DatabasePrivs",
    "TablePrivs",
    "ColPrivs",
    "ResourcePrivs",
    "CloudClusterPrivs",
    "CloudStagePrivs",
    "StorageVaultPrivs",
    "WorkloadGroupPrivs",
    "ComputeGroupPrivs",
];
/// Fewest characters of a strong password.
const SHORTEST_STRONG: usize = 8;
/// Those of them that came with 3.0.
const OF_CLOUD: [&str; 4] = ["CloudClusterPrivs", "CloudStagePrivs", "StorageVaultPrivs", "ComputeGroupPrivs"];

impl Context<'_> {
    pub(super) fn account(&mut self, statement: &Statement) -> Run {
        match statement {
            Statement::CreateUser { user, quiet, password, lock } => self.create_user(user, *quiet, password, *lock),
            Statement::AlterUser { user, quiet, password, lock } => self.alter_user(user, *quiet, password.as_ref(), *lock),
            Statement::DropUser { user, quiet } => self.drop_user(user, *quiet),
            Statement::SetPassword { user, password } => self.set_password(user.as_ref(), password),
            Statement::Grant { privileges, scope, user, revoke } => self.grant(privileges, scope, user, *revoke),
            Statement::CreateRole { name, quiet } => {
                self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
                match self.catalog()?.roles.contains(name) {
                    true if *quiet => Ok(Outcome::Done),
                    true => Err(SqlError::detail(format!(
                        "Role role: {name}, db table privs: {{}}, resource privs: {{}}, cluster privs: {{}}, stage privs: {{}}, workload group privs: {{}} already exists"
                    ))),
                    false => Ok(journal([Op::CreateRole(name.clone())])),
                }
            }
            Statement::DropRole { name, quiet } => {
                self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
                match self.catalog()?.roles.contains(name) {
                    true => Ok(journal([Op::DropRole(name.clone())])),
                    false if *quiet => Ok(Outcome::Done),
                    false => Err(SqlError::detail(format!("Role {name} does not exist"))),
                }
            }
            _ => Ok(Outcome::Done),
        }
    }

    fn create_user(&mut self, user: &Identity, quiet: bool, password: &Password, lock: LockWish) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        if self.catalog()?.user(user).is_some() {
            return if quiet { Ok(Outcome::Done) } else { Err(SqlError::detail(format!("User {user} already exist"))) };
        }
        self.check_policy(password)?;
        let lock = merged(lock, LockPolicy::default());
        Ok(journal([Op::CreateUser(User { lock, ..User::new(user.clone(), hashed(password)?) })]))
    }

    fn alter_user(&mut self, user: &Identity, quiet: bool, password: Option<&Password>, lock: LockWish) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        let Some(known) = self.catalog()?.user(user) else {
            return if quiet { Ok(Outcome::Done) } else { Err(SqlError::detail(format!("User {user} does not exist"))) };
        };
        let before = known.lock;
        if user.is_root() && !self.client.user.is_root() && self.frontend()?.version.major >= 4 {
            return Err(SqlError::detail("Only root user can modify root user"));
        }
        let mut ops = Vec::new();
        if let Some(password) = password {
            self.check_policy(password)?;
            ops.push(Op::SetPassword { user: user.clone(), hash: hashed(password)? });
        }
        if lock != LockWish::default() {
            ops.push(Op::LockPolicy { user: user.clone(), lock: merged(lock, before) });
        }
        Ok(if ops.is_empty() { Outcome::Done } else { journal(ops) })
    }

    /// `validate_password_policy`: what is sent as a hash cannot be looked at.
    fn check_policy(&self, password: &Password) -> Result<(), SqlError> {
        let Password::Clear(text) = password else { return Ok(()) };
        let policy = self.catalog()?.globals.get("validate_password_policy").map(|value| value.to_ascii_uppercase());
        if !matches!(policy.as_deref(), Some("STRONG" | "2")) {
            return Ok(());
        }
        let violated = |words: &str| Err(SqlError::detail(format!("Violate password validation policy: STRONG. {words}")));
        if text.chars().count() < SHORTEST_STRONG {
            return violated(&format!("The password must be at least {SHORTEST_STRONG} characters."));
        }
        let kinds: [fn(&char) -> bool; 4] =
            [char::is_ascii_digit, char::is_ascii_lowercase, char::is_ascii_uppercase, char::is_ascii_punctuation];
        if kinds.iter().filter(|is_kind| text.chars().any(|c| is_kind(&c))).count() < 3 {
            return violated(
                "The password must contain at least 3 types of numbers, uppercase letters, lowercase letters and special characters.",
            );
        }
        Ok(())
    }

    fn drop_user(&mut self, user: &Identity, quiet: bool) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        if user.is_root() {
            return Err(SqlError::coded(5064, "42000", "Can not drop root user"));
        }
        let version = self.frontend()?.version;
        if user.user == "admin" && (version.major, version.minor, version.patch) >= (3, 0, 4) {
            return Err(SqlError::coded(5064, "42000", "Can not drop admin user"));
        }
        match self.catalog()?.user(user) {
            Some(_) => Ok(journal([Op::DropUser(user.clone())])),
            None if quiet => Ok(Outcome::Done),
            None => Err(SqlError::detail(format!("User `{}`@`{}` does not exist.", user.user, user.host))),
        }
    }

    fn set_password(&mut self, user: Option<&Identity>, password: &Password) -> Run {
        let target = user.unwrap_or(&self.client.user).clone();
        if target.is_root() && !self.client.user.is_root() {
            return Err(SqlError::detail("Can not set password for root user, except root itself"));
        }
        if target != self.client.user {
            self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        }
        self.check_policy(password)?;
        let hash = hashed(password)?;
        if self.catalog()?.user(&target).is_none() {
            return Err(SqlError::coded(1228, "HY000", format!("user {target} does not exist")));
        }
        Ok(journal([Op::SetPassword { user: target, hash }]))
    }

    fn grant(&mut self, names: &[String], scope: &[String], user: &Identity, revoke: bool) -> Run {
        let parse = |name: &String| Priv::parse(name).ok_or_else(|| SqlError::detail(format!("Unknown privilege type {name}")));
        let privileges: Vec<_> = names.iter().map(parse).collect::<Result<_, _>>()?;
        let everywhere = scope == ["*", "*", "*"];
        let wide = privileges.iter().any(|privilege| matches!(privilege, Priv::Node | Priv::Admin));
        if wide && !everywhere {
            return Err(SqlError::detail("ADMIN_PRIV and NODE_PRIV can only be granted/revoke on/from *.*.*"));
        }
        if privileges.contains(&Priv::Node) && !self.user()?.has_global(Priv::Node) {
            return Err(SqlError::detail("Only user with NODE_PRIV can grant/revoke NODE_PRIV to other user"));
        }
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        if self.catalog()?.user(user).is_none() {
            return Err(SqlError::detail(format!("user {user} does not exist")));
        }
        let database = scope.iter().rev().nth(1).cloned().unwrap_or_else(|| "*".to_owned());
        let (user, scope) = (user.clone(), database);
        Ok(journal([if revoke { Op::Revoke { user, scope, privileges } } else { Op::Grant { user, scope, privileges } }]))
    }

    pub(super) fn show_accounts(&mut self, show: &Show) -> Run {
        let Show::Grants { user, all } = show else { return self.roles() };
        let own = user.is_none() && !all;
        if !own {
            self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        }
        let wanted = user.clone().unwrap_or_else(|| self.client.user.clone());
        let fe = self.frontend()?;
        let mut rows = Rows::of_strings(&grant_columns(fe.version.from_line(2, 1), fe.version.from_line(3, 0)));
        if !all && fe.catalog.user(&wanted).is_none() {
            return Err(SqlError::detail(format!("User: {wanted} does not exist")));
        }
        for user in fe.catalog.users.iter().filter(|user| *all || user.identity == wanted) {
            let row = rows.columns.iter().map(|column| grant_value(user, &column.name)).collect();
            rows.push(row);
        }
        Ok(Outcome::Rows(rows))
    }

    fn roles(&self) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        let names = [
            "Name",
            "Comment",
            "Users",
            "GlobalPrivs",
            "CatalogPrivs",
            "DatabasePrivs",
            "TablePrivs",
            "ResourcePrivs",
            "CloudClusterPrivs",
            "CloudStagePrivs",
            "StorageVaultPrivs",
            "WorkloadGroupPrivs",
            "ComputeGroupPrivs",
        ];
        let mut rows = Rows::of_strings(&names);
        let catalog = self.catalog()?;
        let users = |role: &str| {
            let list: Vec<_> =
                catalog.users.iter().filter(|user| user.roles.iter().any(|r| r == role)).map(|user| user.identity.to_string()).collect();
            list.join(", ")
        };
        let built_in = [("admin", "Admin_priv"), ("operator", "Node_priv,Admin_priv")];
        for (name, privileges) in built_in.into_iter().chain(catalog.roles.iter().map(|role| (role.as_str(), ""))) {
            let mut row = vec![Some(name.to_owned()), None, Some(users(name)), Some(privileges.to_owned()).filter(|p| !p.is_empty())];
            row.resize(names.len(), None);
            rows.push(row);
        }
        Ok(Outcome::Rows(rows))
    }
}

/// What a statement changes of when an account is locked.
fn merged(wish: LockWish, before: LockPolicy) -> LockPolicy {
    LockPolicy { attempts: wish.attempts.unwrap_or(before.attempts), seconds: wish.seconds.unwrap_or(before.seconds) }
}

fn hashed(password: &Password) -> Result<Vec<u8>, SqlError> {
    match password {
        Password::Clear(text) => Ok(hash_password(text)),
        Password::Hash(text) if text.is_empty() => Ok(Vec::new()),
        Password::Hash(text) => {
            decode_password(text).ok_or_else(|| SqlError::coded(1372, "HY000", "Password hash should be a 41-digit hexadecimal number"))
        }
    }
}

fn grant_columns(comment: bool, cloud: bool) -> Vec<&'static str> {
    let is_known = |name: &&str| (comment || *name != "Comment") && (cloud || !OF_CLOUD.contains(name));
    GRANTS.iter().copied().filter(is_known).collect()
}

fn grant_value(user: &User, column: &str) -> Option<String> {
    let list = |scope: &str| {
        user.privileges
            .get(scope)
            .map(|held| held.iter().map(|privilege| privilege.name()).collect::<Vec<_>>().join(","))
            .filter(|text| !text.is_empty())
    };
    match column {
        "UserIdentity" => Some(user.identity.to_string()),
        "Comment" => Some(user.comment.clone()),
        "Password" => Some(if user.password.is_empty() { "No" } else { "Yes" }.to_owned()),
        "Roles" => Some(user.roles.join(",")),
        "GlobalPrivs" => list("*"),
        "DatabasePrivs" => {
            let own = user
                .privileges
                .keys()
                .filter(|scope| *scope != "*")
                .filter_map(|scope| Some(format!("internal.{scope}: {}", list(scope)?)));
            let common = ["information_schema", "mysql"].map(|name| format!("internal.{name}: Select_priv"));
            Some(common.into_iter().chain(own).collect::<Vec<_>>().join("; "))
        }
        "WorkloadGroupPrivs" => Some("normal: Usage_priv".to_owned()),
        _ => None,
    }
}
