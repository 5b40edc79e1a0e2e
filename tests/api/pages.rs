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
async fn every_problem_is_explained_for_people_and_for_programs() {
    on_every_database(async |app| {
        let json = app.get("/problems/3").anonymous().expect(200).await;
        json.snapshot("explain_problem__200");
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let page = app.get("/problems/8").anonymous().header("accept", browser).expect(200).await;
        page.snapshot("explain_problem__200_page");
        app.get("/problems/13").anonymous().problem(2).await.snapshot("explain_problem__404_problem_2");
        let unreadable = ["x", "-1", "99999999999", "", "%ff"];
        // A problem has one address.
        let misspelled = ["+3", "003", "03", "%33", "3/", "3%20"];
        for bad in unreadable.into_iter().chain(misspelled) {
            app.get(format!("/problems/{bad}")).anonymous().problem(2).await;
        }
        let unknown = app.get("/problems/3?lang=en").anonymous().problem(6).await;
        unknown.snapshot("explain_problem__400_problem_6");
        for number in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 32, 34, 38, 41, 69, 85] {
            let explained = app.get(format!("/problems/{number}")).anonymous().expect(200).await.json();
            let named = explained["example"]["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            assert_eq!((explained["number"].to_string(), named), (number.to_string(), number.to_string()));
        }
        // Every problem leads to its explanation.
        let help = app.get("/accounts").anonymous().problem(3).await.header("link").to_owned();
        assert_eq!(help, "</problems/3>; rel=\"help\"");
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
        for asset in [
            "index.css",
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "swagger-initializer.js",
            "swagger-ui-standalone-preset.js",
        ] {
            let asset = app.get(format!("/swagger-ui/{asset}")).anonymous().expect(200).await;
            assert!(!asset.body.is_empty());
        }
        let settings = app.get("/swagger-ui/swagger-initializer.js").anonymous().expect(200).await.text();
        assert!(settings.contains("\"../openapi.json\""), "{settings}");
        assert!(!settings.contains("authorize"), "no link signs anybody in");
        assert!(
            page.text().contains("<noscript>") && page.text().contains("href=\"../openapi.json\""),
            "the document without a script"
        );
        app.get("/swagger-ui/nothing.js").anonymous().problem(2).await;
        app.get("/swagger-ui/../../etc/passwd").anonymous().problem(2).await;
    })
    .await;
}
