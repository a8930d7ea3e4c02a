//! What tests of the whole program share: a home of its own for each test, a server, a mount.
//!
//! Every guard ends what it started when it is dropped, by process id and by mount point, also when
//! the test fails half-way; nothing is ever ended by name. Waiting is waiting for a condition.

#![allow(dead_code)] // each test file compiles this module and uses its own part of it

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything in a test may take; only reached when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition and fails the test when it never holds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the kernel has something mounted there.
pub(crate) fn is_mounted(point: &Path) -> bool {
    let wanted = format!(" {} ", point.display());
    fs::read_to_string("/proc/mounts")
        .unwrap()
        .lines()
        .any(|line| line.contains(&wanted))
}

/// Whether a process runs (zombies do not).
pub(crate) fn is_alive(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
        state != Some(Some('Z'))
    })
}

/// A home, a cache and a runtime directory that belong to one test. Nothing of the environment in
/// which the tests run gets through but `PATH` and the time zone.
pub(crate) struct Home {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    /// An empty home; nobody is signed in.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("wfs").tempdir().unwrap();
        for name in ["run", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            variables: Vec::new(),
        }
    }

    /// A home that is signed in at a server.
    pub(crate) fn signed_in(server: &Server) -> Self {
        Self::new()
            .with("WANDB_BASE_URL", &server.base_url)
            .with("WANDB_API_KEY", &server.api_key)
    }

    /// The same with an environment variable more.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.variables.push((name.into(), value.as_ref().into()));
        self
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// An empty directory in it.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path.canonicalize().unwrap()
    }

    /// A file in it, with the directories above.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Any program in this home.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path().join("work"))
            .stdin(Stdio::null());
        command
    }

    /// The program under test in this home.
    pub(crate) fn wandbfs<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_wandbfs"));
        command.args(arguments);
        command
    }

    /// Runs the program under test to its end.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        Ended::of(&mut self.wandbfs(arguments))
    }
}

/// A program that has ended, with everything it said. Failed assertions show all of it.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The command line.
    pub(crate) command: String,
    /// Exit code; -1 for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            command: format!("{command:?}"),
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Itself, if the exit code is this one.
    #[track_caller]
    pub(crate) fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, wanted, "{self:#?}");
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The `error` object on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let line = self
            .stderr
            .lines()
            .rfind(|line| line.starts_with("{\"error\""));
        let line = line.unwrap_or_else(|| panic!("no error object: {self:#?}"));
        serde_json::from_str::<Value>(line).unwrap()["error"].clone()
    }
}

/// A process of ours that announces itself with a line of JSON.
pub(crate) struct Background {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Background {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Its next line, without the newline.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        assert!(read > 0, "the process said no more");
        line.trim_end().to_owned()
    }

    /// Its next line of JSON.
    #[track_caller]
    pub(crate) fn json_line(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u64 {
        u64::from(self.child.id())
    }

    /// Sends a signal by number.
    pub(crate) fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Waits for its end: exit code and what it still said.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> (i32, String) {
        wait_for("the process ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), rest)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("TERM");
            let end = Instant::now() + Duration::from_secs(10);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal to one process.
pub(crate) fn kill(pid: u64, signal: &str) {
    let _already_gone = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// `wandbfs serve --test-controls` on a free port with a directory of its own.
pub(crate) struct Server {
    /// What clients take as `WANDB_BASE_URL`.
    pub(crate) base_url: String,
    /// The first user's key.
    pub(crate) api_key: String,
    /// The first user's entity.
    pub(crate) entity: String,
    /// The ready line.
    pub(crate) ready: Value,
    /// The process.
    pub(crate) process: Background,
    data: TempDir,
}

impl Server {
    /// A server with nothing in it.
    pub(crate) fn start() -> Self {
        Self::with_arguments(&[])
    }

    /// A server with this seed.
    pub(crate) fn seeded(seed: &str) -> Self {
        Self::with_arguments(&["--seed", seed])
    }

    fn with_arguments(more: &[&str]) -> Self {
        let data = tempfile::Builder::new().prefix("wfsd").tempdir().unwrap();
        let home = Home::new();
        let directory = data.path().join("d");
        let mut command = home.wandbfs(["--json", "serve", "--listen", "127.0.0.1:0"]);
        command
            .args(["--test-controls", "--data"])
            .arg(&directory)
            .args(more);
        command.current_dir(data.path());
        let mut process = Background::start(&mut command);
        let ready = process.json_line();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self {
            base_url: text("base_url"),
            api_key: text("api_key"),
            entity: text("entity"),
            process,
            data,
            ready,
        }
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().join("d")
    }

    /// The request counters.
    #[track_caller]
    pub(crate) fn requests(&self) -> Value {
        let url = format!("{}/_test/requests", self.base_url);
        Ended::of(Command::new("curl").args(["-sSf", &url]))
            .code(0)
            .json()
    }

    /// Zeroes the request counters.
    #[track_caller]
    pub(crate) fn forget_requests(&self) {
        let url = format!("{}/_test/requests", self.base_url);
        Ended::of(Command::new("curl").args(["-sSf", "-X", "DELETE", &url])).code(0);
    }

    /// Sets latency, bandwidth and faults; `{}` clears them.
    #[track_caller]
    pub(crate) fn knobs(&self, knobs: &Value) {
        let url = format!("{}/_test/knobs", self.base_url);
        let body = knobs.to_string();
        let header = "Content-Type: application/json";
        let arguments = ["-sSf", "-X", "PUT", "-H", header, "-d", &body, &url];
        Ended::of(Command::new("curl").args(arguments)).code(0);
    }
}

/// A mount that is gone when the test is.
pub(crate) struct Mount {
    /// The mount point.
    pub(crate) point: PathBuf,
    /// The ready line.
    pub(crate) ready: Value,
}

impl Mount {
    /// Mounts at a fresh directory of this home, with these flags.
    #[track_caller]
    pub(crate) fn new(home: &Home, flags: &[&str]) -> Self {
        Self::at(home, &home.directory("mnt"), flags)
    }

    /// Mounts there.
    #[track_caller]
    pub(crate) fn at(home: &Home, point: &Path, flags: &[&str]) -> Self {
        let mut command = home.wandbfs(["--json", "mount"]);
        command.args(flags).arg(point);
        let guard = PendingMount(point);
        let ready = Ended::of(&mut command).code(0).json();
        std::mem::forget(guard);
        Self {
            point: point.to_owned(),
            ready,
        }
    }

    /// A path in it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.point.join(path)
    }

    /// The process that serves it.
    pub(crate) fn pid(&self) -> u64 {
        self.ready["pid"].as_u64().unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if is_alive(self.pid()) {
            kill(self.pid(), "TERM");
            let end = Instant::now() + Duration::from_secs(10);
            while is_alive(self.pid()) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
            if is_alive(self.pid()) {
                kill(self.pid(), "KILL");
            }
        }
        detach(&self.point);
        if !std::thread::panicking() {
            assert!(!is_mounted(&self.point), "{} stayed", self.point.display());
        }
    }
}

/// Cleans up where a mount fails to announce itself but was made.
struct PendingMount<'a>(&'a Path);

impl Drop for PendingMount<'_> {
    fn drop(&mut self) {
        detach(self.0);
    }
}

fn detach(point: &Path) {
    if is_mounted(point) {
        for (program, flags) in [("umount", "-l"), ("fusermount3", "-uz")] {
            let _next_one = Command::new(program)
                .arg(flags)
                .arg(point)
                .stderr(Stdio::null())
                .status();
        }
    }
}
