//! The command line as programs and people meet it: help, failures, ready lines, lives of mounts.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Background, Ended, Home, Mount, Server, is_alive, is_mounted, kill, wait_for};

const COMMANDS: [&str; 10] = [
    "mount", "unmount", "status", "demo", "serve", "ls", "cat", "doctor", "prefetch", "cache",
];

/// Runs a command that has to fail, in both shapes, and checks everything the interface says.
#[track_caller]
fn fails(home: &Home, arguments: &[&str], code: i32, words: &[&str]) {
    let text = home.run(arguments).code(code);
    let lines: Vec<&str> = text
        .stderr
        .lines()
        .filter(|line| !line.contains(" WARN "))
        .collect();
    assert_eq!(lines.len(), 2, "one line and what to do: {text:#?}");
    assert!(
        lines[0].starts_with("wandbfs: ") && lines[0].matches(": ").count() >= 2,
        "{text:#?}"
    );
    assert!(text.stdout.is_empty(), "{text:#?}");

    let json = home.run(["--json"].iter().chain(arguments)).code(code);
    let error = json.error();
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message", "hint"], "{json:#?}");
    assert_eq!(error["code"], code);
    for word in words {
        assert!(text.stderr.contains(word), "{word:?} is missing: {text:#?}");
        assert!(json.stderr.contains(word), "{word:?} is missing: {json:#?}");
    }
}

#[test]
fn each_command_has_examples_in_its_help() {
    let home = Home::new();
    let all = home.run(["--help"]).code(0).stdout;
    for command in COMMANDS {
        assert!(all.contains(command), "{command}: {all}");
        let help = home.run([command, "--help"]).code(0).stdout;
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.contains(&format!("wandbfs {command}")), "{help}");
    }
}

#[test]
fn usage_errors_are_two_lines_or_json() {
    let home = Home::new();
    fails(&home, &["mount", "--ttl", "never", "/x"], 2, &["--ttl"]);
    fails(
        &home,
        &["mount", "-o", "frobnicate", "/x"],
        2,
        &["frobnicate"],
    );
    fails(
        &home,
        &["mount", "--per-page", "0", "/x"],
        2,
        &["--per-page"],
    );
    fails(&home, &["mount"], 2, &["MP"]);
    fails(&home, &["frobnicate"], 2, &["frobnicate"]);
    fails(&home, &["ls", "--filter", "[", "e"], 2, &["--filter"]);
}

#[test]
fn without_a_credential_every_command_says_how_to_sign_in() {
    let home = Home::new().with("WANDB_BASE_URL", "http://127.0.0.1:9");
    let point = home.directory("mnt");
    let words = ["WANDB_API_KEY", "127.0.0.1:9", ".netrc"];
    fails(&home, &["ls"], 3, &words);
    fails(&home, &["cat", "e/p/t/c/v0/files/a"], 3, &words);
    fails(&home, &["mount", point.to_str().unwrap()], 3, &words);
    assert!(!is_mounted(&point));
}

