//! The only room that speaks netlink: observe (dumps), apply (batches), errors.
