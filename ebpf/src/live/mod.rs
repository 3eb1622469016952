//! Loading, attaching, draining.