#[test]
fn a_malformed_key_is_named_by_its_source_and_never_shown() {
    let home = Home::new()
        .with("WANDB_BASE_URL", "http://127.0.0.1:9")
        .with("WANDB_API_KEY", "hunter2hunter2");
    fails(&home, &["ls"], 3, &["environment variable WANDB_API_KEY"]);
    let said = home.run(["ls"]).stderr + &home.run(["doctor", "--json", "--offline"]).stdout;
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_wrong_key_is_refused_with_its_source() {
    let server = Server::start();
    let key = "f".repeat(40);
    let home = Home::signed_in(&server).with("WANDB_API_KEY", &key);
    let point = home.directory("mnt");
    fails(&home, &["ls"], 3, &["environment variable WANDB_API_KEY"]);
    fails(
        &home,
        &["mount", point.to_str().unwrap()],
        3,
        &["environment variable WANDB_API_KEY"],
    );
    assert!(!home.run(["ls"]).stderr.contains(&key));
}

#[test]
fn an_unknown_host_and_a_dead_server_end_within_the_deadline() {
    let key = "a".repeat(40);
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for url in [
        "http://no-such-host.invalid".to_owned(),
        format!("http://{unused}"),
        format!("http://{}", silent.local_addr().unwrap()),
    ] {
        let home = Home::new()
            .with("WANDB_BASE_URL", &url)
            .with("WANDB_API_KEY", &key);
        let point = home.directory("mnt");
        let begin = std::time::Instant::now();
        fails(
            &home,
            &["mount", "--timeout", "2s", point.to_str().unwrap()],
            5,
            &[&url],
        );
        assert!(
            begin.elapsed().as_secs() < 12,
            "two runs of 2 s took {:?}",
            begin.elapsed()
        );
        fails(&home, &["ls", "--timeout", "1s"], 5, &[&url]);
    }
}

#[test]
fn what_cannot_be_a_mount_point_is_refused_before_any_server_is_asked() {
    let home = Home::new()
        .with("WANDB_BASE_URL", "http://127.0.0.1:9")
        .with("WANDB_API_KEY", "a".repeat(40));
    let file = home.file("plain", "");
    fails(
        &home,
        &["mount", file.to_str().unwrap()],
        6,
        &["not a directory"],
    );
    fails(&home, &["mount", "/no/such/directory"], 6, &["mkdir"]);
}

#[test]
fn an_unknown_root_is_not_found_and_nothing_is_mounted() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let point = home.directory("mnt");
    let root = format!("{}/no-such-project", server.entity);
    fails(
        &home,
        &["mount", "--root", &root, point.to_str().unwrap()],
        4,
        &["no-such-project"],
    );
    fails(&home, &["ls", &root], 4, &["no-such-project"]);
    assert!(!is_mounted(&point));
}

#[test]
fn serve_announces_itself_and_ends_with_success_when_told_to() {
    let mut server = Server::start();
    let keys: Vec<&String> = server.ready.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "base_url", "api_key", "entity", "pid"]);
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.ready["pid"], server.process.pid());
    let key_file = server.data().join("api-key");
    assert_eq!(
        fs::read_to_string(&key_file).unwrap().trim(),
        server.api_key
    );
    assert_eq!(
        key_file.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    server.process.signal("TERM");
    assert_eq!(server.process.ended().0, 0);
}

#[test]
fn a_data_directory_takes_one_server_only() {
    let server = Server::start();
    let home = Home::new();
    let data = server.data();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ];
    fails(&home, &arguments, 1, &["in use"]);
}

#[test]
fn a_mount_lives_from_ready_to_unmounted() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let mount = Mount::new(&home, &["--ttl", "5s"]);
    let ready = mount.ready.as_object().unwrap();
    for key in [
        "event",
        "mountpoint",
        "pid",
        "root",
        "resolved",
        "passthrough",
        "cache_dir",
    ] {
        assert!(ready.contains_key(key), "{key}: {ready:?}");
    }
    assert_eq!(ready["mountpoint"], mount.point.to_str().unwrap());
    assert!(is_mounted(&mount.point) && is_alive(mount.pid()));
    assert!(fs::read_dir(&mount.point).unwrap().count() >= 1);

    let status = home.run(["--json", "status"]).code(0).json();
    let status = &status[0];
    for key in [
        "uptime_s",
        "read_only",
        "requests",
        "errors",
        "open_handles",
        "pending_saves",
        "rss_bytes",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!(status["mountpoint"], mount.ready["mountpoint"]);
    assert!(status["cache"]["limit"].as_u64().unwrap() > 0, "{status}");
    let file: Value =
        serde_json::from_str(&fs::read_to_string(mount.path(".wandbfs/stats.json")).unwrap())
            .unwrap();
    assert_eq!(file["pid"], mount.ready["pid"]);
    let config: Value =
        serde_json::from_str(&fs::read_to_string(mount.path(".wandbfs/config.json")).unwrap())
            .unwrap();
    assert_eq!(config["ttl"], 5.0);

    let point = mount.point.to_str().unwrap();
    let ended = home.run(["--json", "unmount", point]).code(0).json();
    assert_eq!(ended["unmounted"], point);
    assert!(!is_mounted(&mount.point) && !is_alive(mount.pid()));
    fails(&home, &["unmount", point], 4, &[point]);
    fails(&home, &["status", point], 4, &[point]);
    assert_eq!(
        home.run(["--json", "status"]).code(0).json(),
        serde_json::json!([])
    );
}

