//! `seckill sale import --approve`, as it says what it did.

use crate::common::program;

use super::*;

const TWO: &str = "[[round]]\nid = \"a\"\nname = \"Noon\"\nstarts = \"+1h\"\nends = \"+1h\"\n\
                   [[round.product]]\nid = \"1\"\ntitle = \"Phone\"\namount = 10\n\
                   price_cents = 1\n\
                   [[round]]\nid = \"b\"\nname = \"Evening\"\nstarts = \"+9h\"\nends = \"+1h\"\n\
                   [[round.product]]\nid = \"2\"\ntitle = \"Case\"\namount = 10\n\
                   price_cents = 1\n";

#[tokio::test(flavor = "multi_thread")]
async fn of_the_rounds_of_a_file_the_one_that_is_not_approved_is_named() {
    let shop = Shop::open().await;
    let path = shop.folder.path().join("sale.toml");
    let import = async |text: &str| {
        std::fs::write(&path, text).unwrap();
        let output = program()
            .args(["sale", "import", "--approve"])
            .arg(&path)
            .env("SECKILL_DATA", shop.folder.path())
            .env("SECKILL_REDIS_URL", shop.server.url())
            .env("SECKILL_DATABASE_URL", &shop.database_url)
            .output()
            .unwrap();
        assert!(!output.status.success());
        [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap())
    };
    // The only edge has room for one product.
    let mut conn = shop.redis.conn().await.unwrap();
    let (edge, far_ms) = ("edge-a.beef.1.web7", 4_000_000_000_000_u64);
    let () = conn.zadd(keys::EDGES, edge, far_ms).await.unwrap();
    let [said, complaint] = import(TWO).await;
    assert!(said.contains("Round a: approved and on sale."), "{said}");
    let named = "seckill: round \"b\" was not approved: the zone of edge edge-a.beef on web7";
    assert!(complaint.contains(named), "{complaint}");
    assert!(!complaint.contains("othing was"), "{complaint}");

    // A file that changes what is approved is not imported: that is said once.
    let changed = TWO.replace("\"Noon\"", "\"Noon sale\"");
    let [said, complaint] = import(&changed).await;
    assert_eq!(said, "");
    let once = "seckill: nothing was imported: round \"a\" is approved, and no file changes it \
                (its name is Noon, the file says Noon sale); give the new round another id";
    assert!(complaint.contains(once), "{complaint}");
    assert_eq!(complaint.matches("imported").count(), 1, "{complaint}");
}
