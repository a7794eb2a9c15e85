//! How the sign-in pages of a project look.
//!
//! Colours are refused that people could not read: WCAG 2.1, 1.4.3 and 1.4.11
//! (<https://www.w3.org/TR/WCAG21/#contrast-minimum>).

use base64ct::{Base64, Encoding};
use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;
use crate::Error;

const LOGO_BYTES_MAX: usize = 32 << 10;
/// What text needs to what is behind it.
const TEXT_CONTRAST: f64 = 4.5;
/// What parts that one acts on need to what is beside them.
const PART_CONTRAST: f64 = 3.0;

/// The look of a project. It has one such record at most; what is not set looks as always.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Theme {
    /// What stands above each page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The colours, all or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colours: Option<Colours>,
    /// A small picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<Logo>,
}
salus_phi::guard!(Theme);

/// Colours, each as `#rrggbb`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colours {
    /// Behind everything.
    pub background: String,
    /// Of text.
    pub text: String,
    /// Of buttons.
    pub accent: String,
}
salus_phi::guard!(Colours);

/// A picture.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logo {
    /// `image/png` or `image/jpeg`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Its bytes in base64.
    pub data: String,
}
salus_phi::guard!(Logo);

impl SystemRecord for Theme {
    const NAME: &'static str = "salus:Theme";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Theme {
    /// Checks that pages of this look can be shown, and read.
    ///
    /// # Errors
    /// Which part is wrong, and what it has to be.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what, form| Err(Error::Name { what, form });
        if let Some(name) = &self.name {
            super::project::check_name(name)?;
        }
        if let Some(colours) = &self.colours {
            let of = |text: &str| luminance(text);
            let all = (
                of(&colours.background),
                of(&colours.text),
                of(&colours.accent),
            );
            let (Some(background), Some(text), Some(accent)) = all else {
                return refuse("colour", "#rrggbb, each of background, text and accent");
            };
            if contrast(background, text) < TEXT_CONTRAST {
                return refuse("text colour", "of a contrast of 4.5 to the background");
            }
            if contrast(background, accent) < PART_CONTRAST {
                return refuse("accent colour", "of a contrast of 3 to the background");
            }
        }
        if self.logo.is_some() && self.logo_bytes().is_none() {
            return refuse(
                "logo",
                "a PNG or JPEG of 32 KiB at most, in base64, of the type image/png or image/jpeg",
            );
        }
        Ok(())
    }

    /// The logo's type and bytes, if it is what it says that it is.
    #[must_use]
    pub fn logo_bytes(&self) -> Option<(&'static str, Vec<u8>)> {
        const TYPES: [(&str, &[u8]); 2] = [
            ("image/png", b"\x89PNG\r\n\x1a\n"),
            ("image/jpeg", b"\xff\xd8\xff"),
        ];
        let logo = self.logo.as_ref()?;
        if logo.data.len() > LOGO_BYTES_MAX * 4 / 3 + 4 {
            return None;
        }
        let bytes = Base64::decode_vec(&logo.data).ok()?;
        let known = TYPES.iter().find(|(ty, _)| *ty == logo.media_type);
        let (ty, _) = known.filter(|(_, magic)| bytes.starts_with(magic))?;
        (bytes.len() <= LOGO_BYTES_MAX).then_some((*ty, bytes))
    }

    /// The colours as rules of a sheet of style, after those that hold without them.
    #[must_use]
    pub fn sheet(&self) -> String {
        let Some(colours) = &self.colours else {
            return String::new();
        };
        let Colours {
            background,
            text,
            accent,
        } = colours;
        let lum = |text: &str| luminance(text).unwrap_or_default();
        let on =
            |under: &str, dark: &'static str, light: &'static str| match contrast(lum(under), 0.0)
                > contrast(lum(under), 1.0)
            {
                true => dark,
                false => light,
            };
        let on_accent = on(accent, "#000", "#fff");
        let error = on(background, "#8b0000", "#ffb0b0");
        // On what is neither dark nor light there is no red that can be read.
        let error = read(error, background).unwrap_or(text);
        let scheme = on(background, "light", "dark");
        // A colour that is good for buttons can be too faint for words.
        let link = read(accent, background).unwrap_or(text);
        // Quiet text gets no colour of its own, which nobody has checked; lines between parts are ornament.
        format!(
            ":root {{ color-scheme: {scheme}; --background: {background}; --surface: {background}; \
             --text: {text}; --quiet: {text}; --border: {text}; --line: color-mix(in srgb, {text} 25%, {background}); --accent: {accent}; \
             --on-accent: {on_accent}; --link: {link}; --error: {error}; --error-behind: {background}; }}\n"
        )
    }
}