#[test]
fn every_flag_of_the_interface_is_accepted() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let cache = home.directory("cache");
    let mount = Mount::new(
        &home,
        &[
            "--read-only",
            "--no-delete",
            "--delete-aliases",
            "--allow-recursive-delete",
            "--timeout",
            "20s",
            "--cache-dir",
            cache.to_str().unwrap(),
            "--cache-limit",
            "1GiB",
            "--memory",
            "64MiB",
            "--per-page",
            "50",
            "--profile",
            "train",
            "--no-xattr",
            "--no-passthrough",
            "--pin-aliases",
            "--record-use",
            "run1",
            "--allow-file-refs",
            "--show-views",
            "--uid",
            "1",
            "--gid",
            "2",
            "--umask",
            "077",
            "-o",
            "rw,noauto,_netdev,x-a.b,ttl=10s",
        ],
    );
    assert_eq!(mount.ready["cache_dir"], cache.to_str().unwrap());
    assert_eq!(mount.ready["passthrough"], false);
    use std::os::unix::fs::MetadataExt as _;
    let found = mount.point.metadata().unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o777),
        (1, 2, 0o700)
    );
}

#[test]
fn a_second_mount_on_a_busy_mount_point_is_refused() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let mount = Mount::new(&home, &[]);
    let point = mount.point.to_str().unwrap();
    fails(&home, &["mount", point], 6, &["wandbfs unmount"]);
    assert!(is_alive(mount.pid()));
}

#[test]
fn after_kill_9_the_mount_point_can_be_mounted_anew() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let first = Mount::new(&home, &[]);
    kill(first.pid(), "KILL");
    wait_for("the process is gone", || !is_alive(first.pid()));
    let second = Mount::at(&home, &first.point, &[]);
    assert!(fs::read_dir(&second.point).unwrap().count() >= 1);
}

#[test]
fn a_mount_ends_when_others_unmount_it_or_signal_it() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let mount = Mount::new(&home, &[]);
    Ended::of(Command::new("umount").arg(&mount.point)).code(0);
    wait_for("the process ends", || !is_alive(mount.pid()));
    drop(mount);
    let mount = Mount::new(&home, &[]);
    kill(mount.pid(), "TERM");
    wait_for("the process ends", || !is_alive(mount.pid()));
    assert!(!is_mounted(&mount.point));
}

#[test]
fn in_the_foreground_it_stays_until_told_to_end() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let point = home.directory("mnt");
    let mut command = home.wandbfs(["--json", "mount", "--foreground"]);
    let mut process = Background::start(command.arg(&point));
    assert_eq!(process.json_line()["pid"], process.pid());
    assert!(is_mounted(&point));
    process.signal("INT");
    assert_eq!(process.ended().0, 0);
    assert!(!is_mounted(&point));
}

