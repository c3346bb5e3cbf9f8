//! Operators that compute on features, each of which becomes a layer.

use std::rc::Rc;

use super::super::chain::{Chain, Dense, Kind};
use super::super::value::{Atom, Dim, Floats, Piece, Result, Sequence, Value, arithmetic};
use super::constants::numbers;
use super::{MOST_PIECES, Reader, attribute, integer, moment, place};
use crate::Element;
use crate::activation::Activation;
use crate::layer::LayerSpec;
use crate::layer::options::{Direction, Merge};
use crate::onnx::Node;

impl<'a, E: Element> Reader<'a, E> {
    pub(super) fn dropout(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let own = attribute(node, "ratio").and_then(|attribute| attribute.float());
        let rate = match self.optional(node, 1) {
            Some(value) => numbers(value)?.values.first().map(|rate| rate.to_f64()),
            None => own.map(f64::from),
        };
        let rate = rate.unwrap_or(0.5);
        // Elsewhere than in training it does nothing.
        let Value::Sequence(_) = self.value(node, 0)? else {
            return self.value(node, 0).cloned();
        };
        let sequence = self.sequence(node, 0)?;
        if rate == 0.0 {
            return Ok(Value::Sequence(sequence));
        }
        let sequence = self.bound(sequence)?;
        self.layer_on_each(&sequence, LayerSpec::Dropout { rate })
    }

    /// Rows of a table in the place of indices.
    pub(super) fn embed(&mut self, node: &'a Node<'a>, table: &Floats<E>) -> Result<Value<E>> {
        let axis = integer(node, "axis").unwrap_or(0);
        let ([classes, size], 0) = (&table.dims[..], axis) else {
            return Err("its table is no matrix, whose rows are taken".to_owned());
        };
        let (classes, size) = (*classes, *size);
        let mut indices = self.sequence(node, 1)?;
        // An input of no other axes than those of steps and sequences is one feature: an index.
        if indices.is_raw() && self.features.is_none() && indices.axes.len() <= 2 {
            self.features = Some(None);
            self.chain.input_size = 1;
        }
        indices = self.bound(indices)?;
        if indices.parts.len() != 1 || size == 0 || classes == 0 {
            return Err("its indices are no columns of the network's input".to_owned());
        }
        if indices.units() > MOST_PIECES {
            return Err("it takes more columns as indices than elman can take".to_owned());
        }
        let columns = indices.parts[0].iter().flat_map(|piece| {
            (piece.start..piece.start + piece.len).map(|start| Piece {
                start,
                len: 1,
                ..*piece
            })
        });
        let columns: Vec<Piece> = columns.collect();
        let vectors = self
            .chain
            .embed(&columns, Rc::clone(&table.values), classes, size)?;
        for atom in indices.axes.iter_mut().flatten() {
            if *atom == Atom::Unit {
                *atom = Atom::Part;
            }
        }
        indices.axes.push(if size == 1 {
            Vec::new()
        } else {
            vec![Atom::Unit]
        });
        indices.parts = vectors.into_iter().map(|piece| vec![piece]).collect();
        Ok(Value::Sequence(indices))
    }

