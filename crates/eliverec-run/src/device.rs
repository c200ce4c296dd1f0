//! From the word in the config to a Burn device. Graphics cards are cargo features, so that the default build has none of it.

pub use burn::tensor::Device;

use crate::config::ComputeDevice;
use crate::error::Error;

/// The device that a config asks for, without autodiff.
///
/// # Errors
/// [`Error::Config`] if this binary was built without the device; the message names the cargo feature.
pub fn open(device: ComputeDevice) -> Result<Device, Error> {
    match device {
        ComputeDevice::Cpu => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        ComputeDevice::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        ComputeDevice::Cuda => Ok(Device::cuda(burn::tensor::DeviceIndex::Default)),
        #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
        missing => Err(Error::Config {
            place: "training.device".into(),
            reason: format!(
                "this binary was built without {missing:?}; build it with `--features {}`, or set training.device=cpu",
                format!("{missing:?}").to_lowercase()
            ),
        }),
    }
}
