//! The C header of the plugin ABI is what `plugin-api/src/abi.rs` says, and works for authors in C and C++.

use plugin_api::abi;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

const PREAMBLE: &str = "\
/* A fusion or a policy for llama_selfmod, in C or C++.
 *
 * Define the constant `llama_selfmod_plugin_v1` (at the end of this file) and build a shared library:
 *
 *     cc -shared -fPIC -O2 -I FOLDER_OF_THIS_FILE -o my_plugin.so my_plugin.c
 *
 * Three rules hold everywhere:
 *
 * - Every struct starts with `struct_size` and only grows at its end, so that a host and a plugin of different minor
 *   versions can each tell which fields the other knows.
 * - No ownership crosses the border. What the host passes is borrowed for the duration of the call; what a plugin answers
 *   goes into a buffer of the host.
 * - Integers in place of `bool` and enumerations.
 *
 * The host calls one instance from one thread at a time, but not always from the same thread. Different instances may be
 * called at the same time. A plugin never calls back into the host outside a call. Pointers that a function is given are
 * never null unless its description says so, and are valid until it returns. An exception never leaves a function.
 *
 * Made from plugin-api/src/abi.rs. Do not edit: `REGENERATE=1 cargo test --release header::` writes it anew.
 */";

/// Declares the symbol, so that a `const` of C++ is exported too.
const ENDING: &str = "\
#if defined(__GNUC__)
#define LLSM_EXPORT __attribute__((visibility(\"default\")))
#else
#define LLSM_EXPORT
#endif

#ifdef __cplusplus
extern \"C\" {
#endif

/**
 * What the host looks for in a library: define it.
 */
extern LLSM_EXPORT const LLSM_Library llama_selfmod_plugin_v1;

#ifdef __cplusplus
}
#endif
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn header() -> PathBuf {
    root().join("plugin-api/include/llama_selfmod_plugin.h")
}

fn generated() -> String {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Both,
        cpp_compat: true,
        usize_is_size_t: true,
        documentation: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        pragma_once: false,
        include_guard: Some("LLAMA_SELFMOD_PLUGIN_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        header: Some(PREAMBLE.into()),
        trailer: Some(ENDING.into()),
        line_length: 120,
        tab_width: 4,
        ..cbindgen::Config::default()
    };
    config.export.prefix = Some("LLSM_".into());
    // The root: everything hangs on it but the constants.
    config.export.include = vec!["Library".into(), "Write".into()];
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root().join("plugin-api/src/abi.rs"))
        .generate()
        .expect("abi.rs can be printed as C");
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    in_terms_of_c(&String::from_utf8(bytes).unwrap())
}

/// The comments name things as Rust does; a reader of C looks for other names.
fn in_terms_of_c(header: &str) -> String {
    let mut text = header.replace("[`", "`").replace("`]", "`");
    let names_after = |start: &str| -> Vec<String> {
        let ends = header.split(start).skip(1);
        ends.map(|rest| rest.split([' ', ')']).next().unwrap().to_string()).collect()
    };
    let types = [names_after("typedef struct LLSM_"), names_after("(*LLSM_")].concat();
    for name in types {
        text = text.replace(&format!("size_of::<{name}>()"), &format!("sizeof(LLSM_{name})"));
        text = text.replace(&format!("`{name}::"), &format!("`LLSM_{name}."));
        text = text.replace(&format!("`{name}`"), &format!("`LLSM_{name}`"));
    }
    for name in names_after("#define LLSM_") {
        text = text.replace(&format!("`{name}`"), &format!("`LLSM_{name}`"));
    }
    let magic = abi::MAGIC;
    text.replace(&format!("LLSM_MAGIC {magic}\n"), &format!("LLSM_MAGIC {magic:#x}ULL\n"))
}

#[test]
fn the_header_is_what_the_abi_says() {
    let generated = generated();
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::create_dir_all(header().parent().unwrap()).unwrap();
        std::fs::write(header(), &generated).unwrap();
    }
    let there = std::fs::read_to_string(header()).unwrap_or_default();
    assert!(
        there == generated,
        "plugin-api/include/llama_selfmod_plugin.h is not what abi.rs says any more; write it anew with \
         `REGENERATE=1 cargo test --release header::`, and look at the difference: a layout of version 1 never changes"
    );
}

/// Compiles a text with all warnings as errors.
fn compiles(compiler: &str, standard: &str, suffix: &str, source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin").with_extension(suffix);
    std::fs::write(&file, source).unwrap();
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "-o"])
        .arg(folder.path().join("plugin.o"))
        .arg("-I")
        .arg(header().parent().unwrap())
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{standard}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_header_compiles_without_a_warning_in_c_and_cpp() {
    let source = "#include <llama_selfmod_plugin.h>\nenum Step { OK, STOP, MAGIC };\n";
    compiles("cc", "c11", "c", source);
    compiles("c++", "c++17", "cc", source);
}

#[test]
fn c_sees_the_layout_that_rust_has() {
    let mut source = String::from("#include <llama_selfmod_plugin.h>\n");
    let mut check = |condition: String| source += &format!("_Static_assert({condition}, \"\");\n");
    macro_rules! same {
        ($($type:ident { $($field:ident),+ })+) => {$(
            check(format!("sizeof(LLSM_{}) == {}", stringify!($type), size_of::<abi::$type>()));
            $(check(format!(
                "offsetof(LLSM_{}, {}) == {}",
                stringify!($type),
                stringify!($field),
                offset_of!(abi::$type, $field)
            ));)+
        )+};
    }
    same! {
        Parameters { temperature, top_k }
        Step { struct_size, seed, parameters, base }
        Row { logits, probabilities, evidence, name_len, name }
        Rows { count, units, rows }
        Token { unit, bytes, probability, is_end, member_probabilities, surprise_mean, behind }
        Assessment { unit, minimum_back, period, confidences, units, window }
        Retraction { units, position, policy }
        RawVerdict { action, bans, temperature, top_k, reason_len, reason }
        Host { abi_minor, set_error, mix }
        PluginEntry { role, name, settings_schema, create, destroy, on_logits, on_assessment, save, restore }
        Library { magic, abi_major, struct_size, sdk, plugins }
    }
    for (name, value) in [
        ("ABI_MAJOR", u64::from(abi::ABI_MAJOR)),
        ("ABI_MINOR", u64::from(abi::ABI_MINOR)),
        ("ROLE_FUSION", u64::from(abi::ROLE_FUSION)),
        ("ROLE_POLICY", u64::from(abi::ROLE_POLICY)),
        ("FAILED", abi::FAILED as u64),
        ("ABSENT", abi::ABSENT as u64),
        ("STOP", u64::from(abi::STOP)),
        ("HOLD", u64::from(abi::HOLD)),
        ("MAX_BANS", abi::MAX_BANS as u64),
        ("MAX_REASON", abi::MAX_REASON as u64),
        ("MAGIC", abi::MAGIC),
    ] {
        check(format!("LLSM_{name} == {value}u"));
    }
    compiles("cc", "c11", "c", &source);
}
