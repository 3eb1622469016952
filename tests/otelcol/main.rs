//! What a user of the shipped Collector configurations gets, on a real Collector: each starts, a trace goes through
//! each, and what each promises holds. A test that puts a component in another's place says which and why.

mod agent;
mod gateway;
mod others;
mod vendors;
