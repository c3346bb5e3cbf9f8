//! The kernels: each written once, generic over the tier that runs it. Their functions are safe: they check the bounds
//! of what they are given once per call, and the unsafe code below relies on that.

pub mod activate;
pub mod copy;
pub mod dropout;
pub mod embed;
pub mod map;
pub mod norm;
pub mod pack;
pub mod product;
pub mod recurrence;
pub mod rows;
pub mod stream;
pub mod tile;

#[cfg(test)]
mod tests;
