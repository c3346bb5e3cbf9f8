//! Copies of a network.

use std::sync::{Arc, Mutex};

use super::{Network, State};
#[cfg(feature = "f64")]
use crate::in_engine_mode;
use crate::pass::{BackwardBuffers, Workspace};
use crate::{Element, Result};

impl<E: Element> Network<E> {
    /// A copy that goes on as this network would, bit for bit: layers, frozen or not, parameters, gradients, standardisation, output mode,
    /// seed, what has been drawn from it and how much it has trained, the order of buffers, as many threads (of its own, or of the same pool) and
    /// the work from which they are used. What the last forward pass has kept stays behind, so [`backward`](Self::backward) needs a new one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Threads`](crate::Error::Threads)
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            model: Arc::new(self.model.try_clone()?),
            gradients: self.gradients.try_clone("the gradients")?,
            parallel: self.parallel.try_clone()?,
            order: self.order,
            workspace: Workspace::default(),
            gradient: BackwardBuffers::default(),
            state: State::Void("a copy has none of the passes of its network"),
            position: self.position,
            start: self.start.clone(),
            idle: Mutex::default(),
        })
    }

    /// A network with the same layers, parameters, standardisation, seed, counts and order of buffers in `f64`, on the calling
    /// thread alone.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory)
    #[cfg(feature = "f64")]
    pub fn to_f64(&self) -> Result<Network<f64>> {
        let mut network = Network::with_model(in_engine_mode(|| self.model.to_f64())?)?;
        network.order = self.order;
        network.position = self.position;
        network.start = self.start.clone();
        Ok(network)
    }
}
