//! Networks: what a caller knows about one, and the calls that make and change it.

mod layer;
mod make;
mod model;
mod parameters;
mod recurrent;
mod settings;
mod twins;

pub use layer::*;
pub use make::*;
pub use model::*;
pub use parameters::*;
pub use recurrent::*;
pub use settings::*;
pub use twins::*;

use elman_abi::network::*;
use elman_abi::parameters::elman_parameter_count;

/// Usual sizes of layers and inputs.
pub const WIDTHS: [usize; 16] = [1, 2, 3, 2, 1, 4, 5, 2, 3, 8, 1, 16, 7, 17, 33, 40];

/// What there is to know of no network.
pub fn ask_nothing() {
    assert_eq!(elman_input_size(None), 0);
    assert_eq!(elman_output_size(None), 0);
    assert_eq!(elman_state_size(None), 0);
    assert_eq!(elman_output(None), ELMAN_OUTPUT_LAST);
    assert_eq!(elman_threads(None), 0);
    assert_eq!(elman_get_time_major(None), 0);
    assert_eq!(elman_parameter_count(None), 0);
    elman_destroy(None);
}