    /// Operators on two tensors, element by element.
    pub(super) fn pairwise(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let op = match node.op {
            "Sum" => "Add",
            op => op,
        };
        let (left, right) = (self.value(node, 0)?.clone(), self.value(node, 1)?.clone());
        match (&left, &right) {
            (Value::Sequence(_), Value::Sequence(_)) => {
                let (left, right) = (self.sequence(node, 0)?, self.sequence(node, 1)?);
                self.combine(op, left, right)
            }
            (Value::Sequence(_), constant) => {
                let constant = numbers(constant)?;
                let sequence = self.sequence(node, 0)?;
                self.with_constant(op, sequence, &constant, false)
            }
            (constant, Value::Sequence(_)) => {
                let constant = numbers(constant)?;
                let sequence = self.sequence(node, 1)?;
                self.with_constant(op, sequence, &constant, true)
            }
            (Value::FillInteger(left), Value::FillInteger(right)) => {
                Ok(Value::FillInteger(arithmetic(op, *left, *right)))
            }
            (Value::FillInteger(left), Value::Integers { values, .. }) if values.len() == 1 => {
                Ok(Value::FillInteger(arithmetic(op, *left, values[0])))
            }
            (Value::Integers { values, .. }, Value::FillInteger(right)) if values.len() == 1 => {
                Ok(Value::FillInteger(arithmetic(op, values[0], *right)))
            }
            (
                Value::Integers { dims, values: left },
                Value::Integers {
                    dims: others,
                    values: right,
                },
            ) => {
                let count = left.len().max(right.len());
                if ![left.len(), right.len()]
                    .iter()
                    .all(|&len| len == 1 || len == count)
                {
                    let (left, right) = (left.len(), right.len());
                    return Err(format!("its inputs have {left} and {right} elements"));
                }
                let at = |values: &[Dim], index| {
                    if values.len() == 1 {
                        values[0]
                    } else {
                        values[index]
                    }
                };
                let values =
                    (0..count).map(|index| arithmetic(op, at(left, index), at(right, index)));
                let values = values.collect();
                let dims = if dims.len() >= others.len() && left.len() == count {
                    dims
                } else {
                    others
                };
                Ok(Value::Integers {
                    dims: dims.clone(),
                    values,
                })
            }
            (Value::Floats(left), Value::Floats(right)) if left.dims == right.dims => {
                self.make_room(left.values.len())?;
                let pairs = left.values.iter().zip(&*right.values);
                let values = pairs.map(|(&left, &right)| match op {
                    "Add" => Ok(left + right),
                    "Sub" => Ok(left - right),
                    "Mul" => Ok(left * right),
                    "Div" => Ok(left / right),
                    _ => Err("it compares numbers".to_owned()),
                });
                let values = Rc::new(values.collect::<Result<_>>()?);
                Ok(Value::Floats(Floats {
                    dims: left.dims.clone(),
                    values,
                }))
            }
            (Value::Floats(left), Value::Floats(right)) => Err(format!(
                "constants of the shapes {:?} and {:?}, expected the same",
                left.dims, right.dims
            )),
            (left, right) => Err(format!("it takes {} and {}", left.name(), right.name())),
        }
    }

    /// Two outputs of layers.
    fn combine(&mut self, op: &str, left: Sequence, right: Sequence) -> Result<Value<E>> {
        let (left, right) = (self.bound(left)?, self.bound(right)?);
        if left.axes != right.axes
            || left.parts.len() != right.parts.len()
            || left.is_reversed != right.is_reversed
        {
            return Err("its inputs are no features of the same steps and sequences".to_owned());
        }
        if let Some(merged) = self.merged(op, &left, &right)? {
            return Ok(Value::Sequence(merged));
        }
        if op != "Add" {
            return Err("which elman has no layer for, of two outputs of layers".to_owned());
        }
        let (own, other) = (left.parts.concat(), right.parts.concat());
        let whole = |chain: &Chain<E>, pieces: &[Piece]| match pieces {
            [piece] if piece.start == 0 && piece.len == chain.size(piece.value) => {
                Some(piece.value)
            }
            _ => None,
        };
        let last = self.chain.last();
        let (own, other) = match whole(&self.chain, &own) == Some(last) {
            true => (own, other),
            false => (other, own),
        };
        let added = whole(&self.chain, &other);
        let moments: Vec<Piece> = [own.clone(), other.clone()].concat();
        let is_last = self.chain.is_last(&moments)?;
        let units = left.units() * left.parts.len();
        let value = match added {
            Some(layer) => {
                self.chain.gather(&own)?;
                let before = self.chain.last();
                let spec = LayerSpec::Residual { layer };
                self.chain
                    .push(Kind::Bare(spec), vec![before, layer], units)
            }
            None => {
                self.chain.gather(&moments)?;
                let mut weights = self.chain.matrix(2 * units, units)?;
                for unit in 0..units {
                    weights[unit * units + unit] = E::ONE;
                    weights[(units + unit) * units + unit] = E::ONE;
                }
                self.chain.push_fixed(weights, vec![E::ZERO; units])
            }
        };
        Ok(Value::Sequence(left.over(value, moment(is_last))))
    }

