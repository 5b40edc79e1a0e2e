//! Names, free text and email addresses, with the rules that validate them (spec/contract/CONTRACT.md §6).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Refused;

const LONGEST: usize = 63;
const LONGEST_EMAIL: usize = 254;

/// True for control characters (Unicode's category Cc), which no text may contain.
#[must_use]
pub fn is_control(c: char) -> bool {
    c.is_control()
}

/// True for characters that reorder the text around them (Unicode's `Bidi_Control`): with them, one name can look like
/// another.
fn is_bidi_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A text from the store, which was checked before it was stored.
            #[must_use]
            pub fn stored(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts!(
    /// The name of a token or an account: 1 to 63 characters of printable ASCII, without those that cross-site
    /// scripting, directory traversal or SQL injection need.
    ResourceName,
    /// Free text of any script, such as names of people, companies and streets: up to 63 characters (`authID`: 254).
    FreeText,
    /// An email address, spelled as it was given.
    Email,
);

impl ResourceName {
    /// Checks the rules.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        const FORBIDDEN: &str = "<>\"';\\`";
        if text.is_empty() || text.len() > LONGEST {
            return Err(Refused::because(format!("must have 1 to {LONGEST} characters")));
        }
        if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return Err(Refused::because("must hold printable ASCII characters only"));
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(Refused::because("must not begin or end with a space"));
        }
        if text.contains(|c| FORBIDDEN.contains(c)) {
            return Err(Refused::because(format!("must not hold any of {FORBIDDEN}")));
        }
        if ["..", "--", "/*"].iter().any(|sequence| text.contains(sequence)) {
            return Err(Refused::because("must not hold .. or -- or /*"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FreeText {
    /// Checks the rules. An empty text is allowed: it is the default for first and last names.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.chars().count() > LONGEST {
            return Err(Refused::because(format!("must not have more than {LONGEST} characters")));
        }
        if text.contains(|c| is_control(c) || is_bidi_format(c) || c == '<' || c == '>') {
            return Err(Refused::because("must not hold < or > or control or text-direction characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FreeText {
    /// Checks the rules for a user's id at its identity provider (`authID`), which may be as long as an email address.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse_auth_id(text: &str) -> Result<Self, Refused> {
        if text.is_empty()
            || text.chars().count() > LONGEST_EMAIL
            || text.contains(|c| is_control(c) || is_bidi_format(c))
        {
            let rule = format!(
                "must have 1 to {LONGEST_EMAIL} characters, none of them a control or text-direction character"
            );
            return Err(Refused::because(rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Email {
    /// Checks the rules.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if !(3..=LONGEST_EMAIL).contains(&text.chars().count()) {
            return Err(Refused::because(format!("must have 3 to {LONGEST_EMAIL} characters")));
        }
        if text.contains(|c: char| c.is_whitespace() || is_control(c)) {
            return Err(Refused::because("must not hold spaces or control characters"));
        }
        match text.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Refused::because("must hold one @ with something on both sides")),
        }
    }

    /// The address in lower case, which must be unique within an account.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names() {
        for good in ["x", "CI/CD (main) #4", "100% ok_now: a+b=c", "jdoe@example.com", &"y".repeat(63)] {
            assert!(ResourceName::parse(good).is_ok(), "{good}");
        }
        let long = "y".repeat(64);
        for bad in [
            "",
            &long,
            " x",
            "x ",
            "a<b",
            "a>b",
            "a\"b",
            "a'b",
            "a;b",
            "a\\b",
            "a`b",
            "a..b",
            "a--b",
            "a/*b",
            "tab\t",
            "nul\0",
            "\u{7f}",
            "é",
            "snow\u{2603}man",
        ] {
            assert!(ResourceName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn people_are_called_what_they_are_called() {
        for good in ["", "O'Brien", "Łukasz", "李小龍", "Jean-Luc", &"é".repeat(63)] {
            assert!(FreeText::parse(good).is_ok(), "{good}");
        }
        for bad in ["<b>", "a\u{202e}b", "a\u{200f}", "line\nbreak", &"é".repeat(64)] {
            assert!(FreeText::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn emails() {
        for good in ["a@b", "ada@example.com", "Łukasz@пример.example"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a@", "@b", "ab", "a@b@c", "a b@c", "a@b\0", "a@\u{a0}b"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Email::parse("Grace@Example.com").unwrap().key(), "grace@example.com");
    }
}
