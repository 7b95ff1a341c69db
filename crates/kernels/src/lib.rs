//! Numbers, and nothing else.
