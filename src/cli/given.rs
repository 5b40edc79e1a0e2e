//! Takes the first token's secret from the environment. As long as a process lives, `/proc/PID/environ` shows its
//! initial environment. So the program re-executes itself without the variable, in the same process, and reads the
//! secret from a pipe.

use std::fmt;

use zeroize::Zeroizing;

/// The variable that may hold the first token's secret. Not an option of the command line, where other users of the
/// machine would see it.
pub(super) const BOOTSTRAP_TOKEN: &str = "TOKENWARD_BOOTSTRAP_TOKEN";
/// The longest value that is passed through a pipe, in bytes: the buffer of every pipe holds this many.
#[cfg(unix)]
const LONGEST: usize = 4_096;
/// The variable that says that the secret is on standard input. Its value is the id of the process that it is for.
const HANDED_OVER: &str = "TOKENWARD_BOOTSTRAP_TOKEN_HANDED_OVER";

/// The secret that was given; an empty value counts as none.
#[derive(Clone, Default)]
pub struct Given(pub(super) Option<Zeroizing<String>>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Given {
    /// Takes the secret out of the environment by re-executing the program. If that fails, the secret stays there, and
    /// a line on standard error says so.
    #[must_use]
    pub fn take() -> Self {
        let Ok(secret) = std::env::var(BOOTSTRAP_TOKEN).map(Zeroizing::new) else { return Self(handed_over()) };
        if secret.is_empty() {
            return Self(None);
        }
        // A value that is longer than any secret is refused later, and a pipe might not hold it.
        #[cfg(unix)]
        if secret.len() <= LONGEST {
            let error = hand_over(&secret);
            eprintln!("tokenward: {BOOTSTRAP_TOKEN} stays in the environment of this process: {error}");
        }
        Self(Some(secret))
    }
}

/// Re-executes the program with the secret on standard input. Returns only if that fails.
#[cfg(unix)]
fn hand_over(secret: &str) -> std::io::Error {
    use std::{env, io::Write as _, os::unix::process::CommandExt as _, process::Command};

    let begin_anew = || {
        let (reader, mut writer) = std::io::pipe()?;
        writer.write_all(secret.as_bytes())?;
        drop(writer);
        let mut arguments = env::args_os();
        let mut command = Command::new(env::current_exe()?);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command
            .args(arguments)
            .env_remove(BOOTSTRAP_TOKEN)
            .env(HANDED_OVER, std::process::id().to_string())
            .stdin(reader);
        Ok(command.exec())
    };
    begin_anew().unwrap_or_else(|error| error)
}

fn handed_over() -> Option<Zeroizing<String>> {
    if std::env::var(HANDED_OVER).ok()? != std::process::id().to_string() {
        return None;
    }
    let mut secret = Zeroizing::new(String::with_capacity(4_096));
    std::io::Read::read_to_string(&mut std::io::stdin(), &mut secret).ok()?;
    Some(secret)
}
