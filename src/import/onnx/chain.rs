//! The layers that a graph becomes, one behind the other.

use std::rc::Rc;

use super::super::{Found, FoundLayer};
use super::nodes::MOST_FEATURES;
use super::recurrent::Recurrent;
use super::value::{Moment, Piece, Result};
use crate::Element;
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::embedding;
use crate::layer::options::{Direction, LastOutput, Merge};
use crate::model::Output;

/// A layer.
#[derive(Debug)]
pub struct Link<E> {
    pub kind: Kind<E>,
    /// The values that it takes.
    pub inputs: Vec<usize>,
    /// Features that it gives.
    pub size: usize,
}

/// What a layer is.
#[derive(Debug)]
pub enum Kind<E> {
    Dense(Dense<E>),
    /// A linear layer that training leaves alone, with its weights [inputs][units] and biases.
    Fixed(Vec<E>, Vec<E>),
    Recurrent(Recurrent<E>),
    Norm {
        epsilon: f64,
        gain: Rc<Vec<E>>,
        bias: Option<Rc<Vec<E>>>,
    },
    /// A table with as many columns.
    Embedding {
        columns: Vec<usize>,
        size: usize,
        table: Rc<Vec<E>>,
    },
    /// One without parameters.
    Bare(LayerSpec),
}

#[derive(Debug)]
pub struct Dense<E> {
    /// [inputs][units]
    pub weights: Rc<Vec<E>>,
    pub bias: Option<Rc<Vec<E>>>,
    pub activation: Activation,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Chain<E> {
    pub links: Vec<Link<E>>,
    /// Features of the input, once they are known.
    pub input_size: usize,
    /// Whether the graph takes the lengths of sequences.
    pub has_lengths: bool,
    /// Whether the graph is about a single step.
    pub is_one_step: bool,
    /// Elements that constants and layers which are not in the file may still have.
    pub room: usize,
}

impl<E: Element> Chain<E> {
    /// The last value.
    pub fn last(&self) -> usize {
        self.links.len()
    }

    /// Features of a value.
    pub fn size(&self, value: usize) -> usize {
        match value {
            0 => self.input_size,
            _ => self.links[value - 1].size,
        }
    }

    /// Whether a value is the two directions of a layer made one.
    fn merges(&self, value: usize) -> bool {
        let link = value.checked_sub(1).map(|layer| &self.links[layer].kind);
        match link {
            Some(Kind::Recurrent(recurrent)) => recurrent.options().merge != Merge::Concat,
            _ => false,
        }
    }

    /// Adds a layer behind the last value; returns its own.
    pub fn push(&mut self, kind: Kind<E>, inputs: Vec<usize>, size: usize) -> usize {
        self.links.push(Link { kind, inputs, size });
        self.last()
    }

    /// Makes these features the last value, with layers that put them side by side if need be.
    pub fn gather(&mut self, pieces: &[Piece]) -> Result<bool> {
        let is_last = self.is_last(pieces)?;
        let sizes = pieces.iter().map(|piece| piece.len);
        if sizes.fold(0, usize::saturating_add) > MOST_FEATURES {
            return Err("it puts more features together than elman can take".to_owned());
        }
        let mut together: Vec<Piece> = Vec::new();
        for &piece in pieces {
            let piece = self.passed(piece);
            match together.last_mut() {
                Some(before)
                    if before.value == piece.value && before.start + before.len == piece.start =>
                {
                    before.len += piece.len;
                }
                _ => together.push(piece),
            }
        }
        let is_whole = |piece: &Piece| piece.start == 0 && piece.len == self.size(piece.value);
        if together.iter().all(is_whole) {
            let values: Vec<usize> = together.iter().map(|piece| piece.value).collect();
            if values != [self.last()] {
                let size = values.iter().map(|&value| self.size(value)).sum();
                let spec = LayerSpec::Concat {
                    layers: values.clone(),
                };
                self.push(Kind::Bare(spec), values, size);
            }
            return Ok(is_last);
        }
        // Some of the features only: they are picked out of whole values.
        let mut values: Vec<usize> = Vec::new();
        for piece in &together {
            if !values.contains(&piece.value) {
                values.push(piece.value);
            }
        }
        let mut firsts = Vec::new();
        let mut inputs = 0;
        for &value in &values {
            firsts.push(inputs);
            inputs += self.size(value);
        }
        if values != [self.last()] {
            let spec = LayerSpec::Concat {
                layers: values.clone(),
            };
            self.push(Kind::Bare(spec), values.clone(), inputs);
        }
        let units: usize = together.iter().map(|piece| piece.len).sum();
        let mut weights = self.matrix(inputs, units)?;
        let mut unit = 0;
        for piece in &together {
            let value = values.iter().position(|&value| value == piece.value);
            let first = firsts[value.expect("it has been listed")] + piece.start;
            for own in 0..piece.len {
                weights[(first + own) * units + unit] = E::ONE;
                unit += 1;
            }
        }
        self.push_fixed(weights, vec![E::ZERO; units]);
        Ok(is_last)
    }

