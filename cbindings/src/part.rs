//! Parts of the library that a build may leave out, each a feature of the crate. Their functions are there in every build.

/// The body of a function of a part. Where that is left out, the function fails and gives what is `missing`: by default the status
/// that says so.
macro_rules! part {
    ($feature:tt, $body:expr $(, $missing:expr)?) => {{
        #[cfg(feature = $feature)]
        {
            $body
        }
        #[cfg(not(feature = $feature))]
        {
            let status = crate::part::left_out($feature);
            part!(@ status $(, $missing)?)
        }
    }};
    (@ $status:ident) => {
        $status
    };
    (@ $status:ident, $missing:expr) => {{
        let _ = $status;
        $missing
    }};
}

/// Fails for want of a feature.
#[cfg(not(all(feature = "datasets", feature = "f64", feature = "import")))]
pub fn left_out(feature: &'static str) -> crate::status::Status {
    crate::border::call(|_| Err(elman_engine::Error::Unsupported { feature }.into()))
}
