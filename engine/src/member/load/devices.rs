//! GPUs, as llama.cpp sees them.

use llama_cpp_sys_2 as sys;
use std::ffi::CStr;

/// A device that layers can be put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// llama.cpp's name for it with what it is: `CUDA0 (NVIDIA H100)`.
    pub name: String,
    /// Bytes of its memory that nobody uses.
    pub free: u64,
    /// Bytes of its memory.
    pub total: u64,
}

/// The machine's devices; none in a build without a GPU backend, and in one with it on a machine without such a device.
pub fn devices() -> Vec<Device> {
    // SAFETY: llama.cpp has started, and with it its list of devices; indices are below its length. Names and descriptions
    // are C strings that live as long as the device, which is for ever.
    unsafe {
        let all = (0..sys::ggml_backend_dev_count()).map(|index| sys::ggml_backend_dev_get(index));
        all.filter(|&device| {
            let kind = sys::ggml_backend_dev_type(device);
            kind == sys::GGML_BACKEND_DEVICE_TYPE_GPU || kind == sys::GGML_BACKEND_DEVICE_TYPE_IGPU
        })
        .map(|device| {
            let (mut free, mut total) = (0, 0);
            sys::ggml_backend_dev_memory(device, &raw mut free, &raw mut total);
            let text = |text| CStr::from_ptr(text).to_string_lossy();
            let (name, what) = (sys::ggml_backend_dev_name(device), sys::ggml_backend_dev_description(device));
            Device { name: format!("{} ({})", text(name), text(what)), free: free as u64, total: total as u64 }
        })
        .collect()
    }
}

/// Of `layers` layers, how many stand on a device when `asked` were asked for. As llama.cpp does: −1 is all, and one of
/// those that are asked for is the output.
pub fn layers_on_devices(asked: i32, layers: u32, devices: usize) -> u32 {
    match u32::try_from(asked) {
        _ if devices == 0 => 0,
        Ok(asked) => asked.saturating_sub(1).min(layers),
        Err(_) => layers,
    }
}

/// Why layers that were asked for on a GPU run on the CPU.
pub fn why_on_the_cpu() -> &'static str {
    if cfg!(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "rocm")) {
        "this build has GPU support, but found no GPU on this machine: all layers run on the CPU; check the driver, and in a \
         container that the device is passed on"
    } else {
        "this build has no GPU support, all layers run on the CPU; build with --features cuda, metal, vulkan or rocm"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_on_a_device_only_where_there_is_one() {
        assert_eq!([-1, 0, 1, 5, 99].map(|asked| layers_on_devices(asked, 12, 0)), [0; 5]);
        assert_eq!([-1, 0, 1, 2, 12, 13, 99].map(|asked| layers_on_devices(asked, 12, 1)), [12, 0, 0, 1, 11, 12, 12]);
    }
}
