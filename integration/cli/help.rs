//! The help of each verb about probes, moves, sessions and the store, as a file of `help/` has it.

use std::path::Path;

use crate::stage::{greyhound, said};

const VERBS: [&str; 11] = [
    "tunnel move",
    "tunnel hold",
    "tunnel unhold",
    "latency",
    "probe",
    "connect",
    "disconnect",
    "store backup",
    "store restore",
    "store check",
    "support",
];

/// With `GREYHOUND_BLESS=1` the files are written anew.
#[test]
fn the_help_of_each_verb_is_its_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/cli/help");
    let differs = |verb: &&str| {
        let help = said(greyhound(verb).arg("--help").env("COLUMNS", "100"));
        assert_eq!((help.status, help.err.as_str()), (Some(0), ""), "{verb}: {help:?}");
        let golden = folder.join(format!("{}.txt", verb.replace(' ', "-")));
        if std::env::var_os("GREYHOUND_BLESS").is_some_and(|bless| bless == "1") {
            std::fs::write(&golden, &help.out).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        (help.out != expected)
            .then(|| format!("{}:\n--- golden\n{expected}--- now\n{}", golden.display(), help.out))
    };
    let changed: Vec<String> = VERBS.iter().filter_map(differs).collect();
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
