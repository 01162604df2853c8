//! The mistakes found so far, and the rules for single fields.

use seckill_core::orders::money::Currency;
use seckill_core::sale::label::{self, Unfit};

use super::{Figure, LATEST_MS, ProductForm, money};
use crate::console::error::FieldMistake;
use crate::sale::limits::{
    MAX_ALT, MAX_NAME, MAX_PRICE_CENTS, MAX_SEGMENTS, MAX_TEXT, picture_count,
};

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(pub(super) Vec<FieldMistake>);

impl Mistakes {
    pub(super) fn add(
        &mut self,
        field: &str,
        code: &'static str,
        values: &[&str],
        message: String,
    ) {
        self.0.push(FieldMistake {
            field: field.to_owned(),
            code,
            message: format!("{message}."),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            place: None,
        });
    }

    /// A name for people, on one line.
    pub(super) fn label(&mut self, field: &str, text: &str) {
        let count = text.chars().count();
        if text.trim().is_empty() || label::check_label(text) == Err(Unfit::Empty) {
            let message = format!("This is empty; write 1 to {MAX_NAME} characters");
            self.add(field, "empty", &[&MAX_NAME.to_string()], message);
        } else if count > MAX_NAME {
            let values = [count.to_string(), MAX_NAME.to_string()];
            let message = format!("This has {count} characters; write at most {MAX_NAME}");
            self.add(field, "too_long", &[&values[0], &values[1]], message);
        } else if let Err(unfit) = label::check_label(text) {
            self.unfit(field, unfit);
        }
    }

    pub(super) fn text(&mut self, field: &str, text: &str) {
        let count = text.chars().count();
        if count > MAX_TEXT {
            let values = [count.to_string(), MAX_TEXT.to_string()];
            let message = format!("This has {count} characters; write at most {MAX_TEXT}");
            self.add(field, "too_long", &[&values[0], &values[1]], message);
        } else if let Err(unfit) = label::check_text(text) {
            self.unfit(field, unfit);
        }
    }

    /// The alternative texts of a product's pictures: trimmed, and without empty ones at
    /// the end.
    pub(super) fn alts(&mut self, field: &str, form: &ProductForm) -> Vec<String> {
        let trimmed = form.picture_alt.iter().map(|alt| alt.trim().to_owned());
        let mut alts: Vec<String> = trimmed.collect();
        while alts.last().is_some_and(String::is_empty) {
            alts.pop();
        }
        let pictures = picture_count(&form.picture);
        if alts.len() > pictures {
            let values = [alts.len().to_string(), pictures.to_string()];
            let message = format!(
                "These are {} texts, and the product has {pictures} pictures; write at most one \
                 for each picture",
                values[0]
            );
            self.add(field, "alts_count", &[&values[0], &values[1]], message);
        }
        for (at, alt) in alts.iter().enumerate().filter(|(_, alt)| !alt.is_empty()) {
            let field = &format!("{field}.{at}");
            let count = alt.chars().count();
            if count > MAX_ALT {
                let values = [count.to_string(), MAX_ALT.to_string()];
                let message = format!("This has {count} characters; write at most {MAX_ALT}");
                self.add(field, "too_long", &[&values[0], &values[1]], message);
            } else if let Err(unfit) = label::check_label(alt) {
                self.unfit(field, unfit);
            }
        }
        alts
    }

    /// A character that text from people may not contain.
    fn unfit(&mut self, field: &str, unfit: Unfit) {
        let character = unfit.character();
        let (code, message) = match unfit {
            Unfit::Invisible(_) => (
                "invisible",
                format!("This contains an invisible character, {character}; write it anew"),
            ),
            Unfit::Direction(_) => (
                "direction",
                format!(
                    "This contains {character}, which changes the direction of the text around \
                     it; write it anew, right-to-left titles need no such character"
                ),
            ),
            Unfit::Garbled(_) => (
                "garbled",
                format!(
                    "This contains {character}, which stands for a character that could not be \
                     read; write it anew"
                ),
            ),
            Unfit::Control(_) | Unfit::Empty => (
                "control",
                format!(
                    "This contains a line break or control character, {character}; write one line \
                     without it"
                ),
            ),
        };
        self.add(field, code, &[&character], message);
    }