/// The colour, if it can be read on this background.
fn read<'a>(colour: &'a str, background: &str) -> Option<&'a str> {
    let (a, b) = (luminance(colour)?, luminance(background)?);
    (contrast(a, b) >= TEXT_CONTRAST).then_some(colour)
}

/// How bright a colour is (WCAG 2.1, relative luminance).
fn luminance(colour: &str) -> Option<f64> {
    let digits = colour.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(digits, 16).ok()?;
    let part = |shift: u32| {
        let part = f64::from(number >> shift & 0xff) / 255.0;
        match part <= 0.03928 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        }
    };
    Some(0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0))
}

fn contrast(a: f64, b: f64) -> f64 {
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(background: &str, text: &str, accent: &str, good: bool) {
        let [background, text, accent] = [background, text, accent].map(str::to_owned);
        let theme = Theme {
            colours: Some(Colours {
                background,
                text,
                accent,
            }),
            ..Theme::default()
        };
        assert_eq!(theme.check().is_ok(), good, "{theme:?}");
    }

    #[test]
    fn colours_can_be_read() {
        check("#ffffff", "#767676", "#0b5cad", true);
        check("#ffffff", "#777777", "#0b5cad", false);
        check("#ffffff", "#000000", "#cccccc", false);
        check("#000000", "#FFFFFF", "#999999", true);
        check("red", "#000000", "#0b5cad", false);
        check("#fff", "#000000", "#0b5cad", false);
        check("#ffffff}", "#000000", "#0b5cad", false);
        check("#+fffff", "#000000", "#0b5cad", false);
    }

    #[test]
    fn links_and_errors_can_be_read_on_any_background() {
        let sheet = |background: &str, accent: &str| {
            let [background, text, accent] = [background, "#000000", accent].map(str::to_owned);
            let colours = Some(Colours {
                background,
                text,
                accent,
            });
            let theme = Theme {
                colours,
                ..Theme::default()
            };
            theme.check().unwrap();
            theme.sheet()
        };
        assert!(sheet("#ffffff", "#0b5cad").contains("--link: #0b5cad"));
        // Enough for a button, and not for words.
        assert!(sheet("#ffffff", "#888888").contains("--link: #000000"));
        for grey in 0x78..=0xff_u8 {
            let background = format!("#{grey:02x}{grey:02x}{grey:02x}");
            let sheet = sheet(&background, "#000000");
            let (_, error) = sheet.split_once("--error: ").unwrap();
            let (error, _) = error.split_once(';').unwrap();
            let [a, b] = [&*background, error].map(|colour| luminance(colour).unwrap());
            assert!(contrast(a, b) >= TEXT_CONTRAST, "{sheet}");
        }
    }

    #[test]
    fn a_logo_is_a_picture() {
        let with = |media_type: &str, bytes: &[u8]| {
            let theme = Theme {
                logo: Some(Logo {
                    media_type: media_type.to_owned(),
                    data: Base64::encode_string(bytes),
                }),
                ..Theme::default()
            };
            theme.check().is_ok()
        };
        assert!(with("image/png", b"\x89PNG\r\n\x1a\nrest"));
        assert!(with("image/jpeg", b"\xff\xd8\xffrest"));
        assert!(!with("image/png", b"\xff\xd8\xffrest"));
        assert!(!with("image/svg+xml", b"<svg/>"));
        let large = [b"\xff\xd8\xff".to_vec(), vec![0; LOGO_BYTES_MAX]].concat();
        assert!(!with("image/jpeg", &large));
    }

    #[test]
    fn buttons_can_be_read_on_any_accent() {
        for accent in ["#ffee00", "#0b5cad", "#777777", "#747474", "#000000"] {
            let lum = luminance(accent).unwrap();
            assert!(contrast(lum, 0.0).max(contrast(lum, 1.0)) >= TEXT_CONTRAST);
        }
    }
}
