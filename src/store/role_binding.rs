//! Role bindings.

use super::{StoreError, Writer, on};
use crate::domain::role_binding::RoleBinding;

impl Writer {
    /// Keeps a new binding.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the user has one in the account already; or when the store fails.
    pub async fn insert_role_binding(&mut self, binding: &RoleBinding) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO role_bindings (id, account_id, user_id, role, role_constraints, labels, created_at, modified_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let m = &binding.metadata;
        on!(self, c => sqlx::query(INSERT).bind(binding.id).bind(binding.account_id).bind(binding.user_id).bind(binding.role)
            .bind(&binding.role_constraints).bind(&m.labels).bind(m.created_at).bind(m.modified_at).bind(m.created_by)
            .execute(c).await.map(drop))?;
        Ok(())
    }
}
