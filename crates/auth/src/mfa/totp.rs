//! One-time passwords by time: <https://www.rfc-editor.org/rfc/rfc6238>.
//!
//! Six digits, a step of 30 seconds, HMAC-SHA-1: what every authenticator app
//! understands. A code of the step before or after is taken, too, since clocks
//! differ (5.2); a step is taken once, so nobody uses a code that was seen
//! over a shoulder (5.2, NIST SP 800-63B, 5.1.4.2).

use salus_crypto::{base64url, from_base64url, hmac_sha1, same};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::base32;
use crate::Secret;

const STEP_MS: i64 = 30_000;
/// Steps of difference between two clocks.
const WINDOW: i64 = 1;
const DIGITS: usize = 6;
const MODULUS: u32 = 1_000_000;

/// The secret that an app and we share, and the last step that was taken.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    secret: String,
    /// 0 is none.
    #[serde(default)]
    last_step: i64,
}

impl Drop for Totp {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totp")
    }
}

impl Totp {
    /// A secret of as many bits as the hash has (RFC 4226, 4, R6).
    #[must_use]
    pub fn new(random: &[u8; 20]) -> Self {
        Self {
            secret: base64url(random),
            last_step: 0,
        }
    }

    /// The secret as apps want it typed.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::new(base32(&self.bytes()))
    }

    /// The secret as apps want it shown: the `otpauth` URI that they all read.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Secret {
        let (issuer, account) = (percent(issuer), percent(account));
        let secret = self.text();
        let secret = secret.expose();
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        ))
    }

    /// Whether this is a code of now that was not taken before. It is taken then.
    pub fn accept(&mut self, code: &str, now_ms: i64) -> bool {
        let code = code.replace(' ', "");
        if code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let now = now_ms.div_euclid(STEP_MS);
        let key = self.bytes();
        let mut taken = None;
        for step in now - WINDOW..=now + WINDOW {
            let right = same(at(&key, step).as_bytes(), code.as_bytes());
            if right && step > self.last_step {
                taken = Some(step);
            }
        }
        self.last_step = taken.unwrap_or(self.last_step);
        taken.is_some()
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(from_base64url(&self.secret).unwrap_or_default())
    }
}

/// The code of a step (RFC 4226, 5.3).
fn at(key: &[u8], step: i64) -> String {
    let mac = hmac_sha1(key, &step.to_be_bytes());
    let offset = usize::from(mac[19] & 15);
    let four = mac.iter().skip(offset).take(4);
    let number = four.fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % MODULUS)
}

/// Text as part of a URI (RFC 3986, 2.1).
fn percent(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 20] = b"12345678901234567890";

    /// RFC 6238, appendix B, of eight digits the last six.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(Totp::new(KEY).accept(code, seconds * 1000), "{seconds}");
        }
    }

    #[track_caller]
    fn check(code: &str, at_s: i64, expect: bool) {
        assert_eq!(
            Totp::new(KEY).accept(code, at_s * 1000),
            expect,
            "{code} {at_s}"
        );
    }

    #[test]
    fn clocks_may_differ_by_a_step() {
        // 287082 is the code of the seconds 30 to 59.
        check("287082", 29, true);
        check("287082", 0, true);
        check("287082", 89, true);
        check("287082", 90, false);
        check("287 082", 59, true);
        check("287083", 59, false);
        check("", 59, false);
        check("28708", 59, false);
        check("2870820", 59, false);
        check("28708２", 59, false);
    }

    #[test]
    fn a_step_is_taken_once_and_never_one_before_it() {
        let mut totp = Totp::new(KEY);
        let older = at(KEY, 1);
        let newer = at(KEY, 2);
        assert!(totp.accept(&newer, 59_000));
        assert!(!totp.accept(&newer, 59_000));
        assert!(!totp.accept(&older, 59_000));
        assert!(totp.accept(&at(KEY, 3), 60_000));
    }

    #[test]
    fn apps_are_told_where_it_belongs() {
        let uri = Totp::new(KEY).uri("St. Mary's", "a b@example.org");
        assert_eq!(
            uri.expose(),
            "otpauth://totp/St.%20Mary%27s:a%20b@example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=St.%20Mary%27s&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", Totp::new(KEY)), "Totp");
    }
}
