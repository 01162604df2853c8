//! What an e-mail says, in both languages: plain text, the fact first, then what
//! the buyer can do.

use super::{Kind, Lang};
use crate::orders::money::Money;
use crate::orders::purchase::Reason;

/// What an e-mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The order's number.
    pub order: &'a str,
    /// What was bought.
    pub title: &'a str,
    /// How many items were bought.
    pub quantity: u32,
    /// What it costs in all, or what is refunded.
    pub amount: Money,
    /// Until when to pay, as the shop's clock shows it.
    pub pay_by: &'a str,
    /// Why it was cancelled or failed.
    pub reason: Option<Reason>,
}

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// Writes the e-mail of this kind.
#[must_use]
pub fn email(kind: Kind, lang: Lang, facts: &Facts<'_>) -> Email {
    let Facts {
        order,
        title,
        quantity,
        pay_by,
        reason,
        ..
    } = *facts;
    // A line break in a title must not begin another header or paragraph.
    let title: String = title
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let amount = facts.amount.shown();
    let (subject, text) = match lang {
        Lang::Zh => match kind {
            Kind::Ordered => (
                format!("抢到了：{title}"),
                format!("订单已生成，请在 {pay_by} 之前付款。逾期未付的订单会自动取消，商品退回。"),
            ),
            Kind::Paid => (format!("已付款：{title}"), "我们已收到付款，订单已完成。".to_owned()),
            Kind::Cancelled if reason == Some(Reason::Unpaid) => (
                format!("订单已取消：{title}"),
                "订单没有按时付款，已自动取消，商品已退回。若仍在售，您可以重新抢购。".to_owned(),
            ),
            Kind::Cancelled if reason.is_some_and(Reason::cancels_paid) => (
                format!("订单已取消：{title}"),
                "商家取消了该订单，很抱歉。若您已付款，款项会退还给您，您不必做任何事。".to_owned(),
            ),
            Kind::Cancelled => (
                format!("订单已取消：{title}"),
                "订单已按您的要求取消，商品已退回。若仍在售，您可以重新抢购。".to_owned(),
            ),
            Kind::Failed => (
                format!("没有抢到：{title}"),
                "您的抢购没有生成订单，也没有扣款。若仍在售，您可以再试一次。".to_owned(),
            ),
            Kind::RefundDue if reason.is_some_and(Reason::cancels_paid) => (
                format!("将退款 {amount}：{title}"),
                format!("商家取消了您已付款的订单，{amount} 会退还给您，您不必做任何事。"),
            ),
            Kind::RefundDue => (
                format!("将退款 {amount}：{title}"),
                format!("我们收到了一笔 {amount} 的付款，但该订单无需再付。这笔钱会退还给您，您不必做任何事。"),
            ),
        },
        Lang::En => match kind {
            Kind::Ordered => (
                format!("It is yours: {title}"),
                format!("Your order is placed. Please pay before {pay_by}. An order that is not paid by then is cancelled and its item goes back on sale."),
            ),
            Kind::Paid => (format!("Paid: {title}"), "Your payment has arrived and the order is complete.".to_owned()),
            Kind::Cancelled if reason == Some(Reason::Unpaid) => (
                format!("Order cancelled: {title}"),
                "The order was not paid in time, so it was cancelled and its item is back on sale. While it lasts you may buy again.".to_owned(),
            ),
            Kind::Cancelled if reason.is_some_and(Reason::cancels_paid) => (
                format!("Order cancelled: {title}"),
                "The shop has cancelled this order, and is sorry. Whatever you paid for it will be returned to you; there is nothing you have to do.".to_owned(),
            ),
            Kind::Cancelled => (
                format!("Order cancelled: {title}"),
                "The order was cancelled as you asked, and its item is back on sale. While it lasts you may buy again.".to_owned(),
            ),
            Kind::Failed => (
                format!("Not this time: {title}"),
                "No order was made of your purchase and nothing was charged. If it is still on sale, you may try again.".to_owned(),
            ),
            Kind::RefundDue if reason.is_some_and(Reason::cancels_paid) => (
                format!("{amount} will be returned: {title}"),
                format!("The shop has cancelled the order that you had paid. {amount} will be returned to you; there is nothing you have to do."),
            ),
            Kind::RefundDue => (
                format!("{amount} will be returned: {title}"),
                format!("A payment of {amount} reached us for an order that needed none. It will be returned to you; there is nothing you have to do."),
            ),
        },
    };
    let facts = match (lang, kind) {
        // A failed purchase has no number that its buyer could know.
        (Lang::Zh, Kind::Failed) => format!("商品：{title} × {quantity}"),
        (Lang::En, Kind::Failed) => format!("Item: {title} × {quantity}"),
        (Lang::Zh, _) => format!("订单号：{order}\n商品：{title} × {quantity}\n金额：{amount}"),
        (Lang::En, _) => format!("Order: {order}\nItem: {title} × {quantity}\nAmount: {amount}"),
    };
    Email {
        subject,
        body: format!("{text}\n\n{facts}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::money::Currency;

    const FACTS: Facts<'_> = Facts {
        order: "730",
        title: "折叠屏手机",
        quantity: 2,
        amount: Money::new(199_805, Currency::CNY),
        pay_by: "12:10",
        reason: Some(Reason::Unpaid),
    };

    #[test]
    fn an_email_says_what_happened_how_much_and_until_when() {
        let zh = email(Kind::Ordered, Lang::Zh, &FACTS);
        assert_eq!(zh.subject, "抢到了：折叠屏手机");
        for part in ["12:10", "730", "× 2", "¥1998.05"] {
            assert!(zh.body.contains(part), "{part} in {}", zh.body);
        }
        let en = email(Kind::Cancelled, Lang::En, &FACTS);
        assert!(en.body.contains("not paid in time"), "{}", en.body);
        assert!(en.body.contains("you may buy again"), "{}", en.body);
    }

    #[test]
    fn a_title_cannot_break_out_of_its_line() {
        let facts = Facts {
            title: "a\r\nBcc: everybody@example.com",
            ..FACTS
        };
        let email = email(Kind::Paid, Lang::En, &facts);
        assert!(!email.subject.contains(['\r', '\n']), "{}", email.subject);
    }

    #[test]
    fn a_failed_purchase_has_no_number() {
        let email = email(Kind::Failed, Lang::En, &FACTS);
        assert!(!email.body.contains("730"), "{}", email.body);
        assert!(email.body.contains("nothing was charged"));
    }
}
