//! The program. Everything is in the library; see [`wandbfs::cli`].

fn main() -> std::process::ExitCode {
    wandbfs::cli::main()
}
