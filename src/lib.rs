//! greyhound
