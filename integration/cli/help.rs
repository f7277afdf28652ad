//! The help of each verb, as a file of `help/` has it.

use std::path::Path;

use crate::stage::{greyhound, said};

/// Every verb there is, as the manual has a page of it; the empty one is greyhound itself.
fn verbs() -> Vec<String> {
    let pages = tempfile::tempdir().unwrap();
    let made = said(greyhound("man").arg(pages.path()));
    assert_eq!((made.status, made.err.as_str()), (Some(0), ""), "{made:?}");
    let name = |page: std::io::Result<std::fs::DirEntry>| {
        let page = page.unwrap().file_name().into_string().unwrap();
        let words = page.strip_prefix("greyhound").unwrap().strip_suffix(".8").unwrap().replace('-', " ");
        words.trim_start().to_owned()
    };
    let mut verbs: Vec<_> = std::fs::read_dir(pages.path()).unwrap().map(name).collect();
    verbs.sort();
    verbs
}

/// With `GREYHOUND_BLESS=1` the files are written anew.
#[test]
fn the_help_of_each_verb_is_its_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/cli/help");
    let differs = |verb: &String| {
        let help = said(greyhound(verb).arg("--help").env("COLUMNS", "100"));
        assert_eq!((help.status, help.err.as_str()), (Some(0), ""), "{verb}: {help:?}");
        let name = if verb.is_empty() { "greyhound".to_owned() } else { verb.replace(' ', "-") };
        let golden = folder.join(format!("{name}.txt"));
        if std::env::var_os("GREYHOUND_BLESS").is_some_and(|bless| bless == "1") {
            std::fs::write(&golden, &help.out).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        (help.out != expected)
            .then(|| format!("{}:\n--- golden\n{expected}--- now\n{}", golden.display(), help.out))
    };
    let verbs = verbs();
    assert!(verbs.len() > 40, "{verbs:?}");
    let changed: Vec<String> = verbs.iter().filter_map(differs).collect();
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, verbs.len(), "a file of a verb that is gone is in {}", folder.display());
}
