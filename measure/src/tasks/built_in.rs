//! The tasks that are part of the program, with items written for this project.
//!
//! Tasks in the form of a field have five, for a first look and for tests: a result on five items says nothing. The real
//! ones are the user's to fetch, and `--data` takes them as they are. Beginnings of stories have no field, and are whole.

/// A file of a built-in task.
pub struct BuiltIn {
    /// The task's name.
    pub name: &'static str,
    /// Its TOML file.
    pub definition: &'static str,
    /// The files that it names.
    pub files: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const ALL: [BuiltIn; 6] = [
    BuiltIn {
        name: "gsm8k",
        definition: include_str!("../../tasks/gsm8k.toml"),
        files: &[
            ("gsm8k.jsonl", include_str!("../../tasks/gsm8k.jsonl")),
            ("gsm8k-shots.jsonl", include_str!("../../tasks/gsm8k-shots.jsonl")),
        ],
    },
    BuiltIn {
        name: "arc",
        definition: include_str!("../../tasks/arc.toml"),
        files: &[("arc.jsonl", include_str!("../../tasks/arc.jsonl"))],
    },
    BuiltIn {
        name: "humaneval",
        definition: include_str!("../../tasks/humaneval.toml"),
        files: &[("humaneval.jsonl", include_str!("../../tasks/humaneval.jsonl"))],
    },
    BuiltIn { name: "perplexity", definition: include_str!("../../tasks/perplexity.toml"), files: &[] },
    BuiltIn {
        name: "maths",
        definition: include_str!("../../tasks/maths.toml"),
        files: &[("maths.jsonl", include_str!("../../tasks/maths.jsonl"))],
    },
    BuiltIn {
        name: "stories",
        definition: include_str!("../../tasks/stories.toml"),
        files: &[("stories.jsonl", include_str!("../../tasks/stories.jsonl"))],
    },
];

/// The names of all, for a sentence.
pub fn names() -> String {
    ALL.map(|task| format!("`{}`", task.name)).join(", ")
}
