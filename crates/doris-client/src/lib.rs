//! Administration interface of Apache Doris: SQL over the MySQL protocol and the HTTP endpoints of frontends and backends.
