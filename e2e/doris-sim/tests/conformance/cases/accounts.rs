//! Users, passwords, privileges.

use super::conversations;
use crate::ask::Ask;
use crate::stage::{START, Stage};

conversations![root_and_admin, operator_account];

async fn root_and_admin(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    for (user, password) in [("admin", ""), ("root", "wrong"), ("nobody", "")] {
        d.tell(Ask::new(0, "SELECT 1").login(user, password)).await;
    }
    d.tell(Ask::new(0, "SHOW ROLES").no_rows()).await;
    d.sql(0, "SET PASSWORD FOR 'root' = PASSWORD('s3cret')").await;
    d.sql(0, "SELECT 1").await;
    for (password, sql) in [
        ("s3cret", "SELECT 1"),
        ("s3cret", "ALTER USER 'root' IDENTIFIED BY 'other'"),
        ("other", "SELECT 1"),
        ("other", "SET PASSWORD FOR 'admin' = PASSWORD('a')"),
        ("other", "DROP USER 'root'"),
        ("other", "DROP USER 'admin'"),
    ] {
        d.tell(Ask::new(0, sql).login("root", password)).await;
    }
    d.stop(0).await;
    d.start(0).await;
    d.until("serves again", START, async |d| d.ask_as(0, "SELECT 1", "other").await.is_ok()).await;
    d.sql(0, "SELECT 1").await;
}

async fn operator_account(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    d.sql(0, "CREATE USER 'op'@'%' IDENTIFIED BY 'pw'").await;
    d.sql(0, "CREATE USER 'op'@'%' IDENTIFIED BY 'pw'").await;
    d.sql(0, "CREATE USER IF NOT EXISTS 'op'@'%' IDENTIFIED BY 'changed'").await;
    let op = |sql: String| Ask::new(0, sql).login("op", "pw");
    d.tell(op("SELECT 1".to_owned())).await;
    d.tell(op("SHOW FRONTENDS".to_owned()).no_rows()).await;
    d.tell(op(format!("ALTER SYSTEM ADD FOLLOWER \"{}\"", Stage::fe(1)))).await;
    for scope in ["NODE_PRIV ON *.*", "NODE_PRIV ON *.*.*", "ADMIN_PRIV ON *.*.*"] {
        d.sql(0, format!("GRANT {scope} TO 'op'@'%'")).await;
    }
    d.tell(op("SHOW FRONTENDS".to_owned()).only(&["Host", "Role"])).await;
    d.tell(op(format!("ALTER SYSTEM ADD BACKEND \"{}\"", Stage::be(0)))).await;
    d.tell(Ask::new(0, "SHOW GRANTS FOR 'op'@'%'").no_rows()).await;
    d.tell(Ask::new(0, "SHOW ALL GRANTS").no_rows()).await;
    d.sql(0, "GRANT NO_SUCH_PRIV ON *.*.* TO 'op'@'%'").await;
    d.tell(op("SET PASSWORD FOR 'op'@'%' = PASSWORD('next')".to_owned())).await;
    d.tell(Ask::new(0, "SELECT 1").login("op", "next")).await;
    for sql in ["DROP USER 'op'@'%'", "DROP USER 'op'@'%'", "DROP USER IF EXISTS 'op'@'%'"] {
        d.sql(0, sql).await;
    }
}