    /// Zeros for the weights of a layer that is not in the file.
    pub fn matrix(&mut self, inputs: usize, units: usize) -> Result<Vec<E>> {
        let count = inputs.saturating_mul(units);
        let rest = self.room.checked_sub(count).ok_or_else(|| {
            format!(
                "it puts {units} features together from {inputs}, by more weights than the file has"
            )
        })?;
        self.room = rest;
        Ok(vec![E::ZERO; count])
    }

    /// Adds a linear layer that training leaves alone.
    pub fn push_fixed(&mut self, weights: Vec<E>, bias: Vec<E>) -> usize {
        let (before, size) = (self.last(), bias.len());
        self.push(Kind::Fixed(weights, bias), vec![before], size)
    }

    /// Whether features are those of one step of each sequence, which layers must then give.
    pub fn is_last(&mut self, pieces: &[Piece]) -> Result<bool> {
        if pieces.iter().any(|piece| piece.moment == Moment::Cell) {
            return Err("it takes the cell state of an LSTM, which elman gives to no layer".into());
        }
        if pieces
            .iter()
            .any(|piece| piece.is_merged != self.merges(piece.value))
        {
            return Err(
                "it takes the directions of a layer apart that are put together elsewhere".into(),
            );
        }
        if self.is_one_step || pieces.iter().all(|piece| piece.moment == Moment::All) {
            return Ok(false);
        }
        if pieces.iter().any(|piece| piece.moment == Moment::All) {
            return Err("it takes features of all steps and of one side by side".to_owned());
        }
        for piece in pieces {
            self.need(piece)?;
        }
        Ok(true)
    }

    /// Makes the layers that features come from give them at that step, where they would give their last outputs.
    fn need(&mut self, piece: &Piece) -> Result<()> {
        let wanted = match piece.moment {
            Moment::Behind => return Ok(()),
            Moment::Last if self.has_lengths => {
                return Err(
                    "it takes the last step, beside lengths: only the final states are those of each sequence's own end"
                        .to_owned(),
                );
            }
            moment => moment,
        };
        if piece.value == 0 {
            return match wanted {
                Moment::Last => Ok(()),
                _ => Err("it takes the first step of the input".to_owned()),
            };
        }
        let link = &mut self.links[piece.value - 1];
        let Kind::Recurrent(recurrent) = &mut link.kind else {
            let inputs = link.inputs.clone();
            for value in inputs {
                self.need(&Piece::new(value, 0, self.size(value), wanted))?;
            }
            return Ok(());
        };
        let units = recurrent.units();
        let options = recurrent.options();
        let has_forward = match options.direction {
            Direction::Forward => true,
            Direction::Reverse => false,
            Direction::Bidirectional => options.merge != Merge::Concat || piece.start < units,
        };
        let has_reverse = match options.direction {
            Direction::Forward => false,
            Direction::Reverse => true,
            Direction::Bidirectional => {
                options.merge != Merge::Concat || piece.start + piece.len > units
            }
        };
        if has_forward && wanted == Moment::First {
            return Err("it takes the first step of what runs forward".to_owned());
        }
        if has_reverse {
            let last = match wanted {
                Moment::Last => LastOutput::LastStep,
                _ => LastOutput::FinalState,
            };
            if recurrent.last.is_some_and(|other| other != last) {
                return Err(
                    "it takes the final state of the reverse direction and its last step".into(),
                );
            }
            recurrent.last = Some(last);
        }
        Ok(())
    }