    /// The two outputs of a bidirectional layer that nothing else takes, made one by the layer itself.
    fn merged(&mut self, op: &str, left: &Sequence, right: &Sequence) -> Result<Option<Sequence>> {
        let merge = match op {
            "Add" => Merge::Sum,
            "Mul" => Merge::Product,
            _ => return Ok(None),
        };
        let ([own], [other]) = (&left.parts[..], &right.parts[..]) else {
            return Ok(None);
        };
        let ([own], [other]) = (&own[..], &other[..]) else {
            return Ok(None);
        };
        let (own, other) = match own.start {
            0 => (own, other),
            _ => (other, own),
        };
        let value = own.value;
        if value == 0
            || value != self.chain.last()
            || other.value != value
            || own.moment != other.moment
        {
            return Ok(None);
        }
        let link = &mut self.chain.links[value - 1];
        let Kind::Recurrent(recurrent) = &mut link.kind else {
            return Ok(None);
        };
        let units = recurrent.units();
        let options = recurrent.options();
        let fits = options.direction == Direction::Bidirectional
            && options.merge == Merge::Concat
            && recurrent.last.is_none()
            && (own.start, own.len, other.start, other.len) == (0, units, units, units);
        if !fits {
            return Ok(None);
        }
        recurrent.merge(merge);
        link.size = units;
        let mut merged = left.clone();
        merged.is_alone = true;
        merged.parts = vec![vec![Piece {
            is_merged: true,
            ..*own
        }]];
        Ok(Some(merged))
    }

