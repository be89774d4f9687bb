//! Users, roles and privileges.

use super::ast::{Password, Show, Statement};
use super::system::journal;
use super::{Context, Outcome, Run};
use crate::answer::{Rows, SqlError};
use crate::catalog::{Identity, Op, Priv, User, hash_password};
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
/// Those of them that came with 3.0.
const OF_CLOUD: [&str; 4] = ["CloudClusterPrivs", "CloudStagePrivs", "StorageVaultPrivs", "ComputeGroupPrivs"];

impl Context<'_> {
    pub(super) fn account(&mut self, statement: &Statement) -> Run {
        match statement {
            Statement::CreateUser { user, quiet, password } => self.create_user(user, *quiet, password),
            Statement::AlterUser { user, quiet, password } => self.alter_user(user, *quiet, password.as_ref()),
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

    fn create_user(&mut self, user: &Identity, quiet: bool, password: &Password) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        if self.catalog()?.user(user).is_some() {
            return if quiet { Ok(Outcome::Done) } else { Err(SqlError::detail(format!("User {user} already exist"))) };
        }
        Ok(journal([Op::CreateUser(User::new(user.clone(), hashed(password)?))]))
    }

    fn alter_user(&mut self, user: &Identity, quiet: bool, password: Option<&Password>) -> Run {
        self.require(&[Priv::Admin, Priv::Grant], "GRANT")?;
        if self.catalog()?.user(user).is_none() {
            return if quiet { Ok(Outcome::Done) } else { Err(SqlError::detail(format!("User {user} does not exist"))) };
        }
        let Some(password) = password else { return Ok(Outcome::Done) };
        Ok(journal([Op::SetPassword { user: user.clone(), hash: hashed(password)? }]))
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
