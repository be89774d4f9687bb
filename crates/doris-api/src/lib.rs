//! Custom resource types of the Doris operator and the names, labels, ports and conditions its
//! parts agree on.

pub mod member;