    /// Outputs of layers and numbers that are the same at all steps.
    fn with_constant(
        &mut self,
        op: &str,
        sequence: Sequence,
        constant: &Floats<E>,
        is_first: bool,
    ) -> Result<Value<E>> {
        if constant.dims.len() > sequence.axes.len() {
            return Err("a constant of more axes than what it meets".to_owned());
        }
        let inputs = constant.dims.last().copied().filter(|&size| size > 1);
        let sequence = self.bound_to(sequence, inputs)?;
        let one = (constant.values.len() == 1).then(|| constant.values[0].to_f64());
        let units = sequence.units();
        let is_bias = constant.values.len() == units
            && constant.dims.last().is_none_or(|&size| size == units);
        let is_plain = |number: f64| (op, number) == ("Add", 0.0) || (op, number) == ("Mul", 1.0);
        if op == "Add"
            && is_bias
            && sequence.is_alone
            && let Some((_, &[piece])) = sequence.features()
            && piece.value == self.chain.last()
            && let Some(dense) = self.last_dense()
            && dense.bias.is_none()
            && dense.activation == Activation::Linear
        {
            dense.bias = Some(Rc::clone(&constant.values));
            return Ok(Value::Sequence(sequence));
        }
        if one.is_some_and(is_plain) {
            return Ok(Value::Sequence(sequence));
        }
        // The mean of two directions.
        if let Some(0.5) = one
            .filter(|_| op == "Mul")
            .or(one.filter(|_| op == "Div").map(f64::recip))
            && !is_first
            && sequence.is_alone
            && let Some(&[piece]) = sequence.parts.first().map(|part| &part[..])
            && piece.value == self.chain.last()
            && piece.value > 0
            && let Kind::Recurrent(recurrent) = &mut self.chain.links[piece.value - 1].kind
            && recurrent.options().merge == Merge::Sum
        {
            recurrent.merge(Merge::Mean);
            return Ok(Value::Sequence(sequence));
        }
        let (alpha, beta): (Vec<f64>, Vec<f64>) = constant
            .values
            .iter()
            .map(|&number| match (op, number.to_f64(), is_first) {
                ("Add", number, _) => Ok((1.0, number)),
                ("Mul", number, _) => Ok((number, 0.0)),
                ("Sub", number, false) => Ok((1.0, -number)),
                ("Sub", number, true) => Ok((-1.0, number)),
                ("Div", number, false) => Ok((number.recip(), 0.0)),
                _ => Err("which elman has no layer for, of what layers give".to_owned()),
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        if let ([alpha], [beta]) = (&alpha[..], &beta[..]) {
            let (alpha, beta) = (*alpha, *beta);
            return self.apply(&sequence, Activation::Affine { alpha, beta });
        }
        let Some((_, pieces)) = sequence.features().filter(|_| is_bias) else {
            return Err("a constant that is not one number for each feature".to_owned());
        };
        let is_last = self.chain.gather(pieces)?;
        let mut weights = self.chain.matrix(units, units)?;
        for unit in 0..units {
            weights[unit * units + unit] = E::from_f64(alpha[unit]);
        }
        let bias = beta.into_iter().map(E::from_f64).collect();
        let value = self.chain.push_fixed(weights, bias);
        Ok(Value::Sequence(sequence.over(value, moment(is_last))))
    }

    /// The dense layer that comes last.
    fn last_dense(&mut self) -> Option<&mut Dense<E>> {
        match self.chain.links.last_mut().map(|link| &mut link.kind) {
            Some(Kind::Dense(dense)) => Some(dense),
            _ => None,
        }
    }

    pub(super) fn product(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let Some(weights) = self.floats(node, 1)? else {
            return Err("its weights are missing".to_owned());
        };
        let sequence = self.sequence(node, 0)?;
        self.dense(sequence, &weights, None)
    }

    pub(super) fn gemm(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let mut sequence = self.sequence(node, 0)?;
        if integer(node, "transA").unwrap_or(0) != 0 {
            sequence.axes.reverse();
        }
        let Some(mut weights) = self.floats(node, 1)? else {
            return Err("its weights are missing".to_owned());
        };
        if sequence.axes.len() != 2 || weights.dims.len() != 2 {
            return Err(format!(
                "A of {} axes and B of shape {:?}, expected matrices",
                sequence.axes.len(),
                weights.dims
            ));
        }
        if integer(node, "transB").unwrap_or(0) != 0 {
            self.make_room(weights.values.len())?;
            weights = weights.transposed(&[1, 0]);
        }
        let bias = self.optional(node, 2).map(numbers).transpose()?;
        let factor = |name| {
            attribute(node, name)
                .and_then(|attribute| attribute.float())
                .unwrap_or(1.0)
        };
        let mut scaled = |floats: Floats<E>, factor: f32| -> Result<Floats<E>> {
            if factor == 1.0 {
                return Ok(floats);
            }
            self.make_room(floats.values.len())?;
            let factor = E::from_f64(factor.into());
            let values = floats.values.iter().map(|&value| value * factor);
            Ok(Floats {
                dims: floats.dims,
                values: Rc::new(values.collect()),
            })
        };
        let weights = scaled(weights, factor("alpha"))?;
        let bias = match bias {
            None => None,
            Some(bias) => Some(scaled(bias, factor("beta"))?),
        };
        self.dense(sequence, &weights, bias)
    }

    /// A dense layer of weights [inputs][units].
    fn dense(
        &mut self,
        sequence: Sequence,
        weights: &Floats<E>,
        bias: Option<Floats<E>>,
    ) -> Result<Value<E>> {
        let &[inputs, units] = &weights.dims[..] else {
            return Err(format!(
                "weights of shape {:?}, expected a matrix",
                weights.dims
            ));
        };
        let sequence = self.bound_to(sequence, Some(inputs))?.merged();
        let Some((axes, pieces)) = sequence.features() else {
            return Err(
                "what it multiplies has other axes than features behind steps and sequences"
                    .to_owned(),
            );
        };
        let actual: usize = pieces.iter().map(|piece| piece.len).sum();
        if actual != inputs || units == 0 {
            return Err(format!(
                "weights of shape {:?} for {actual} features",
                weights.dims
            ));
        }
        let bias = match bias {
            None => None,
            Some(bias) => {
                let is_row = bias.dims.iter().rev().skip(1).all(|&size| size == 1);
                let is_one = bias.values.len() == 1;
                if !is_one && (!is_row || bias.values.len() != units) {
                    return Err(format!("a bias of shape {:?} for {units} units", bias.dims));
                }
                let values = (0..units).map(|unit| bias.values[if is_one { 0 } else { unit }]);
                Some(Rc::new(values.collect()))
            }
        };
        let is_last = self.chain.gather(pieces)?;
        let before = self.chain.last();
        let kind = Kind::Dense(Dense {
            weights: Rc::clone(&weights.values),
            bias,
            activation: Activation::Linear,
        });
        let value = self.chain.push(kind, vec![before], units);
        let mut axes = axes.to_vec();
        axes.push(if units == 1 {
            Vec::new()
        } else {
            vec![Atom::Unit]
        });
        Ok(Value::Sequence(Sequence {
            axes,
            parts: vec![vec![Piece::new(value, 0, units, moment(is_last))]],
            is_reversed: sequence.is_reversed,
            is_alone: true,
        }))
    }

    pub(super) fn norm(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let sequence = self.sequence(node, 0)?;
        let Some(gain) = self.floats(node, 1)? else {
            return Err("its scale is missing".to_owned());
        };
        let bias = self.floats(node, 2)?;
        let sequence = self.bound_to(sequence, Some(gain.values.len()))?.merged();
        let rank = sequence.axes.len();
        let axis = place(integer(node, "axis").unwrap_or(-1), rank)?;
        let units = sequence.units();
        let Some((_, pieces)) = sequence.features().filter(|_| axis + 1 == rank) else {
            return Err("it normalises other axes than features".to_owned());
        };
        for (name, floats) in [("scale", Some(&gain)), ("bias", bias.as_ref())] {
            if let Some(Floats { dims, .. }) = floats
                && dims[..] != [units]
            {
                return Err(format!("a {name} of shape {dims:?} for {units} features"));
            }
        }
        let is_last = self.chain.gather(pieces)?;
        let before = self.chain.last();
        let epsilon = attribute(node, "epsilon").and_then(|attribute| attribute.float());
        let epsilon = f64::from(epsilon.unwrap_or(1e-5));
        let spec = LayerSpec::LayerNorm { epsilon };
        spec.check().map_err(|error| error.to_string())?;
        let kind = Kind::Norm {
            epsilon,
            gain: gain.values,
            bias: bias.map(|bias| bias.values),
        };
        let value = self.chain.push(kind, vec![before], units);
        Ok(Value::Sequence(sequence.over(value, moment(is_last))))
    }

    /// The function that an operator is.
    pub(super) fn activation(&self, node: &'a Node<'a>) -> Result<Option<Activation>> {
        let number = |name, default: f32| {
            let own = attribute(node, name).and_then(|attribute| attribute.float());
            f64::from(own.unwrap_or(default))
        };
        let alpha = |default| number("alpha", default);
        Ok(Some(match node.op {
            "Tanh" => Activation::Tanh,
            "Sigmoid" => Activation::Sigmoid,
            "Relu" => Activation::Relu,
            "Softsign" => Activation::Softsign,
            "Softplus" => Activation::Softplus,
            "HardSigmoid" => Activation::HardSigmoid {
                alpha: alpha(0.2),
                beta: number("beta", 0.5),
            },
            "LeakyRelu" => Activation::LeakyRelu { alpha: alpha(0.01) },
            "Elu" => Activation::Elu { alpha: alpha(1.0) },
            "ThresholdedRelu" => Activation::ThresholdedRelu { alpha: alpha(1.0) },
            "Neg" => Activation::Affine {
                alpha: -1.0,
                beta: 0.0,
            },
            "Clip" => return self.clip(node).map(Some),
            _ => return Ok(None),
        }))
    }

    fn clip(&self, node: &'a Node<'a>) -> Result<Activation> {
        let bound = |index, name| -> Result<f64> {
            if let Some(value) = self.optional(node, index) {
                let number = numbers(value)?
                    .values
                    .first()
                    .map(|&number| number.to_f64());
                return number.ok_or_else(|| format!("its {name} is empty"));
            }
            let own = attribute(node, name).and_then(|attribute| attribute.float());
            Ok(own.map_or(
                if index == 1 {
                    -f64::INFINITY
                } else {
                    f64::INFINITY
                },
                f64::from,
            ))
        };
        match (bound(1, "min")?, bound(2, "max")?) {
            (-1.0, 1.0) => Ok(Activation::HardTanh),
            (0.0, 1.0) => Ok(Activation::HardSigmoid {
                alpha: 1.0,
                beta: 0.0,
            }),
            (0.0, max) if max >= f64::from(f32::MAX) => Ok(Activation::Relu),
            (min, max) => Err(format!(
                "bounds {min} and {max}, expected -1 and 1, or 0 and 1"
            )),
        }
    }

    pub(super) fn activated(
        &mut self,
        node: &'a Node<'a>,
        function: Activation,
    ) -> Result<Value<E>> {
        let sequence = self.sequence(node, 0)?;
        let sequence = self.bound(sequence)?;
        self.apply(&sequence, function)
    }

    /// A function of each element.
    fn apply(&mut self, sequence: &Sequence, activation: Activation) -> Result<Value<E>> {
        activation.check().map_err(|error| error.to_string())?;
        let pieces: Vec<Piece> = sequence.parts.concat();
        let last = self.chain.last();
        if sequence.is_alone
            && let [piece] = pieces[..]
            && piece.value == last
            && let Some(dense) = self.last_dense()
            && dense.activation == Activation::Linear
        {
            dense.activation = activation;
            return Ok(Value::Sequence(sequence.clone()));
        }
        self.layer_on_each(sequence, LayerSpec::Activation { activation })
    }

    /// A layer without parameters that takes each feature by itself.
    fn layer_on_each(&mut self, sequence: &Sequence, spec: LayerSpec) -> Result<Value<E>> {
        spec.check().map_err(|error| error.to_string())?;
        let is_last = self.chain.gather(&sequence.parts.concat())?;
        let before = self.chain.last();
        let size = self.chain.size(before);
        let value = self.chain.push(Kind::Bare(spec), vec![before], size);
        Ok(Value::Sequence(sequence.over(value, moment(is_last))))
    }
}
