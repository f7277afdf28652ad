//! TOML text -> Config; errors point at the line. Pure.
