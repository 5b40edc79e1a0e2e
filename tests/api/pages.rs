//! What people open in a browser.

use crate::app::{DOCUMENT, DOCUMENT_3_0, on_every_database};

#[tokio::test]
async fn the_document_is_served_in_both_notations_and_versions() {
    on_every_database(async |app| {
        let json = app.get("/openapi.json").anonymous().expect(200).await;
        assert_eq!((json.json(), json.header("content-type")), (DOCUMENT.clone(), "application/json"));
        let yaml = app.get("/openapi.yaml").anonymous().expect(200).await;
        assert!(yaml.text().starts_with("openapi: 3.1.0\n"), "{}", &yaml.text()[..40]);
        let older = app.get("/openapi-3.0.json").anonymous().expect(200).await;
        assert_eq!((older.text(), older.header("content-type")), (DOCUMENT_3_0.clone(), "application/json"));
    })
    .await;
}

#[tokio::test]
async fn swagger_ui_comes_from_the_binary_alone() {
    on_every_database(async |app| {
        for from in ["/", "/swagger-ui"] {
            assert_eq!(app.get(from).anonymous().expect(302).await.header("location"), "swagger-ui/");
        }
        let page = app.get("/swagger-ui/").anonymous().expect(200).await;
        assert!(page.header("content-security-policy").starts_with("default-src 'self';"));
        for asset in ["index.css", "swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js", "swagger-ui-standalone-preset.js"] {
            let asset = app.get(format!("/swagger-ui/{asset}")).anonymous().expect(200).await;
            assert!(!asset.body.is_empty());
        }
        let settings = app.get("/swagger-ui/swagger-initializer.js").anonymous().expect(200).await.text();
        assert!(settings.contains("\"../openapi.json\""), "{settings}");
        app.get("/swagger-ui/nothing.js").anonymous().problem(2).await;
        app.get("/swagger-ui/../../etc/passwd").anonymous().problem(2).await;
    })
    .await;
}
