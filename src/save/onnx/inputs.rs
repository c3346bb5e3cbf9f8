//! What a graph takes: the sequences, their lengths and the states that they start from.

use super::nodes::Attribute;
use super::recurrent::recurrent;
use super::{Graph, has_state, uses_lengths};
use crate::onnx::data_type;

impl Graph<'_> {
    /// What the graph takes, as layers take it.
    pub(super) fn inputs(&mut self) {
        let model = self.model;
        let order = [("perm", Attribute::Integers(&[1, 0, 2]))];
        let mut x = self.node("Transpose", &["x"], &[], &order);
        if let Some(map) = model.input_map() {
            let size = [model.input_size];
            let mean = self.floats("mean", &size, map.mean().iter().copied());
            let deviation = self.floats("deviation", &size, map.deviation().iter().copied());
            x = self.node("Sub", &[&x, &mean], &[], &[]);
            x = self.node("Div", &[&x, &deviation], &[], &[]);
        }
        self.values.push(x);
        self.last.push(None);
        let has_states = model.places.iter().any(has_state);
        if !has_states && !uses_lengths(model) {
            return;
        }
        let shape = self.node("Shape", &["x"], &[], &[]);
        let (zero, one) = (self.integers(&[0]), self.integers(&[1]));
        let batch = self.node("Gather", &[&shape, &zero], &[], &[]);
        if uses_lengths(model) {
            let all = i32::MAX.to_le_bytes();
            self.constant(
                "lengths",
                data_type::INT32,
                &[1],
                all.len(),
                all.into_iter(),
            );
            let steps = self.node("Gather", &[&shape, &one], &[], &[]);
            let lengths = self.node("Expand", &["lengths", &batch], &[], &[]);
            let to = |kind| [("to", Attribute::Integer(kind))];
            let lengths = self.node("Cast", &[&lengths], &[], &to(data_type::INT64));
            self.node("Min", &[&lengths, &steps], &["own_lengths"], &[]);
            self.node(
                "Cast",
                &["own_lengths"],
                &["short_lengths"],
                &to(data_type::INT32),
            );
        }
        if has_states {
            let mut start = vec![0.0; model.state_size];
            for place in &model.places {
                for (_, range, own) in place.states() {
                    if let Some(own) = own {
                        let len = range.len();
                        start[range]
                            .copy_from_slice(&model.parameters[place.parameters()][own..][..len]);
                    }
                }
            }
            let size = self.integers(&[model.state_size as i64]);
            self.floats("state", &[1, model.state_size], start.into_iter());
            let shape = self.node(
                "Concat",
                &[&batch, &size],
                &[],
                &[("axis", Attribute::Integer(0))],
            );
            let state = self.node("Expand", &["state", &shape], &[], &[]);
            let mut sizes = Vec::new();
            let mut names = Vec::new();
            for (index, place) in model
                .places
                .iter()
                .enumerate()
                .filter(|(_, place)| has_state(place))
            {
                let Some((units, _)) = recurrent(&place.spec) else {
                    continue;
                };
                for (direction, part) in place.state.iter().enumerate() {
                    for of in 0..part.size / units {
                        sizes.push(units as i64);
                        names.push(format!("layer{index}.{}_{direction}", ["h", "c"][of]));
                    }
                }
            }
            let sizes = self.integers(&sizes);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.node(
                "Split",
                &[&state, &sizes],
                &names,
                &[("axis", Attribute::Integer(1))],
            );
        }
    }
}
