//! Labels: the name-value pairs that clients attach to a resource (spec/contract/CONTRACT.md §6).

use serde::{Deserialize, Serialize};

use super::{Refused, name::is_control};

const LONGEST_NAME: usize = 127;
const LONGEST_VALUE: usize = 1_023;

/// One name-value pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// 1 to 127 characters, none a control character.
    pub name: String,
    /// Up to 1,023 characters, none a control character.
    pub value: String,
}

/// At most 64 labels, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// The maximum number of labels of a resource.
    pub const MOST: usize = 64;

    /// Checks the rules that the JSON schema doesn't express.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(labels: Vec<Label>) -> Result<Self, Refused> {
        if labels.len() > Self::MOST {
            return Err(Refused::because(format!("must not hold more than {} labels", Self::MOST)));
        }
        for label in &labels {
            if label.name.is_empty() || label.name.chars().count() > LONGEST_NAME {
                return Err(Refused::because(format!(
                    "must give every label a name of 1 to {LONGEST_NAME} characters"
                )));
            }
            if label.value.chars().count() > LONGEST_VALUE {
                return Err(Refused::because(format!(
                    "must not give a label a value of more than {LONGEST_VALUE} characters"
                )));
            }
            if label.name.chars().chain(label.value.chars()).any(is_control) {
                return Err(Refused::because("must not hold control characters"));
            }
        }
        Ok(Self(labels))
    }

    /// The labels, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Label] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Result<Labels, Refused> {
        Labels::parse(
            pairs.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() }).collect(),
        )
    }

    #[test]
    fn limits_count_characters_and_not_bytes() {
        assert!(labels(&[(&"é".repeat(127), &"é".repeat(1_023))]).is_ok());
        assert!(labels(&[(&"é".repeat(128), "")]).is_err());
        assert!(labels(&[("x", &"é".repeat(1_024))]).is_err());
        assert!(labels(&[("", "x")]).is_err());
        assert!(labels(&[("x", "\u{85}")]).is_err());
        assert!(labels(&[("x\n", "")]).is_err());
        assert!(labels(&[("x", ""); 64]).is_ok());
        assert!(labels(&[("x", ""); 65]).is_err());
    }
}
