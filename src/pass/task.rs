//! What the threads of a pass divide among themselves.

use crate::Element;
use crate::caller_sequences::CallerSequences;
use crate::parallel::Cut;
use crate::regions::Shard;

/// Shards of a batch, and what belongs to their rows in the caller's buffers.
pub struct Task<'a, E: Element> {
    /// The layers that run over whole sequences.
    pub sequence: &'a mut [Shard<E>],
    /// Those behind.
    pub head: &'a mut [Shard<E>],
    /// For the outputs, or the gradients of the inputs.
    pub values: Option<CallerSequences<'a, E>>,
    /// For the final states, or the gradients of the first ones.
    pub states: Option<CallerSequences<'a, E>>,
}

impl<'a, E: Element> Task<'a, E> {
    /// The parts of a task that has been cut until it has one shard.
    #[expect(clippy::type_complexity)] // the fields, in their order
    pub fn only_shard(
        &mut self,
    ) -> (
        &mut Shard<E>,
        &mut Shard<E>,
        &mut Option<CallerSequences<'a, E>>,
        &mut Option<CallerSequences<'a, E>>,
    ) {
        (
            &mut self.sequence[0],
            &mut self.head[0],
            &mut self.values,
            &mut self.states,
        )
    }
}

impl<E: Element> Cut for Task<'_, E> {
    fn size(&self) -> usize {
        self.sequence.len()
    }

    fn cut(self, left: usize) -> (Self, Self) {
        let (sequence, sequence_right) = self.sequence.split_at_mut(left);
        let (head, head_right) = self.head.split_at_mut(left);
        let rows = sequence.iter().map(|shard| shard.layout.batch()).sum();
        let (values, values_right) = self.values.map(|it| it.split_at(rows)).unzip();
        let (states, states_right) = self.states.map(|it| it.split_at(rows)).unzip();
        let left = Self {
            sequence,
            head,
            values,
            states,
        };
        let right = Self {
            sequence: sequence_right,
            head: head_right,
            values: values_right,
            states: states_right,
        };
        (left, right)
    }
}
