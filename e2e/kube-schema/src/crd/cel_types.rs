//! Types of CEL expressions.
