//! `elman info`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use elman::{
    Activation, Direction, InitialState, LayerInfo, LayerKind, Network, Output, RecurrentOptions,
    Reset,
};
use serde_json::json;

use crate::failure::Result;
use crate::options::{class_names, load};
use crate::output::{Table, count, thousands, write_to};

/// Show what is in a saved network
#[derive(Args)]
pub struct Arguments {
    /// The network
    model: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let network = load(&arguments.model, 1)?;
    write_to(None, |out| match arguments.json {
        true => writeln!(out, "{:#}", json(&network)),
        false => write(&network, out),
    })
}

/// A network in a line.
pub fn summary(network: &Network) -> String {
    let layers: Vec<String> = network
        .layers()
        .map(|layer| match layer.units {
            0 => kind(&layer).to_owned(),
            units => format!("{} {units}", kind(&layer)),
        })
        .collect();
    format!(
        "{}; {}",
        layers.join(", "),
        count(network.parameter_count(), "parameter")
    )
}

fn kind(layer: &LayerInfo) -> &'static str {
    match layer.kind {
        LayerKind::Rnn { .. } => "rnn",
        LayerKind::Gru => "gru",
        LayerKind::Lstm => "lstm",
        LayerKind::Dense { .. } => "dense",
        LayerKind::Dropout { .. } => "dropout",
        LayerKind::Activation { .. } => "activation",
        LayerKind::LayerNorm { .. } => "layer norm",
        LayerKind::Embedding { .. } => "embedding",
        LayerKind::Concat { .. } => "concat",
        LayerKind::Residual { .. } => "residual",
    }
}

fn activation(activation: Activation) -> String {
    // As saved networks have it: a name, or an object of a name and numbers.
    match serde_json::to_value(activation) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

/// What is not as it is by default.
fn settings(layer: &LayerInfo) -> Vec<String> {
    let mut settings = match layer.kind {
        LayerKind::Rnn {
            activation: function,
        }
        | LayerKind::Dense {
            activation: function,
        } => {
            vec![activation(function)]
        }
        LayerKind::Activation {
            activation: function,
        } => vec![activation(function)],
        LayerKind::Dropout { rate } => vec![format!("rate {rate}")],
        LayerKind::LayerNorm { epsilon } => vec![format!("epsilon {epsilon}")],
        LayerKind::Embedding {
            columns,
            classes,
            size,
        } => {
            vec![format!("columns {columns:?}, {classes} of {size}")]
        }
        LayerKind::Concat { layers } => vec![format!("layers {layers:?}")],
        LayerKind::Residual { layer } => vec![format!("layer {layer}")],
        LayerKind::Gru | LayerKind::Lstm => Vec::new(),
    };
    if let Some(options) = layer.options {
        settings.extend(recurrent_settings(options));
    }
    if !layer.trainable {
        settings.push("frozen".to_owned());
    }
    settings
}

fn recurrent_settings(options: &RecurrentOptions) -> Vec<String> {
    let default = RecurrentOptions::default();
    let mut settings = Vec::new();
    let mut note = |is_set: bool, text: String| settings.extend(is_set.then_some(text));
    let is_bidirectional = options.direction == Direction::Bidirectional;
    let lower = |text: String| text.to_lowercase();
    note(
        options.direction != Direction::Forward,
        lower(format!("{:?}", options.direction)),
    );
    note(
        is_bidirectional && options.merge != default.merge,
        lower(format!("merge {:?}", options.merge)),
    );
    note(
        options.last != default.last,
        "output of the last step".to_owned(),
    );
    note(!options.bias, "no bias".to_owned());
    note(
        options.reset == Reset::Before,
        "reset before the product".to_owned(),
    );
    note(
        options.activations != default.activations,
        "activations of its own".to_owned(),
    );
    note(options.peepholes, "peepholes".to_owned());
    note(
        options.projection != 0,
        format!("projection {}", options.projection),
    );
    note(options.coupled, "coupled gates".to_owned());
    note(
        options.clip_sums != 0.0,
        format!("sums within {}", options.clip_sums),
    );
    note(
        options.clip_state != 0.0,
        format!("state within {}", options.clip_state),
    );
    note(
        options.recurrent_dropout != 0.0,
        format!("recurrent dropout {}", options.recurrent_dropout),
    );
    note(
        options.zoneout != 0.0,
        format!("zoneout {}", options.zoneout),
    );
    note(
        options.zoneout_cell != 0.0,
        format!("zoneout of the cell {}", options.zoneout_cell),
    );
    note(
        options.initial_state == InitialState::Fixed,
        "fixed initial state".to_owned(),
    );
    note(
        options.initial_state == InitialState::Trainable,
        "trainable initial state".to_owned(),
    );
    settings
}

fn output(network: &Network) -> &'static str {
    match network.output() {
        Output::Last => "last",
        Output::All => "all",
    }
}

fn write(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["layer", "inputs", "outputs", "parameters", "settings"]);
    table.align_left(4);
    for layer in network.layers() {
        table.push([
            kind(&layer).to_owned(),
            layer.inputs.to_string(),
            layer.outputs.to_string(),
            thousands(layer.parameters.len()),
            settings(&layer).join(", "),
        ]);
    }
    table.write(out)?;
    let bytes = network.parameter_count() * size_of::<f32>();
    writeln!(
        out,
        "\nparameters    {} ({} KiB)",
        thousands(network.parameter_count()),
        thousands(bytes.div_ceil(1024))
    )?;
    writeln!(
        out,
        "state         {}",
        count(network.state_size(), "number")
    )?;
    writeln!(
        out,
        "output        {}",
        match network.output() {
            Output::Last => "that of the last step",
            Output::All => "those of all steps",
        }
    )?;
    let names = class_names(network);
    if !names.is_empty() {
        writeln!(out, "classes       {}", names.join(", "))?;
    }
    let standardized = if network.standardization().is_some() {
        "yes"
    } else {
        "no"
    };
    writeln!(out, "standardised  {standardized}")?;
    writeln!(
        out,
        "trained       {}, seed {}",
        count(network.epochs() as usize, "epoch"),
        network.seed()
    )
}

fn json(network: &Network) -> serde_json::Value {
    let layer = |layer: LayerInfo| {
        json!({
            "kind": kind(&layer),
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "parameters": layer.parameters.len(),
            "settings": settings(&layer),
        })
    };
    json!({
        "input_size": network.input_size(),
        "output_size": network.output_size(),
        "output": output(network),
        "layers": network.layers().map(layer).collect::<Vec<_>>(),
        "parameters": network.parameter_count(),
        "state_size": network.state_size(),
        "classes": class_names(network),
        "standardized": network.standardization().is_some(),
        "epochs": network.epochs(),
        "seed": network.seed(),
    })
}
