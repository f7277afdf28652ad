//! The room as a specification. Each refusal is a file of `integration/config` with the errors that
//! it gives beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::{Kind, Purpose, Tier, Tos, Ttl};

/// Compares a file with what it should hold; with GREYHOUND_BLESS=1 writes it instead.
pub(super) fn golden(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("GREYHOUND_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(path, actual).expect("a golden file can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    let path = path.display();
    Err(format!("{path} should hold\n{actual}\nregenerate: GREYHOUND_BLESS=1 cargo test --lib config"))
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_refusal_reads_as_its_golden_file() {
    let folder = root().join("integration/config");
    let files = fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    cases.sort();
    assert!(cases.len() > 50, "only {} cases in {}", cases.len(), folder.display());
    let failures: Vec<_> = cases.iter().filter_map(|path| case(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn case(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).expect("a case can be read");
    let name = path.file_name().unwrap().to_string_lossy();
    let errors = parse(&text, &name).err();
    let accepted = name.starts_with("ok-");
    if accepted != errors.is_none() {
        return Err(format!("{name}: accepted is {}, and should be {accepted}", errors.is_none()));
    }
    for problem in errors.iter().flat_map(|errors| &errors.problems) {
        if problem.help.is_empty() {
            return Err(format!("{name}: {:?} does not say what to write instead", problem.message));
        }
    }
    golden(&path.with_extension("txt"), &errors.map(|errors| errors.render(false)).unwrap_or_default())
}

#[test]
fn the_schema_is_up_to_date() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    golden(&root().join("docs/greyhound.schema.json"), &text).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_key_of_the_schema_says_what_to_write() {
    let schema = schema();
    for section in ["Daemon", "Inventory", "Pool", "Tunnel"] {
        let keys = schema.pointer(&format!("/$defs/{section}/properties")).unwrap().as_object().unwrap();
        for key in keys.keys() {
            let text = super::schema::describe(&section.to_lowercase(), key);
            assert!(text.len() > key.len() + 20, "{section}.{key}: {text:?}");
        }
    }
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("", "empty.toml").unwrap(), Config::default());
}

#[test]
fn a_declaration_becomes_the_model_with_its_defaults() {
    let text = fs::read_to_string(root().join("integration/config/ok-issue.toml")).unwrap();
    let config = parse(&text, "greyhound.toml").unwrap();
    let [pool] = config.pools.as_slice() else { panic!("one pool") };
    assert_eq!((pool.purpose, pool.tier, pool.quota), (Purpose::Termination, Tier::Primary, None));
    let [tunnel] = config.tunnels.into_values().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(
        tunnel,
        Tunnel {
            name: TunnelName::new("ams").unwrap(),
            kind: Kind::Unicast,
            local: Local::Auto { pool: None },
            remotes: vec![[192, 0, 2, 1].into()],
            overlay: "169.254.10.0/31".parse().unwrap(),
            routes: vec!["10.20.0.0/16".parse().unwrap()],
            groups: vec![],
            ttl: Ttl::Fixed(64),
            tos: Tos::Fixed(0),
            key: None,
            mtu: None,
            pmtudisc: true,
            ignore_df: false,
            vrf: None,
            metric: 0,
            client: None,
            enable: true,
        }
    );
}

#[test]
fn every_key_is_taken() {
    let text = fs::read_to_string(root().join("integration/config/ok-everything.toml")).unwrap();
    let config = parse(&text, "greyhound.toml").unwrap();
    assert_eq!(config.loopback.as_str(), "dummy0");
    assert_eq!(config.daemon.rest, Duration::from_secs(15 * 60));
    let tunnel = |name: &str| &config.tunnels[&TunnelName::new(name).unwrap()];
    let all = tunnel("all");
    let pool = crate::model::PoolName::new("loopbacks").unwrap();
    assert_eq!(all.local, Local::Leased { pool, address: [198, 51, 100, 9].into() });
    assert_eq!((all.key, all.ttl, all.tos), (Some(42), Ttl::Inherit, Tos::Fixed(0xb8)));
    assert_eq!((all.mtu, all.pmtudisc, all.ignore_df, all.enable), (Some(1400), false, true, false));
    assert_eq!(all.client, Some([203, 0, 113, 77].into()));
    assert_eq!(all.vrf.as_ref().map(LinkName::as_str), Some("vrf-red"));
    assert_eq!(tunnel("host").local, Local::Host([172, 16, 0, 1].into()));
    assert_eq!(tunnel("groups").groups, ["233.252.0.0/24".parse().unwrap(), "239.1.2.3/32".parse().unwrap()]);
}

#[test]
fn problems_are_data_as_well() {
    let errors = parse("[daemon]\nrest = \"soon\"\n", "x.toml").unwrap_err();
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json["file"], "x.toml");
    let problem = &json["problems"][0];
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(2), Some(8)));
    assert!(problem["help"].as_str().unwrap().contains("90s"));
}

