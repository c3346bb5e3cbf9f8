//! Stub.
use super::{Simd, SimdMath};
use crate::Element;
/// Elementary functions.
pub trait Math<E: Element>: Simd<E> {
    /// tanh
    fn tanh(self, x: Self::Vector) -> Self::Vector;
    /// sigmoid
    fn sigmoid(self, x: Self::Vector) -> Self::Vector;
}
impl<S: SimdMath> Math<f32> for S {
    #[inline(always)]
    fn tanh(self, x: Self::Vector) -> Self::Vector {
        let mut a = [0f32; 16];
        unsafe {
            self.store(x, a.as_mut_ptr());
            for v in &mut a {
                *v = libm::tanhf(*v);
            }
            self.load(a.as_ptr())
        }
    }
    #[inline(always)]
    fn sigmoid(self, x: Self::Vector) -> Self::Vector {
        let mut a = [0f32; 16];
        unsafe {
            self.store(x, a.as_mut_ptr());
            for v in &mut a {
                *v = 1.0 / (1.0 + libm::expf(-*v));
            }
            self.load(a.as_ptr())
        }
    }
}
impl<S: Simd<f64>> Math<f64> for S {
    #[inline(always)]
    fn tanh(self, x: Self::Vector) -> Self::Vector {
        let mut a = [0f64; 8];
        unsafe {
            self.store(x, a.as_mut_ptr());
            for v in &mut a[..S::LANES] {
                *v = libm::tanh(*v);
            }
            self.load(a.as_ptr())
        }
    }
    #[inline(always)]
    fn sigmoid(self, x: Self::Vector) -> Self::Vector {
        let mut a = [0f64; 8];
        unsafe {
            self.store(x, a.as_mut_ptr());
            for v in &mut a[..S::LANES] {
                *v = 1.0 / (1.0 + libm::exp(-*v));
            }
            self.load(a.as_ptr())
        }
    }
}
