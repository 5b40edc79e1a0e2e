//! Sample data for the examples in the OpenAPI document and for the demonstration, so that the examples work on the
//! demonstration: one account, its owner Grace with a role binding and a token, and a colleague without a role.

use super::clock::Timestamp;

/// The account's id. Its name is `main`.
pub const ACCOUNT: &str = "6ba7b810-9dad-4d11-80b4-00c04fd430c8";
/// The id of the account's owner.
pub const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
/// The id of the role binding that makes that user the owner.
pub const ROLE_BINDING: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";
/// The id of the owner's token.
pub const TOKEN: &str = "9b2d1f5e-3c64-4c1b-a8f0-5d7e9c0b4a21";
/// The id of a user without a role.
pub const COLLEAGUE: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
/// The id of the event that records the token's creation.
pub const EVENT: &str = "2c5ea4c0-4067-41e9-8bad-9b1deb4d3b7d";
/// The correlation ID of the request that created the sample data.
pub const CORRELATION: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
/// When the sample data were created: 2026-01-15T09:30:00Z.
pub const CREATED: Timestamp = Timestamp::from_micros(1_768_469_400_000_000);
/// The label that every sample resource has: its name and value.
pub const LABEL: (&str, &str) = ("team", "storage");
/// The account's name.
pub const ACCOUNT_NAME: &str = "main";
/// The owner's email, first name and last name.
pub const OWNER: [&str; 3] = ["grace@example.com", "Grace", "Hopper"];
/// The colleague's email, first name and last name.
pub const OTHER: [&str; 3] = ["alan@example.com", "Alan", "Turing"];
/// The token's name.
pub const TOKEN_NAME: &str = "CI/CD (main) #4";