    /// The same features behind the embeddings that let them pass.
    fn passed(&self, mut piece: Piece) -> Piece {
        while let Some(Link {
            kind: Kind::Embedding { columns, size, .. },
            ..
        }) = self.links.get(piece.value)
        {
            let to = |column: usize| {
                let before = columns.iter().filter(|&&own| own < column).count();
                column - before + before * size
            };
            let all = piece.start..piece.start + piece.len;
            if columns.iter().any(|column| all.contains(column)) {
                break;
            }
            let (start, end) = (to(piece.start), to(piece.start + piece.len - 1));
            if end - start + 1 != piece.len {
                break;
            }
            (piece.value, piece.start) = (piece.value + 1, start);
        }
        piece
    }

    /// Adds an embedding of these columns of the input; returns where each one's vector is.
    pub fn embed(
        &mut self,
        pieces: &[Piece],
        table: Rc<Vec<E>>,
        classes: usize,
        size: usize,
    ) -> Result<Vec<Piece>> {
        let last = self.last();
        let mut own = Vec::new();
        // The vector of a step's index is that step of all vectors.
        let moment = pieces.first().map_or(Moment::All, |piece| piece.moment);
        for &piece in pieces {
            let passed = self.passed(piece);
            let is_step = matches!(moment, Moment::All | Moment::Last) && piece.moment == moment;
            if passed.value != last || !is_step {
                return Err("its indices are no columns of the network's input".to_owned());
            }
            own.extend(passed.start..passed.start + passed.len);
        }
        embedding::check(&own, classes, size).map_err(|error| error.to_string())?;
        let mut sorted = own.clone();
        sorted.sort_unstable();
        let outputs = self.size(last) - own.len() + own.len() * size;
        let columns = sorted.clone();
        let kind = Kind::Embedding {
            columns,
            size,
            table,
        };
        let value = self.push(kind, vec![last], outputs);
        let vectors = own.iter().map(|&column| {
            let before = sorted.iter().filter(|&&other| other < column).count();
            let start = column - before + before * size;
            Piece::new(value, start, size, moment)
        });
        Ok(vectors.collect())
    }

    /// The network that gives the last value.
    pub fn found(self, output: Output) -> Found<E> {
        let output_size = self.size(self.last());
        let layers = self.links.into_iter().map(|link| match link.kind {
            Kind::Bare(spec) => FoundLayer::bare(spec),
            Kind::Dense(dense) => dense.layer(link.size),
            Kind::Fixed(weights, bias) => {
                let dense = Dense {
                    weights: Rc::new(weights),
                    bias: Some(Rc::new(bias)),
                    activation: Activation::Linear,
                };
                FoundLayer {
                    trainable: false,
                    ..dense.layer(link.size)
                }
            }
            Kind::Recurrent(recurrent) => recurrent.layer(),
            Kind::Norm {
                epsilon,
                gain,
                bias,
            } => FoundLayer::new(LayerSpec::LayerNorm { epsilon }, move |at| {
                match at.tensor.role {
                    TensorRole::NormGain => gain[at.unit],
                    _ => bias.as_ref().map_or(E::ZERO, |bias| bias[at.unit]),
                }
            }),
            Kind::Embedding {
                columns,
                size,
                table,
            } => {
                let spec = LayerSpec::Embedding {
                    columns,
                    classes: table.len() / size,
                    size,
                };
                FoundLayer::new(spec, move |at| table[at.row * size + at.unit])
            }
        });
        Found {
            input_size: self.input_size,
            output_size,
            output,
            layers: layers.collect(),
        }
    }
}

impl<E: Element> Dense<E> {
    fn layer(self, units: usize) -> FoundLayer<E> {
        let spec = LayerSpec::Dense {
            units,
            activation: self.activation,
        };
        FoundLayer::new(spec, move |at| match at.tensor.role {
            TensorRole::DenseWeight => self.weights[at.row * units + at.unit],
            _ => self.bias.as_ref().map_or(E::ZERO, |bias| bias[at.unit]),
        })
    }
}
