//! What is checked of the money: the provider's books against the shop's.

use super::system::{System, until};

/// How much is returned of the payment that is returned in part, in minor units.
const PART: &str = "40";

/// The provider hangs; a part of a payment is to be returned meanwhile.
pub(super) fn strike(system: &mut System) -> anyhow::Result<()> {
    let Some(provider) = &mut system.provider else {
        return Ok(());
    };
    let payment = provider.some_payment();
    provider.hang();
    if let Some(id) = payment {
        let mut refund = system.seckill();
        refund.args(["payments", "refund", &id, "--amount", PART]);
        system.owed = Some((id, refund.spawn()?));
    }
    Ok(())
}

/// The provider is there again; the part is returned now, if it was not.
pub(super) async fn mend(system: &mut System) -> anyhow::Result<()> {
    if let Some(provider) = &mut system.provider {
        provider.come_back().await?;
    }
    if let Some((id, refund)) = &mut system.owed {
        let (id, first) = (id.clone(), refund.wait().await?.success());
        if !first {
            let mut again = system.seckill();
            again.args(["payments", "refund", &id, "--amount", PART]);
            let done = again.output().await?;
            anyhow::ensure!(
                done.status.success(),
                "the provider is back, and \"seckill payments refund {id}\" fails: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
    Ok(())
}

/// Waits until the shop has confirmed every notice, then compares the books; returns
/// what differs.
pub(super) async fn compare(system: &System) -> anyhow::Result<Vec<String>> {
    let Some(provider) = &system.provider else {
        return Ok(Vec::new());
    };
    until("the shop has confirmed every payment", || async {
        provider.is_quiet()
    })
    .await?;
    let mut differences = Vec::new();
    if provider.payments() == 0 {
        differences.push("nobody paid at the provider".to_owned());
    }
    if let Some((id, _)) = &system.owed {
        let returned = provider.refunded_cents(id);
        if returned.to_string() != PART {
            let what = format!("{returned} of {id} were returned, not {PART}");
            differences.push(what);
        }
    }
    let today = jiff::Zoned::now().date();
    let mut reconcile = system.seckill();
    let since = today.yesterday()?.to_string();
    reconcile.args(["payments", "reconcile", "--dry-run", "--from", &since]);
    reconcile.args(["--to", &today.to_string()]);
    let compared = reconcile.output().await?;
    if !compared.status.success() {
        let said = [&compared.stdout[..], &compared.stderr[..]].concat();
        differences.push(String::from_utf8_lossy(&said).into_owned());
    }
    Ok(differences)
}
