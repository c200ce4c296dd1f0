//! A program without Redis says how to build one with it.

use super::server::world;

#[test]
fn without_redis_it_says_how_to_build_it() {
    let sandbox = world(60);
    for words in ["--state state --redis redis://127.0.0.1:1", "--follow redis://127.0.0.1:1"] {
        let words = format!("serve --bundle bundle --listen 127.0.0.1:0 {words}");
        let output = sandbox.run(&words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("--features redis"), "{told}");
    }
}
