//! The declaration, read and read again.

use std::path::{Path, PathBuf};

use crate::api::Failure;
use crate::config::{self, Config, Diagnostics};
use crate::reconcile::read_declaration;

/// Where the declaration is.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
}

/// Why there is no declaration.
#[derive(Debug)]
pub enum Bad {
    Unread(std::io::Error),
    Wrong(Box<Diagnostics>),
}

impl Source {
    /// `path` stays right when the working directory changes.
    pub fn new(path: &Path) -> Self {
        Self { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads and checks the declaration as it is now.
    pub fn read(&self) -> Result<Config, Bad> {
        let bytes = read_declaration(&self.path).map_err(Bad::Unread)?;
        config::parse_bytes(&bytes, &self.name()).map_err(|problems| Bad::Wrong(Box::new(problems)))
    }

    /// Why a declaration was not taken over, for who asked for it.
    pub fn refusal(&self, bad: &Bad) -> Failure {
        match bad {
            Bad::Unread(error) => Failure::Declaration {
                sentence: format!("cannot read {}: {error}; nothing was changed", self.name()),
                problems: Vec::new(),
                text: None,
            },
            Bad::Wrong(problems) => Failure::Declaration {
                sentence: format!("{} is wrong; nothing was changed", self.name()),
                problems: serde_json::to_value(problems.as_ref())
                    .ok()
                    .and_then(|list| list.as_array().cloned())
                    .unwrap_or_default(),
                text: Some(problems.render(false).to_string()),
            },
        }
    }
}