    pub(super) fn number(
        &mut self,
        field: &str,
        figure: &Figure,
        (least, most): (u64, u64),
    ) -> Option<u64> {
        let value = match figure {
            Figure::Whole(number) => {
                let fits = u64::try_from(*number)
                    .ok()
                    .filter(|n| (least..=most).contains(n));
                if fits.is_some() {
                    return fits;
                }
                number.to_string()
            }
            Figure::Other(serde_json::Value::Null) => {
                let values = [least.to_string(), most.to_string()];
                let message = format!("This is empty; write a whole number from {least} to {most}");
                self.add(field, "no_number", &[&values[0], &values[1]], message);
                return None;
            }
            Figure::Other(other) => other
                .as_str()
                .map_or_else(|| other.to_string(), str::to_owned),
        };
        let values = [value.clone(), least.to_string(), most.to_string()];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let message =
            format!("{value} is not allowed; write a whole number from {least} to {most}");
        self.add(field, "number_range", &values, message);
        None
    }

    pub(super) fn price(
        &mut self,
        field: &str,
        figure: &Figure,
        currency: Currency,
    ) -> Option<u64> {
        let money = |minor| money(minor, currency);
        let value = match figure {
            Figure::Whole(number) => {
                let fits = u64::try_from(*number)
                    .ok()
                    .filter(|n| *n <= MAX_PRICE_CENTS);
                if fits.is_some() {
                    return fits;
                }
                match u64::try_from(*number) {
                    Ok(cents) => money(cents),
                    Err(_) => format!("-{}", money(number.unsigned_abs())),
                }
            }
            Figure::Other(serde_json::Value::Null) => {
                let one = money(99_900);
                let message = format!("This is empty; write a price such as {one}");
                self.add(field, "no_price", &[&one], message);
                return None;
            }
            Figure::Other(other) => other
                .as_str()
                .map_or_else(|| other.to_string(), str::to_owned),
        };
        let most = money(MAX_PRICE_CENTS);
        let least = money(0);
        let message = format!("{value} cannot be a price; write one from {least} to {most}");
        self.add(field, "price_range", &[&value, &most, &least], message);
        None
    }

    pub(super) fn time(&mut self, field: &str, figure: &Figure) -> Option<u64> {
        if let Figure::Whole(ms) = figure
            && let Ok(ms) = u64::try_from(*ms)
            && ms <= LATEST_MS
        {
            return Some(ms);
        }
        match figure {
            Figure::Other(serde_json::Value::Null) => {
                let message = "This is empty; choose a day and a time".to_owned();
                self.add(field, "no_time", &[], message);
            }
            _ => {
                let message = "This is no time before the year 2100; choose a day and a time";
                self.add(field, "time_form", &[], message.to_owned());
            }
        }
        None
    }

    pub(super) fn segments(&mut self, field: &str, segments: &[u64], amount: Option<u64>) {
        let sum = segments
            .iter()
            .try_fold(0_u64, |sum, it| sum.checked_add(*it));
        let Some(amount) = amount.filter(|_| !segments.is_empty()) else {
            return;
        };
        if sum != Some(amount) || segments.len() > MAX_SEGMENTS {
            let values = [
                sum.map_or_else(|| "–".to_owned(), |sum| sum.to_string()),
                amount.to_string(),
            ];
            self.add(
                field,
                "segments_sum",
                &[&values[0], &values[1]],
                format!(
                    "These add up to {}, and the amount is {amount}; make them equal, at most \
                 {MAX_SEGMENTS} of them, or leave them out",
                    values[0]
                ),
            );
        }
    }
}
