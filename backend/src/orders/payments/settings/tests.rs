use super::*;

fn opened(text: &str, site: Option<&str>) -> Result<Vec<AnyProvider>, String> {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("payments.toml");
    std::fs::write(&path, text).unwrap();
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owner_only).unwrap();
    let keys = Keyring::parse(&format!("k1 {}", "p".repeat(32))).unwrap();
    open(&path, Currency::CNY, Some(Arc::new(keys)), site).map_err(|error| error.to_string())
}

const STRIPE: &str = "[stripe]\nsecret_key = \"sk_test_1\"\nwebhook_secrets = [\"whsec_1\"]\napi = \"http://127.0.0.1:1\"\n";

#[test]
fn each_mistake_is_named_with_its_cure_and_without_the_secret() {
    for (text, site, said) in [
        ("default = \"stripe\"", None, "no table [stripe]"),
        (STRIPE, None, "site_url"),
        ("[stripe]\nsecret_key = \"sk_secret\n", None, "line 2"),
        ("[stripe]\nsecret = \"sk_secret\"\n", None, "unknown field"),
        (
            "[signed]\npay_url = \"https://p\"\n",
            Some("http://s"),
            "{order}",
        ),
        (
            "[wechat]\nappid=\"a\"\nmchid=\"m\"\nserial=\"s\"\nprivate_key=\"k\"\napi_v3_key=\"short\"\n[wechat.platform_keys]\n",
            Some("http://s"),
            "has 5 bytes; it has 32",
        ),
        (
            "[alipay]\napp_id=\"a\"\nprivate_key=\"none.pem\"\nalipay_public_key=\"k\"\n",
            Some("http://s"),
            "[alipay] private_key",
        ),
        (
            "[stripe]\nsecret_key = \"sk_secret\"\nwebhook_secrets = \"sk_secret\"\n",
            None,
            "line 3: webhook_secrets is wrong; write a list",
        ),
        (
            "[wechat]\nappid = 5\ntrade = \"sk_secret\"\n",
            None,
            "line 2: appid is wrong; write a string",
        ),
        (
            "[alipay]\npage = \"sk_secret\"\n",
            None,
            "line 2: page is wrong; write ",
        ),
        (
            "[signed]\npay_url = \"ftp://u:sk_secret@h\"\n",
            None,
            "{order}",
        ),
    ] {
        let error = opened(text, site).map(|_| ()).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
        assert!(
            error.contains("payments.toml") && !error.contains("sk_secret"),
            "{error}"
        );
    }
}

#[test]
fn the_default_comes_first_and_one_without_a_page_last() {
    let names = |text: &str| -> Vec<&str> {
        let providers = opened(text, Some("http://s")).unwrap();
        providers.iter().map(|it| it.name().as_str()).collect()
    };
    assert_eq!(names(&format!("\u{feff}{STRIPE}")), ["stripe", "signed"]);
    assert_eq!(names(""), ["signed"]);
    assert_eq!(names(STRIPE), ["stripe", "signed"]);
    let both = format!("{STRIPE}[signed]\npay_url = \"https://p/{{order}}\"\n");
    assert_eq!(names(&both), ["signed", "stripe"]);
    assert_eq!(
        names(&format!("default = \"stripe\"\n{both}")),
        ["stripe", "signed"]
    );
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("payments.toml");
    std::fs::write(&path, STRIPE).unwrap();
    for mode in [0o644, 0o604, 0o602] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&path, Currency::CNY, None, None)
            .unwrap_err()
            .to_string();
        let cure = format!("chmod o= {}", path.display());
        assert!(error.contains(&cure), "{mode:o}: {error}");
    }
    // As Kubernetes mounts a secret: root's, read by the pod's group.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let site = Some("https://shop.example.com");
    assert!(open(&path, Currency::CNY, None, site).is_ok());
}
