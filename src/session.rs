//! Streams: one sequence, one step at a time.

use std::sync::Arc;

use crate::arena::{Arena, Block};
use crate::layer::{Forward, Mask};
use crate::layout::Layout;
use crate::model::Model;
use crate::network::Network;
use crate::{Element, Result, shape};

/// A stream through a network: it keeps the state between steps.
///
/// It runs the parameters that the network had when the session was created; the network may change or be dropped. A
/// step allocates nothing, takes no lock and makes no system call. Sessions of one network are independent and may run on
/// different threads. The outputs are the same, bit for bit, as those of the sequence as a whole.
#[derive(Debug)]
pub struct Session<E: Element = f32> {
    model: Arc<Model<E>>,
    layout: Layout,
    /// Regions as in a pass. The lead of a recurrent layer is its state.
    activations: Arena<E>,
}
