//! greyhound makes kernel GRE tunnels and keeps them as declared. Packets never pass through it.
//!
//! One flow: a declaration and leases give what is *desired*; the kernel says what is *observed*;
//! `plan` turns the difference into ordered steps; `netlink` does them and reads back.
//!
//! | room | what happens there |
//! |---|---|
//! | [`model`] | the words as types that are valid once built (pure) |
//! | [`config`] | TOML text into a checked configuration; errors point at the line (pure) |
//! | [`alloc`] | which address is next, or why there is none (pure) |
//! | [`plan`] | desired and observed into ordered steps, and a plan into text (pure) |
//! | [`registry`] | what the inventory means; every change of it as a transaction (pure) |
//! | [`netlink`] | the only room that speaks netlink |
//! | [`command`] | a program run to its end, within bounds |
//! | [`filter`] | which GRE this host takes in, kept in a table of nftables |
//! | [`inventory`] | where the inventory is kept: one trait, an SQLite file behind it |
//! | [`probe`] | how far away a termination is, measured; its codecs and judgement are pure |
//! | [`sqlite`] | one SQLite file: made, checked, upgraded; what its errors mean |
//! | [`store`] | what this host keeps: claims, leases, choices, events |
//! | [`api`] | HTTP and JSON on a unix socket, and the data that is shown |
//! | [`reconcile`] | the turn: look, lease, plan, claim, apply, read back |
//! | [`doctor`] | what is wrong with this host, and what mends it |
//! | [`daemon`] | the loop that keeps the declaration true, and all that is wired to it |
//! | [`cli`] | the command line, a file a verb |

pub mod alloc;
pub mod api;
pub mod cli;
pub mod command;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod filter;
pub mod inventory;
pub mod model;
pub mod netlink;
pub mod plan;
pub mod probe;
pub mod reconcile;
pub mod registry;
pub mod sqlite;
pub mod store;
mod sys;
