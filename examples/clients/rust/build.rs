//! Makes the client of spec/openapi-3.0.json.

use std::{env, error::Error, fs, path::Path};

use progenitor::{GenerationSettings, Generator, InterfaceStyle};

const DOCUMENT: &str = "../../../spec/openapi-3.0.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    // progenitor has types for bodies that are application/json; problems are JSON by another name.
    let document = fs::read_to_string(DOCUMENT)?.replace("application/problem+json", "application/json");
    let tokens = Generator::new(GenerationSettings::default().with_interface(InterfaceStyle::Builder))
        .generate_tokens(&serde_json::from_str(&document)?)?;
    let code = prettyplease::unparse(&syn::parse2(tokens)?);
    fs::write(Path::new(&env::var("OUT_DIR")?).join("tokenward.rs"), code)?;
    Ok(())
}
