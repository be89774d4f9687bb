use proptest::prelude::{Just, Strategy as _, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{ScriptError, Source, Statement, chain, statements};

fn source(text: &str) -> Source {
    Source { name: "setup".into(), text: text.into(), is_secret: false }
}

fn split(text: &str) -> Vec<String> {
    statements(&[source(text)]).expect("a script").into_iter().map(|statement| statement.text).collect()
}

fn one(text: &str, is_secret: bool) -> Statement {
    Statement { text: text.into(), place: "setup line 1".into(), is_secret }
}

#[test]
fn statements_are_told_apart_as_doris_would() {
    let script = "\u{feff}-- drop everything; no\nCREATE DATABASE a;\n\n/* and; then */ CREATE TABLE a.t (k int) -- key; k\n COMMENT 'a;b''c\\';d' ;;\n\
                  INSERT INTO a.`t;` VALUES (\";\") # end; \n;  -- the end";
    assert_eq!(
        split(script),
        ["CREATE DATABASE a", "CREATE TABLE a.t (k int) -- key; k\n COMMENT 'a;b''c\\';d'", "INSERT INTO a.`t;` VALUES (\";\")"]
    );
    let places: Vec<String> = statements(&[source(script)]).expect("a script").into_iter().map(|statement| statement.place).collect();
    assert_eq!(places, ["setup line 2", "setup line 4", "setup line 6"]);
}

#[test]
fn what_is_commented_out_for_doris_is_no_statement() {
    assert_eq!(split("SELECT 1 --1; DROP TABLE t\n;SELECT 2"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(split("SELECT 1; -- no \\\nDROP TABLE t;\nSELECT 2"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(split("SELECT 1; /* /* */ DROP TABLE t; */ SELECT 2"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(split("SELECT /*+ SET_VAR(query_timeout = 1) */ 1"), ["SELECT /*+ SET_VAR(query_timeout = 1) */ 1"]);
}

#[test]
fn what_is_no_script_is_told() {
    assert_eq!(statements(&[source(" ; -- nothing\n")]), Err(ScriptError::Empty));
    assert_eq!(statements(&[source(&"x;".repeat(1001))]), Err(ScriptError::TooMany));
    assert_eq!(statements(&[source(&" ".repeat(5 * 1024 * 1024))]), Err(ScriptError::TooLong));
    let told = statements(&[source("a;\nb 'c")]).expect_err("it does not end").to_string();
    assert_eq!(told, "setup: a text in quotes that begins in line 2 does not end");
}

#[test]
fn no_literal_and_no_comment_is_shown() {
    let shown = one("CREATE  USER 'app'@'%' /* hunter2 */\n IDENTIFIED BY \"hunter2\" -- hunter2\n", false).shown();
    assert_eq!(shown.as_deref(), Some("CREATE USER '…'@'…' IDENTIFIED BY '…'"));
    assert_eq!(one("SELECT 1", true).shown(), None);
    assert_eq!(one(&"x".repeat(500), false).shown().map(|text| text.chars().count()), Some(121));
}

#[test]
fn words_of_doris_that_repeat_a_secret_are_withheld() {
    let create = one("CREATE USER app IDENTIFIED BY 'hunter2'", false);
    assert!(create.showable("syntax error near 'hunter2'").starts_with("the words are withheld"));
    assert!(create.showable("... near 'hunt").starts_with("the words are withheld"));
    assert_eq!(create.showable("User 'app'@'%'\n already exist"), "User 'app'@'%' already exist");
    let repository = one("CREATE REPOSITORY r WITH S3 PROPERTIES (\"s3.secret_key\" = \"abcdefgh\")", false);
    assert!(repository.showable("bad value abcd").starts_with("the words are withheld"));
    assert_eq!(one("INSERT INTO t VALUES ('blue')", false).showable("no partition for blue"), "no partition for blue");
    assert!(one("SELECT 1", true).showable("anything").starts_with("the words are withheld"));
}

#[test]
fn nothing_of_a_statement_is_in_the_debug_output() {
    assert!(!format!("{:?}", one("CREATE USER app IDENTIFIED BY 'hunter2'", true)).contains("hunter2"));
}

#[test]
fn statements_of_the_session_are_said_again_in_a_new_one() {
    for (text, expected) in [
        ("USE shop", true),
        ("use `shop`", true),
        ("SWITCH hive", true),
        ("SET enable_profile = true", true),
        ("set session exec_mem_limit=1", true),
        ("SET @@session.x = 1, y = 2", true),
        ("SET NAMES utf8", true),
        ("/* x */ SET x=1", true),
        ("SET GLOBAL x = 1", false),
        ("SET @@global.x = 1", false),
        ("SET PASSWORD FOR 'a' = PASSWORD('b')", false),
        ("SET PROPERTY FOR 'a' 'max_user_connections' = '1'", false),
        ("SET DEFAULT ROLE r TO a", false),
        ("SET v AS DEFAULT STORAGE VAULT", false),
        ("SELECT 1", false),
        ("CREATE DATABASE use_me", false),
    ] {
        assert_eq!(one(text, false).is_of_session(), expected, "{text}");
    }
}

#[test]
fn a_digest_stands_for_all_statements_up_to_one() {
    let (a, b, c) = (one("a", false), one("b", false), one("c", false));
    let first = chain("key", "u", "d", &[a.clone(), b.clone()]);
    let longer = chain("key", "u", "d", &[a.clone(), b.clone(), c.clone()]);
    assert_eq!(first[..], longer[..3]);
    assert_ne!(chain("key", "u", "d", &[b, a])[2], first[2]);
    assert_ne!(
        chain("other", "u", "d", std::slice::from_ref(&c))[1],
        chain("key", "u", "d", std::slice::from_ref(&c))[1],
        "nobody tries passwords out by it"
    );
    assert_ne!(chain("key", "ud", "", &[])[0], chain("key", "u", "d", &[])[0]);
}

proptest! {
    /// Whatever stands in literals, names and comments: the statements come out as they were put together.
    #[test]
    fn a_script_comes_apart_where_it_was_put_together(parts in proptest::collection::vec(proptest::collection::vec(piece(), 1..6), 1..8)) {
        let written: Vec<String> = parts.iter().map(|pieces| format!("X{}Y", pieces.concat())).collect();
        let script = written.iter().map(|statement| format!(" -- before; it\n/* or ; */ {statement}\n;")).collect::<Vec<_>>().concat();
        prop_assert_eq!(split(&script), written);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        for statement in statements(&[source(&text)]).unwrap_or_default() {
            let _ = (statement.shown(), statement.showable(&text), statement.is_of_session());
            prop_assert!(!statement.text.is_empty());
        }
    }
}

/// A piece that may hold a semicolon without ending a statement.
fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    prop_oneof![
        Just(" word ".to_owned()),
        "[a-z;\\-#/* ]{0,8}".prop_map(|inner| format!("'{inner}'")),
        "[a-z;'\\-#/* ]{0,8}".prop_map(|inner| format!("\"{inner}\"")),
        "[a-z;'\"\\-#/* ]{0,8}".prop_map(|inner| format!("`{inner}`")),
        "[a-z;]{0,8}".prop_map(|inner| format!("/*{inner}*/")),
        "[a-z;'\"`]{0,8}".prop_map(|inner| format!("--{inner}\n")),
        Just("'a\\';b'".to_owned()),
        Just("'a'';b'".to_owned()),
    ]
}
