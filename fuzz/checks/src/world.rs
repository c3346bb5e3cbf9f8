//! The objects of a run, and the calls that may come next.

use elman_abi::network::{Network, elman_destroy};
use elman_abi::status::*;
use elman_abi::version::{elman_tier, elman_version};

use crate::call::{Call, Done, Pointers, Record, last_error, text};
use crate::dataset::Series;
use crate::file::Files;
use crate::network::{Net, gradients};
use crate::optimizer::Trainer;
use crate::session::{Stream, expect_state};
use crate::source::Source;
use crate::{by_name, dataset, file, loss, network, optimizer, pass, session, training};

/// Some objects of each kind, or the lack of one: a null pointer.
#[derive(Default)]
pub struct World {
    pub networks: [Option<Net>; 3],
    pub sessions: [Option<Stream>; 2],
    pub optimizers: [Option<Trainer>; 3],
    pub datasets: [Option<Series>; 3],
    pub files: Option<Files>,
    pub record: Record,
    /// Whether there have been threads.
    pub threads: bool,
}

type Operation = fn(&mut World, &mut Source<'_>);

/// What may come next; more than once what should come more often.
const OPERATIONS: [Operation; 66] = [
    network::build,
    network::build,
    network::build,
    network::make,
    network::add,
    network::add,
    network::set_output,
    network::set_threads,
    network::set_threads,
    network::set_threshold,
    network::set_seed,
    network::initialize,
    network::set_standardization,
    network::get_standardization,
    network::set_class_names,
    network::get_class_name,
    network::get_parameters,
    network::change_parameters,
    network::reduce_gradients,
    network::clear_gradients,
    network::clip_by_norm,
    network::clip_by_value,
    pass::predict,
    pass::predict,
    pass::forward,
    pass::forward,
    network::set_seed,
    network::add,
    pass::backward,
    pass::backward,
    pass::backward,
    by_name::make,
    pass::update,
    pass::update,
    pass::check_gradients,
    session::make,
    session::make,
    session::step,
    session::step,
    session::reset,
    session::get_state,
    session::set_state,
    optimizer::make,
    optimizer::make,
    optimizer::set_rate,
    optimizer::reset,
    dataset::build,
    dataset::build,
    dataset::make,
    dataset::make,
    dataset::ask,
    dataset::standardize,
    training::fit,
    training::fit,
    training::fit,
    training::evaluate,
    training::predict,
    training::init_options,
    loss::softmax,
    loss::cross_entropy,
    loss::elementwise,
    file::save,
    file::load,
    file::read_ts,
    file::write,
    World::destroy_one,
];

/// The most calls of a run.
const MOST: usize = 60;

impl World {
    /// Makes one call after the other, until the bytes are used up.
    pub fn run(&mut self, source: &mut Source<'_>) {
        ask_for_strings(source);
        for _ in 0..MOST {
            if source.is_empty() {
                break;
            }
            source.pick(&OPERATIONS)(self, source);
            self.check();
        }
    }

    /// Makes sure that every object is as it should be.
    fn check(&mut self) {
        self.networks.iter_mut().flatten().for_each(Net::check);
        self.sessions.iter().flatten().for_each(expect_state);
        self.optimizers.iter().flatten().for_each(Trainer::check);
        self.datasets.iter().flatten().for_each(Series::check);
    }

    /// Takes back every object.
    pub fn finish(mut self) -> Record {
        for slot in 0..3 {
            self.take_network(slot);
            self.put_optimizer(slot, None);
            self.put_dataset(slot, None);
        }
        (0..2).for_each(|slot| self.put_session(slot, None));
        if let Some(files) = &self.files {
            files.check();
        }
        self.record
    }

    /// Where there is a network, mostly: if need be, one is made.
    pub fn network_slot(&mut self, source: &mut Source<'_>) -> usize {
        let slot = few(source);
        if self.networks[slot].is_none() && !source.rarely(8) {
            network::build_in(self, source, slot);
        }
        slot
    }

    /// As [`Self::network_slot`], of a session.
    pub fn session_slot(&mut self, source: &mut Source<'_>) -> usize {
        let slot = few(source).min(1);
        if self.sessions[slot].is_none() && !source.rarely(8) {
            session::make_in(self, source, slot);
        }
        slot
    }

    /// As [`Self::network_slot`], of an optimizer.
    pub fn optimizer_slot(&mut self, source: &mut Source<'_>) -> usize {
        let slot = few(source);
        if self.optimizers[slot].is_none() && !source.rarely(8) {
            optimizer::make_in(self, source, slot);
        }
        slot
    }

    /// As [`Self::network_slot`], of a data set.
    pub fn dataset_slot(&mut self, source: &mut Source<'_>) -> usize {
        let slot = few(source);
        if self.datasets[slot].is_none() && !source.rarely(8) {
            dataset::build_in(self, source, slot);
        }
        slot
    }

    pub fn put_network(&mut self, slot: usize, net: Net) {
        self.take_network(slot);
        self.networks[slot] = Some(net);
    }

    fn take_network(&mut self, slot: usize) {
        if let Some(net) = self.networks[slot].take() {
            elman_destroy(Some(net.handle));
            elman_destroy(Some(net.twin));
        }
    }

    pub fn put_session(&mut self, slot: usize, stream: Option<Stream>) {
        if let Some(old) = std::mem::replace(&mut self.sessions[slot], stream) {
            old.destroy();
        }
    }

    pub fn put_optimizer(&mut self, slot: usize, trainer: Option<Trainer>) {
        if let Some(old) = std::mem::replace(&mut self.optimizers[slot], trainer) {
            old.destroy();
        }
    }

    pub fn put_dataset(&mut self, slot: usize, series: Option<Series>) {
        if let Some(old) = std::mem::replace(&mut self.datasets[slot], series) {
            old.destroy();
        }
    }

    fn destroy_one(&mut self, source: &mut Source<'_>) {
        let slot = few(source);
        match source.below(4) {
            0 => self.take_network(slot),
            1 => self.put_session(slot.min(1), None),
            2 => self.put_optimizer(slot, None),
            _ => self.put_dataset(slot, None),
        }
    }

    /// The gradients of a network, if there is one.
    pub fn gradients(&mut self, slot: usize) -> Vec<f32> {
        let net = self.networks[slot].as_mut();
        net.map_or_else(Vec::new, |net| gradients(&mut net.handle))
    }

    /// A call that changes a network, and what follows from it if it succeeds.
    pub fn change(
        &mut self,
        slot: usize,
        mut call: Call,
        function: impl FnOnce(Option<&mut Network>, &Pointers) -> Status,
        follow: impl FnOnce(&mut Net),
    ) -> Option<Done> {
        let mut net = self.networks[slot].as_mut();
        call.handle(net.as_ref());
        let network = net.as_mut().map(|net| &mut *net.handle);
        let done = call.run(&mut self.record, |pointers| function(network, pointers))?;
        if let Some(net) = net.filter(|_| done.is_ok()) {
            follow(net);
        }
        Some(done)
    }
}

/// A slot: mostly the first one, so that objects meet.
pub fn few(source: &mut Source<'_>) -> usize {
    source.pick(&[0, 0, 0, 0, 0, 1, 1, 2])
}

/// What needs no object.
fn ask_for_strings(source: &mut Source<'_>) {
    assert_eq!(text(elman_version()), env!("CARGO_PKG_VERSION"));
    assert!(["portable", "neon", "avx2", "avx512"].contains(&text(elman_tier())));
    let status = source.below(32) as Status - 4;
    let known = (ELMAN_OK..=ELMAN_ERROR_UNSUPPORTED).contains(&status);
    assert_eq!(
        text(elman_status_string(status)) == "unknown status",
        !known
    );
    if source.rarely(16) {
        network::ask_nothing();
        optimizer::ask_nothing();
        dataset::ask_nothing();
        session::ask_nothing();
        assert!(last_error().contains("NULL"));
    }
}
