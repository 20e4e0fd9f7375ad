//! How a command can fail, what a person reads then, and the exit code a script sees.

use std::fmt;

/// The table of `nacre --help`.
#[derive(Debug, PartialEq, Eq)]
pub enum CliError {
    /// The server understood and refused, or something on this side failed.
    Failed(String),
    /// The command line or a setting is wrong.
    Usage(String),
    /// What was asked for does not exist.
    NotFound(String),
    /// No answer from the server.
    Unreachable { address: String, why: String, hint: String },
    /// A login is needed, or the one given may not do this.
    Denied(String),
    /// Somebody else changed it first.
    Conflict(String),
    /// Whoever read our output has enough. Not worth a word.
    Pipe,
    /// Ctrl-C before the command was done.
    Interrupted,
    /// Nothing to say: the command has said it, the code tells.
    Silent(u8),
}

impl CliError {
    pub const fn code(&self) -> u8 {
        match self {
            Self::Pipe => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Unreachable { .. } => 4,
            Self::Denied(_) => 5,
            Self::Conflict(_) => 6,
            Self::Interrupted => 130,
            Self::Silent(code) => *code,
        }
    }

    /// Whether trying again later may help.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::NotFound(text)
            | Self::Denied(text)
            | Self::Conflict(text) => f.write_str(text),
            Self::Unreachable { address, why, hint } => {
                write!(f, "cannot reach {address}: {why}")?;
                if hint.is_empty() { Ok(()) } else { write!(f, "\n  {hint}") }
            }
            Self::Pipe | Self::Silent(_) => Ok(()),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::Pipe } else { Self::Failed(error.to_string()) }
    }
}

pub type Outcome<T = ()> = Result<T, CliError>;
