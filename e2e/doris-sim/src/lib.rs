//! A model of an Apache Doris cluster behind the real MySQL and HTTP protocols.