#[test]
fn a_closed_pipe_is_success() {
    let server = Server::seeded("artifacts=50");
    let home = Home::signed_in(&server);
    let mut child = home.wandbfs(["ls"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let home = Home::new();
    let point = home.path().join("demo");
    let mut process = Background::start(home.wandbfs(["--json", "demo"]).arg(&point));
    let server = process.json_line();
    assert!(
        server["base_url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    let mount = process.json_line();
    assert_eq!(mount["event"], "ready");
    let entity = server["entity"].as_str().unwrap();
    assert!(fs::read_dir(point.join(entity)).unwrap().count() > 1);
    process.signal("INT");
    let (code, rest) = process.ended();
    assert_eq!((code, rest.as_str()), (0, ""));
    assert!(!is_mounted(&point) && !point.exists());
    let left: Vec<_> = fs::read_dir(home.path().join(".cache/wandbfs"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_ordinary_user_runs_the_demo_through_fusermount3() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/support/ordinary_user.sh"
    );
    let mut command = std::process::Command::new("bash");
    Ended::of(command.args([script, env!("CARGO_BIN_EXE_wandbfs")])).code(0);
}

#[test]
fn the_demos_tour_can_be_typed_as_it_is_printed() {
    let home = Home::new();
    let point = home.path().join("demo");
    let mut process = Background::start(home.wandbfs(["demo"]).arg(&point));
    let mut commands = Vec::new();
    loop {
        let line = process.line();
        if let Some(command) = line.trim_start().strip_prefix("$ ") {
            commands.push(command.to_owned());
        }
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    assert_eq!(commands.len(), 6, "{commands:?}");
    for command in commands {
        let ended = Ended::of(home.command("sh").args(["-c", &command])).code(0);
        assert!(!ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[test]
fn doctor_names_its_sources_and_checks() {
    let server = Server::start();
    let home = Home::signed_in(&server);
    let report = home.run(["--json", "doctor"]).code(0).json();
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "ok",
            "credential_source",
            "base_url",
            "base_url_source",
            "checks"
        ]
    );
    assert_eq!(report["ok"], true);
    assert_eq!(
        report["credential_source"],
        "environment variable WANDB_API_KEY"
    );
    assert_eq!(report["base_url"], server.base_url.as_str());
    assert_eq!(
        report["base_url_source"],
        "environment variable WANDB_BASE_URL"
    );
    for check in report["checks"].as_array().unwrap() {
        let keys: Vec<&String> = check.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["name", "ok", "detail", "fix"]);
    }
    assert!(!report.to_string().contains(&server.api_key));
}

#[test]
fn doctor_says_what_to_type_for_what_is_missing() {
    let home = Home::new().with("WANDB_BASE_URL", "http://no-such-host.invalid");
    let ended = home.run(["--json", "doctor"]).code(1);
    let report = ended.json();
    assert_eq!(report["ok"], false);
    let failed: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| {
            assert!(check["fix"].is_string(), "{check}");
            check["name"].as_str().unwrap()
        })
        .collect();
    assert_eq!(failed, ["credential", "host"]);
    assert!(
        ended.stderr.is_empty(),
        "the report is the message: {ended:#?}"
    );
}

/// The check of this name in doctor's report.
#[track_caller]
fn check(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("{report}")).clone()
}

#[test]
fn doctor_says_whether_mounts_read_ahead_as_far_as_they_could() {
    use std::os::unix::fs::MetadataExt as _;
    let server = Server::start();
    let home = Home::signed_in(&server);
    let said = check(&home.run(["--json", "doctor"]).json(), "read_ahead");
    let mount = Mount::new(&home, &[]);
    let device = fs::metadata(&mount.point).unwrap().dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let kept_at = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    let raised = fs::read_to_string(kept_at).unwrap().trim() == "1024";
    assert_eq!(said["fix"].is_null(), raised, "{said}");
    assert_eq!(
        said["detail"] == "mounts read ahead by 1 MiB",
        raised,
        "{said}"
    );
    drop(mount);

    // Where /sys cannot be written, as in most containers.
    let mut confined = home.command("unshare");
    let script = "mount -o remount,bind,ro /sys && exec \"$0\" --json doctor";
    confined.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    let ended = Ended::of(confined.arg(env!("CARGO_BIN_EXE_wandbfs")));
    if ended.code == 0 {
        let said = check(&ended.json(), "read_ahead");
        assert!(
            said["fix"].as_str().unwrap().contains("read_ahead_kb"),
            "{said}"
        );
        assert!(
            said["detail"].as_str().unwrap().contains("128 KiB"),
            "{said}"
        );
    } else {
        assert!(!raised, "root can make /sys read-only: {ended:#?}");
    }
}

#[test]
fn an_identity_token_is_exchanged_and_kept_privately_for_the_sdk_too() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let server = Server::start();
    let home = Home::new();
    let claims = BASE64.encode(serde_json::json!({"sub": server.entity}).to_string());
    let token = home.file("token", &format!("e30.{claims}.c2ln\n"));
    let home = home
        .with("WANDB_BASE_URL", &server.base_url)
        .with("WANDB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    let listed = home.run(["ls"]).code(0);
    assert!(listed.stdout.contains(&server.entity), "{listed:#?}");
    let kept = home.path().join(".config/wandb/credentials.json");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Value = serde_json::from_str(&fs::read_to_string(kept).unwrap()).unwrap();
    let access = kept["credentials"][&server.base_url]["access_token"]
        .as_str()
        .unwrap();
    assert!(!access.is_empty());
    home.file("token", "no longer needed");
    home.run(["ls"]).code(0);
}
