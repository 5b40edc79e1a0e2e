use std::time::Duration;

use crate::store::{Store, StoreError, on};

/// Whatever happens to a transaction, the only writing connection is good for the next one.
#[tokio::test]
async fn a_transaction_leaves_nothing_behind() {
    let folder = tempfile::TempDir::new().unwrap();
    for url in [format!("sqlite:{}", folder.path().join("test.db").display()), String::new()] {
        let url = if url.is_empty() { crate::config::DatabaseUrl::Memory } else { url.parse().unwrap() };
        let store = Store::open(&url).await.unwrap();
        let key = async || store.read().await.unwrap().find_continue_key().await.unwrap();

        // It is dropped.
        let mut writer = store.write().await.unwrap();
        writer.offer_continue_key(b"dropped").await.unwrap();
        drop(writer);
        assert_eq!(key().await, None);

        // It is dropped in the middle of a statement, and while it begins.
        for micros in (0..2_000).step_by(100) {
            let change = async {
                let mut writer = store.write().await.unwrap();
                writer.offer_continue_key(b"cancelled").await.unwrap();
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout(Duration::from_micros(micros), change).await;
            assert_eq!(key().await, None);
        }

        // A statement of it fails: then it can't be committed.
        let mut writer = store.write().await.unwrap();
        let failed = on!(writer, c => sqlx::query("INSERT INTO instance (id) VALUES (1)").execute(c).await.map(drop));
        assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
        assert!(writer.commit().await.is_err());
        assert_eq!(key().await, None);

        let mut writer = store.write().await.unwrap();
        writer.offer_continue_key(b"kept").await.unwrap();
        writer.commit().await.unwrap();
        assert_eq!(key().await.as_deref(), Some(&b"kept"[..]));
        store.close().await;
    }
}
