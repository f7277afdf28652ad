//! Who may do what, asked by processes of other users. Needs root, as the lab gives it.

use std::process::Command as Process;

use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

use super::super::client;
use super::*;

const NOBODY: u32 = 65534;
const GROUP: u32 = 4242;
const OTHER: u32 = 4243;

/// The name by which a test finds the socket that its parent serves.
const SOCKET: &str = "GREYHOUND_TEST_SOCKET";
/// Its primary group and the other one.
const GROUPS: &str = "GREYHOUND_TEST_GROUPS";

/// What a process of another user may do: read, change; 0 when it may not even connect.
fn rights(running: &Running, primary: u32, other: u32) -> String {
    let child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "api::tests::access::as_somebody_else"])
        .env(SOCKET, &running.path)
        .env(GROUPS, format!("{primary} {other}"))
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    let answer =
        text.lines().find_map(|line| line.split_once("answers: ")).map(|(_, answers)| answers.to_owned());
    answer.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&child.stderr)))
}

fn started(readers: Readers, limits: Limits) -> Running {
    assert!(geteuid().is_root(), "run this as root: only root becomes somebody else");
    Stage { access: Access { group: Some(GROUP), readers }, limits, ..Stage::default() }.start()
}

#[test]
fn root_and_members_of_the_group_may_change_things() {
    let running = started(Readers::Group, Limits::default());
    assert_eq!(running.say("POST", "/v1/apply", "").status, 200);
    assert_eq!(rights(&running, GROUP, OTHER), "read 200, change 200");
    assert_eq!(rights(&running, OTHER, GROUP), "read 200, change 200", "the second group counts as well");
}

#[test]
fn everybody_else_is_kept_out() {
    let running = started(Readers::Group, Limits::default());
    assert_eq!(rights(&running, NOBODY, OTHER), "denied");
    // Even if the file lets them in.
    std::fs::set_permissions(&running.path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(rights(&running, NOBODY, OTHER), "read 403, change 403");
}

#[test]
fn reading_may_be_open_to_all() {
    let running = started(Readers::All, Limits::default());
    assert_eq!(rights(&running, NOBODY, OTHER), "read 200, change 403");
}

#[test]
fn readers_leave_a_place_for_who_may_change_things() {
    let running = started(Readers::All, Limits { readers: 0, ..Limits::default() });
    assert_eq!(rights(&running, NOBODY, OTHER), "read 503, change 503");
    assert_eq!(rights(&running, GROUP, OTHER), "read 200, change 200");
}

#[test]
#[ignore = "the other half of the tests above, which run it as a process of its own"]
fn as_somebody_else() {
    let path = PathBuf::from(std::env::var_os(SOCKET).expect("run by another test"));
    let groups = std::env::var(GROUPS).unwrap();
    let (primary, other) = groups.split_once(' ').unwrap();
    setgroups(&[Gid::from_raw(other.parse().unwrap())]).unwrap();
    setgid(Gid::from_raw(primary.parse().unwrap())).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
    if let Err(client::Error::Denied(_)) = Client::connect(&path) {
        println!("\nanswers: denied");
        return;
    }
    let ask = |request: &str| {
        let mut stream = dial(&path);
        let _ = stream.write_all(request.as_bytes());
        hear(&mut stream).status
    };
    let read = ask("GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    // Whoever may not is told before the body comes.
    let body = if read == 200 && rights_say_change(&path) { "{}" } else { "" };
    let change = ask(&format!(
        "POST /v1/apply HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{body}"
    ));
    println!("\nanswers: read {read}, change {change}");
}

/// A member sends the whole body; for anybody else the answer must not depend on it.
fn rights_say_change(path: &Path) -> bool {
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(path).unwrap());
    let member = |gid: Gid| gid.as_raw() == group;
    member(nix::unistd::getgid()) || nix::unistd::getgroups().unwrap().into_iter().any(member)
}