#[test]
fn a_file_too_large_is_refused_unread() {
    let errors = parse(&"#".repeat(LARGEST_FILE + 1), "huge.toml").unwrap_err();
    assert!(errors.to_string().contains("8388609 bytes"));
}

#[test]
fn a_byte_that_is_not_utf8_has_a_line_and_a_column() {
    let errors = parse_bytes(b"[daemon]\n# caf\xc3\xa9 \xff\nrest = \"1h\"\n", "x.toml").unwrap_err();
    let [problem] = errors.problems.as_slice() else { panic!("one problem: {errors}") };
    assert_eq!((problem.line, problem.column), (2, 8));
    assert!(errors.to_string().contains("0xff is not UTF-8"), "{errors}");
    assert_eq!(parse_bytes(b"", "x.toml"), Ok(Config::default()));
    let huge = parse_bytes(&vec![0xff; LARGEST_FILE + 1], "huge.toml").unwrap_err();
    assert!(huge.to_string().contains("bytes long"), "{huge}");
}

#[test]
fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
    let errors = parse("[daemon]\nrest = \"\\u001b[31m\"\n\"\\u001b[2J\" = 1\n", "\u{1b}c.toml").unwrap_err();
    assert!(!errors.to_string().contains('\u{1b}'));
}

/// What hostile files are made of: none may take long, whatever it says.
#[test]
fn hostile_files_are_answered_soon() {
    let large = LARGEST_FILE / 4;
    let fill = |unit: &str| unit.repeat(large / unit.len());
    let tunnel =
        "[[tunnel]]\nname = \"a\"\nkind = \"unicast\"\nlocal = \"auto\"\noverlay = \"10.0.0.0/31\"\n";
    let texts = [
        fill("[[tunnel]]\n"),
        fill("[[pool]]\nname=1\n"),
        fill("["),
        fill("a."),
        fill("= "),
        format!("[daemon]\nsocket = \"{}\"\n", fill("x")),
        format!("{tunnel}remote = [{}]\n", fill("\"192.0.2.1\",")),
        format!("{tunnel}remote = \"192.0.2.1\"\nroutes = [{}]\n", fill("\"10.0.0.0/8\",\n")),
        format!("[[pool]]\nname = \"a\"\npurpose = \"client\"\nranges = [{}]\n", fill("\"10.0.0.0/8\",\n")),
        format!("{tunnel}x = {}\n", fill("{x=")),
    ];
    for text in texts {
        let start = Instant::now();
        let errors = parse(&text, "hostile.toml").unwrap_err().render(false);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?} for {:?}", &text[..80]);
        assert!(errors.len() < 200_000, "{} bytes for {:?}", errors.len(), &text[..80]);
    }
}

/// `count` tunnels that fit each other.
fn many(count: u32) -> String {
    let mut text =
        "[[pool]]\nname = \"l\"\npurpose = \"termination\"\nranges = [\"198.18.0.0/15\"]\n".to_owned();
    for n in 0..count {
        let overlay = std::net::Ipv4Addr::from(0x0a00_0000 + 2 * n);
        let route = std::net::Ipv4Addr::from(0x6440_0000 + 16 * n);
        text += &format!(
            "[[tunnel]]\nname = \"t{n}\"\nkind = \"unicast\"\nlocal = \"auto\"\n\
             remote = [\"192.0.2.1\", \"192.0.2.2\"]\noverlay = \"{overlay}/31\"\nroutes = [\"{route}/28\"]\n"
        );
    }
    text
}

#[test]
fn ten_thousand_tunnels_are_checked_in_a_moment() {
    let text = many(10_000);
    let start = Instant::now();
    let config = parse(&text, "many.toml").unwrap();
    let took = start.elapsed();
    println!("10,000 tunnels, {} bytes: {took:?}", text.len());
    assert_eq!(config.tunnels.len(), 10_000);
    // Generous: the build is not optimised, and the machine may be busy.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Lines that are nearly right.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "name",
        "kind",
        "local",
        "remote",
        "overlay",
        "routes",
        "groups",
        "ttl",
        "tos",
        "key",
        "mtu",
        "vrf",
        "metric",
        "client",
        "enable",
        "pool",
        "purpose",
        "tier",
        "ranges",
        "quota",
        "exclude",
        "socket",
        "rest",
        "loopback",
        "pmtudisc",
        "ignore-df",
        "remotes",
        "a.b",
    ]);
    let value = prop::sample::select(vec![
        "\"auto\"",
        "\"a\"",
        "\"unicast\"",
        "\"multicast\"",
        "\"termination\"",
        "\"inherit\"",
        "\"10.0.0.0/31\"",
        "\"192.0.2.1\"",
        "[\"192.0.2.1\", \"192.0.2.1\"]",
        "[\"10.0.0.0/8\", \"10.0.0.0/8\"]",
        "[\"239.1.1.1\"]",
        "[\"0.0.0.0-255.255.255.255\"]",
        "\"255.255.255.255/30\"",
        "\"0.0.0.0/31\"",
        "0",
        "-1",
        "64",
        "99999999999999999999",
        "1.5",
        "true",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "\"\"",
        "\"é\\u0000\"",
        "\"1h\"",
        "nan",
        "'",
        "\"\"\"\nx\ny\"\"\"",
    ]);
    let header = prop::sample::select(vec![
        "[daemon]",
        "[[pool]]",
        "[[tunnel]]",
        "[tunnel]",
        "[[x]]",
        "[tunnel.a]",
        "tunnel = 1",
        "pool = [1]",
        "",
    ]);
    prop_oneof![
        6 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => header.prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

/// Whatever a text is, the answer is a configuration or problems that can be shown.
fn answer(text: &str) -> Result<(), TestCaseError> {
    if let Err(errors) = parse(text, "any.toml") {
        prop_assert!(!errors.problems.is_empty());
        prop_assert_eq!(errors.render(false), parse(text, "any.toml").unwrap_err().render(false));
        errors.render(true);
        for problem in &errors.problems {
            prop_assert!(problem.line >= 1 && problem.column >= 1);
            prop_assert!(!problem.help.is_empty() && !problem.message.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        answer(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_lines_are_answered(lines in proptest::collection::vec(line(), 0..30)) {
        answer(&lines.join("\n"))?;
        answer(&lines.join("\r\n"))?;
    }

    /// A file that was cut off, or lost a piece.
    #[test]
    fn torn_files_are_answered(cut in 0_usize..900, length in 0_usize..60) {
        let text = many(4);
        let (cut, end) = (cut.min(text.len()), (cut + length).min(text.len()));
        answer(&text[..cut])?;
        answer(&format!("{}{}", &text[..cut], &text[end..]))?;
    }

    /// The order of tables in a file means nothing to tunnels.
    #[test]
    fn the_order_of_tunnels_means_nothing(order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle()) {
        let text = many(8);
        let mut tables = text.split("[[tunnel]]");
        let head = tables.next().unwrap();
        let tables: Vec<&str> = tables.collect();
        let shuffled: String = order.iter().map(|n| format!("[[tunnel]]{}", tables[*n])).collect();
        prop_assert_eq!(parse(&format!("{head}{shuffled}"), "x").unwrap(), parse(&text, "x").unwrap());
    }
}
